// What became of something: one line, read out.

const place = document.querySelector("#message");

/** Says it, until something else is said. */
export function say(text, bad = false) {
  place.dataset.kind = bad ? "bad" : "";
  place.textContent = text;
}
