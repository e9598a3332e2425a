// What the dashboard is for, as somebody does it who looks at it.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { execFileSync } from "node:child_process";

import { MadeUp, status } from "./made_up.mjs";
import { Reveille, app, freePort, until } from "./reveille.mjs";

const assert = createRequire(import.meta.url)("node:assert/strict");
const root = new URL("../../", import.meta.url).pathname;

const row = (page, name) => page.locator(`#apps tr[data-app="${name}"]`);
const state = (page, wanted, timeout = 15_000) => page.locator(`#connection[data-state="${wanted}"]`).waitFor({ timeout });
const phase = (page, name, wanted) => page.locator(`#apps tr[data-app="${name}"][data-phase="${wanted}"]`).waitFor();
const detail = (page, wanted) => page.locator(`#app[data-phase="${wanted}"]`).waitFor();

/** Opens the page of one app. */
async function openApp(page, name) {
  await row(page, `local/${name}`).locator("a").click();
  await page.locator(`#app[data-app="local/${name}"]`).waitFor();
}

/** Notes every change of an attribute or text below an element, as `what=value`. */
async function record(page, selector) {
  await page.evaluate((selector) => {
    globalThis.seen = [];
    const note = () => {
      for (const item of document.querySelectorAll(`${selector} li[data-state="current"]`)) {
        if (globalThis.seen.at(-1) !== item.dataset.step) globalThis.seen.push(item.dataset.step);
      }
    };
    new MutationObserver(note).observe(document.querySelector(selector), { subtree: true, attributes: true, childList: true });
    note();
  }, selector);
}

