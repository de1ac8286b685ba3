// The best levels of a book, with bars for their quantities.

import { element, setHidden, setText } from "./dom.js";
import { age, count, text } from "./format.js";

const LEVELS = 5;

class Level {
  constructor(side) {
    this.bar = element("i", "bar-of");
    this.price = element("span", "num level-price");
    this.quantity = element("span", "num");
    this.node = element("li", side, this.bar, this.price, this.quantity);
  }

  show(level, most) {
    setText(this.price, level ? text(level[0]) : "\u00a0");
    setText(this.quantity, level ? text(level[1]) : "");
    const share = level && most > 0 ? Number(level[1]) / most : 0;
    this.bar.style.transform = `scaleX(${Number.isFinite(share) ? share.toFixed(3) : 0})`;
  }
}

/** Both sides, best first: levels are [price, quantity] as text. */
export class Sides {
  constructor(levels) {
    this.bids = Array.from({ length: levels }, () => new Level("bid"));
    this.asks = Array.from({ length: levels }, () => new Level("ask"));
    this.node = element("div", "sides", sideOf("Bids", this.bids), sideOf("Asks", this.asks));
  }

  show(bids, asks) {
    const most = Math.max(0, ...[...bids, ...asks].map((level) => Number(level[1]) || 0));
    this.bids.forEach((level, at) => level.show(bids[at], most));
    this.asks.forEach((level, at) => level.show(asks[at], most));
  }
}

function sideOf(label, levels) {
  const list = element("ol", "levels", ...levels.map((level) => level.node));
  list.setAttribute("aria-label", label);
  return element("div", "side", element("h3", "", label), list);
}

export class Book {
  constructor() {
    this.sides = new Sides(LEVELS);
    this.audits = element("p", "note");
    this.node = element("div", "depth", this.sides.node, this.audits);
  }

  show(book, now_ms) {
    setHidden(this.node, !book);
    if (!book) return;
    this.sides.show(book.bids ?? [], book.asks ?? []);
    const failed = book.audits_failed ? `, ${count(book.audits_failed)} failed` : "";
    const since = Number.isFinite(book.since_ms) ? `, in this state for ${age((now_ms - book.since_ms) / 1000)}` : "";
    setText(
      this.audits,
      `Audits: ${count(book.audits_passed)} passed${failed}. Resyncs: ${count(book.resyncs)}${since}.`,
    );
  }
}
