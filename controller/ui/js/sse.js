// The stream of events, by fetch: EventSource cannot send a key.

/** Events longer than this are not ours, in characters. */
const MAX_LENGTH = 64 * 1024 * 1024;

/** Takes the text of a stream in pieces, and calls `each({event, id, data})` for every event that is whole. */
export class Parser {
  #rest = "";
  #event = "";
  #id;
  #data = [];

  constructor(each) {
    this.each = each;
  }

  feed(text) {
    this.#rest += text;
    if (this.#rest.length > MAX_LENGTH) throw new Error("an event without end");
    const lines = this.#rest.split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    lines.forEach((line) => this.#line(line));
  }

  #line(line) {
    if (line === "") {
      if (this.#data.length > 0) {
        this.each({ event: this.#event || "message", id: this.#id, data: this.#data.join("\n") });
      }
      [this.#event, this.#data] = ["", []];
      return;
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.#event = value;
    if (name === "id") this.#id = value;
    if (name === "data") this.#data.push(value);
  }
}
