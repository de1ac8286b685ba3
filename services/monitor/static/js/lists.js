// Today's gaps and the processes, as tables.

import { byId, element, Keyed, setAttribute, setHidden, setText, State } from "./dom.js";
import { age, bytes, clock, count, percent, text, toneOf, words } from "./format.js";

export const LATE_S = 10; // twice the time in which a writer that is well makes everything durable

class Gap {
  constructor() {
    this.time = element("td", "nowrap");
    this.stream = element("td", "long");
    this.reason = element("td", "long");
    this.missed = element("td", "num spare");
    this.state = new State();
    this.node = element("tr", "", this.time, this.stream, this.reason, this.missed, element("td", "", this.state.node));
  }

  show(gap) {
    const seconds = (gap.to_ms - gap.from_ms) / 1000;
    setText(this.time, gap.to_ms ? `${clock(gap.from_ms)}, ${age(seconds)}` : clock(gap.from_ms));
    setText(this.stream, text(gap.stream || gap.symbol));
    setText(this.reason, text(gap.reason));
    setText(this.missed, missedOf(gap));
    this.state.show(toneOf(gap.state), words(gap.state));
  }
}

/** The messages that were missing at first, and how many of them still are. */
function missedOf({ first_messages, missing_messages }) {
  if (!Number.isFinite(first_messages) || missing_messages === first_messages) return count(first_messages);
  return `${count(first_messages)}, now ${count(missing_messages)}`;
}

export class Gaps {
  constructor() {
    this.rows = new Keyed(
      byId("gaps"),
      (gap) => `${gap.symbol}\n${gap.stream}\n${gap.from_ms}\n${gap.reason}`,
      () => new Gap(),
    );
  }

  show({ newest_gaps, gaps }) {
    this.rows.show(newest_gaps);
    setHidden(byId("gaps-table"), newest_gaps.length === 0);
    setHidden(byId("no-gaps"), newest_gaps.length !== 0);
    setText(byId("no-gaps"), "None.");
    const shown = newest_gaps.length;
    const total = shown < gaps.listed ? `the newest ${count(shown)} of ${count(gaps.listed)}` : count(shown);
    setText(byId("gaps-shown"), shown ? total : "");
  }
}

class Process {
  constructor() {
    this.name = element("th", "long");
    this.name.scope = "row";
    this.state = new State();
    this.up = element("td", "num spare");
    this.cpu = element("td", "num spare");
    this.memory = element("td", "num");
    this.backlog = element("td", "num");
    this.node = element(
      "tr",
      "",
      this.name,
      element("td", "", this.state.node),
      this.up,
      this.cpu,
      this.memory,
      this.backlog,
    );
  }

  show(process) {
    setText(this.name, text(process.name));
    setAttribute(this.name, "title", process.pid ? `pid ${process.pid}` : "");
    this.state.show(toneOfProcess(process), words(process.state), text(process.detail));
    setText(this.up, age(process.uptime_s));
    setText(this.cpu, percent(process.cpu_percent));
    setText(this.memory, bytes(process.rss_bytes));
    setText(this.backlog, backlogOf(process));
  }
}

export const toneOfProcess = (process) => (process.up ? toneOf(process.state) : "bad");

export function backlogOf({ backlog_bytes, backlog_s }) {
  const late = backlog_s >= LATE_S ? `, ${age(backlog_s)}` : "";
  return bytes(backlog_bytes) + late;
}

export class Processes {
  constructor() {
    this.rows = new Keyed(
      byId("processes"),
      (process) => process.name,
      () => new Process(),
    );
  }

  show({ processes }) {
    this.rows.show(processes);
    const up = processes.filter((process) => process.up).length;
    setText(byId("processes-up"), `${up} of ${processes.length} up`);
  }
}
