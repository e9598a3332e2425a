// The dashboard's files over an API that is made up: for what a real Reveille does not say, or not yet.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";

const UI = new URL("../../controller/ui/", import.meta.url).pathname;
const KINDS = { ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml" };
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export class MadeUp {
  streams = new Set();
  history = { wakes: [], errors: [] };
  number = 0;

  /** Serves these apps. */
  static async start(apps) {
    const self = new MadeUp();
    self.apps = apps;
    self.server = createServer((request, response) => self.serve(request, response));
    await new Promise((ready) => self.server.listen(0, "127.0.0.1", ready));
    self.page = `http://127.0.0.1:${self.server.address().port}/ui/`;
    return self;
  }

  async serve(request, response) {
    if (request.url === "/api/v1/events") {
      response.writeHead(200, { "content-type": "text/event-stream" });
      this.streams.add(response);
      response.on("close", () => this.streams.delete(response));
      this.write(response, "apps", { time: new Date().toISOString(), apps: this.apps });
    } else if (request.url.endsWith("/history")) {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify(this.history));
    } else {
      const name = normalize(request.url.replace(/^\/ui\//, "").replace(/[#?].*/, "")) || "index.html";
      const file = name === "." ? "index.html" : name;
      try {
        const text = await readFile(join(UI, file));
        response.writeHead(200, { "content-type": KINDS[extname(file)], "content-security-policy": POLICY });
        response.end(text);
      } catch {
        response.writeHead(404).end();
      }
    }
  }

  write(response, event, data) {
    this.number += 1;
    response.write(`event: ${event}\nid: 1-${this.number}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  /** Tells everybody. */
  tell(event, data) {
    for (const stream of this.streams) this.write(stream, event, { time: new Date().toISOString(), ...data });
  }

  async end() {
    this.streams.forEach((stream) => stream.destroy());
    await new Promise((closed) => this.server.close(closed));
  }
}

/** An app as the API tells of it. */
export function status(name, more = {}) {
  return {
    namespace: "local", name, phase: "Asleep", since: new Date(Date.now() - 60_000).toISOString(), replicas: 0,
    inFlight: 0, held: 0, ttl: "5m", listen: [`127.0.0.1:1`], wakeOnRequest: true, ...more,
  };
}
