// Joins the parts: which view is shown, and who hears of what changes.

import "./theme.js";
import * as api from "./api.js";
import * as app from "./app.js";
import * as list from "./list.js";
import * as live from "./live.js";
import { say } from "./message.js";

const $ = (id) => document.getElementById(id);

/** Which app the address names. */
function named() {
  try {
    return /^#\/apps\/([^/]+)\/([^/]+)$/.exec(location.hash)?.slice(1).map(decodeURIComponent);
  } catch {
    return undefined; // whoever typed it meant something else
  }
}

function askForKey(why) {
  $("key-form").hidden = false;
  $("key-why").textContent = why;
  $("key").focus();
}

function route(moveFocus) {
  const match = named();
  $("overview").hidden = !!match;
  $("app").hidden = !match;
  say("");
  if (match) {
    const [namespace, name] = match;
    app.open(namespace, name);
    document.title = `${name} – Reveille`;
  } else {
    app.close();
    document.title = "Reveille";
    if (!["", "#/"].includes(location.hash)) say(`There is nothing at ${location.hash}; these are all apps.`);
  }
  if (moveFocus) (match ? $("app-title") : $("content")).focus();
}

live.listeners.apps = () => {
  list.all();
  const shown = $("app").dataset.app;
  if (shown) app.changed(shown);
};
live.listeners.app = (name) => {
  list.changed(name);
  app.changed(name);
};
live.listeners.state = (state, why) => {
  const place = $("connection");
  if (place.dataset.state !== state) place.dataset.state = state;
  if (place.textContent !== why) place.textContent = state === "refused" ? "a key is needed" : why;
  if (state === "refused") {
    askForKey(api.hasKey() ? why : "");
  } else if (state === "live") {
    $("key-form").hidden = true;
    $("key").value = "";
  }
};

$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = $("key").value.trim();
  if (!/^[\x21-\x7e]*$/.test(key)) {
    $("key-why").textContent = "a key is of letters, digits and _ alone, as `reveille key new` prints it";
    return;
  }
  api.useKey(key);
  say("");
  live.restart();
});
app.listeners.refused = askForKey;
addEventListener("online", live.hurry);
addEventListener("visibilitychange", () => document.hidden || live.hurry());
addEventListener("hashchange", () => route(true));
setInterval(() => {
  if ($("app").hidden) list.tick();
  else app.tick();
}, 1_000);
route(false);
live.run();
