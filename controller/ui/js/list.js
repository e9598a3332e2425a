// The table of all apps. A row is made once; of what changes only the cells that differ are written, once a frame.

import { hasKey } from "./api.js";
import { duration, money, phase, savedAfter } from "./format.js";
import { age, apps } from "./live.js";

const FIELDS = [
  ["phase", "", ""],
  ["replicas", "replicas", "number"],
  ["held", "held", "number"],
  ["inFlight", "in flight", "number"],
  ["idle", "sleeps in", "number"],
  ["asleep", "asleep", "number"],
  ["saved", "saved", "number"],
];

const table = document.querySelector("#apps");
const body = table.tBodies[0];
const search = document.querySelector("#search");
const filter = document.querySelector("#phase-filter");
const empty = document.querySelector("#empty");
const totals = document.querySelector("#totals");

/** Each row by its app's name, with its cells. */
const rows = new Map();
const dirty = new Set();
let sort = { by: "name", up: true };
let frame = 0;

function make(name, app) {
  const row = document.createElement("tr");
  row.dataset.app = name;
  const first = document.createElement("td");
  first.dataset.field = "name";
  const link = document.createElement("a");
  link.href = `#/apps/${encodeURIComponent(app.namespace)}/${encodeURIComponent(app.name)}`;
  const namespace = document.createElement("span");
  namespace.className = "namespace";
  namespace.textContent = app.namespace === "local" ? "" : `${app.namespace}/`;
  link.append(namespace, app.name);
  const warns = document.createElement("span");
  warns.className = "warns";
  first.append(link, " ", warns);
  row.append(first);
  const cells = { warns };
  for (const [field, label, kind] of FIELDS) {
    const cell = document.createElement("td");
    cell.dataset.field = field;
    cell.className = kind;
    if (label) cell.dataset.label = label;
    row.append(cell);
    cells[field] = cell;
  }
  const pill = document.createElement("span");
  pill.className = "phase";
  cells.phase.append(pill);
  cells.phase = pill;
  return { row, cells };
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** What runs by itself: countdowns, and what adds up while it sleeps. */
function tickRow(entry, { cells }) {
  const { app } = entry;
  const after = age(entry);
  const idle = app.sleepsInMs === undefined ? (app.phase === "Awake" && app.ttl === "never" ? "never" : "–") : duration(app.sleepsInMs - after);
  put(cells.idle, idle);
  const asleep = app.asleepMs === undefined ? "–" : duration(app.asleepMs + (app.phase === "Asleep" ? after : 0));
  put(cells.asleep, asleep);
  const saved = savedAfter(app, after);
  put(cells.saved, saved === undefined ? "–" : money(saved, app.saved.currency));
}

function update(name) {
  const entry = apps.get(name);
  let known = rows.get(name);
  if (!entry) {
    known?.row.remove();
    rows.delete(name);
    return;
  }
  const { app } = entry;
  if (!known) {
    known = make(name, app);
    rows.set(name, known);
    place(known.row, name);
  }
  const { row, cells } = known;
  if (row.dataset.phase !== app.phase) row.dataset.phase = app.phase;
  put(cells.phase, phase(app.phase));
  put(cells.replicas, String(app.replicas));
  put(cells.held, String(app.held));
  put(cells.inFlight, String(app.inFlight));
  put(cells.warns, app.problem || app.wake?.outcome?.result === "failed" ? "⚠" : "");
  const why = app.problem ?? (app.wake?.outcome?.result === "failed" ? app.wake.outcome.reason : "");
  if (cells.warns.title !== why) cells.warns.title = why;
  tickRow(entry, known);
  show(row, name, app);
}

function matches(name, app) {
  const words = search.value.trim().toLowerCase();
  return (filter.value === "" || app.phase === filter.value) && (words === "" || name.toLowerCase().includes(words));
}

function show(row, name, app) {
  const hidden = !matches(name, app);
  if (row.hidden !== hidden) row.hidden = hidden;
}

const KEYS = {
  name: (name) => name,
  phase: (name, { app }) => ["Waking", "Awake", "FallingAsleep", "Asleep"].indexOf(app.phase),
  replicas: (name, { app }) => app.replicas,
  held: (name, { app }) => app.held,
  inFlight: (name, { app }) => app.inFlight,
  idle: (name, { app }) => app.sleepsInMs ?? Infinity,
  asleep: (name, { app }) => app.asleepMs ?? 0,
  saved: (name, entry) => savedAfter(entry.app, 0) ?? 0,
};

function before(a, b) {
  const key = KEYS[sort.by];
  const [x, y] = [key(a, apps.get(a)), key(b, apps.get(b))];
  const order = x < y ? -1 : x > y ? 1 : a < b ? -1 : 1;
  return sort.up ? order : -order;
}

function place(row, name) {
  // Newcomers come one by one; a whole list is put in order before.
  const next = [...body.rows].find((other) => before(name, other.dataset.app) < 0);
  body.insertBefore(row, next ?? null);
}

function total() {
  const phases = new Map();
  const money_ = new Map();
  let held = 0;
  for (const entry of apps.values()) {
    const { app } = entry;
    phases.set(app.phase, (phases.get(app.phase) ?? 0) + 1);
    held += app.held;
    const saved = savedAfter(app, age(entry));
    if (saved !== undefined) money_.set(app.saved.currency, (money_.get(app.saved.currency) ?? 0) + saved);
  }
  const words = [`${apps.size} ${apps.size === 1 ? "app" : "apps"}`];
  for (const one of ["Waking", "Awake", "FallingAsleep", "Asleep"]) {
    if (phases.has(one)) words.push(`${phases.get(one)} ${phase(one)}`);
  }
  if (held > 0) words.push(`${held} held`);
  for (const [currency, amount] of money_) words.push(`${money(amount, currency)} saved`);
  put(totals, words.join(" · "));
}

function say() {
  const shown = [...rows.values()].some(({ row }) => !row.hidden);
  const text = apps.size === 0 ? `There are no apps${hasKey() ? " that the key is good for" : ""}.` : "No app matches.";
  put(empty, text);
  if (empty.hidden !== shown) empty.hidden = shown;
}

function flush() {
  frame = 0;
  dirty.forEach(update);
  dirty.clear();
  total();
  say();
}

/** One app has changed. */
export function changed(name) {
  dirty.add(name);
  frame ||= requestAnimationFrame(flush);
}

/** All of them are told anew. */
export function all() {
  const gone = [...rows.keys()].filter((name) => !apps.has(name));
  gone.forEach((name) => dirty.add(name));
  const fresh = [...apps.keys()].filter((name) => !rows.has(name)).sort(before);
  const pieces = document.createDocumentFragment();
  for (const name of fresh) {
    const made = make(name, apps.get(name).app);
    rows.set(name, made);
    pieces.append(made.row);
  }
  body.append(pieces);
  [...apps.keys()].forEach((name) => dirty.add(name));
  flush();
  if (fresh.length < rows.size) order();
}

function order() {
  const pieces = document.createDocumentFragment();
  [...rows.keys()].filter((name) => apps.has(name)).sort(before).forEach((name) => pieces.append(rows.get(name).row));
  body.append(pieces);
}

/** Once a second. */
export function tick() {
  for (const [name, known] of rows) {
    const entry = apps.get(name);
    if (entry && !known.row.hidden) tickRow(entry, known);
  }
  total();
}

function refilter() {
  for (const [name, { row }] of rows) {
    const entry = apps.get(name);
    if (entry) show(row, name, entry.app);
  }
  say();
}

search.addEventListener("input", refilter);
filter.addEventListener("change", refilter);
table.tHead.addEventListener("click", (event) => {
  const by = event.target.dataset?.sort;
  if (!by) return;
  sort = { by, up: sort.by === by ? !sort.up : by === "name" || by === "idle" || by === "phase" };
  for (const head of table.tHead.rows[0].cells) {
    const mine = head.querySelector("button").dataset.sort === by;
    if (mine) head.setAttribute("aria-sort", sort.up ? "ascending" : "descending");
    else head.removeAttribute("aria-sort");
  }
  order();
});
