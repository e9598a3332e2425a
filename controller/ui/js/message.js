// What became of something: one line, read out.

const place = document.querySelector("#message");
let about;

/** Says it, until something else is said. With `of`, what holds for an app in a phase: until it is in another one. */
export function say(text, bad = false, of = undefined) {
  about = of;
  place.dataset.kind = bad ? "bad" : "";
  place.textContent = text;
}

/** The app is in that phase: what was said of another one is over. */
export function isIn(name, phase) {
  if (about?.name === name && about.phase !== phase) say("");
}
