// Finds the boxes and points of an answer, while it streams or after, fenced or bare, and cuts the answer into
// text and marks. Coordinates are Qwen3-VL's: 0–1000 of the picture's width and height.
import { readJson } from "./json-lenient.js";

const BOX_KEYS = ["bbox_2d", "bbox", "box_2d"];
const POINT_KEYS = ["point_2d", "point", "coordinate", "start_coordinate"];
const LABEL_KEYS = ["label", "name", "text_content", "text", "description", "title", "category"];
const PAGE_KEYS = ["page", "page_number", "page_num", "page_no"];
const FILE_KEYS = ["file", "document", "filename"];
const IMAGE_KEYS = ["image", "image_index", "img_idx", "image_id", "picture"];
const PLACE_KEYS = new Set([...BOX_KEYS, ...POINT_KEYS]);
const EARLY_KEYS = new Set([...PLACE_KEYS, ...LABEL_KEYS, ...IMAGE_KEYS, ...PAGE_KEYS, ...FILE_KEYS]);
const REGIONS_MAX = 2000;
const LABEL_MAX = 200;

/** @param {any} v @param {number} n @returns {v is number[]} */
const numbers = (v, n) => Array.isArray(v) && v.length === n && v.every((x) => typeof x === "number" && Number.isFinite(x));

const clamp = (/** @type {number} */ v) => Math.min(1000, Math.max(0, v));

/** One or several of them: [..n numbers] or [[..], [..]]. @param {any} v @param {number} n @returns {number[][]} */
function tuples(v, n) {
  if (numbers(v, n)) return [v];
  return Array.isArray(v) ? v.filter((x) => numbers(x, n)) : [];
}

/** @param {any} v */
const scalarText = (v) => (typeof v === "string" || typeof v === "number" || typeof v === "boolean" ? String(v).slice(0, LABEL_MAX) : "");

/** @param {Record<string, any>} object @returns {Omit<Region, "index">[]} */
function regionsOfObject(object) {
  let label = "";
  let labelKey = "";
  for (const key of LABEL_KEYS) {
    if (scalarText(object[key])) {
      label = scalarText(object[key]);
      labelKey = key;
      break;
    }
  }
  if (!label && typeof object.action === "string") {
    label = object.action.replaceAll("_", " ");
    labelKey = "action";
  }
  let image = 0;
  let page = 0;
  let file = "";
  /** @type {[string, string][]} */
  const fields = [];
  for (const key of Object.keys(object)) {
    if (IMAGE_KEYS.includes(key)) image = parseInt(/\d+/.exec(scalarText(object[key]))?.[0] ?? "0", 10);
    else if (PAGE_KEYS.includes(key)) page = parseInt(/\d{1,8}/.exec(scalarText(object[key]))?.[0] ?? "0", 10);
    else if (FILE_KEYS.includes(key) && typeof object[key] === "string") file = scalarText(object[key]);
    else if (key !== labelKey && !PLACE_KEYS.has(key) && scalarText(object[key])) fields.push([key, scalarText(object[key])]);
  }
  const common = { label, fields, image, page, file };
  const boxes = BOX_KEYS.flatMap((key) => tuples(object[key], 4)).map(([a, b, c, d]) => ({
    kind: /** @type {const} */ ("box"),
    x1: clamp(Math.min(a, c)), y1: clamp(Math.min(b, d)), x2: clamp(Math.max(a, c)), y2: clamp(Math.max(b, d)), ...common,
  }));
  const points = POINT_KEYS.flatMap((key) => tuples(object[key], 2)).map(([x, y]) => ({
    kind: /** @type {const} */ ("point"), x1: clamp(x), y1: clamp(y), x2: clamp(x), y2: clamp(y), ...common,
  }));
  return [...boxes, ...points];
}

/** All regions in a value, in order. The reader bounds the depth. @param {any} value @param {Omit<Region, "index">[]} out */
function collect(value, out) {
  if (out.length >= REGIONS_MAX || value === null || typeof value !== "object") return;
  if (!Array.isArray(value)) out.push(...regionsOfObject(value));
  for (const inner of Object.values(value)) collect(inner, out);
}

/** Whether a value that is still arriving may yet turn out to hold regions. @param {any} value @returns {boolean} */
function mayHoldRegions(value) {
  if (Array.isArray(value)) return value.length === 0 || (typeof value[0] === "object" && mayHoldRegions(value[0]));
  if (value === undefined) return true;
  return typeof value === "object" && value !== null && Object.keys(value).every((key) => EARLY_KEYS.has(key));
}

/**
 * @param {string} text @param {number} at @param {boolean} streaming
 * @returns {{ end: number, regions: Omit<Region, "index">[], complete: boolean } | null}
 */
