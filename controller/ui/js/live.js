// Keeps the apps up to date by the stream of events, and says how that stands.

import * as api from "./api.js";
import { Parser } from "./sse.js";

/** A stream says something every 10 s; one that is silent for longer than this is gone. */
const SILENT_AFTER = 20_000;
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;

/** The apps by `namespace/name`: each as it was at `at`, a time of this page's clock (performance.now()). */
export const apps = new Map();

/** What is called for each change: `apps()` for a new beginning, `app(name)`, `state(state, why)`. */
export const listeners = { apps: () => {}, app: () => {}, state: () => {} };

/** The server's clock, at a time of this page's. */
let offset = 0;

/** When the connection was lost, while it is: of what came after nothing is known, so all clocks stand still. */
let lost;

function clock() {
  return lost ?? performance.now();
}

/** Now, by the server's clock. */
export function now() {
  return clock() + offset;
}

/** How old what is known of an app is. */
export function age(entry) {
  return clock() - entry.at;
}

let last;
let wakeUp = () => {};
let reading;

/** Whether the apps are known at all. */
export let listed = false;

/** Begins at once if it waits. */
export function hurry() {
  wakeUp();
}

/** Begins anew, as with another key. */
export function restart() {
  last = undefined;
  reading?.abort(new Error("another key is used"));
  wakeUp();
}

function name(app) {
  return `${app.namespace}/${app.name}`;
}

function take({ event, id, data }) {
  const said = JSON.parse(data);
  last = id ?? last;
  // What is told after a break is older than now: the clock does not go back for that, and counts from its time.
  const time = Date.parse(said.time);
  const heard = time - performance.now();
  offset = event === "apps" || offset === 0 ? heard : Math.max(offset, heard);
  const at = time - offset;
  if (event === "apps") {
    apps.clear();
    for (const app of said.apps) apps.set(name(app), { app, at });
    listed = true;
    listeners.apps();
  } else if (event === "gone") {
    apps.delete(name(said));
    listeners.app(name(said));
  } else if (said.app) {
    apps.set(name(said.app), { app: said.app, at });
    listeners.app(name(said.app));
  }
}

async function read(alive) {
  const abort = new AbortController();
  reading = abort;
  let timer;
  const hears = () => {
    clearTimeout(timer);
    timer = setTimeout(() => abort.abort(new Error("nothing was heard for a while")), SILENT_AFTER);
  };
  try {
    hears();
    const body = await api.events(last, abort.signal);
    alive();
    const parser = new Parser(take);
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      hears();
      parser.feed(value);
    }
  } finally {
    clearTimeout(timer);
    abort.abort();
  }
}

/** Reads for as long as the page is open. */
export async function run() {
  let pause = FIRST_PAUSE;
  for (;;) {
    let refused = false;
    try {
      await read(() => {
        pause = FIRST_PAUSE;
        lost = undefined;
        listeners.state("live", "live");
      });
      listeners.state("lost", "connection lost, trying again");
    } catch (error) {
      refused = error instanceof api.Refusal && (error.status === 401 || error.status === 403);
      if (refused) last = undefined;
      listeners.state(refused ? "refused" : "lost", refused ? error.message : "connection lost, trying again");
    }
    lost ??= performance.now();
    await new Promise((resume) => {
      wakeUp = resume;
      // Without a key it is no use to ask again by oneself.
      if (!refused) setTimeout(resume, pause * (0.75 + Math.random() / 2));
    });
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
}
