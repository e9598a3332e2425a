// Runs the tests one after the other in one browser, each in a context of its own, and says what it saw as cargo does.
//
//   node run.mjs [PART OF A NAME]
//
// A test that fails leaves a picture of its page and what the page said in target/browser/.

import { appendFileSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";

import { tests } from "./tests.mjs";

const tools = process.env.REVEILLE_BROWSER_TOOLS;
if (!tools) throw new Error("REVEILLE_BROWSER_TOOLS names the folder that scripts/need.sh made: run `make test-browser`");
const require = createRequire(join(tools, "package.json"));
const { chromium } = require("playwright-core");
const axe = require("axe-core").source;

const failed = new URL("../../target/browser/", import.meta.url).pathname;
await rm(failed, { recursive: true, force: true });
await mkdir(failed, { recursive: true });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});

/** What a test has: pages, and what is to be ended after it. */
class Context {
  #ends = [];
  #contexts = [];
  said = [];

  /** A page. Whatever it asks of another host, and whatever its policy forbids, fails the test. */
  async open(url, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1100, height: 800 }, ...options });
    this.#contexts.push(context);
    const page = await context.newPage();
    page.setDefaultTimeout(15_000);
    const host = new URL(url).host;
    page.on("request", (request) => {
      if (new URL(request.url()).host !== host) this.said.push(`ASKED ELSEWHERE: ${request.url()}`);
    });
    page.on("console", (message) => this.said.push(`${message.type()}: ${message.text()}`));
    page.on("pageerror", (error) => this.said.push(`ERROR: ${error.stack}`));
    this.page = page;
    await page.goto(url);
    return page;
  }

  /** To be ended after the test. */
  async with(promise) {
    const it = await promise;
    this.#ends.push(it);
    return it;
  }

  /** Asks axe what is in the way of people. */
  async accessible(page, what) {
    await page.evaluate(axe);
    const result = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
    const serious = result.violations.filter((one) => ["serious", "critical"].includes(one.impact));
    if (serious.length > 0) {
      const words = serious.map((one) => `${one.id}: ${one.help}\n  ${one.nodes.map((node) => `${node.html} ${node.failureSummary}`).join("\n  ")}`);
      throw new Error(`${what}: ${words.join("\n")}`);
    }
  }

  figure(text) {
    const line = `figure: browser ${this.name}: ${text}\n`;
    process.stderr.write(line);
    if (process.env.REVEILLE_TEST_REPORT) appendFileSync(process.env.REVEILLE_TEST_REPORT, line);
  }

  async end(name, error) {
    const wrong = this.said.filter((line) => /^(ERROR|ASKED)|Content.Security.Policy/.test(line));
    if (!error && wrong.length > 0) error = new Error(wrong.join("\n"));
    if (error) {
      const file = name.replaceAll(/[^a-z0-9]+/gi, "-");
      await this.page?.screenshot({ path: join(failed, `${file}.png`) }).catch(() => {});
      await writeFile(join(failed, `${file}.txt`), this.said.join("\n"));
    }
    for (const context of this.#contexts) await context.close();
    for (const it of this.#ends.reverse()) await (it.remove ? it.remove() : it.end());
    return error;
  }
}

const wanted = tests.filter(([name]) => name.includes(process.argv[2] ?? ""));
const failures = [];
const started = Date.now();
console.log(`running ${wanted.length} tests`);
for (const [name, test] of wanted) {
  const context = new Context();
  context.name = name;
  let error;
  try {
    await test(context);
  } catch (thrown) {
    error = thrown;
  }
  error = await context.end(name, error);
  console.log(`test ${name} ... ${error ? "FAILED" : "ok"}`);
  if (error) failures.push([name, error]);
}
await browser.close();
for (const [name, error] of failures) console.log(`\n---- ${name} ----\n${error.stack}`);
const seconds = ((Date.now() - started) / 1000).toFixed(2);
console.log(`\ntest result: ${failures.length ? "FAILED" : "ok"}. ${wanted.length - failures.length} passed; ${failures.length} failed; 0 ignored; 0 measured; ${tests.length - wanted.length} filtered out; finished in ${seconds}s`);
process.exitCode = failures.length > 0 ? 1 : 0;
