// The certificate of a day: what was recorded of one symbol, and what is missing.

import { byId, element, setHidden, setText, State } from "../dom.js";
import { age, clock, count, milliseconds, plural, share, text } from "../format.js";
import { dashed } from "./times.js";

const SHOWN_TIMES = 20;
const SHOWN_STREAMS = 60;

export const toneOfCondition = (condition) =>
  ({ available: "good", degraded: "wait", pending: "wait", open: "wait" })[condition] ?? "bad";

export class Certificate {
  constructor() {
    this.state = new State();
    byId("certificate-state").append(this.state.node);
  }

  /** A day that has no certificate: `why` says so. */
  say(symbol, day, condition, why) {
    this.head(symbol, day, condition, why);
    setHidden(byId("certificate-body"), true);
  }

  show(symbol, day, found) {
    this.head(symbol, day, found.condition, found.why ?? "");
    byId("certificate-facts").replaceChildren(...factsOf(found).flatMap(([word, value]) => pair(word, value)));
    const times = found.degraded ?? [];
    const shown = times.slice(0, SHOWN_TIMES).map(timesOf);
    const more = times.length > SHOWN_TIMES ? [element("li", "note", `and ${count(times.length - SHOWN_TIMES)} more`)] : [];
    byId("certificate-times").replaceChildren(...shown, ...more);
    setHidden(byId("certificate-degraded"), times.length === 0);
    const streams = Object.entries(found.streams ?? {}).slice(0, SHOWN_STREAMS);
    byId("certificate-streams").replaceChildren(...streams.map(([stem, stream]) => rowOf(stem, stream)));
    setHidden(byId("certificate-body"), false);
  }

  hide() {
    setHidden(byId("certificate"), true);
  }

  head(symbol, day, condition, why) {
    setText(byId("certificate-title"), `${symbol}, ${dashed(day)}`);
    this.state.show(toneOfCondition(condition), text(condition));
    setText(byId("certificate-why"), why);
    setHidden(byId("certificate"), false);
  }
}

function factsOf({ verified_percent, clean_percent, audits, clock: offset, restarts, sealed_at }) {
  return [
    ["Verified by ids", share(verified_percent)],
    ["Of that clean", share(clean_percent)],
    ["Audits of the book", `${count(audits?.passed)} passed, ${count(audits?.failed)} failed`],
    ["Exchange's clock", offset ? `${milliseconds(offset.offset_ms)} ± ${milliseconds(offset.error_ms)}` : "not measured"],
    ["Restarts", count(restarts)],
    ["Sealed", text(sealed_at)],
  ];
}

const pair = (word, value) => [element("dt", "", word), element("dd", "", value)];

function timesOf({ from_ns, to_ns }) {
  const whole = to_ns - from_ns >= 86399e9;
  const words = whole ? "the whole day" : `${clock(from_ns / 1e6)} to ${clock(to_ns / 1e6)}, ${age((to_ns - from_ns) / 1e9)}`;
  return element("li", "", words);
}

function rowOf(stem, stream) {
  const name = element("th", "long", stem);
  name.scope = "row";
  const state = new State();
  state.show(toneOfCondition(stream.condition), text(stream.condition), stream.why ?? "");
  const facts = stream.facts ?? {};
  const seen = Number.isFinite(facts.first_recv_ns)
    ? `${clock(facts.first_recv_ns / 1e6)} to ${clock(facts.last_recv_ns / 1e6)}`
    : text(null);
  return element(
    "tr",
    "",
    name,
    element("td", "", state.node),
    element("td", "num", count(facts.rows)),
    element("td", "num", plural((stream.gaps ?? []).length, "gap")),
    element("td", "spare", seen),
    element("td", "spare", text(stream.continuity)),
  );
}
