// Reads JSON as models write it: from any place in a text, possibly cut off, with trailing commas or single quotes.
// Never throws, never recurses deeper than DEPTH_MAX; starting over at each brace of a text stays linear for that reason.

const DEPTH_MAX = 12;

/**
 * @typedef {object} Reading
 * @property {any} value  what was read; objects of a cut-off text hold the fields that were complete
 * @property {number} end  offset after the value
 * @property {boolean} complete  false if the text ended inside the value
 */

/** "This is no JSON." One object for all: a text of braces throws it at each, and building a stack trace is slow. */
const MISMATCH = new Error("not JSON");

class Reader {
  /** @param {string} text @param {number} at */
  constructor(text, at) {
    this.text = text;
    this.at = at;
    this.complete = true;
  }

  space() {
    while (this.at < this.text.length && /\s/.test(this.text[this.at])) this.at++;
  }

  /** True when the text has ended; from then on everything returns with what it has. */
  ended() {
    if (this.at >= this.text.length) this.complete = false;
    return !this.complete;
  }

  /** @param {number} depth @returns {any} undefined if the text ended before a value */
  value(depth) {
    if (depth > DEPTH_MAX) throw MISMATCH;
    this.space();
    if (this.ended()) return undefined;
    const c = this.text[this.at];
    if (c === "{") return this.object(depth);
    if (c === "[") return this.array(depth);
    if (c === '"' || c === "'") return this.string(c);
    return this.scalar();
  }

  /** @param {number} depth */
  object(depth) {
    /** @type {Record<string, any>} */
    const object = Object.create(null);
    this.at++;
    for (;;) {
      this.space();
      if (this.ended()) return object;
      const c = this.text[this.at];
      if (c === "}") return this.at++, object;
      if (c === ",") {
        this.at++;
        continue;
      }
      if (c !== '"' && c !== "'") throw MISMATCH;
      const key = this.string(c);
      if (!this.complete) return object;
      this.space();
      if (this.ended()) return (object[key] = undefined), object;
      if (this.text[this.at++] !== ":") throw MISMATCH;
      const value = this.value(depth + 1);
      object[key] = value;
      if (!this.complete) return object;
    }
  }

  /** @param {number} depth */
  array(depth) {
    /** @type {any[]} */
    const array = [];
    this.at++;
    for (;;) {
      this.space();
      if (this.ended()) return array;
      const c = this.text[this.at];
      if (c === "]") return this.at++, array;
      if (c === ",") {
        this.at++;
        continue;
      }
      const value = this.value(depth + 1);
      if (value !== undefined) array.push(value);
      if (!this.complete) return array;
    }
  }

  /** @param {string} quote */
  string(quote) {
    let out = "";
    for (this.at++; this.at < this.text.length; this.at++) {
      const c = this.text[this.at];
      if (c === quote) return this.at++, out;
      if (c === "\n") throw MISMATCH;
      if (c === "\\") {
        const next = this.text[++this.at];
        if (next === "u") {
          const code = parseInt(this.text.slice(this.at + 1, this.at + 5), 16);
          out += Number.isNaN(code) ? "" : String.fromCharCode(code);
          this.at += 4;
        } else {
          out += next === "n" ? "\n" : next === "t" ? "\t" : (next ?? "");
        }
      } else {
        out += c;
      }
    }
    this.complete = false;
    return out;
  }

  scalar() {
    const match = /^(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|true|false|null|True|False|None)/.exec(
      this.text.slice(this.at, this.at + 40));
    if (!match) {
      // "tru" or "-" at the very end is a value still on its way.
      if (/^[-a-zA-Z]{1,4}$/.test(this.text.slice(this.at))) return (this.complete = false), undefined;
      throw MISMATCH;
    }
    this.at += match[0].length;
    // A number at the very end may have more digits to come.
    if (this.at >= this.text.length) return (this.complete = false), undefined;
    const word = match[0].toLowerCase();
    if (word === "true") return true;
    if (word === "false") return false;
    if (word === "null" || word === "none") return null;
    return Number(match[0]);
  }
}

/**
 * Reads one object or array that begins at text[at].
 * @param {string} text @param {number} at
 * @returns {Reading | null} null if no JSON begins there
 */
export function readJson(text, at) {
  const reader = new Reader(text, at);
  try {
    const value = reader.value(0);
    return { value, end: reader.at, complete: reader.complete };
  } catch (error) {
    if (error === MISMATCH) return null;
    throw error;
  }
}
