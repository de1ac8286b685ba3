// Days and times of day as text, UTC. A stamp in ns is more than a number here can hold: it is good to a microsecond.

export const DAY_S = 86400;

export const dashed = (day) => `${day.slice(0, 4)}-${day.slice(4, 6)}-${day.slice(6)}`;

export const dayOf = (time_ms) => new Date(time_ms).toISOString().slice(0, 10).replaceAll("-", "");

export const startOf = (day) => Date.parse(`${dashed(day)}T00:00:00Z`);

export const shifted = (day, days) => dayOf(startOf(day) + days * DAY_S * 1000);

/** 12:34:56 for seconds of a day. */
export const timeOf = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 19);

/** Seconds of a day, from 0 to 86400, for a stamp in ns. */
export const secondOf = (ns, day) => Math.min(DAY_S, Math.max(0, (ns / 1e6 - startOf(day)) / 1000));
