// Whether everything is recorded, in one look: headline, what is wrong and why, title and icon of the page.

import { byId, element, Keyed, setAttribute, setHidden, setText } from "./dom.js";
import { age, plural, text, toneOfStream } from "./format.js";

const SHOWN = 8;
const RECORDING = "Recording";
const NOT_RECORDING = "Not everything is recorded";

class Problem {
  constructor() {
    this.what = element("strong");
    this.why = element("span", "why");
    this.since = element("span", "since");
    const shape = element("i", "shape");
    shape.setAttribute("aria-hidden", "true");
    this.node = element("li", "", shape, this.what, this.why, this.since);
  }

  show(problem, now_ms) {
    setAttribute(this.node, "data-tone", problem.severity === "warning" ? "wait" : "bad");
    setText(this.what, text(problem.what));
    setText(this.why, text(problem.why));
    setText(this.since, Number.isFinite(problem.since_ms) ? `for ${age((now_ms - problem.since_ms) / 1000)}` : "");
  }
}

/** The writer records nothing, and every worker still journals what it receives. */
function keptInJournals({ processes }) {
  const writer = processes.find((process) => process.kind === "writer");
  const workers = processes.filter((process) => process.kind === "ingest");
  const journals = workers.length > 0 && workers.every((process) => process.up && process.state === "recording");
  return journals && !(writer?.up && writer.state === "recording");
}

export class Verdict {
  constructor() {
    this.problems = new Keyed(
      byId("problems"),
      (problem) => `${problem.what}\n${problem.why}`,
      () => new Problem(),
    );
    this.more = byId("problems").parentNode.appendChild(element("p", "more"));
    this.announced = "";
  }

  show(snapshot) {
    const problems = snapshot.problems;
    const streams = snapshot.symbols.flatMap((symbol) => symbol.streams);
    const live = streams.filter((stream) => toneOfStream(stream) === "good").length;
    const warnings = problems.filter((problem) => problem.severity === "warning").length;
    if (snapshot.healthy) {
      const scope = `${plural(snapshot.symbols.length, "symbol")}, ${plural(streams.length, "stream")}`;
      const quiet = live < streams.length ? `, ${live} of them live` : "";
      const but = warnings ? ` ${plural(warnings, "warning")} that cost nothing so far:` : "";
      this.say("good", RECORDING, `Everything that is configured: ${scope}${quiet}.${but}`);
    } else {
      const failures = problems.length - warnings;
      const wrong = failures ? plural(failures, "problem") : "The monitor did not say why";
      const kept = keptInJournals(snapshot) ? " Journals keep what arrives until the writer takes it." : "";
      this.say("bad", NOT_RECORDING, `${wrong}. ${live} of ${plural(streams.length, "stream")} live.${kept}`);
    }
    this.problems.show(problems.slice(0, SHOWN), snapshot.time_ms);
    setHidden(byId("problems"), problems.length === 0);
    setHidden(this.more, problems.length <= SHOWN);
    setText(this.more, `and ${problems.length - SHOWN} more`);
    const names = problems.slice(0, SHOWN).map((problem) => `${problem.what}: ${problem.why}`);
    this.announce([snapshot.healthy ? RECORDING : NOT_RECORDING, ...names].join(". "));
    const title = snapshot.healthy ? RECORDING : `▲ ${NOT_RECORDING}`;
    this.label(title, snapshot.healthy ? "icon-good.svg" : "icon-bad.svg");
  }

  lose() {
    this.say("wait", "Unknown", "The monitor does not answer. Recording does not depend on it.");
    this.announce("No connection to the monitor");
    this.label("No connection", "icon-wait.svg");
  }

  say(tone, headline, summary) {
    setAttribute(document.documentElement, "data-verdict", tone);
    setText(byId("verdict"), headline);
    setText(byId("summary"), summary);
  }

  announce(words) {
    if (this.announced === words) return;
    this.announced = words;
    setText(byId("announcement"), words);
  }

  label(words, icon) {
    const title = `${words} – binance-streamer`;
    if (document.title !== title) document.title = title;
    setAttribute(byId("icon"), "href", icon);
  }
}
