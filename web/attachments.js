// What lies on the server and not in this browser: documents, clips and large pictures. From the chosen file to the part of a
// request: upload, password, what of it is sent. Documents' pages are fetched as they are looked at.
import { signal } from "@preact/signals";
import { ApiError, describeDocument, documentPage } from "./api.js";
import { t } from "./i18n/index.js";
import { changePicture, decode, fetchPicture, pictureDataUrl, pictureOf, setPicture } from "./pictures.js";
import { cleanRange, pagesOf } from "./ranges.js";
import { uid } from "./uid.js";
import { isStored, uploadFile } from "./uploads.js";

/** Pictures over this are uploaded once instead of being sent with every question. */
export const UPLOAD_BYTES = 8e6;
const DPI = 100;
const FACE_PX = 480;
const PAGES_KEPT = 80;
const DRAWN_AT_ONCE = 2;
const BUSY_WAIT_MS = 400;
const POSTER_MS = 10_000;
const POSTER_PX = 640;
const CLIPS = /\.(mp4|m4v|mov|mkv|webm|avi|ts|m2ts|mts|mpe?g|ogv|3gp|flv|wmv)$/i;

/** Attachments that cannot be sent yet. @type {import("@preact/signals").Signal<Map<string, Arriving>>} */
export const arriving = signal(new Map());

/** @param {string} id @param {Arriving | null} state */
function arrive(id, state) {
  const next = new Map(arriving.peek());
  if (state) next.set(id, state);
  else next.delete(id);
  arriving.value = next;
}

/** The chosen files of this tab, by attachment: a clip plays from here; an upload goes on from here. @type {Map<string, Blob>} */
const originals = new Map();

/** @type {Map<string, AbortController>} */
const uploads = new Map();

/** Passwords live as long as the tab, and nowhere else. By attachment. @type {Map<string, string>} */
const passwords = new Map();

/** @param {Blob & { name?: string }} file @returns {Promise<"pdf" | "video" | "picture">} */
export async function kindOf(file) {
  const name = file.name ?? "";
  if (file.type.startsWith("video/") || CLIPS.test(name)) return "video";
  if (file.type === "application/pdf" || /\.pdf$/i.test(name)) return "pdf";
  if (file.type.startsWith("image/")) return "picture";
  return (await file.slice(0, 5).text().catch(() => "")) === "%PDF-" ? "pdf" : "picture";
}

/* ---- passwords: one question at a time ---- */

/** @typedef {{ id: string, name: string, wrong: boolean, answer: (password: string | null) => void }} PasswordAsk */

/** What the dialog asks for. @type {import("@preact/signals").Signal<PasswordAsk | null>} */
export const passwordAsk = signal(null);

/** @param {string} id @param {string} name @param {boolean} wrong @returns {Promise<string | null>} null: not given */
async function askPassword(id, name, wrong) {
  while (passwordAsk.peek()) await new Promise((resolve) => setTimeout(resolve, 200));
  return new Promise((resolve) => {
    passwordAsk.value = { id, name, wrong, answer: (password) => ((passwordAsk.value = null), resolve(password)) };
  });
}

/**
 * Opens the document on the server, asking for the password as long as it takes. Null: the person gave up.
 * @param {Picture} picture @returns {Promise<{ pages: number, width: number, height: number } | null>}
 */
async function openDocument(picture) {
  const file = /** @type {Stored} */ (picture.file);
  for (;;) {
    const password = passwords.get(picture.id) ?? "";
    try {
      return await patiently(() => describeDocument(file.id, password));
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== "password_required") throw error;
      const given = await askPassword(picture.id, picture.name, passwords.has(picture.id));
      if (given === null) {
        passwords.delete(picture.id);
        return null;
      }
      passwords.set(picture.id, given);
      drawn.value = new Map(drawn.peek()); // Its pages are wanted anew.
    }
  }
}

/** Comes again while the server draws for others. @template T @param {() => Promise<T>} act @returns {Promise<T>} */
async function patiently(act) {
  for (let tries = 0; ; tries++) {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 503 || tries === 8) throw error;
      await new Promise((resolve) => setTimeout(resolve, BUSY_WAIT_MS * (tries + 1)));
    }
  }
}

/* ---- taking files in ---- */

const NOTHING = new Blob([]);

/** @param {Blob} file @param {string} name @param {"pdf" | "video"} kind @returns {Picture} */
function placeholder(file, name, kind) {
  /** @type {Picture} */
  const picture = { id: uid(), name, type: file.type, width: 0, height: 0, blob: NOTHING, kind };
  if (kind === "pdf") picture.pdf = { count: 0, range: "", mode: "both", dpi: DPI, cite: true, encrypted: false };
  else picture.video = { duration: 0, playable: false, fps: 0, from: 0, to: 0 };
  return picture;
}

/**
 * Takes in a document or a clip; its upload begins.
 * @param {Blob} file @param {string} name @param {"pdf" | "video"} kind @returns {string} the attachment's id
 */
