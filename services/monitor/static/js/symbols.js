// A row per symbol, its streams and the top of its book below it.

import { byId, element, Keyed, setAttribute, setHidden, setText, State } from "./dom.js";
import { clock, compact, count, milliseconds, NONE, numberOf, plural, rate, shortAge, text, toneOf, toneOfStream, words } from "./format.js";
import { Book } from "./book.js";
import { added, Spark } from "./spark.js";

const FEW = 4; // so many symbols show their streams without being asked, where there is room
const ROOM = "(min-width: 821px)";
const COLUMNS = 9; // and two more each where mark prices, or figures of the day, are recorded
let made = 0;

const smallest = (values) =>
  values.reduce((least, value) => (value !== null && (least === null || value < least) ? value : least), null);

class Stream {
  constructor() {
    this.state = new State();
    this.name = element("span", "stream-name");
    this.spark = new Spark();
    [this.rate, this.age, this.latency, this.gaps] = Array.from({ length: 4 }, () => element("span", "num"));
    this.why = element("span", "why");
    const numbers = [this.rate, this.age, this.latency, this.gaps];
    this.node = element("li", "stream", this.name, this.state.node, this.spark.node, ...numbers, this.why);
  }

  show(stream) {
    setText(this.name, text(stream.stream));
    this.state.show(toneOfStream(stream), words(stream.state));
    setText(this.why, stream.why ?? "");
    setHidden(this.why, !stream.why);
    this.spark.show(stream.rates ?? []);
    setText(this.rate, `${rate(stream.rate)} /s`);
    setText(this.age, `${shortAge(stream.age_s)} ago`);
    setText(this.latency, milliseconds(stream.latency_ms));
    setText(this.gaps, stream.gaps.listed ? plural(stream.gaps.listed, "gap") : "no gap");
  }
}

class Row {
  constructor(open) {
    this.button = element("button", "fold");
    this.button.type = "button";
    this.status = element("span", "chip warn");
    const cell = (className) => element("td", className);
    this.price = cell("num price");
    this.mark = cell("num of-mark mark");
    this.funding = cell("num of-mark funding");
    this.change = cell("num of-day change");
    this.volume = cell("num of-day volume");
    this.spread = cell("num spread");
    this.spark = new Spark();
    this.rate = cell("num rate");
    this.age = cell("num age");
    this.latency = cell("num latency");
    this.gaps = cell("num gaps");
    this.book = new State();
    this.depth = new Book();
    const name = element("th", "name", this.button, this.status);
    name.scope = "row";
    const row = element(
      "tr",
      "symbol",
      name,
      this.price,
      this.mark,
      this.funding,
      this.change,
      this.volume,
      this.spread,
      element("td", "sparks", this.spark.node),
      this.rate,
      this.age,
      this.latency,
      this.gaps,
      element("td", "book", this.book.node),
    );
    const list = element("ul", "streams");
    this.streams = new Keyed(
      list,
      (stream) => stream.stream,
      () => new Stream(),
    );
    const inside = element("td", "", element("div", "inside", list, this.depth.node));
    this.wide = inside;
    this.detail = element("tr", "detail", inside);
    this.detail.id = `detail-${(made += 1)}`;
    this.button.setAttribute("aria-controls", this.detail.id);
    this.button.addEventListener("click", () => this.fold(this.detail.hidden));
    this.node = element("tbody", "", row, this.detail);
    this.fold(open);
  }

  fold(open) {
    this.detail.hidden = !open;
    setAttribute(this.button, "aria-expanded", open);
    if (open && this.latest) this.inside(...this.latest);
  }

  show(symbol, troubled, now_ms, columns) {
    setAttribute(this.wide, "colspan", columns);
    this.latest = [symbol, now_ms];
    const streams = symbol.streams;
    setText(this.button, symbol.symbol);
    setAttribute(this.node, "data-tone", troubled.has(symbol.symbol) ? "bad" : "good");
    setHidden(this.status, symbol.status === "TRADING" || !symbol.status);
    setText(this.status, text(symbol.status));
    setText(this.price, text(symbol.price));
    setText(this.spread, text(symbol.spread));
    this.market(symbol.market ?? {});
    this.spark.show(added(streams.map((stream) => stream.rates ?? [])));
    setText(this.rate, rate(streams.reduce((sum, stream) => sum + (stream.rate ?? 0), 0)));
    setText(this.age, shortAge(smallest(streams.map((stream) => stream.age_s))));
    setText(this.latency, milliseconds(smallest(streams.map((stream) => stream.latency_ms))));
    const { listed, repaired, missing_messages } = symbol.gaps;
    setText(this.gaps, count(listed));
    setAttribute(this.gaps, "data-tone", listed > repaired ? "wait" : "");
    this.gaps.title = missing_messages ? `${plural(missing_messages, "message")} missing` : "";
    this.bookState(symbol.book);
    if (!this.detail.hidden) this.inside(symbol, now_ms);
  }