function regionsAt(text, at, streaming) {
  const read = readJson(text, at);
  if (!read) return null;
  /** @type {Omit<Region, "index">[]} */
  const regions = [];
  collect(read.value, regions);
  const pending = !read.complete && streaming && mayHoldRegions(read.value);
  return regions.length || pending ? { end: read.end, regions, complete: read.complete } : null;
}

const FENCE = /^[ \t]{0,3}(`{3,}|~{3,})([^\n`]*)$/gm;

/** Fenced blocks: [start, bodyStart, bodyEnd, end, info], ends clipped to the text. @param {string} text */
function fences(text) {
  /** @type {{ start: number, bodyStart: number, bodyEnd: number, end: number }[]} */
  const found = [];
  /** @type {{ start: number, bodyStart: number, mark: string } | null} */
  let open = null;
  for (const match of text.matchAll(FENCE)) {
    const lineEnd = match.index + match[0].length;
    if (!open) {
      open = { start: match.index, bodyStart: Math.min(lineEnd + 1, text.length), mark: match[1] };
    } else if (match[1].startsWith(open.mark) && !match[2].trim()) {
      found.push({ start: open.start, bodyStart: open.bodyStart, bodyEnd: match.index, end: lineEnd });
      open = null;
    }
  }
  if (open) found.push({ start: open.start, bodyStart: open.bodyStart, bodyEnd: text.length, end: text.length });
  return found;
}

/**
 * Cuts an answer into text and marks. Regions are numbered through the whole answer.
 * @param {string} text
 * @param {boolean} streaming  the text may go on
 * @returns {Segment[]}
 */
export function segmentsOf(text, streaming = false) {
  /** @type {Segment[]} */
  const segments = [];
  let count = 0;
  let textFrom = 0;

  /** @param {number} start @param {number} end @param {string} source @param {Omit<Region, "index">[]} regions @param {boolean} complete */
  const cut = (start, end, source, regions, complete) => {
    const before = text.slice(textFrom, start);
    const last = segments.at(-1);
    const numbered = regions.map((region) => ({ ...region, index: count++ }));
    if (last?.type === "regions" && !before.replaceAll(",", "").trim()) {
      last.regions.push(...numbered);
      last.source += before + source;
      last.complete = complete;
    } else {
      if (before.trim()) segments.push({ type: "text", text: before });
      segments.push({ type: "regions", source, regions: numbered, complete });
    }
    textFrom = end;
  };

  /** Bare JSON in text[from, to). @param {number} from @param {number} to */
  const scan = (from, to) => {
    const opening = /[[{]/g;
    opening.lastIndex = from;
    for (let match = opening.exec(text); match && match.index < to; match = opening.exec(text)) {
      const found = regionsAt(text, match.index, streaming && to === text.length);
      if (found && found.end <= to) {
        cut(match.index, found.end, text.slice(match.index, found.end), found.regions, found.complete);
        opening.lastIndex = found.end;
      }
    }
  };

  let from = 0;
  for (const fence of fences(text)) {
    scan(from, fence.start);
    const body = text.slice(fence.bodyStart, fence.bodyEnd);
    const open = fence.end === text.length && fence.bodyEnd === text.length;
    const found = /^\s*[[{]/.test(body) ? regionsOfBody(body, streaming && open) : null;
    if (found) cut(fence.start, fence.end, body.trim(), found.regions, found.complete || !streaming);
    from = fence.end;
  }
  scan(from, text.length);
  const rest = text.slice(textFrom);
  if (rest.trim()) segments.push({ type: "text", text: rest });
  return segments;
}

/** The body of a fence: one value or several in a row. @param {string} body @param {boolean} streaming */
function regionsOfBody(body, streaming) {
  /** @type {Omit<Region, "index">[]} */
  const regions = [];
  let complete = true;
  let any = false;
  for (let at = 0; at < body.length;) {
    const step = body.slice(at).search(/[^\s,]/);
    if (step < 0) break;
    at += step;
    if (!"[{".includes(body[at])) return any ? { regions, complete } : null;
    const found = regionsAt(body, at, streaming);
    if (!found) return any ? { regions, complete } : null;
    any = true;
    regions.push(...found.regions);
    complete = found.complete;
    at = Math.max(found.end, at + 1);
  }
  return any ? { regions, complete } : null;
}

/** All regions of an answer. @param {string} text @param {boolean} streaming @returns {Region[]} */
export const regionsOf = (text, streaming = false) =>
  segmentsOf(text, streaming).flatMap((segment) => (segment.type === "regions" ? segment.regions : []));

/** A region in pixels of the original, rounded. @param {Region} r @param {{ width: number, height: number }} picture */
export function inPixels(r, picture) {
  const x = (/** @type {number} */ v) => Math.round((v / 1000) * picture.width);
  const y = (/** @type {number} */ v) => Math.round((v / 1000) * picture.height);
  return { x1: x(r.x1), y1: y(r.y1), x2: x(r.x2), y2: y(r.y2) };
}
