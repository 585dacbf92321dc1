// Videos that can be searched: which of the stored clips have an index, how far it is, and what a search has found. One per file;
// what is at work is asked after until it has ended. Also small pictures of moments, drawn in the browser.
import { signal } from "@preact/signals";
import { ApiError, cancelIndex, getIndex, listIndexes, makeIndex, searchIndex } from "./api.js";
import { t } from "./i18n/index.js";

const POLL_MS = 700;
const POLL_AFTER_FAULT_MS = 3000;
const MOMENT_PX = 160;
const MOMENT_MS = 8000;
const MOMENTS_KEPT = 200;
const RESULTS_MAX = 20;
/** How many ranges are looked at again: the model needs some seconds for each. */
const CLOSER_MAX = 3;

/** @typedef {{ index: VideoIndex | null, fault: string }} Known */
/** @typedef {{ query: string, state: "searching" | "closer" | "done", closer: boolean, ranges: FoundRange[], fault: string, index: VideoIndex | null }} Search */

/** By file. Absent: not asked yet. @type {import("@preact/signals").Signal<Map<string, Known>>} */
export const indexes = signal(new Map());

/** The latest search in each file. @type {import("@preact/signals").Signal<Map<string, Search>>} */
export const searches = signal(new Map());

/** @template T @param {import("@preact/signals").Signal<Map<string, T>>} map @param {string} key @param {T} value */
const put = (map, key, value) => (map.value = new Map(map.peek()).set(key, value));

/** @param {unknown} error */
const saying = (error) => (error instanceof ApiError && error.message ? error.message : t().offline);

/** @param {VideoIndex | null | undefined} index */
export const isAtWork = (index) => index?.status === "queued" || index?.status === "in_progress";

/** Who looks at which file, so that nobody asks after what nobody sees. @type {Map<string, number>} */
const watchers = new Map();
/** @type {Map<string, ReturnType<typeof setTimeout>>} */
const timers = new Map();

/** @param {string} file @param {number} ms */
function again(file, ms) {
  clearTimeout(timers.get(file));
  timers.set(file, setTimeout(() => refresh(file), ms));
}

/** @param {string} file */
async function refresh(file) {
  if (!watchers.get(file)) return;
  const known = indexes.peek().get(file);
  try {
    // The first time: which of them? The newest that has something to show.
    const all = known?.index ? [await getIndex(known.index.id)] : await listIndexes(file);
    const index = all.find((one) => one.status === "completed" || isAtWork(one)) ?? all[0] ?? null;
    put(indexes, file, { index, fault: "" });
    if (isAtWork(index)) again(file, POLL_MS);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404 && known?.index) {
      put(indexes, file, { index: null, fault: "" });
      return;
    }
    // A server that keeps no indexes offers none.
    if (!known && error instanceof ApiError && (error.status === 404 || error.code === "unsupported")) return;
    put(indexes, file, { index: known?.index ?? null, fault: saying(error) });
    again(file, POLL_AFTER_FAULT_MS);
  }
}

/** Keeps the state of a file's index current as long as somebody looks. @param {string} file @returns {() => void} to be called at the end */
export function watchIndex(file) {
  watchers.set(file, (watchers.get(file) ?? 0) + 1);
  refresh(file);
  return () => {
    watchers.set(file, (watchers.get(file) ?? 1) - 1);
    if (!watchers.get(file)) clearTimeout(timers.get(file));
  };
}

/** Begins, or goes on with what was stopped or failed. @param {string} file @param {string} model */
export async function startIndex(file, model) {
  const old = indexes.peek().get(file)?.index;
  try {
    const wish = old ? { model: old.model, segment_seconds: old.segment_seconds, fps: old.fps, ...(old.max_pixels ? { max_pixels: old.max_pixels } : {}) } : { model };
    put(indexes, file, { index: await makeIndex({ file_id: file, ...wish }), fault: "" });
    again(file, POLL_MS);
  } catch (error) {
    put(indexes, file, { index: old ?? null, fault: saying(error) });
  }
}

/** @param {string} file */
export async function stopIndex(file) {
  const index = indexes.peek().get(file)?.index;
  if (!index) return;
  try {
    put(indexes, file, { index: await cancelIndex(index.id), fault: "" });
  } catch (error) {
    put(indexes, file, { index, fault: saying(error) });
  }
}