export const tests = [
  ["an app that a request wakes appears live, and its steps advance", async (t) => {
    const port = await freePort();
    const reveille = await t.with(Reveille.start(app("web", port, { startMs: 2_500 })));
    const page = await t.open(reveille.page);
    await state(page, "live");
    await phase(page, "local/web", "Asleep");
    await openApp(page, "web");
    await record(page, "#steps");
    const answer = fetch(`http://127.0.0.1:${port}/name`);
    await detail(page, "Waking");
    assert.match(await page.locator("#eta").textContent(), /known after the first time/);
    await detail(page, "Awake");
    assert.equal((await answer).status, 200);
    const steps = await page.evaluate(() => globalThis.seen);
    assert.ok(steps.length >= 2 && steps.includes("Probing"), steps.join(" "));
    assert.match(await page.locator("#eta").textContent(), /The last wake took \d+\.\d s/);
    await page.locator('#wakes li[data-outcome="ready"]').waitFor();
    const done = await page.locator('#steps li[data-state="done"]').count();
    assert.equal(done, await page.locator("#steps li").count());
    await page.getByRole("link", { name: "All apps" }).click();
    await phase(page, "local/web", "Awake");
    assert.equal(await row(page, "local/web").locator('[data-field="replicas"]').textContent(), "1");
  }],

  ["wake and sleep by button, with a reason; what is refused is said", async (t) => {
    const port = await freePort();
    const reveille = await t.with(Reveille.start(app("web", port, { startMs: 1_200 })));
    const page = await t.open(reveille.page);
    await openApp(page, "web");
    await page.getByRole("button", { name: "Wake", exact: true }).click();
    await page.locator("#reason").fill("demo at noon");
    await page.locator("#keep").fill("2h");
    await page.locator("#confirm-ok").click();
    await detail(page, "Awake");
    await page.getByText("until", { exact: false }).first().waitFor();
    assert.match(await page.locator("#eta").textContent(), /admin API: demo at noon/);
    // In use, it is not put to sleep.
    const slow = fetch(`http://127.0.0.1:${port}/slow?ms=13000`);
    await until("it is in use", async () => /1 in flight/.test(await page.locator("#facts").textContent()));
    await page.locator("#sleep").click();
    await page.locator("#confirm-ok").click();
    await page.locator('#message[data-kind="bad"]').getByText("in use").waitFor({ timeout: 20_000 });
    await slow;
    // Then it is, and requests do not wake it.
    await page.locator("#sleep").click();
    await page.locator("#wake-on-request").uncheck();
    await page.locator("#confirm-ok").click();
    await detail(page, "Asleep");
    await page.getByText("stays asleep, as it was told").waitFor();
    assert.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 503);
    // The second wake knows how long it takes.
    await page.locator("#wake").click();
    await page.locator("#confirm-ok").click();
    await page.locator("#eta").getByText(/Ready in about|Ready at any moment/).waitFor();
    await detail(page, "Awake");
    assert.equal(await page.locator("#wakes li").count(), 2);
  }],

  ["a wake that fails is told, with its reason", async (t) => {
    const port = await freePort();
    const yaml = `  - name: broken\n    command: [sh, -c, "echo no licence; exit 3"]\n    ports: [{listen: "127.0.0.1:${port}"}]\n`;
    const reveille = await t.with(Reveille.start(yaml));
    const page = await t.open(reveille.page);
    await openApp(page, "broken");
    assert.equal((await fetch(`http://127.0.0.1:${port}/`)).status, 502);
    await page.locator('#wakes li[data-outcome="failed"]').waitFor();
    await page.locator("#errors li").getByText("exited with code 3").waitFor();
    assert.match(await page.locator("#eta").textContent(), /failed: .*code 3/);
    await page.getByText("at the earliest").waitFor();
  }],

  ["a wrong key is refused and told, a right one is kept in memory alone", async (t) => {
    const reveille = process.env.REVEILLE_BIN ?? `${root}target/debug/reveille`;
    const made = JSON.parse(execFileSync(reveille, ["key", "new", "me", "--namespace", "local", "--output", "json"]));
    const port = await freePort();
    const options = ["--keys", "FOLDER/keys"];
    const it = await t.with(Reveille.start(app("web", port), { options, files: { keys: `${made.line}\n` } }));
    const page = await t.open(it.page);
    await state(page, "refused");
    await page.locator("#key").fill("reveille_wrong");
    await page.getByRole("button", { name: "Use it" }).click();
    await page.locator("#key-why").getByText("not known here").waitFor();
    await page.locator("#key").fill("ключ");
    await page.keyboard.press("Enter");
    await page.locator("#key-why").getByText("letters, digits").waitFor();
    await page.locator("#key").fill(made.key);
    await page.keyboard.press("Enter");
    await state(page, "live");
    await phase(page, "local/web", "Asleep");
    assert.equal(await page.locator("#key-form").isVisible(), false);
    await openApp(page, "web");
    await page.locator("#wake").click();
    await page.locator("#confirm-ok").click();
    await detail(page, "Awake");
    const kept = await page.evaluate(() => JSON.stringify([location.href, { ...localStorage }, { ...sessionStorage }, document.cookie, document.body.innerHTML]));
    assert.ok(!kept.includes(made.key), "the key is somewhere");
    assert.equal(await page.evaluate(() => document.querySelector("#key").value), "");
  }],

  ["a key that may only read is told so, and another one can be used", async (t) => {
    const reveille = process.env.REVEILLE_BIN ?? `${root}target/debug/reveille`;
    const make = (...more) => JSON.parse(execFileSync(reveille, ["key", "new", ...more, "--namespace", "local", "--output", "json"]));
    const [reader, writer] = [make("reader", "--read"), make("writer")];
    const files = { keys: `${reader.line}\n${writer.line}\n` };
    const it = await t.with(Reveille.start(app("web", await freePort()), { options: ["--keys", "FOLDER/keys"], files }));
    const page = await t.open(`${it.page}#/apps/local/web`);
    await state(page, "refused");
    assert.equal(await page.locator("#gone").isVisible(), false, "it is not known whether there is such an app");
    await page.locator("#key").fill(reader.key);
    await page.keyboard.press("Enter");
    await detail(page, "Asleep");
    await page.locator("#wake").click();
    await page.locator("#confirm-ok").click();
    await page.locator('#message[data-kind="bad"]').getByText("reader").waitFor();
    await page.locator("#key").fill(writer.key);
    await page.keyboard.press("Enter");
    await page.locator("#key-form").waitFor({ state: "hidden" });
    await page.locator("#message", { hasText: /^$/ }).waitFor({ state: "attached" }); // what was refused is over
    await page.locator("#wake").click();
    await page.locator("#confirm-ok").click();
    await detail(page, "Awake");
    await page.locator("#message", { hasText: /^$/ }).waitFor({ state: "attached" }); // that it is waking is over, too
  }],

  ["an address that names nothing is the list", async (t) => {
    const it = await t.with(MadeUp.start([status("web")]));
    const page = await t.open(`${it.page}#/apps/%/x`);
    await row(page, "local/web").waitFor();
    await page.locator("#message").getByText("There is nothing at #/apps/%/x").waitFor();
    await page.goto(`${it.page}#/apps/local/nobody`);
    await page.locator("#gone").getByText("There is no such app.").waitFor();
  }],

  ["how long to keep it awake is refused before the form is closed", async (t) => {
    const it = await t.with(MadeUp.start([status("web")]));
    const page = await t.open(it.page);
    await openApp(page, "web");
    await page.locator("#wake").click();
    for (const [keep, fits] of [["40d", false], ["500ms", false], ["2 hours", false], ["30d", true], ["", true]]) {
      await page.locator("#keep").fill(keep);
      assert.equal(await page.locator("#keep").evaluate((input) => input.checkValidity()), fits, keep);
    }
    await page.locator("#keep").fill("40d");
    await page.locator("#confirm-ok").click();
    assert.equal(await page.locator("#confirm").evaluate((dialog) => dialog.open), true);
  }],

  ["while the connection is lost nothing is counted on", async (t) => {
    const it = await t.with(MadeUp.start([status("web", { asleepMs: 5_000 })]));
    const page = await t.open(it.page);
    const asleep = () => row(page, "local/web").locator('[data-field="asleep"]').textContent();
    await until("it counts", async () => /^[6-9]s$/.test(await asleep()));
    await it.end();
    await state(page, "lost");
    // The table is written once a second: by now it would say something else.
    const [before, drawn] = [await asleep(), await page.evaluate(() => performance.now())];
    await page.waitForFunction((drawn) => performance.now() > drawn + 2_500, drawn);
    assert.ok(parseInt(await asleep(), 10) - parseInt(before, 10) <= 1, `${before} became ${await asleep()}`);
  }],

  ["what is told after a break counts from its own time", async (t) => {
    const it = await t.with(MadeUp.start([status("web", { phase: "Awake", sleepsInMs: 100_000 })]));
    const page = await t.open(it.page);
    await row(page, "local/web").waitFor();
    const before = new Date(Date.now() - 30_000).toISOString();
    it.tell("counts", { time: before, app: status("web", { phase: "Awake", sleepsInMs: 90_000 }) });
    const idle = row(page, "local/web").locator('[data-field="idle"]');
    await until("it counts from then", async () => /^(59|58|1m)s?$/.test(await idle.textContent()));
  }],

  ["a connection that is lost comes back, with what has changed", async (t) => {
    const port = await freePort();
    const it = await t.with(Reveille.start(app("web", port)));
    const page = await t.open(it.page);
    await state(page, "live");
    await fetch(`http://127.0.0.1:${port}/`);
    await phase(page, "local/web", "Awake");
    await it.end();
    await state(page, "lost");
    const gone = Date.now();
    await it.begin();
    await state(page, "live", 30_000);
    await phase(page, "local/web", "Asleep");
    t.figure(`back ${((Date.now() - gone) / 1000).toFixed(1)} s after Reveille was started again`);
  }],

  ["1,000 apps: there at once, searched, filtered, and updated one by one", async (t) => {
    const all = Array.from({ length: 1_000 }, (_, i) => status(`app-${String(i).padStart(4, "0")}`, i % 10 === 0 ? { phase: "Awake", replicas: 1 } : {}));
    const it = await t.with(MadeUp.start(all));
    const begun = Date.now();
    const page = await t.open(it.page);
    await row(page, "local/app-0999").waitFor();
    const took = Date.now() - begun;
    t.figure(`1,000 rows after ${took} ms`);
    await page.evaluate(() => {
      globalThis.added = 0;
      new MutationObserver((changes) => changes.forEach((change) => { globalThis.added += change.addedNodes.length; }))
        .observe(document.querySelector("#apps tbody"), { childList: true });
    });
    it.tell("phase", { app: { ...all[500], phase: "Waking" } });
    await phase(page, "local/app-0500", "Waking");
    assert.equal(await page.evaluate(() => globalThis.added), 0, "no row was made anew");
    const shown = () => page.locator("#apps tbody tr:visible").count();
    await page.locator("#search").fill("app-012");
    assert.equal(await shown(), 10);
    await page.locator("#search").fill("");
    await page.locator("#phase-filter").selectOption("Awake");
    assert.equal(await shown(), 99);
    // One that does not match any more goes, another one comes.
    it.tell("phase", { app: { ...all[10], phase: "Asleep" } });
    await until("it is gone", async () => (await shown()) === 98);
    await page.locator("#search").fill("nothing");
    await page.locator("#empty").getByText("No app matches").waitFor();
    await page.locator("#search").fill("");
    await page.locator("#phase-filter").selectOption("");
    await page.getByRole("button", { name: "App", exact: true }).click();
    assert.equal(await page.locator("#apps tbody tr").first().getAttribute("data-app"), "local/app-0999");
    it.tell("gone", { namespace: "local", name: "app-0999" });
    await until("the row is gone", async () => (await page.locator("#apps tbody tr").count()) === 999);
  }],

  ["1,000 apps of a real Reveille can be searched within 3 s", async (t) => {
    const ports = await Promise.all(Array.from({ length: 1_000 }, freePort));
    const it = await t.with(Reveille.start(ports.map((port, i) => app(`app-${String(i).padStart(4, "0")}`, port)).join("")));
    const begun = Date.now();
    const page = await t.open(it.page);
    await row(page, "local/app-0999").waitFor();
    await page.locator("#search").fill("app-0500");
    await until("one is left", async () => (await page.locator("#apps tbody tr:visible").count()) === 1);
    const took = Date.now() - begun;
    t.figure(`1,000 real apps, searched after ${took} ms`);
    assert.ok(took < 3_000, `it took ${took} ms`);
    await page.evaluate(() => {
      globalThis.added = 0;
      new MutationObserver((changes) => changes.forEach((change) => { globalThis.added += change.addedNodes.length; }))
        .observe(document.querySelector("#apps tbody"), { childList: true });
    });
    assert.equal((await fetch(`http://127.0.0.1:${ports[500]}/`)).status, 200);
    await phase(page, "local/app-0500", "Awake");
    assert.equal(await page.evaluate(() => globalThis.added), 0, "no row was made anew");
  }],

  ["steps that nobody knows yet appear by themselves", async (t) => {
    const started = new Date(Date.now() - 9_000).toISOString();
    const wake = { id: "web-1", trigger: "1 request", started, etaMs: 20_000,
      steps: [{ step: "Requested", afterMs: 0 }, { step: "Thawing", afterMs: 1_000 }, { step: "Pulling", afterMs: 4_000 }] };
    const it = await t.with(MadeUp.start([status("web", { phase: "Waking", replicas: 1, wake })]));
    const page = await t.open(it.page);
    await openApp(page, "web");
    const steps = () => page.locator("#steps li").evaluateAll((items) => items.map((item) => `${item.dataset.step} ${item.dataset.state}`));
    await until("the steps are there", async () => (await steps()).length > 3);
    assert.deepEqual(await steps(), ["Requested done", "Thawing done", "Pulling current", "Starting ahead", "Probing ahead", "Ready ahead"]);
    wake.steps.push({ step: "Unpacking", afterMs: 9_000 });
    it.tell("wake", { app: status("web", { phase: "Waking", replicas: 1, wake }) });
    await page.locator('#steps li[data-step="Unpacking"][data-state="current"]').waitFor();
    assert.match(await page.locator("#eta").textContent(), /Ready in about (19|20)s/);
  }],

  ["what others wrote is text and nothing else", async (t) => {
    const evil = '<img src=x onerror="globalThis.owned=1"><script>globalThis.owned=1</script>';
    const wake = { id: "w", trigger: evil, started: new Date().toISOString(), steps: [{ step: evil, afterMs: 0 }],
      outcome: { result: "failed", kind: "deadline", reason: evil } };
    const it = await t.with(MadeUp.start([status("web", { wake, problem: evil, pending: evil, listen: [evil], hosts: [evil], schedule: { at: new Date().toISOString(), reason: evil } })]));
    it.history = { wakes: [wake], errors: [{ time: new Date().toISOString(), what: evil }] };
    const page = await t.open(it.page);
    await openApp(page, "web");
    await page.locator("#errors li").waitFor();
    assert.equal(await page.evaluate(() => globalThis.owned), undefined);
    assert.equal(await page.locator("main img, main script").count(), 0);
    assert.ok((await page.locator("#problem").textContent()).includes("<script>"));
  }],

  ["everything can be done by keyboard", async (t) => {
    const port = await freePort();
    const it = await t.with(Reveille.start(app("web", port)));
    const page = await t.open(it.page);
    await state(page, "live");
    const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.textContent.trim());
    const tabTo = async (wanted) => {
      for (let i = 0; i < 40; i += 1) {
        if ((await focused()) === wanted) return;
        await page.keyboard.press("Tab");
      }
      throw new Error(`no way to ${wanted}; at ${await focused()}`);
    };
    await page.keyboard.press("Tab");
    assert.equal(await focused(), "Skip to the apps");
    await tabTo("web");
    await page.keyboard.press("Enter");
    await page.locator("#app").waitFor();
    assert.equal(await focused(), "app-title", "the focus goes where the reader is to be");
    await tabTo("wake");
    await page.keyboard.press("Enter");
    assert.equal(await focused(), "reason");
    await page.keyboard.press("Escape");
    await until("the dialog is closed", async () => !(await page.locator("#confirm").isVisible()));
    assert.equal(await focused(), "wake", "the focus comes back");
    assert.equal(await page.locator("#app").getAttribute("data-phase"), "Asleep", "nothing was done");
    await page.keyboard.press("Enter");
    await page.keyboard.type("by hand");
    await page.keyboard.press("Enter");
    await detail(page, "Awake");
  }],

  ["on a phone nothing has to be scrolled sideways", async (t) => {
    const wake = { id: "w", trigger: "1 request", started: new Date().toISOString(), etaMs: 9_000, steps: [{ step: "Requested", afterMs: 0 }, { step: "NodeProvisioning", afterMs: 10 }] };
    const long = "a-name-as-long-as-names-can-be-in-a-cluster-of-kubernetes-63ch";
    const it = await t.with(MadeUp.start([status(long, { namespace: "a-namespace-that-is-long", phase: "Waking", wake, problem: "x".repeat(200) }), status("web", { phase: "Awake", sleepsInMs: 60_000 })]));
    const page = await t.open(it.page, { viewport: { width: 320, height: 640 }, hasTouch: true, isMobile: true });
    // Not innerWidth: on a phone that grows with what does not fit.
    const fits = () => page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth);
    await row(page, "local/web").waitFor();
    assert.ok(await fits(), "the list");
    await row(page, `a-namespace-that-is-long/${long}`).locator("a").tap();
    await page.locator("#app").waitFor();
    assert.ok(await fits(), "the app");
    await page.locator("#sleep, #wake").first().waitFor();
    await t.accessible(page, "on a phone");
  }],

  ["axe finds nothing serious, in light and dark", async (t) => {
    const wake = { id: "w", trigger: "1 request", started: new Date().toISOString(), etaMs: 9_000, steps: [{ step: "Requested", afterMs: 0 }, { step: "Starting", afterMs: 10 }] };
    const failed = { ...wake, etaMs: undefined, outcome: { result: "failed", kind: "deadline", reason: "too late" } };
    const saved = { asleepMs: 7_200_000, saved: { amount: "12.5", currency: "USD", perHour: "0.526" } };
    const it = await t.with(MadeUp.start([
      status("asleep", saved), status("waking", { phase: "Waking", wake }), status("awake", { phase: "Awake", sleepsInMs: 9_000, ...saved }),
      status("falling", { phase: "FallingAsleep" }), status("failed", { wake: failed, problem: "NoNode: no node has a place" }),
    ]));
    it.history = { wakes: [failed, { ...failed, id: "x", outcome: { result: "ready" } }], errors: [{ time: new Date().toISOString(), what: "too late" }] };
    for (const colorScheme of ["light", "dark"]) {
      const page = await t.open(it.page, { colorScheme });
      await row(page, "local/asleep").waitFor();
      assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), colorScheme);
      assert.match(await row(page, "local/asleep").locator('[data-field="saved"]').textContent(), /^12\.5\d USD$/);
      await t.accessible(page, `${colorScheme}: list`);
      for (const name of ["waking", "failed"]) {
        await openApp(page, name);
        await page.locator("#errors li").waitFor();
        await t.accessible(page, `${colorScheme}: ${name}`);
        await page.getByRole("link", { name: "All apps" }).click();
      }
      await openApp(page, "awake");
      await page.locator("#sleep").click();
      await t.accessible(page, `${colorScheme}: dialog`);
      await page.keyboard.press("Escape");
      await page.locator("#theme").click();
      assert.notEqual(await page.evaluate(() => document.documentElement.dataset.theme), colorScheme);
    }
  }],

  ["pictures of it for the docs", async (t) => {
    const [web, slow, third] = [await freePort(), await freePort(), await freePort()];
    const more = '    cost: {perReplicaHour: "3.06"}\n';
    const apps = app("web", web) + app("resnet50", slow, { startMs: 3_000, more }) + app("whisper", third, { more });
    const slept = { asleep: "61h12m", amount: "187.27", currency: "USD" };
    const savings = [{ namespace: "local", name: "resnet50", ...slept }, { namespace: "local", name: "whisper", ...slept }];
    const state_ = JSON.stringify({ version: 1, schedules: [], savings });
    const it = await t.with(Reveille.start(apps, { files: { "state.json": state_ } }));
    const page = await t.open(it.page, { viewport: { width: 1000, height: 420 }, deviceScaleFactor: 1 });
    await fetch(`http://127.0.0.1:${web}/`);
    await (await fetch(`http://127.0.0.1:${slow}/`)).text();
    await fetch(`${it.url}/api/v1/apps/local/resnet50/sleep`, { method: "POST", headers: { "content-type": "application/json" }, body: "{}" });
    await phase(page, "local/resnet50", "Asleep");
    const held = fetch(`http://127.0.0.1:${slow}/`);
    await phase(page, "local/resnet50", "Waking");
    const folder = process.env.REVEILLE_SCREENSHOTS;
    const picture = (name) => page.screenshot(folder ? { path: `${folder}/${name}.png` } : {});
    await picture("dashboard-list");
    await openApp(page, "resnet50");
    await page.locator('#steps li[data-state="current"]').waitFor();
    await page.locator("#wakes li").waitFor();
    await page.setViewportSize({ width: 1000, height: 700 });
    await page.emulateMedia({ colorScheme: "dark" });
    const bytes = await picture("dashboard-app");
    assert.ok(bytes.length > 5_000, "there is something to see");
    await held;
    if (folder) assert.ok((await readFile(`${folder}/dashboard-list.png`)).length < 150_000);
  }],
];
