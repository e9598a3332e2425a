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

/** Calls. What browsers say of a server that cannot be reached differs, and helps nobody. */
async function call(url, options) {
  try {
    return await fetch(url, { cache: "no-store", ...options });
  } catch (error) {
    if (error instanceof TypeError) throw new Error("Reveille cannot be reached; is it running?", { cause: error });
    throw error;
  }
}

/** Opens the stream of events, after the event `last` if there is one. */
export async function events(last, signal) {
  const more = last ? { "Last-Event-ID": last } : {};
  const response = await call("../api/v1/events", { headers: headers(more), signal });
  if (!response.ok) throw await refusal(response);
  return response.body;
}

/** A path of one app. */
function path(app, call) {
  return `../api/v1/apps/${encodeURIComponent(app.namespace)}/${encodeURIComponent(app.name)}/${call}`;
}

/** What happened to the app lately. */
export async function history(app) {
  const response = await call(path(app, "history"), { headers: headers() });
  if (!response.ok) throw await refusal(response);
  return response.json();
}

/** Wakes the app, or puts it to sleep. */
export async function order(app, what, body) {
  const response = await call(path(app, what), {
    method: "POST",
    headers: headers({ "Content-Type": "application/json" }),
    body: JSON.stringify(body),
  });
  if (!response.ok) throw await refusal(response);
  return response.json();
}