export function takeFile(file, name, kind) {
  const picture = placeholder(file, name, kind);
  originals.set(picture.id, file);
  setPicture(picture);
  if (kind === "video") showPoster(picture.id, URL.createObjectURL(file), true);
  upload(picture.id);
  return picture.id;
}

/** Uploads a picture that was taken in already, when it is large. @param {Picture} picture */
export function uploadPicture(picture) {
  originals.set(picture.id, picture.blob);
  upload(picture.id);
}

/** Attaches a file that lies on the server already. @param {StoredFile} stored @returns {Promise<string | null>} null: of no kind that the page knows */
export async function takeStored(stored) {
  const kind = await kindOf(/** @type {any} */ ({ name: stored.filename, type: "", slice: () => new Blob([]) }));
  if (kind === "picture") return null;
  const picture = { ...placeholder(NOTHING, stored.filename, kind), file: { id: stored.id, bytes: stored.bytes, own: false } };
  setPicture(picture);
  if (kind === "video") showPoster(picture.id, contentUrl(stored.id), false);
  settle(picture.id);
  return picture.id;
}

/** Begins or goes on. @param {string} id */
export async function upload(id) {
  const picture = await fetchPicture(id);
  const file = originals.get(id);
  if (!picture || !file) return;
  if (picture.file) return settle(id);
  const abort = new AbortController();
  uploads.set(id, abort);
  arrive(id, { state: "sending", sent: 0, total: file.size, why: "" });
  try {
    const stored = await uploadFile(file, picture.name, (sent, waiting) => {
      if (uploads.get(id) === abort) arrive(id, { state: waiting ? "waiting" : "sending", sent, total: file.size, why: "" });
    }, abort.signal);
    changePicture(id, { file: { id: stored.id, bytes: stored.bytes, own: true } });
    uploads.delete(id);
    await settle(id);
  } catch (error) {
    if (uploads.get(id) === abort) uploads.delete(id);
    if (!abort.signal.aborted) fail(id, error);
  }
}

/** @param {string} id @param {unknown} error */
function fail(id, error) {
  const old = arriving.peek().get(id);
  const why = error instanceof ApiError ? error.message || t().offline : String(error);
  arrive(id, { state: "failed", sent: old?.sent ?? 0, total: old?.total ?? 0, why });
}

/** The file is on the server: what is in it? @param {string} id */
export async function settle(id) {
  const picture = await fetchPicture(id);
  if (!picture?.file || !picture.pdf) return arrive(id, null);
  const total = picture.file.bytes;
  try {
    arrive(id, { state: "sending", sent: total, total, why: "" });
    const document = await openDocument(picture);
    if (!document) return arrive(id, { state: "locked", sent: total, total, why: "" });
    const password = passwords.get(id) ?? "";
    const face = await patiently(() => documentPage(/** @type {Stored} */ (picture.file).id, 1, FACE_PX, password)).catch(() => null);
    changePicture(id, {
      pdf: { ...picture.pdf, count: document.pages, encrypted: password !== "" },
      // An encrypted document leaves no picture in this browser's storage.
      ...(face && !password ? { blob: face, width: FACE_PX, height: Math.round((FACE_PX * document.height) / document.width) } : {}),
    });
    arrive(id, null);
  } catch (error) {
    fail(id, error);
  }
}

/** Leaves off: stops the upload, or nothing more. @param {string} id */
export function forget(id) {
  uploads.get(id)?.abort();
  uploads.delete(id);
  originals.delete(id);
  passwords.delete(id);
  arrive(id, null);
}

/* ---- clips ---- */

/** @param {string} fileId */
const contentUrl = (fileId) => `/v1/files/${fileId}/content`;

/** One object URL per clip of this tab. @type {Map<string, string>} */
const clipUrls = new Map();

/** Where a clip plays from. @param {Picture} picture */
export function clipUrl(picture) {
  const original = originals.get(picture.id);
  if (!original) return picture.file ? contentUrl(picture.file.id) : "";
  if (!clipUrls.has(picture.id)) clipUrls.set(picture.id, URL.createObjectURL(original));
  return /** @type {string} */ (clipUrls.get(picture.id));
}

/** A frame of the clip becomes its face. What the browser cannot play keeps none. @param {string} id @param {string} url @param {boolean} revoke */
function showPoster(id, url, revoke) {
  const video = document.createElement("video");
  const timer = setTimeout(() => end(), POSTER_MS);
  const end = () => {
    clearTimeout(timer);
    video.removeAttribute("src");
    video.load();
    if (revoke) URL.revokeObjectURL(url);
  };
  video.muted = true;
  video.preload = "auto";
  video.onerror = end;
  video.onloadeddata = () => (video.currentTime = Math.min(0.1, video.duration / 2 || 0));
  video.onseeked = () => {
    const { videoWidth, videoHeight, duration } = video;
    if (!videoWidth || !videoHeight) return end();
    const scale = Math.min(1, POSTER_PX / Math.max(videoWidth, videoHeight));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(videoWidth * scale);
    canvas.height = Math.round(videoHeight * scale);
    canvas.getContext("2d")?.drawImage(video, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => {
      const old = pictureOf(id)?.picture;
      if (blob && old?.video) {
        changePicture(id, {
          blob, width: canvas.width, height: canvas.height,
          video: { ...old.video, playable: true, duration: Number.isFinite(duration) ? duration : 0 },
        });
      }
      end();
    }, "image/jpeg", 0.85);
  };
  video.src = url;
}

