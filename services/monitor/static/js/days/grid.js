// Days × symbols, coloured by condition. As many cells as are in sight are made, however many symbols there are: a row
// that is scrolled out of sight becomes the one that comes into it.

import { byId, element, setAttribute, setHidden, setText } from "../dom.js";
import { count, share } from "../format.js";
import { dashed } from "./times.js";

const ROW_PX = 22;
const CELL_PX = 19;
const NAME_PX = 132;
const SPARE_ROWS = 2; // above and below what is in sight
const MOST_DAYS = 60;
const LEAST_DAYS = 7;

const CONDITIONS = {
  available: "nothing is known to be missing",
  degraded: "something is missing",
  pending: "could not be sealed",
  missing: "no rows",
  unreadable: "the certificate cannot be read",
  open: "recorded, not sealed yet",
};

class Row {
  constructor(days) {
    this.name = element("div", "grid-name");
    this.name.setAttribute("role", "rowheader");
    this.cells = Array.from({ length: days }, () => {
      const cell = element("div", "grid-cell");
      cell.setAttribute("role", "gridcell");
      return cell;
    });
    this.node = element("div", "grid-row", this.name, ...this.cells);
    this.node.setAttribute("role", "row");
  }

  show(at, { symbol, condition, clean_percent }, days) {
    if (this.at === at) return;
    this.at = at;
    this.node.style.transform = `translateY(${at * ROW_PX}px)`;
    setAttribute(this.node, "aria-rowindex", at + 2);
    setText(this.name, symbol);
    this.name.title = symbol;
    this.cells.forEach((cell, place) => {
      const label = labelOf(symbol, days[place], condition[place], clean_percent[place]);
      cell.id = `day-${at}-${place}`;
      cell.dataset.at = at;
      cell.dataset.place = place;
      setAttribute(cell, "data-condition", condition[place] || "none");
      setAttribute(cell, "aria-label", label);
      cell.title = label;
    });
  }
}

function labelOf(symbol, day, condition, clean) {
  const clearly = typeof clean === "number" ? `, ${share(clean)} of what is verified is clean` : "";
  const words = condition ? `${condition}: ${CONDITIONS[condition] ?? "not known to this page"}${clearly}` : "nothing";
  return `${symbol} ${dashed(day)}: ${words}`;
}

export class Grid {
  /** `choose(symbol, day)` is called when a cell is chosen. */
  constructor(choose) {
    this.node = byId("grid");
    this.head = element("div", "grid-head");
    this.head.setAttribute("role", "row");
    this.body = element("div", "grid-body");
    this.body.setAttribute("role", "rowgroup");
    this.node.append(this.head, this.body);
    this.choose = choose;
    this.rows = [];
    this.cursor = { at: 0, place: 0 };
    this.show({ days: [], symbols: [] });
    this.node.addEventListener("scroll", () => this.draw(), { passive: true });
    this.node.addEventListener("click", (event) => this.click(event.target.closest(".grid-cell")));
    this.node.addEventListener("keydown", (event) => this.press(event));
  }

  /** So many days fit beside the names. */
  get room() {
    const fits = Math.floor((this.node.clientWidth - NAME_PX) / CELL_PX);
    return Math.min(MOST_DAYS, Math.max(LEAST_DAYS, fits));
  }

  show({ days, symbols }) {
    this.days = days;
    this.symbols = symbols;
    this.cursor = { at: 0, place: Math.max(0, days.length - 1) };
    setAttribute(this.node, "aria-rowcount", symbols.length + 1);
    setAttribute(this.node, "aria-colcount", days.length + 1);
    this.node.style.setProperty("--rows", symbols.length);
    this.head.replaceChildren(...(days.length ? headOf(days) : []));
    this.body.replaceChildren();
    this.rows = [];
    this.draw();
  }

  /** Puts the rows in sight into place, made where there are too few of them. */
  draw() {
    const first = Math.max(0, Math.floor(this.node.scrollTop / ROW_PX) - SPARE_ROWS);
    const fit = Math.ceil(this.node.clientHeight / ROW_PX) + 2 * SPARE_ROWS;
    const last = Math.min(this.symbols.length, first + fit);
    while (this.rows.length < last - first) this.add();
    const size = this.rows.length;
    for (let at = last; at < first + size; at += 1) setHidden(this.rows[at % size].node, true);
    for (let at = first; at < last; at += 1) {
      setHidden(this.rows[at % size].node, false);
      this.rows[at % size].show(at, this.symbols[at], this.days);
    }
    this.mark();
  }

  add() {
    const row = new Row(this.days.length);
    this.body.append(row.node);
    this.rows.push(row);
  }

  click(cell) {
    if (!cell) return;
    this.cursor = { at: Number(cell.dataset.at), place: Number(cell.dataset.place) };
    this.take();
  }

  press(event) {
    const { at, place } = this.cursor;
    const page = Math.max(1, Math.floor(this.node.clientHeight / ROW_PX) - 2);
    const steps = {
      ArrowUp: [at - 1, place],
      ArrowDown: [at + 1, place],
      ArrowLeft: [at, place - 1],
      ArrowRight: [at, place + 1],
      PageUp: [at - page, place],
      PageDown: [at + page, place],
      Home: [at, 0],
      End: [at, this.days.length - 1],
    };
    if (event.key === "Enter" || event.key === " ") this.take();
    else if (steps[event.key]) this.move(...steps[event.key]);
    else return;
    event.preventDefault();
  }

  move(at, place) {
    const within = (value, length) => Math.min(Math.max(0, value), Math.max(0, length - 1));
    this.cursor = { at: within(at, this.symbols.length), place: within(place, this.days.length) };
    const top = this.cursor.at * ROW_PX;
    const height = this.node.clientHeight - 2 * ROW_PX; // the head stays in sight
    if (top < this.node.scrollTop) this.node.scrollTop = top;
    else if (top > this.node.scrollTop + height) this.node.scrollTop = top - height;
    this.draw();
  }

  take() {
    this.mark();
    const row = this.symbols[this.cursor.at];
    if (row) this.choose(row.symbol, this.days[this.cursor.place], row.condition[this.cursor.place]);
  }

  mark() {
    const id = `day-${this.cursor.at}-${this.cursor.place}`;
    setAttribute(this.node, "aria-activedescendant", id);
    for (const cell of this.node.querySelectorAll(".is-cursor")) cell.classList.toggle("is-cursor", cell.id === id);
    byId(id)?.classList.add("is-cursor");
  }
}

/** The day of the month above each column, and the month where one begins. */
function headOf(days) {
  const corner = element("div", "grid-name", "UTC");
  corner.setAttribute("role", "columnheader");
  const cells = days.map((day, place) => {
    const begins = place === 0 || day.endsWith("01");
    const cell = element("div", "grid-day", element("span", "grid-month", begins ? day.slice(4, 6) : ""), day.slice(6));
    cell.setAttribute("role", "columnheader");
    setAttribute(cell, "aria-label", dashed(day));
    return cell;
  });
  return [corner, ...cells];
}

/** The number of symbols in each condition on the last day, as a sentence. */
export function summaryOf({ days, symbols }) {
  if (!symbols.length) return "Nothing is recorded in these days.";
  const last = new Map();
  for (const { condition } of symbols) {
    const one = condition[days.length - 1] || "nothing";
    last.set(one, (last.get(one) ?? 0) + 1);
  }
  const words = [...last].map(([condition, number]) => `${count(number)} ${condition}`).join(", ");
  return `${dashed(days[0])} to ${dashed(days[days.length - 1])}. Of the last day: ${words}.`;
}
