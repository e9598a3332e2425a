// Asks why, and how, before something is done.

const $ = (id) => document.getElementById(id);
const dialog = $("confirm");

/** Asks; gives the body of the call, or nothing if it was called off. */
export function ask(call, name) {
  const wakes = call === "wake";
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
  return new Promise((answer) => {
    dialog.addEventListener("close", () => {
      if (dialog.returnValue !== "ok") return answer(undefined);
      const body = {};
      if ($("reason").value.trim()) body.reason = $("reason").value.trim();
      if (wakes && $("keep").value.trim()) body.for = $("keep").value.trim();
      if (!wakes) body.wake_on_request = $("wake-on-request").checked;
      return answer(body);
    }, { once: true });
  });
}

$("confirm-form").addEventListener("submit", (event) => {
  event.preventDefault();
  dialog.close("ok");
});
$("confirm-cancel").addEventListener("click", () => dialog.close(""));
