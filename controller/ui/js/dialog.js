// Asks why, and how, before something is done.

const $ = (id) => document.getElementById(id);
const dialog = $("confirm");

/** Answers whoever asked last. */
let answer = () => {};

/** Asks; gives the body of the call, or nothing if it was called off. */
export function ask(call, name) {
  const wakes = call === "wake";
  answer(undefined);
  $("confirm-title").textContent = wakes ? `Wake ${name}` : `Put ${name} to sleep`;
  $("confirm-ok").textContent = wakes ? "Wake" : "Put to sleep";
  $("for-row").hidden = !wakes;
  $("request-row").hidden = wakes;
  $("reason").value = "";
  $("keep").value = "";
  $("keep").setCustomValidity("");
  $("wake-on-request").checked = true;
  dialog.returnValue = "";
  dialog.showModal();
  $("reason").focus();
  return new Promise((resolve) => {
    answer = (said) => resolve(said && body(wakes));
  });
}

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** What is wrong with a duration that looks like one, in words; else nothing. */
function outOfRange(text) {
  const parts = [...text.matchAll(/([0-9]+)(ms|s|m|h|d)/g)];
  const total = parts.reduce((sum, [, number, unit]) => sum + number * UNITS[unit], 0);
  return parts.length > 0 && (total < UNITS.s || total > 30 * UNITS.d) ? "From 1s to 30d." : "";
}

function body(wakes) {
  const said = {};
  if ($("reason").value.trim()) said.reason = $("reason").value.trim();
  if (wakes && $("keep").value.trim()) said.for = $("keep").value.trim();
  if (!wakes) said.wake_on_request = $("wake-on-request").checked;
  return said;
}

// It comes a moment after the closing: by then somebody may have asked again.
dialog.addEventListener("close", () => {
  if (!dialog.open) answer(dialog.returnValue === "ok" || undefined);
});

// While it is typed, so that the form can tell before it is closed.
$("keep").addEventListener("input", () => $("keep").setCustomValidity(outOfRange($("keep").value)));

$("confirm-form").addEventListener("submit", (event) => {
  event.preventDefault();
  dialog.close("ok");
});
$("confirm-cancel").addEventListener("click", () => dialog.close(""));
