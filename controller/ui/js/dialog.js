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
  $("wake-on-request").checked = true;
  dialog.returnValue = "";
  dialog.showModal();
  $("reason").focus();
  return new Promise((resolve) => {
    answer = (said) => resolve(said && body(wakes));
  });
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

$("confirm-form").addEventListener("submit", (event) => {
  event.preventDefault();
  dialog.close("ok");
});
$("confirm-cancel").addEventListener("click", () => dialog.close(""));
