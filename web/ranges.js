// Small texts that people and models write: ranges of pages, and times of a clip. Pure functions.

const PAGES_MAX = 1000;

/**
 * "1-3, 7, 10-" as page numbers in the order written; empty: all. Null: not to be understood, or outside of the document.
 * @param {string} text @param {number} count @returns {number[] | null}
 */
export function pagesOf(text, count) {
  const clean = text.replace(/\s+/g, "").replace(/[–—]/g, "-").replace(/，/g, ",");
  /** @type {number[]} */
  const pages = [];
  for (const part of (clean || "1-").split(",")) {
    const match = /^(\d{1,8})(-(\d{1,8})?)?$/.exec(part);
    if (!match) return null;
    const first = Number(match[1]);
    const last = match[2] ? Number(match[3] ?? count) : first;
    if (first < 1 || last < first || last > count || pages.length + last - first >= PAGES_MAX) return null;
    for (let page = first; page <= last; page++) pages.push(page);
  }
  return pages;
}

/** A range as the server takes it. @param {string} text */
export const cleanRange = (text) => text.replace(/\s+/g, "").replace(/[–—]/g, "-").replace(/，/g, ",");

/** "75", "1:15", "00:01:15.5" in seconds; null: no time. @param {string} text @returns {number | null} */
export function secondsOf(text) {
  const match = /^\s*(?:(?:(\d{1,3}):)?(\d{1,2}):)?(\d{1,6}(?:\.\d{1,3})?)\s*$/.exec(text);
  if (!match) return null;
  return Number(match[1] ?? 0) * 3600 + Number(match[2] ?? 0) * 60 + Number(match[3]);
}

/** Seconds as "1:15", with hours when there are any. @param {number} seconds */
export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  const minutes = Math.floor(whole / 60) % 60;
  return whole >= 3600 ? `${Math.floor(whole / 3600)}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

const T = String.raw`(?:\d{1,3}:)?\d{1,2}:\d{2}(?:\.\d{1,3})?`;
const LONG = String.raw`\d{1,3}:\d{2}:\d{2}(?:\.\d{1,3})?`;
const TO = String.raw`\s?(?:-|–|—|to|至|到)\s?`;
/** In brackets any time; bare only what can be nothing else: hours, minutes and seconds, or seconds with their word. */
const TIME = new RegExp(
  String.raw`\[(${T})(?:${TO}(${T}))?\](?!\()|(?<![\d:.])(?:(${LONG})(?:${TO}(${LONG}))?|(\d{1,6}(?:\.\d{1,3})?)${TO}(\d{1,6}(?:\.\d{1,3})?)\s?(?:seconds|s\b|秒))(?![\d:])`, "i");

/** @typedef {{ index: number, raw: string, from: number, to: number | null }} TimeRange */

/** The first time or range of times in a text. @param {string} text @returns {TimeRange | null} */
export function firstTime(text) {
  const match = TIME.exec(text);
  if (!match) return null;
  const [from, to] = [match[1] ?? match[3] ?? match[5], match[2] ?? match[4] ?? match[6]];
  const [a, b] = [secondsOf(from) ?? 0, to === undefined ? null : secondsOf(to)];
  return { index: match.index, raw: match[0], from: a, to: b === null || b < a ? null : b };
}

const TIMES_MAX = 500;

/** All of them, in order. @param {string} text @returns {TimeRange[]} */
export function timesOf(text) {
  const found = [];
  for (let at = 0; found.length < TIMES_MAX;) {
    const next = firstTime(text.slice(at));
    if (!next) break;
    found.push({ ...next, index: next.index + at });
    at += next.index + next.raw.length;
  }
  return found;
}

/**
 * [p. 3]   [pp. 3-5]   [report.pdf, page 3 of 40]   [p. 3, 100, 200, 400, 260]: document, page, box in thousandths.
 */
const CITATION = /\[(?:([^[\]\n]{1,200}?),\s?)?(?:pp?\.?|pages?)\s?(\d{1,6})(?:\s?(?:-|–|of|\/)\s?\d{1,6})?(?:\s?[,:;]\s?[([]?(\d{1,4}),\s?(\d{1,4}),\s?(\d{1,4}),\s?(\d{1,4})[)\]]?)?\](?!\()|【?\[?第\s?(\d{1,6})\s?页[\]】]/i;

/** @typedef {{ index: number, raw: string, page: number, file: string, box: number[] | null }} Citation */

/** The first citation of a page in a text. @param {string} text @returns {Citation | null} */
export function firstCitation(text) {
  const match = CITATION.exec(text);
  if (!match) return null;
  const box = match[3] === undefined ? null : match.slice(3, 7).map((n) => Math.min(1000, Number(n)));
  return { index: match.index, raw: match[0], page: Number(match[2] ?? match[7]), file: match[1] ?? "", box };
}

/** All of them, in order. @param {string} text @returns {Citation[]} */
export function citationsOf(text) {
  const found = [];
  for (let at = 0; found.length < TIMES_MAX;) {
    const next = firstCitation(text.slice(at));
    if (!next) break;
    found.push({ ...next, index: next.index + at });
    at += next.index + next.raw.length;
  }
  return found;
}
