// Recorded days: the grid, and what belongs to the symbol and day that is chosen in it.

import { byId, setHidden, setText } from "../dom.js";
import { Asker, Refusal, setToken } from "./api.js";
import { Day } from "./day.js";
import { Grid, summaryOf } from "./grid.js";
import { dayOf, shifted } from "./times.js";

const REFRESH_MS = 600_000;
const FILTER_MS = 150;

export class Days {
  constructor() {
    this.day = new Day();
    this.grid = new Grid((symbol, day, condition) => condition && this.day.choose(symbol, day, condition));
    this.asker = new Asker("days");
    this.last = null; // the last day in sight; null: today
    this.found = { days: [], symbols: [] };
    byId("days-earlier").addEventListener("click", () => this.turn(-1));
    byId("days-later").addEventListener("click", () => this.turn(1));
    byId("days-filter").addEventListener("input", () => this.filterSoon());
    byId("day-all").addEventListener("click", () => this.day.choose("", this.day.chosen.day));
    byId("token-form").addEventListener("submit", (event) => this.takeToken(event));
    new ResizeObserver(() => this.fit()).observe(byId("grid"));
    setInterval(() => document.hidden || this.refresh(), REFRESH_MS);
  }

  /** The columns follow the width. */
  fit() {
    if (this.grid.room === this.asked) this.grid.draw();
    else this.load();
  }

  /** Days are sealed behind midnight, and gaps come, as time goes by. */
  refresh() {
    this.load();
    const { symbol, day } = this.day.chosen ?? {};
    if (day === dayOf(Date.now())) this.day.showGaps(symbol, day);
  }

  async load() {
    this.asked = this.grid.room;
    const to = this.last ?? dayOf(Date.now());
    await this.tell(async () => {
      const found = await this.asker.ask({ from: shifted(to, 1 - this.asked), to });
      if (!found) return;
      this.found = found;
      this.filter();
      setText(byId("days-note"), summaryOf(found));
      if (!this.day.chosen) this.day.choose("", to, "");
    });
    byId("days-later").disabled = this.last === null;
  }

  /** Does what may be refused, and shows a refusal in place of the grid. */
  async tell(work) {
    try {
      await work();
      setHidden(byId("token-form"), true);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      setText(byId("days-note"), error.message);
      setHidden(byId("token-form"), error.status !== 401);
    }
  }

  turn(direction) {
    const today = dayOf(Date.now());
    const last = shifted(this.last ?? today, direction * this.asked);
    this.last = last < today ? last : null;
    this.load();
  }

  filterSoon() {
    clearTimeout(this.soon);
    this.soon = setTimeout(() => this.filter(), FILTER_MS);
  }

  filter() {
    const wanted = byId("days-filter").value.trim().toLowerCase();
    const symbols = this.found.symbols.filter(({ symbol }) => symbol.toLowerCase().includes(wanted));
    this.grid.show({ days: this.found.days, symbols });
    setText(byId("days-count"), symbols.length ? `${symbols.length} symbols` : "");
  }

  takeToken(event) {
    event.preventDefault();
    setToken(byId("token").value.trim());
    byId("token").value = "";
    this.load();
  }
}