/** The search whose answer counts: an earlier one that comes late is dropped. @type {Map<string, AbortController>} */
const running = new Map();

/**
 * Looks for words in a file; `closer`: has the model look again for the edges of the best ranges.
 * @param {string} file @param {string} query @param {boolean} closer
 */
export async function searchIn(file, query, closer) {
  const index = indexes.peek().get(file)?.index;
  if (!index || !query.trim()) return;
  running.get(file)?.abort();
  const abort = new AbortController();
  running.set(file, abort);
  const before = searches.peek().get(file);
  /** @param {Partial<Search>} some */
  const tell = (some) => running.get(file) === abort && put(searches, file, { query, closer, ranges: [], fault: "", index, state: "done", ...some });
  tell({ state: closer ? "closer" : "searching", ranges: before?.query === query || !closer ? (before?.ranges ?? []) : [], closer: before?.closer ?? false });
  try {
    const answer = await searchIndex(index.id, { query, limit: closer ? CLOSER_MAX : RESULTS_MAX, refine: closer }, abort.signal);
    tell({ ranges: answer.data, index: answer.index });
  } catch (error) {
    if (!abort.signal.aborted) tell({ fault: saying(error), closer: before?.closer ?? false, ranges: before?.ranges ?? [] });
  }
}

/** Back to no search. @param {string} file */
export function clearSearch(file) {
  running.get(file)?.abort();
  running.delete(file);
  const next = new Map(searches.peek());
  next.delete(file);
  searches.value = next;
}

/* ---- pictures of moments ---- */

/** Object URLs by "URL of the clip@seconds"; null: cannot be had. @type {import("@preact/signals").Signal<Map<string, string | null>>} */
const moments = signal(new Map());
/** @type {{ key: string, url: string, at: number }[]} */
const wanted = [];
let drawing = false;

/** Goes to a time and draws the frame. @param {HTMLVideoElement} video @param {number} at @returns {Promise<Blob | null>} */
function frameAt(video, at) {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(null), MOMENT_MS);
    const end = (/** @type {Blob | null} */ blob) => (clearTimeout(timer), resolve(blob));
    video.onerror = () => end(null);
    video.onseeked = () => {
      const scale = Math.min(1, MOMENT_PX / Math.max(video.videoWidth, video.videoHeight, 1));
      const canvas = document.createElement("canvas");
      canvas.width = Math.max(1, Math.round(video.videoWidth * scale));
      canvas.height = Math.max(1, Math.round(video.videoHeight * scale));
      canvas.getContext("2d")?.drawImage(video, 0, 0, canvas.width, canvas.height);
      if (video.videoWidth) canvas.toBlob(end, "image/jpeg", 0.8);
      else end(null);
    };
    if (video.readyState >= 1) video.currentTime = at;
    else video.onloadedmetadata = () => (video.currentTime = at);
  });
}

/** One at a time, all of a clip with one decoder. */
async function drawMoments() {
  if (drawing) return;
  drawing = true;
  /** @type {HTMLVideoElement | null} */
  let video = null;
  let url = "";
  for (let wish = wanted.shift(); wish; wish = wanted.shift()) {
    if (!video || url !== wish.url) {
      video = document.createElement("video");
      video.muted = true;
      video.preload = "auto";
      url = video.src = wish.url;
    }
    const blob = await frameAt(video, wish.at);
    const next = new Map(moments.peek()).set(wish.key, blob && URL.createObjectURL(blob));
    for (const [key, old] of next) {
      if (next.size <= MOMENTS_KEPT) break;
      if (old) URL.revokeObjectURL(old);
      next.delete(key);
    }
    moments.value = next;
  }
  video?.removeAttribute("src");
  video?.load();
  drawing = false;
}

/** A small picture of a moment; drawing begins when it is not here. Reading subscribes. @param {string} url @param {number} at seconds
 * @returns {string | null | undefined} undefined while it is on its way */
export function momentOf(url, at) {
  const key = `${url}@${at.toFixed(2)}`;
  const found = moments.value.get(key);
  if (found === undefined && url && !wanted.some((wish) => wish.key === key)) {
    wanted.push({ key, url, at });
    drawMoments();
  }
  return url ? found : null;
}
