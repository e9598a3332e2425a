// Calls of the API. The key is kept in this variable and nowhere else.

let key = "";

/** Uses that key from now on. */
export function useKey(text) {
  key = text;
}

/** Whether there is a key. */
export function hasKey() {
  return key !== "";
}

/** A refusal, with what the API says about it. */
export class Refusal extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

function headers(more) {
  return key ? { Authorization: `Bearer ${key}`, ...more } : { ...more };
}

async function refusal(response) {
  let detail = `the answer has status ${response.status}`;
  try {
    detail = (await response.json()).detail ?? detail;
  } catch {
    // Whatever stands in between answers as it likes.
  }
  return new Refusal(response.status, detail);
}

/** Opens the stream of events, after the event `last` if there is one. */
export async function events(last, signal) {
  const more = last ? { "Last-Event-ID": last } : {};
  const response = await fetch("../api/v1/events", { headers: headers(more), signal, cache: "no-store" });
  if (!response.ok) throw await refusal(response);
  return response.body;
}

/** A path of one app. */
function path(app, call) {
  return `../api/v1/apps/${encodeURIComponent(app.namespace)}/${encodeURIComponent(app.name)}/${call}`;
}

/** What happened to the app lately. */
export async function history(app) {
  const response = await fetch(path(app, "history"), { headers: headers(), cache: "no-store" });
  if (!response.ok) throw await refusal(response);
  return response.json();
}

/** Wakes the app, or puts it to sleep. */
export async function order(app, call, body) {
  const response = await fetch(path(app, call), {
    method: "POST",
    headers: headers({ "Content-Type": "application/json" }),
    body: JSON.stringify(body),
  });
  if (!response.ok) throw await refusal(response);
  return response.json();
}
