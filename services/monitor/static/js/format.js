// Numbers, times and states as words. Pure; "–" where there is nothing to tell.

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const oneDigit = new Intl.NumberFormat("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

export const NONE = "–";

const known = (value) => typeof value === "number" && Number.isFinite(value);

const fit = (value, limit = 10) => (Math.abs(value) < limit ? oneDigit : whole).format(value);

export const text = (value) => (value === null || value === undefined || value === "" ? NONE : String(value));

export const count = (value) => (known(value) ? whole.format(value) : NONE);

const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

/** 12.3M: thousands are K, millions M, thousand millions B. */
export const compact = (value) => (known(value) ? short.format(value) : NONE);

/** A number that came as text; null where it is none. */
export const numberOf = (value) => (typeof value === "string" && value.trim() && known(Number(value)) ? Number(value) : null);

export const rate = (value) => (known(value) ? fit(value) : NONE);

export const percent = (value) => (known(value) ? `${fit(value)} %` : NONE);

/** A share that may be called whole: rounded down, so that 100 % is nothing less. */
export const share = (value) => (known(value) ? `${Math.floor(value * 1000) / 1000} %` : NONE);

export function bytes(value) {
  if (!known(value)) return NONE;
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let size = value;
  let unit = 0;
  while (Math.abs(size) >= 999.5 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? whole.format(size) : fit(size)}\u00a0${units[unit]}`; // never torn from its unit
}

export function milliseconds(value) {
  if (!known(value)) return NONE;
  return Math.abs(value) < 9999.5 ? `${fit(value)} ms` : `${whole.format(value / 1000)} s`;
}

export const signed = (value) =>
  known(value) && value > 0 ? `+${milliseconds(value)}` : milliseconds(value).replace("-", "−");

/** A length of time in whole seconds, or in at most two larger units. */
export function age(seconds) {
  if (!known(seconds)) return NONE;
  const s = Math.max(0, Math.round(seconds));
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min`;
  const two = (number) => String(Math.floor(number)).padStart(2, "0");
  if (s < 172800) return `${Math.floor(s / 3600)} h ${two((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${two((s % 86400) / 3600)} h`;
}

/** The same, with tenths of a second while it is short. */
export const shortAge = (seconds) =>
  known(seconds) && seconds < 9.95 ? `${oneDigit.format(Math.max(0, seconds))} s` : age(seconds);

/** Days, as far as it makes sense to tell them apart. */
export function days(value) {
  if (!known(value)) return NONE;
  if (value > 3650) return "over 10 years";
  if (value < 2) return `${whole.format(value * 24)} h`;
  return `${whole.format(value)} days`;
}

export function clock(time_ms) {
  return known(time_ms) && Math.abs(time_ms) < 8.64e15 ? new Date(time_ms).toISOString().slice(11, 19) : NONE;
}

export const last = (values) => (values && values.length ? values[values.length - 1] : null);

export const plural = (number, word, words = `${word}s`) => `${count(number)} ${number === 1 ? word : words}`;

export const shortened = (value, length) => (value.length > length ? `${value.slice(0, length - 1)}…` : value);

const GOOD = [
  ..."live quiet recording forwarding valid serving running repaired ok".split(" "),
  "all books valid",
];
const WAITING = [
  ..."waiting starting buffering snapshot_requested bridging open".split(" "),
  "paused by the exchange",
  "building books",
  "not trading",
  "off session",
  "not heard yet",
];

/** good, wait or bad: the shape and the colour beside a state's own word. */
export const toneOf = (state) => (GOOD.includes(state) ? "good" : WAITING.includes(state) ? "wait" : "bad");

/** A stream with a reason beside its state is not recorded; one without is, however quiet. */
export const toneOfStream = ({ state, why }) => (why ? "bad" : toneOf(state));

/** A state as the page shows it; docs/monitoring.md has a table of all of them. */
export const words = (state) => text(state).replaceAll("_", " ");
