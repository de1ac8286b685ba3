// The gaps of a day: a lane for each stream over the hours of the day, and the same as a table.

import { byId, element, setAttribute, setHidden, setText, State, svg } from "../dom.js";
import { age, clock, count, text, toneOf, words } from "../format.js";
import { DAY_S, dashed, secondOf } from "./times.js";

const LANES = 24;
const ROWS = 200;
const HOURS = [0, 3, 6, 9, 12, 15, 18, 21, 24]; // of the axis that lanes and slider share
const WIDE = 2000; // units across the day; a gap that is shorter than two of them is drawn as long as two
const LEAST = 4;
const HIGH = 14;
/** Upper edge and height of a mark, so that states differ in form, too; the worst is drawn last. */
const MARKS = { repaired: [10, 4], open: [5, 9], unrepairable: [0, 14] };

export class Timeline {
  constructor() {
    this.lanes = byId("lanes");
    byId("hours").replaceChildren(...HOURS.map(hourOf));
  }

  /** Nothing to draw yet, or a refusal. */
  say(title, sentence) {
    setText(byId("timeline-title"), title);
    setText(byId("timeline-note"), sentence);
    setHidden(byId("timeline"), true);
    setHidden(byId("day-gaps"), true);
  }

  /** The answer of /api/gaps for one symbol, or for all where `symbol` is empty. */
  show(symbol, { day, total, gaps }) {
    const lanes = lanesOf(gaps);
    this.say(titleOf(symbol, day), noteOf(total, gaps.length, lanes.length));
    if (!gaps.length) return;
    this.lanes.replaceChildren(...lanes.slice(0, LANES).map(([name, own]) => laneOf(name, own, day)));
    byId("day-gap-rows").replaceChildren(...gaps.slice(0, ROWS).map(rowOf));
    setHidden(byId("timeline"), false);
    setHidden(byId("day-gaps"), false);
  }
}

export const titleOf = (symbol, day) => `Gaps of ${symbol || "all symbols"}, ${dashed(day)}`;

function noteOf(total, given, lanes) {
  if (!total) return "No gap is listed.";
  const shown = Math.min(ROWS, given);
  const rows = shown < total ? `the table has the first ${count(shown)} of ${count(total)} gaps` : `${count(total)} gaps`;
  const more = lanes > LANES ? `; ${count(LANES)} of ${count(lanes)} streams with gaps are drawn, choose a symbol` : "";
  return `${rows}${more}${given < total ? `; those behind the first ${count(given)} are not drawn` : ""}.`;
}

/** Gaps by symbol and stream, the streams that have lost most time first. */
function lanesOf(gaps) {
  const lanes = new Map();
  for (const gap of gaps) {
    const name = `${gap.symbol} ${gap.stem}`;
    if (!lanes.has(name)) lanes.set(name, []);
    lanes.get(name).push(gap);
  }
  const lost = (own) => own.reduce((sum, gap) => sum + (gap.state === "repaired" ? 0 : lengthOf(gap)), 0);
  return [...lanes].sort((one, other) => lost(other[1]) - lost(one[1]));
}

const lengthOf = ({ from_ns, to_ns }) => (to_ns === null ? DAY_S * 1e9 : to_ns - from_ns);

function laneOf(name, gaps, day) {
  const box = { class: "lane-marks", viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", role: "img" };
  const marks = Object.entries(MARKS).map(([state, [top, high]]) =>
    svg("path", { "data-state": state, d: pathOf(gaps, state, day, top, high) }),
  );
  const picture = svg("svg", box, ...marks);
  const states = Object.keys(MARKS)
    .map((state) => [state, gaps.filter((gap) => gap.state === state).length])
    .filter(([, number]) => number);
  setAttribute(picture, "aria-label", `${name}: ${states.map(([state, number]) => `${number} ${state}`).join(", ")}`);
  const label = element("span", "lane-name", name);
  label.title = name;
  return element("li", "lane", label, picture);
}

/** Marks that would touch are one, so that a lane is a few hundred of them at most, whatever it has. */
function pathOf(gaps, state, day, top, high) {
  const found = gaps
    .filter((gap) => gap.state === state)
    .map(({ from_ns, to_ns }) => [place(from_ns, day), to_ns === null ? WIDE : place(to_ns, day)])
    .sort((one, other) => one[0] - other[0]);
  const merged = [];
  for (const [from, to] of found) {
    const end = Math.max(to, from + LEAST);
    const last = merged[merged.length - 1];
    if (last && from <= last[1]) last[1] = Math.max(last[1], end);
    else merged.push([from, end]);
  }
  return merged.map(([from, to]) => `M${from} ${top}H${to}V${top + high}H${from}Z`).join("");
}

const place = (ns, day) => Math.round((secondOf(ns, day) / DAY_S) * WIDE);

function hourOf(hour) {
  const words = `${String(hour).padStart(2, "0")}${hour ? "" : " h UTC"}`;
  const mark = element("span", hour % 6 ? "hour spare" : "hour", words);
  mark.style.left = `${(hour / 24) * 100}%`;
  return mark;
}

function rowOf(gap) {
  const state = new State();
  state.show(toneOf(gap.state), words(gap.state));
  const long = gap.to_ns === null ? "still open" : age((gap.to_ns - gap.from_ns) / 1e9);
  return element(
    "tr",
    "",
    element("td", "nowrap", `${clock(gap.from_ns / 1e6)}, ${long}`),
    element("td", "long", `${gap.symbol} ${gap.stem}`),
    element("td", "long", `${text(gap.reason)} (${text(gap.fault)})`),
    element("td", "num spare", count(gap.missing)),
    element("td", "", state.node),
  );
}
