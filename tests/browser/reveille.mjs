// A real Reveille with real apps: started from a file of its own, ended by its pid.

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname ?? new URL(".", import.meta.url).pathname, "../..");
const BIN = process.env.REVEILLE_BIN ?? join(ROOT, "target/debug/reveille");
export const SLOW_SERVER = join(ROOT, "target/debug/slow_server");

// Below the range from which Linux takes the ports of outgoing connections, and below 20,000, from where Reveille chooses the
// ports of apps that name none: as tests/local/src/ports.rs does. Two runs at a time begin at different places.
const FIRST = 10_000;
const COUNT = 10_000;
let next = (process.pid * 197) % COUNT;

function isFree(port) {
  return new Promise((tried) => {
    const server = createServer();
    server.once("error", () => tried(false));
    server.listen(port, "127.0.0.1", () => server.close(() => tried(true)));
  });
}

/** A port of 127.0.0.1 that nobody listens on and that this run has not handed out before. */
export async function freePort() {
  for (let tries = 0; tries < COUNT; tries += 1) {
    const port = FIRST + (next % COUNT);
    next += 1;
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port between ${FIRST} and ${FIRST + COUNT}`);
}

/** Waits until it holds. */
export async function until(what, holds, within = 20_000) {
  const end = Date.now() + within;
  for (;;) {
    const found = await holds();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not in ${within / 1000} s: ${what}`);
    await new Promise((later) => setTimeout(later, 50));
  }
}

/** An app that needs `startMs` until it can answer. */
export function app(name, port, { startMs = 0, requestMs = 0, ttl = "10m", more = "" } = {}) {
  return `  - name: ${name}
    command: [${JSON.stringify(SLOW_SERVER)}]
    env: {SLOW_START_MS: "${startMs}", SLOW_REQUEST_MS: "${requestMs}", SLOW_NAME: ${name}}
    ports: [{listen: "127.0.0.1:${port}"}]
    idle: {ttl: ${ttl}}
${more}`;
}

export class Reveille {
  /** Starts one with these apps (YAML) and options. */
  static async start(apps, { port, options = [], files = {} } = {}) {
    const self = new Reveille();
    self.folder = await mkdtemp(join(tmpdir(), "reveille-browser-"));
    self.port = port ?? (await freePort());
    self.options = options.map((option) => option.replace("FOLDER", self.folder));
    await writeFile(join(self.folder, "reveille.yaml"), `admin: 127.0.0.1:${self.port}\napps:\n${apps}`);
    for (const [name, text] of Object.entries(files)) await writeFile(join(self.folder, name), text);
    await self.begin();
    return self;
  }

  /** Runs it, again if it was ended. */
  async begin() {
    const log = join(this.folder, "log");
    const { open } = await import("node:fs/promises");
    const out = await open(log, "a");
    const args = ["local", "-c", join(this.folder, "reveille.yaml"), "--state", join(this.folder, "state.json"), ...this.options];
    this.process = spawn(BIN, args, { stdio: ["ignore", out.fd, out.fd], cwd: this.folder });
    await out.close();
    this.ended = new Promise((end) => this.process.once("exit", end));
    await until("Reveille serves", async () => {
      if (this.process.exitCode !== null) throw new Error(await readFile(log, "utf8"));
      return fetch(`${this.url}/readyz`).then((answer) => answer.ok, () => false);
    });
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  get page() {
    return `${this.url}/ui/`;
  }

  async end() {
    if (this.process.exitCode === null && this.process.signalCode === null) this.process.kill("SIGTERM");
    await this.ended;
  }

  async remove() {
    await this.end();
    await rm(this.folder, { recursive: true, force: true });
  }
}
