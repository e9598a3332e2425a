// One app: where it stands, its wake step by step, its last wakes, what went wrong.

import * as api from "./api.js";
import { ask } from "./dialog.js";
import { duration, moment, money, phase, savedAfter } from "./format.js";
import { age, apps, listed, now } from "./live.js";
import { isIn, say } from "./message.js";

/** The order of the steps that are known. Others are shown where they come. */
const STEPS = ["Requested", "NodeProvisioning", "Scheduling", "Pulling", "Starting", "Probing", "Ready"];

const $ = (id) => document.getElementById(id);
const section = $("app");

/** Which app is shown: `namespace/name`. */
let shown;
let lastWake;

/** What is called when a key is not good for what was asked. */
export const listeners = { refused: () => {} };

/** Shows an app. */
export function open(namespace, name) {
  shown = `${namespace}/${name}`;
  lastWake = undefined;
  section.dataset.app = shown;
  $("app-title").textContent = namespace === "local" ? name : shown;
  $("wakes").replaceChildren();
  $("errors").replaceChildren();
  changed(shown);
}

/** None is shown any more. */
export function close() {
  shown = undefined;
}

/** That app has changed. */
export function changed(name) {
  if (name !== shown) return;
  const entry = apps.get(name);
  $("gone").hidden = !!entry || !listed;
  $("gone").textContent = `There is no such app${api.hasKey() ? ", or the key is not good for its namespace" : ""}.`;
  $("app-body").hidden = !entry;
  if (!entry) return;
  const { app } = entry;
  section.dataset.phase = app.phase;
  isIn(shown, app.phase);
  $("problem").hidden = !app.problem;
  $("problem").textContent = app.problem ?? "";
  $("sleep").disabled = app.phase !== "Awake" && !(app.phase === "Asleep" && app.wakeOnRequest);
  $("wake").disabled = app.phase === "Waking";
  facts(entry);
  steps(entry);
  const wake = app.wake && `${app.wake.id} ${app.wake.outcome?.result ?? ""} ${app.problem ?? ""}`;
  if (wake !== lastWake) {
    lastWake = wake;
    history(app);
  }
}

/** Once a second. */
export function tick() {
  const entry = apps.get(shown);
  if (!entry) return;
  facts(entry);
  times(entry);
}

function facts(entry) {
  const { app } = entry;
  const after = age(entry);
  const said = [
    ["Phase", phase(app.phase), "phase"],
    ["Since", `${moment(Date.parse(app.since))}, ${duration(now() - Date.parse(app.since))}`],
    ["Replicas", String(app.replicas)],
    ["Requests", `${app.inFlight} in flight, ${app.held} of them held`],
  ];
  if (app.sleepsInMs !== undefined) said.push(["Sleeps in", `${duration(app.sleepsInMs - after)} if nobody calls (idle.ttl ${app.ttl})`]);
  else said.push(["Idle time", app.ttl]);
  if (!app.wakeOnRequest) said.push(["On request", "stays asleep, as it was told, until it is woken by hand"]);
  if (app.awakeUntil) said.push(["Kept awake", `until ${moment(Date.parse(app.awakeUntil))}`]);
  if (app.schedule) said.push(["Wakes", `${moment(Date.parse(app.schedule.at))}, in ${duration(Date.parse(app.schedule.at) - now())}: ${app.schedule.reason}`]);
  if (app.retryInMs !== undefined) {
    const left = app.retryInMs - after;
    said.push(["Next try", left > 0 ? `in ${duration(left)} at the earliest` : "with the next request"]);
  }
  if (app.asleepMs !== undefined) said.push(["Asleep", `${duration(app.asleepMs + (app.phase === "Asleep" ? after : 0))} in all`]);
  const saved = savedAfter(app, after);
  if (saved !== undefined) said.push(["Saved", money(saved, app.saved.currency)]);
  if (app.listen.length > 0) said.push(["Reached at", app.listen.join(", ")]);
  if (app.hosts?.length > 0) said.push(["Hosts", app.hosts.join(", ")]);
  if (app.pending) said.push(["Pending", app.pending]);
  const list = $("facts");
  const same = list.children.length === said.length * 2 && said.every(([title], i) => list.children[2 * i].textContent === title);
  if (!same) {
    list.replaceChildren(...said.flatMap(([title, , kind]) => {
      const dt = document.createElement("dt");
      dt.textContent = title;
      const dd = document.createElement("dd");
      if (kind) {
        const pill = document.createElement("span");
        pill.className = kind;
        dd.append(pill);
      }
      return [dt, dd];
    }));
  }
  said.forEach(([, text], i) => {
    const dd = list.children[2 * i + 1];
    const place = dd.firstElementChild ?? dd;
    if (place.textContent !== text) place.textContent = text;
  });
}

/** The steps of a wake, each with how it stands: what comes is only known of a wake in progress. */
export function plan(wake) {
  const reached = wake.steps.map((step) => step.step);
  const going = !wake.outcome;
  const last = reached.at(-1);
  const done = reached.map((step) => ({ step, state: going && step === last ? "current" : "done" }));
  const furthest = Math.max(-1, ...reached.map((step) => STEPS.indexOf(step)));
  const ahead = going ? STEPS.slice(furthest + 1).map((step) => ({ step, state: "ahead" })) : [];
  return [...done, ...ahead];
}