  market({ mark_price, funding_rate, next_funding_ms, change_percent, quote_volume }) {
    const funding = numberOf(funding_rate);
    const change = numberOf(change_percent);
    setText(this.mark, text(mark_price));
    setText(this.funding, funding === null ? NONE : `${(funding * 100).toFixed(4)} %`);
    setAttribute(this.funding, "title", next_funding_ms ? `next funding ${clock(next_funding_ms)} UTC` : "");
    setText(this.change, change === null ? NONE : `${change > 0 ? "+" : ""}${change.toFixed(2)} %`.replace("-", "−"));
    setAttribute(this.change, "data-sign", Math.sign(change ?? 0));
    setText(this.volume, compact(numberOf(quote_volume)));
    setAttribute(this.volume, "title", quote_volume ? `${quote_volume} of the quote asset` : "");
  }

  bookState(book) {
    if (!book) this.book.show("none", NONE, "no order book of this symbol is heard");
    else
      this.book.show(
        book.valid ? "good" : toneOf(book.state) === "bad" ? "bad" : "wait",
        words(book.state),
        book.reason,
      );
  }

  inside(symbol, now_ms) {
    this.streams.show(symbol.streams);
    this.depth.show(symbol.book, now_ms);
  }
}

export class Symbols {
  constructor() {
    this.filter = byId("filter");
    this.only = byId("troubled");
    this.all = byId("fold");
    this.open = null;
    this.table = byId("symbol-table");
    this.rows = new Keyed(
      this.table,
      (item) => item.symbol,
      () => new Row(this.open),
    );
    this.filter.addEventListener("input", () => this.choose());
    this.only.addEventListener("change", () => this.choose());
    this.all.addEventListener("click", () => this.fold(!this.open));
    this.troubled = new Set();
  }

  show({ symbols, problems, time_ms }) {
    if (this.open === null && symbols.length) this.fold(symbols.length <= FEW && matchMedia(ROOM).matches);
    this.troubled = troubledOf(symbols, problems);
    const hasMark = symbols.some(({ market }) => market?.mark_price);
    const hasDay = symbols.some(({ market }) => market?.quote_volume);
    setAttribute(this.table, "data-mark", hasMark);
    setAttribute(this.table, "data-day", hasDay);
    this.rows.show(symbols, this.troubled, time_ms, COLUMNS + (hasMark ? 2 : 0) + (hasDay ? 2 : 0));
    this.choose();
  }

  fold(open) {
    this.open = open;
    setAttribute(this.all, "aria-pressed", open);
    setText(this.all, open ? "Hide streams" : "Show streams");
    for (const view of this.rows.views.values()) view.fold(open);
  }

  choose() {
    const wanted = this.filter.value.trim().toLowerCase();
    let shown = 0;
    for (const [name, view] of this.rows.views) {
      const fits = String(name).toLowerCase().includes(wanted) && (!this.only.checked || this.troubled.has(name));
      setHidden(view.node, !fits);
      shown += fits ? 1 : 0;
    }
    const total = this.rows.views.size;
    setText(byId("symbol-count"), shown === total ? count(total) : `${count(shown)} of ${count(total)}`);
    setHidden(byId("no-symbols"), shown > 0 || total === 0);
  }
}

/** The symbols that a problem names, themselves, by a stream or by their worker, or with a stream in a bad state. */
function troubledOf(symbols, problems) {
  const named = new Set(
    problems.map(({ what }) =>
      String(what)
        .split(" ")[0]
        .replace(/^ingest-/, ""),
    ),
  );
  const bad = ({ symbol, streams }) => named.has(symbol) || streams.some((stream) => toneOfStream(stream) === "bad");
  return new Set(symbols.filter(bad).map(({ symbol }) => symbol));
}
