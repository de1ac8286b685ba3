// The day that is chosen in the grid, of one symbol or of all: its certificate, its gaps, and any second of it.

import { Asker, Refusal } from "./api.js";
import { Certificate } from "./certificate.js";
import { Instant } from "./instant.js";
import { Timeline, titleOf } from "./timeline.js";

export class Day {
  constructor() {
    this.certificate = new Certificate();
    this.timeline = new Timeline();
    this.instant = new Instant();
    this.certificates = new Asker("certificate");
    this.gaps = new Asker("gaps");
  }

  /** Shows a day; of all symbols where `symbol` is empty, and then it has no certificate. */
  choose(symbol, day, condition) {
    this.chosen = { symbol, day, condition };
    this.instant.choose(symbol, day);
    return Promise.all([this.showCertificate(symbol, day, condition), this.showGaps(symbol, day)]);
  }

  async showCertificate(symbol, day, condition) {
    this.certificates.stop();
    if (!symbol) return this.certificate.hide();
    if (condition === "open")
      return this.certificate.say(symbol, day, condition, "Not sealed yet: its certificate comes with the seal.");
    return refusable(
      () => this.certificates.ask({ symbol, day }),
      (found) => this.certificate.show(symbol, day, found),
      (why) => this.certificate.say(symbol, day, condition, why),
    );
  }

  async showGaps(symbol, day) {
    await refusable(
      () => this.gaps.ask(symbol ? { day, symbol } : { day }),
      (found) => this.timeline.show(symbol, found),
      (why) => this.timeline.say(titleOf(symbol, day), why),
    );
  }
}

/** Asks, and shows the answer, or a refusal in its own words; neither where something else was asked meanwhile. */
async function refusable(ask, show, say) {
  try {
    const found = await ask();
    if (found) show(found);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    say(error.message);
  }
}