function steps(entry) {
  const { wake } = entry.app;
  const list = $("steps");
  const planned = wake ? plan(wake) : [];
  // Those that stay keep their elements, so that whoever reads one is not interrupted.
  planned.forEach(({ step, state }, i) => {
    let item = list.children[i];
    if (!item) {
      item = document.createElement("li");
      const name = document.createElement("span");
      const time = document.createElement("span");
      time.className = "time";
      item.append(name, time);
      list.append(item);
    }
    item.dataset.step = step;
    item.dataset.state = state;
    if (item.firstChild.textContent !== step) item.firstChild.textContent = step;
    if (state === "current") item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  });
  while (list.children.length > planned.length) list.lastChild.remove();
  times(entry);
}

/** How long each step took, or takes until now. */
function times(entry) {
  const { wake } = entry.app;
  const eta = $("eta");
  const put = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };
  if (!wake) return put(eta, "It has not been woken yet.");
  const since = now() - Date.parse(wake.started);
  const by = `by ${wake.trigger}`;
  if (wake.outcome?.result === "failed") put(eta, `The last wake failed: ${wake.outcome.reason} (${by}, ${moment(Date.parse(wake.started))})`);
  else if (wake.outcome) put(eta, `The last wake took ${duration(wake.steps.at(-1)?.afterMs ?? 0, true)} (${by}, ${moment(Date.parse(wake.started))})`);
  else if (wake.etaMs === undefined) put(eta, `Waking for ${duration(since)}, ${by}; how long that takes is known after the first time`);
  else {
    const left = wake.etaMs - age(entry);
    put(eta, left > 0 ? `Ready in about ${duration(left)}, ${by}` : `Ready at any moment, ${by}; it takes longer than usual`);
  }
  const items = $("steps").children;
  wake.steps.forEach((step, i) => {
    const next = wake.steps[i + 1];
    const going = !next && !wake.outcome;
    const took = next ? next.afterMs - step.afterMs : going ? since - step.afterMs : undefined;
    const text = took === undefined ? `after ${duration(step.afterMs, true)}` : duration(took, !going);
    if (items[i]) put(items[i].lastChild, text);
  });
  for (let i = wake.steps.length; i < items.length; i += 1) put(items[i].lastChild, " ");
}

async function history(app) {
  const mine = shown;
  let said;
  try {
    said = await api.history(app);
  } catch {
    return; // what is shown stays; the next change asks again
  }
  if (shown !== mine) return;
  const longest = Math.max(1, ...said.wakes.map((wake) => wake.steps.at(-1)?.afterMs ?? 0));
  $("wakes").replaceChildren(...said.wakes.map((wake) => one(wake, longest)));
  $("errors").replaceChildren(...said.errors.map((error) => {
    const item = document.createElement("li");
    const time = document.createElement("time");
    time.dateTime = error.time;
    time.textContent = moment(Date.parse(error.time));
    item.append(time, ` ${error.what}`);
    return item;
  }));
  $("no-wakes").hidden = said.wakes.length > 0;
  $("no-errors").hidden = said.errors.length > 0;
}

/** A wake of before, as a bar: as long as it took, and in it each step. */
function one(wake, longest) {
  const item = document.createElement("li");
  item.dataset.outcome = wake.outcome.result;
  const took = wake.steps.at(-1)?.afterMs ?? 0;
  const head = document.createElement("span");
  head.textContent = wake.outcome.result === "failed" ? "failed" : duration(took, true);
  if (wake.outcome.result === "failed") head.className = "failed";
  const what = document.createElement("span");
  what.className = "what";
  what.textContent = ` · ${moment(Date.parse(wake.started))} · by ${wake.trigger}`;
  const track = document.createElement("span");
  track.className = "track";
  const bar = document.createElement("span");
  bar.className = "wake";
  bar.style.width = `${(100 * took) / longest}%`;
  const words = wake.steps.slice(0, -1).map((step, i) => {
    const length = wake.steps[i + 1].afterMs - step.afterMs;
    const part = document.createElement("i");
    part.style.flexGrow = String(Math.max(length, 1));
    part.title = `${step.step}: ${duration(length, true)}`;
    bar.append(part);
    return part.title;
  });
  track.setAttribute("role", "img");
  track.setAttribute("aria-label", words.join(", ") || "no steps");
  track.append(bar);
  item.append(head, what, track);
  if (wake.outcome.reason) {
    const why = document.createElement("span");
    why.className = "failed";
    why.textContent = wake.outcome.reason;
    item.append(why);
  }
  if (wake.outcome.output?.length > 0) {
    const output = document.createElement("pre");
    output.textContent = wake.outcome.output.join("\n");
    item.append(output);
  }
  return item;
}

async function order(call, button) {
  const entry = apps.get(shown);
  if (!entry) return;
  const { app } = entry;
  const body = await ask(call, $("app-title").textContent);
  button.focus();
  if (!body) return;
  say(call === "wake" ? `${app.name}: a wake is asked for …` : `${app.name}: waiting for work in flight, at most 10 s …`);
  try {
    const after = await api.order(app, call, body);
    const off = app.schedule && !after.schedule ? `; its wake of ${moment(Date.parse(app.schedule.at))} was called off` : "";
    say(`${app.name} is ${phase(after.phase)}${off}`, false, { name: shown, phase: after.phase });
    // The stream may have told of what came next before the answer was here.
    const present = apps.get(shown)?.app.phase;
    if (present !== app.phase) isIn(shown, present);
  } catch (error) {
    say(error.message, true);
    if (error.status === 401 || error.status === 403) listeners.refused("with another key it may work");
  }
}

$("wake").addEventListener("click", () => order("wake", $("wake")));
$("sleep").addEventListener("click", () => order("sleep", $("sleep")));
