// Texts for people. Times are in milliseconds.

const UNITS = [["d", 86_400_000], ["h", 3_600_000], ["m", 60_000], ["s", 1_000]];

/** A duration in its two largest units: `2h 5m`, `31s`; below a minute with tenths if `exact`. */
export function duration(ms, exact = false) {
  const time = Math.max(0, ms);
  if (exact && time < 60_000) return time < 1_000 ? `${Math.round(time)} ms` : `${(time / 1_000).toFixed(1)} s`;
  const first = UNITS.findIndex(([, unit]) => time >= unit);
  if (first < 0) return "0s";
  const [name, unit] = UNITS[first];
  const whole = `${Math.floor(time / unit)}${name}`;
  const next = UNITS[first + 1];
  const rest = next && Math.floor((time % unit) / next[1]);
  return rest ? `${whole} ${rest}${next[0]}` : whole;
}

const CLOCK = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

/** A moment by the clock of whoever looks. */
export function moment(ms) {
  return CLOCK.format(new Date(ms));
}

const PHASES = { Asleep: "asleep", Waking: "waking", Awake: "awake", FallingAsleep: "falling asleep" };

/** A phase in words. */
export function phase(name) {
  return PHASES[name] ?? name;
}

/** What was saved up to `after` milliseconds after the status: a number, or undefined. */
export function savedAfter(app, after) {
  if (!app.saved) return undefined;
  const rate = app.phase === "Asleep" ? Number(app.saved.perHour ?? 0) : 0;
  return Number(app.saved.amount) + (rate * after) / 3_600_000;
}

/** An amount of money: cents, and more digits while it is less than one. */
export function money(amount, currency) {
  return `${amount.toFixed(amount !== 0 && Math.abs(amount) < 1 ? 4 : 2)} ${currency}`;
}
