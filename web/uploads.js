// A large file on its way to the server, in ranges: it goes on where it was after a broken connection, and after a reload of the
// page when the same file is chosen again. Knows nothing of the page.
import { ApiError, getFile, listFiles } from "./api.js";

const RANGE_BYTES = 8 << 20;
const WAITS_MS = [300, 1000, 2000, 4000, 8000, 8000];
/** Files of the page are forgotten by the server after this time. */
const KEEP_SECONDS = 30 * 24 * 3600;
const KEY = "weft.uploads";
const REMEMBERED_MAX = 20;

/** Uploads that are not complete, by file: a reload does not lose what has been sent. @returns {Record<string, string>} */
function remembered() {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "{}") ?? {};
  } catch {
    return {};
  }
}

/** @param {string} key @param {string | null} id */
function remember(key, id) {
  const all = Object.entries(remembered()).filter(([k]) => k !== key).slice(-REMEMBERED_MAX);
  if (id) all.push([key, id]);
  try {
    localStorage.setItem(KEY, JSON.stringify(Object.fromEntries(all)));
  } catch {
    // Storage is off: an upload lasts as long as the tab.
  }
}

/**
 * One HTTP request that tells how much of its body has left. fetch does not.
 * @param {string} method @param {string} path @param {Blob | string | null} body @param {Record<string, string>} headers
 * @param {AbortSignal} signal @param {(bytes: number) => void} [onSent]
 * @returns {Promise<any>} the JSON answer; throws ApiError, "offline" when the connection broke
 */
function send(method, path, body, headers, signal, onSent) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    request.open(method, path);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.responseType = "json";
    request.upload.onprogress = (e) => onSent?.(e.loaded);
    request.onload = () => {
      const answer = request.response;
      if (request.status < 300) resolve(answer);
      else reject(new ApiError(answer?.error?.message ?? `HTTP ${request.status}`, answer?.error?.code ?? "http", request.status));
    };
    request.onerror = () => reject(new ApiError("", "offline", 0));
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    request.onloadend = () => signal.removeEventListener("abort", abort);
    if (signal.aborted) return reject(new DOMException("cancelled", "AbortError"));
    signal.addEventListener("abort", abort);
    request.send(body);
  });
}

/** @param {number} ms @param {AbortSignal} signal */
const wait = (ms, signal) =>
  new Promise((resolve, reject) => {
    const stop = () => (clearTimeout(timer), reject(new DOMException("cancelled", "AbortError")));
    const timer = setTimeout(() => (signal.removeEventListener("abort", stop), resolve(null)), ms);
    signal.addEventListener("abort", stop);
  });

/** Whether trying again may help. @param {unknown} error */
const passes = (error) => error instanceof ApiError && (error.code === "offline" || error.status === 408 || error.status >= 500);

/** An upload to go on with, or a new one. @param {Blob} file @param {string} name @param {string} key @param {AbortSignal} signal */
async function begin(file, name, key, signal) {
  const id = remembered()[key];
  if (id) {
    const known = await send("GET", `/v1/uploads/${id}`, null, {}, signal).catch((error) => {
      if (passes(error) || signal.aborted) throw error;
      return null; // It has expired, or was completed.
    });
    if (known?.status === "pending" && known.bytes === file.size) return known;
  }
  const body = { filename: name, purpose: "user_data", bytes: file.size, expires_after: { anchor: "created_at", seconds: KEEP_SECONDS } };
  const made = await send("POST", "/v1/uploads", JSON.stringify(body), { "Content-Type": "application/json" }, signal);
  remember(key, made.id);
  return made;
}

/** The file that a completed upload has become, when the answer that said so was lost. @param {Blob} file @param {string} name @param {number} since */
const lostAnswer = async (file, name, since) =>
  (await listFiles()).find((f) => f.bytes === file.size && f.filename === name && f.created_at >= since) ?? null;

/**
 * Uploads a file. Throws ApiError (what has been sent is kept: calling again goes on), or AbortError when cancelled (nothing is kept).
 * @param {Blob} file @param {string} name
 * @param {(sent: number, waiting: boolean) => void} onProgress  waiting: the connection broke, it will be tried again
 * @param {AbortSignal} signal
 * @returns {Promise<StoredFile>}
 */
export async function uploadFile(file, name, onProgress, signal) {
  const key = `${name}:${file.size}:${file instanceof File ? file.lastModified : 0}`;
  const since = Math.floor(Date.now() / 1000) - 60;
  /** @type {any} */
  let upload = null;
  let failures = 0;
  for (;;) {
    try {
      upload ??= await begin(file, name, key, signal);
      const from = upload.bytes_received;
      onProgress(from, false);
      const range = file.slice(from, from + RANGE_BYTES);
      const headers = { "Content-Range": `bytes ${from}-${from + range.size - 1}/${file.size}`, "Content-Type": "application/octet-stream" };
      upload = await send("PUT", `/v1/uploads/${upload.id}`, range, headers, signal, (sent) => onProgress(from + Math.min(sent, range.size), false));
      failures = 0;
      if (upload.status !== "completed") continue;
      remember(key, null);
      return upload.file;
    } catch (error) {
      if (signal.aborted) {
        remember(key, null);
        if (upload) fetch(`/v1/uploads/${upload.id}/cancel`, { method: "POST" }).catch(() => {});
        throw error;
      }
      // 400 and 404: the server has another idea of how much has come, or the upload is complete. Once it is asked what holds.
      const asked = error instanceof ApiError && upload && (error.status === 400 || error.status === 404);
      if ((!passes(error) && !asked) || failures >= WAITS_MS.length) throw error;
      onProgress(upload?.bytes_received ?? 0, true);
      await wait(WAITS_MS[failures++], signal);
      if (!upload) continue;
      const now = await send("GET", `/v1/uploads/${upload.id}`, null, {}, signal).catch((problem) => (problem.status === 404 ? null : upload));
      if (!now) {
        remember(key, null);
        const found = await lostAnswer(file, name, since).catch(() => null);
        if (found) return found;
      }
      upload = now;
    }
  }
}

/** Whether the server still has it. Throws when it does not answer. @param {string} id */
export const isStored = (id) =>
  getFile(id).then(() => true, (error) => {
    if (error instanceof ApiError && error.status === 404) return false;
    throw error;
  });
