// A recorded second of a day: the book at its beginning, and the last trades before it.

import { Sides } from "../book.js";
import { byId, element, setAttribute, setHidden, setText } from "../dom.js";
import { clock } from "../format.js";
import { Asker, lines, Refusal } from "./api.js";
import { DAY_S, dashed, dayOf, startOf, timeOf } from "./times.js";

const LEVELS = 10;
const TRADES = 20;
const NEAR_S = 10; // as far back the last trades are looked for at first
const FAR_S = 900;
const MOST_ROWS = 20000;
const SETTLE_MS = 200; // of the slider, before the book is asked for
const PATTERN = /^([01]\d|2[0-3]):([0-5]\d):([0-5]\d)$/;

export class Instant {
  constructor() {
    this.slider = byId("scrubber");
    this.time = byId("instant-time");
    this.sides = new Sides(LEVELS);
    byId("instant-book").append(this.sides.node);
    this.books = new Asker("book");
    this.tapes = new Asker("rows");
    this.wanted = null;
    this.slider.addEventListener("input", () => this.move(Number(this.slider.value)));
    this.time.addEventListener("change", () => this.type());
    for (const button of document.querySelectorAll("[data-step]"))
      button.addEventListener("click", () => this.move(Number(this.slider.value) + Number(button.dataset.step)));
  }

  /** Another symbol and day; nothing is asked before the slider is moved. */
  choose(symbol, day) {
    this.books.stop();
    this.tapes.stop();
    this.wanted = null;
    this.symbol = symbol;
    this.day = day;
    const now = (Date.now() - startOf(day)) / 1000;
    this.put(dayOf(Date.now()) === day ? Math.max(0, Math.floor(now) - 60) : DAY_S / 2);
    setText(byId("instant-title"), symbol ? `Book and tape of ${symbol}, ${dashed(day)}` : "Book and tape");
    this.say(symbol ? "Move the slider, or type a time: the book and the last trades of that second." : "Choose a symbol and day in the grid.");
    this.clear();
    for (const node of byId("instant").querySelectorAll("input, button")) node.disabled = !symbol;
  }

  put(second) {
    const within = Math.min(DAY_S - 1, Math.max(0, second));
    this.slider.value = within;
    setAttribute(this.slider, "aria-valuetext", `${timeOf(within)} UTC`);
    this.time.value = timeOf(within);
    byId("cursor").style.setProperty("--at", within / DAY_S);
    return within;
  }

  type() {
    const found = PATTERN.exec(this.time.value.trim());
    if (found) this.move(Number(found[1]) * 3600 + Number(found[2]) * 60 + Number(found[3]));
    else this.say("A time is as 13:00:00, UTC.");
  }

  move(second) {
    const within = this.put(second);
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.want(within), SETTLE_MS);
  }

  /** The newest wish is served next; one under way comes to its end, so that its reader stays warm. */
  async want(second) {
    this.wanted = second;
    if (this.busy) return;
    this.busy = true;
    while (this.wanted !== null) {
      const at = this.wanted;
      this.wanted = null;
      await this.read(at);
    }
    this.busy = false;
  }

  async read(second) {
    const { symbol, day } = this;
    this.say(`Reading ${timeOf(second)} UTC …`);
    try {
      const book = await this.books.ask({ symbol, at: `${dashed(day)}T${timeOf(second)}`, depth: LEVELS });
      const tape = book && (await this.tape(symbol, day, second));
      if (!tape) return;
      this.sides.show(aligned(book.bids), aligned(book.asks));
      byId("tape").replaceChildren(...tape.map(tradeOf));
      setHidden(byId("instant-body"), false);
      this.say(`${sentenceOf(book, second)} ${tape.length ? "" : "No trade within 15 minutes before."}`);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.clear();
      this.say(error.message);
    }
  }

  /** The last trades before a second, newest first; null where something else is asked for by now. */
  async tape(symbol, day, second) {
    for (const back of [NEAR_S, FAR_S]) {
      const [from, to] = [second - back, second].map((at) => new Date(startOf(day) + at * 1000).toISOString().slice(0, 19));
      const found = await this.tapes.ask({ symbol, stem: "aggtrade", from, to, limit: MOST_ROWS }, lines);
      if (!found) return null;
      if (found.rows.length >= TRADES || back === FAR_S || found.isCut) return found.rows.slice(-TRADES).reverse();
    }
    return null;
  }

  clear() {
    this.sides.show([], []);
    byId("tape").replaceChildren();
    setHidden(byId("instant-body"), true);
  }

  say(sentence) {
    setText(byId("instant-note"), sentence.trim());
  }
}

/** A decimal with eight places without the zeros at its end. */
const plain = (decimal) => (decimal.includes(".") ? decimal.replace(/\.?0+$/, "") : decimal);

/** Levels with as many decimals as the one that has most, so that points stand below each other. */
function aligned(levels) {
  const places = [0, 1].map((column) => Math.max(0, ...levels.map((level) => plain(level[column]).split(".")[1]?.length ?? 0)));
  return levels.map((level) => level.map((decimal, column) => decimal.slice(0, decimal.indexOf(".") + (places[column] ? places[column] + 1 : 0))));
}

function sentenceOf({ why, update_id, recv_ns, bids_known_to, unknown_from_ns, unknown_to_ns }, second) {
  if (why) {
    return `The book of ${timeOf(second)} UTC is not known: ${why}${boundsOf(unknown_from_ns, unknown_to_ns)}.`;
  }
  const known = bids_known_to === null ? "" : "; far levels may be missing";
  return `Book of ${timeOf(second)} UTC: update ${update_id}, received ${clock(recv_ns / 1e6)}${known}.`;
}

/** Of a time without a book; null where the recording has none before, or behind. */
function boundsOf(fromNs, toNs) {
  const from = fromNs === null ? "" : `, from ${clock(fromNs / 1e6)}${toNs === null ? " on" : ""}`;
  const to = toNs === null ? "" : `${fromNs === null ? ", until" : " to"} ${clock(toNs / 1e6)}`;
  return from + to;
}

function tradeOf({ recv_ns, price, quantity, is_buyer_maker }) {
  const side = element("td", is_buyer_maker ? "sell" : "buy", is_buyer_maker ? "sell" : "buy");
  return element(
    "tr",
    "",
    element("td", "nowrap", `${clock(recv_ns / 1e6)}.${String(Math.floor(recv_ns / 1e6) % 1000).padStart(3, "0")}`),
    element("td", "num", plain(price)),
    element("td", "num", plain(quantity)),
    side,
  );
}