/* ---- pages that are looked at ---- */

/** @typedef {{ picture: Picture, url: string }} Shown */

/** Drawn pages, the latest at the end; null: could not be drawn. @type {import("@preact/signals").Signal<Map<string, Shown | null>>} */
const drawn = signal(new Map());
/** @type {Set<string>} */
const drawing = new Set();
/** @type {(() => Promise<void>)[]} */
const queue = [];
let busy = 0;

function drawNext() {
  while (busy < DRAWN_AT_ONCE && queue.length) {
    busy++;
    // The latest wish first: it is what stands on the screen.
    queue.pop()?.().finally(() => (busy--, drawNext()));
  }
}

/** @param {string} key @param {Shown | null} page */
function keepPage(key, page) {
  const next = new Map(drawn.peek()).set(key, page);
  for (const [old, entry] of next) {
    if (next.size <= PAGES_KEPT) break;
    if (entry) URL.revokeObjectURL(entry.url);
    next.delete(old);
  }
  drawn.value = next;
}

/**
 * A page as a picture; drawing starts when it is not here. Reading subscribes.
 * @param {Picture} document @param {number} page @param {number} width
 * @returns {Shown | null | undefined} undefined while it is on its way, null if it cannot be had
 */
export function pageOf(document, page, width) {
  if (!document.file) return undefined;
  const fileId = document.file.id;
  const key = `${document.id}#${page}@${width}`;
  const entry = drawn.value.get(key);
  if (isShut(document)) return null;
  if (entry !== undefined || drawing.has(key)) return entry;
  drawing.add(key);
  queue.push(async () => {
    try {
      const blob = await patiently(() => documentPage(fileId, page, width, passwords.get(document.id) ?? ""));
      const image = await decode(blob);
      const size = { width: image.naturalWidth, height: image.naturalHeight };
      const picture = { id: key, name: `${document.name}, ${t().page(page)}`, type: blob.type, blob, ...size };
      keepPage(key, { picture, url: URL.createObjectURL(blob) });
    } catch {
      keepPage(key, null);
    }
    drawing.delete(key);
  });
  drawNext();
  return undefined;
}

/** Whether pages cannot be shown for want of the password. Reading subscribes to nothing. @param {Picture} document */
export const isShut = (document) => Boolean(document.pdf?.encrypted && !passwords.has(document.id));

/** Asks for the password of a document of an earlier talk, and has its pages drawn. @param {Picture} document */
export async function unlock(document) {
  await openDocument(document).catch(() => null);
}

/* ---- the request ---- */

/** Whether what was chosen of it can be sent. @param {Picture} picture */
export function isValid({ pdf, video }) {
  if (pdf) return pagesOf(pdf.range, pdf.count) !== null;
  return !video || !video.to || video.to > video.from;
}

/** What is in the request for an attachment; null if it is gone. @param {string} id @returns {Promise<object | null>} */
export async function partOf(id) {
  const picture = await fetchPicture(id);
  if (!picture) return null;
  const { file, pdf, video, maxPixels } = picture;
  const budget = maxPixels ? { max_pixels: maxPixels } : {};
  if (pdf) {
    const password = passwords.get(id);
    return {
      type: "file",
      file: {
        file_id: file?.id ?? "", filename: picture.name, mode: pdf.mode, dpi: pdf.dpi, boxes: pdf.cite && pdf.mode === "text",
        ...(pdf.range.trim() ? { pages: cleanRange(pdf.range) } : {}), ...(password ? { password } : {}), ...budget,
      },
    };
  }
  if (video) {
    return {
      type: "video_url", video_url: { url: file?.id ?? "" }, ...(video.fps ? { fps: video.fps } : {}),
      ...(video.from ? { video_start: video.from } : {}), ...(video.to ? { video_end: video.to } : {}), ...budget,
    };
  }
  const url = file?.id ?? (await pictureDataUrl(id));
  return url === null ? null : { type: "image_url", image_url: { url, ...budget } };
}

/**
 * Before a question is sent: files that the server has forgotten, and documents whose password this tab does not know.
 * @param {string[]} ids @returns {Promise<string>} what keeps it from being sent; empty: nothing
 */
export async function obstacle(ids) {
  for (const id of new Set(ids)) {
    const picture = await fetchPicture(id);
    if (!picture?.file) continue;
    if (!(await isStored(picture.file.id))) {
      if (picture.kind) return t().fileGone(picture.name);
      changePicture(id, { file: undefined }); // The picture itself is here.
      continue;
    }
    if (isShut(picture) && !(await openDocument(picture))) return t().needsPassword(picture.name);
  }
  return "";
}
