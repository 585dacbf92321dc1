// The server as the page sees it: the list of models, and one streamed chat completion. Knows nothing of the page.

/** What went wrong, with the server's words if it said any. */
export class ApiError extends Error {
  /** @param {string} message @param {string} code @param {number} status */
  constructor(message, code, status) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** @param {any} error an OpenAI error object @param {number} status */
function fromErrorObject(error, status) {
  const message = typeof error?.message === "string" && error.message ? error.message : `HTTP ${status}`;
  return new ApiError(message, typeof error?.code === "string" ? error.code : "http", status);
}

/** @param {Response} response */
async function throwStatus(response) {
  const body = await response.json().catch(() => null);
  throw fromErrorObject(body?.error, response.status);
}

/** @returns {Promise<Model[]>} */
export async function listModels() {
  let response;
  try {
    response = await fetch("/v1/models");
  } catch {
    throw new ApiError("", "offline", 0);
  }
  if (!response.ok) await throwStatus(response);
  const body = await response.json().catch(() => null);
  if (!Array.isArray(body?.data)) throw new ApiError("", "offline", 0);
  return body.data;
}

/** A sample picture of the server. @param {string} path @returns {Promise<Blob>} */
export async function fetchSample(path) {
  const response = await fetch(path).catch(() => null);
  if (!response) throw new ApiError("", "offline", 0);
  if (!response.ok) throw new ApiError(`${path}: HTTP ${response.status}`, "http", response.status);
  return response.blob();
}

/** What a chat request would cost. @param {object} request @param {AbortSignal} signal @returns {Promise<Plan>} */
export async function planChat(request, signal) {
  const response = await fetch("/v1/media/plan", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(request), signal,
  });
  if (!response.ok) await throwStatus(response);
  return response.json();
}

/** @param {string} path @param {RequestInit} [init] */
async function ask(path, init) {
  let response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (init?.signal?.aborted) throw error;
    throw new ApiError("", "offline", 0);
  }
  if (!response.ok) await throwStatus(response);
  return response;
}

/** Files on the server, newest first. @returns {Promise<StoredFile[]>} */
export const listFiles = async () => (await (await ask("/v1/files?limit=1000")).json()).data;

/** @param {string} id @returns {Promise<StoredFile>} */
export const getFile = async (id) => (await ask(`/v1/files/${id}`)).json();

/** @param {string} id */
export const deleteFile = (id) => ask(`/v1/files/${id}`, { method: "DELETE" });

/** @param {string} path @param {object} body @param {AbortSignal} [signal] */
const post = async (path, body, signal) =>
  (await ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal })).json();

/** Indexes of a stored video, newest first. @param {string} file @returns {Promise<VideoIndex[]>} */
export const listIndexes = async (file) => (await (await ask(`/v1/indexes?file_id=${encodeURIComponent(file)}`)).json()).data;

/** @param {string} id @returns {Promise<VideoIndex>} */
export const getIndex = async (id) => (await ask(`/v1/indexes/${id}`)).json();

/** Makes a stored video searchable, or goes on with it. @param {{ file_id: string, model?: string, segment_seconds?: number, fps?: number, max_pixels?: number }} wish
 * @returns {Promise<VideoIndex>} */
export const makeIndex = (wish) => post("/v1/indexes", wish);

/** @param {string} id @returns {Promise<VideoIndex>} */
export const cancelIndex = (id) => post(`/v1/indexes/${id}/cancel`, {});

/** @param {string} id @param {{ query: string, limit: number, refine: boolean }} search @param {AbortSignal} signal
 * @returns {Promise<{ data: FoundRange[], index: VideoIndex }>} */
export const searchIndex = (id, search, signal) => post(`/v1/indexes/${id}/search`, search, signal);

/** @param {string} password @returns {Record<string, string>} */
const passwordHeader = (password) => (password ? { "X-Document-Password": encodeURIComponent(password) } : {});

/** What a document on the server is. Throws ApiError "password_required". @param {string} id @param {string} password
 * @returns {Promise<{ pages: number, width: number, height: number }>} */
export const describeDocument = async (id, password) => (await ask(`/v1/files/${id}/pages`, { headers: passwordHeader(password) })).json();

/** A picture of one page. @param {string} id @param {number} page @param {number} width @param {string} password @returns {Promise<Blob>} */
export const documentPage = async (id, page, width, password) =>
  (await ask(`/v1/files/${id}/pages/${page}?width=${width}`, { headers: passwordHeader(password) })).blob();

/**
 * The data lines of a server-sent event stream.
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<string>}
 */
async function* dataLines(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
    const lines = rest.split("\n");
    rest = done ? "" : (lines.pop() ?? "");
    for (const line of lines) {
      if (line.startsWith("data:")) yield line.slice(5).trim();
    }
    if (done) return;
  }
}

/**
 * @typedef {object} StreamHandlers
 * @property {(text: string) => void} onText
 * @property {(text: string) => void} onReasoning
 * @property {(index: number, name: string, args: string) => void} onToolCall  pieces to append
 * @property {(progress: Progress) => void} onProgress
 * @property {(reason: string) => void} onFinish
 * @property {(usage: Usage, timings: Timings | undefined) => void} onUsage
 */

/**
 * Streams one chat completion. Resolves when the stream ended as it should. Throws ApiError; an abort throws AbortError.
 * @param {object} request  body without the fields that concern streaming
 * @param {StreamHandlers} on
 * @param {AbortSignal} signal  aborting cancels the work on the server
 */
export async function streamChat(request, on, signal) {
  const body = JSON.stringify({
    ...request, stream: true, stream_options: { include_usage: true }, weft: { progress: true },
  });
  let response;
  try {
    response = await fetch("/v1/chat/completions", {
      method: "POST", headers: { "Content-Type": "application/json" }, body, signal,
    });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ApiError("", "offline", 0);
  }
  if (!response.ok) await throwStatus(response);
  if (!response.body) throw new ApiError("", "stream", response.status);

  let ended = false;
  try {
    for await (const data of dataLines(response.body)) {
      if (data === "[DONE]") {
        ended = true;
        break;
      }
      let chunk;
      try {
        chunk = JSON.parse(data);
      } catch {
        continue; // A comment or keep-alive of a proxy.
      }
      if (chunk.error) throw fromErrorObject(chunk.error, response.status);
      handleChunk(chunk, on);
    }
  } catch (error) {
    if (signal.aborted || error instanceof ApiError) throw error;
    throw new ApiError("", "stream", 0);
  }
  if (!ended) throw new ApiError("", "stream", 0);
}

/** @param {any} chunk @param {StreamHandlers} on */
function handleChunk(chunk, on) {
  if (chunk.weft?.progress) on.onProgress(chunk.weft.progress);
  const choice = chunk.choices?.[0];
  if (choice) {
    const delta = choice.delta ?? {};
    if (delta.reasoning_content) on.onReasoning(delta.reasoning_content);
    if (delta.content) on.onText(delta.content);
    for (const call of delta.tool_calls ?? []) {
      on.onToolCall(call.index ?? 0, call.function?.name ?? "", call.function?.arguments ?? "");
    }
    if (choice.finish_reason) on.onFinish(choice.finish_reason);
  }
  if (chunk.usage) on.onUsage(chunk.usage, chunk.weft?.timings);
}
