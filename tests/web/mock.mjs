// A stand-in for weft's server: the same endpoints, canned answers, adjustable slowness. For developing and testing the page.
//   node tests/web/mock.mjs [port]      MOCK_PACE=0 answers at once, 1 (default) like a small laptop
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { assets, contentSecurityPolicy, typeOf } from "./assets.mjs";
import { answerTo } from "./answers.mjs";

const samples = [
  { title: "Find the light switch", image: "/samples/room.svg", prompt: "Where is the light switch? Answer with bbox_2d in JSON.", kind: "find" },
  { title: "A form as JSON", image: "/samples/form.svg", prompt: "Read this form into JSON.", kind: "json" },
  { title: "A screenshot as HTML", image: "/samples/signin.svg", prompt: "Write this screen as one HTML page.", kind: "html" },
  { title: "What the light tells", image: "/samples/room.svg", prompt: "Where does the light come from, and why?", kind: "think" },
];

const models = [
  {
    id: "weft-tiny", object: "model", created: 1700000000, owned_by: "weft",
    weft: {
      vision: true, thinking: false, context_length: 8192, embedded: true, parameters: 21_400_000, samples,
      about: "A very small model: names shapes, colours and short printed words, and shows where they are. It knows nothing of the world.",
    },
  },
  { id: "Qwen3-VL-4B-Thinking-Q4_K_M", object: "model", created: 1700000000, owned_by: "weft",
    weft: { vision: true, thinking: true, context_length: 262144, embedded: false, about: "", parameters: 4_440_000_000, samples: [] } },
  { id: "text-only", object: "model", created: 1700000000, owned_by: "weft",
    weft: { vision: false, thinking: false, context_length: 4096, embedded: false, about: "", parameters: 600_000_000, samples: [] } },
];

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function readBody(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return JSON.parse(Buffer.concat(parts).toString("utf8"));
}

function sendJson(response, status, value) {
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(JSON.stringify(value));
}

const errorObject = (message, code, type = "invalid_request_error") => ({ error: { message, type, param: null, code } });

/** Progress as the server reports it, from the decoded picture to the last prompt token. */
async function* readingStages(pictures, pace) {
  const started = Date.now();
  const event = (stage, done, total, unit, eta) => ({ stage, done, total, unit, elapsed_ms: Date.now() - started, eta_ms: eta });
  if (pictures > 0) {
    yield event("decode", 0, pictures, "images", null);
    await sleep(120 * pace);
    for (let layer = 0; layer <= 27; layer++) {
      yield event("vision", layer, 27, "layers", layer < 2 ? null : (27 - layer) * 70 * pace);
      await sleep(70 * pace);
    }
  }
  const total = pictures > 0 ? 2040 * pictures + 21 : 24;
  for (let done = 0; done < total; done += 256) {
    yield event("prefill", done, total, "tokens", done === 0 ? null : ((total - done) / 256) * 420 * pace);
    await sleep(420 * pace * Math.min(1, (total - done) / 256));
  }
  yield event("prefill", total, total, "tokens", 0);
}

/** A page of a document as the mock draws it: its number, some lines, and a box where the answers point. */
const drawnPage = (number, width) => `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${Math.round(width * 1.3)}" viewBox="0 0 1000 1300">
<rect width="1000" height="1300" fill="#fff"/><text x="100" y="150" font-family="sans-serif" font-size="64" fill="#222">Page ${number}</text>
${Array.from({ length: 18 }, (_, i) => `<rect x="100" y="${230 + i * 50}" width="${600 + ((i * 97 + number * 31) % 200)}" height="16" fill="#bbb"/>`).join("")}
<rect x="100" y="390" width="400" height="130" fill="#f3d27a"/><text x="120" y="470" font-family="sans-serif" font-size="40">Total 41.2 M</text></svg>`;

/** Files and uploads in memory, as weft's server has them. A document's name says how many pages it has and what its password is:
 * "report-40.pdf", "secret-3-pw.pdf". */
function fileStore() {
  const files = new Map();
  const uploads = new Map();
  let number = 0;
  /** How many ranges of uploads from here on end in a broken connection. */
  const faults = { breaks: 0, slowMs: 0 };
  const objectOf = ({ bytes, ...rest }) => ({ object: "file", ...rest, bytes: bytes.length, status: "processed" });
  const uploadOf = (u) => ({
    id: u.id, object: "upload", bytes: u.bytes, bytes_received: u.data.length, filename: u.filename, status: u.file ? "completed" : "pending", file: u.file ?? null,
  });

  async function take(request, response, upload) {
    const at = Number(/^bytes (\d+)-/.exec(request.headers["content-range"])?.[1]);
    if (at !== upload.data.length) return sendJson(response, 400, errorObject("the range does not begin where the upload stands", null));
    const breaks = faults.breaks > 0 && faults.breaks--;
    for await (const part of request) {
      upload.data = Buffer.concat([upload.data, part]);
      if (breaks && upload.data.length > at + 200_000) return request.socket.destroy();
      if (faults.slowMs) await sleep(faults.slowMs);
    }
    if (upload.data.length === upload.bytes) {
      const file = { id: `file-${++number}`, filename: upload.filename, created_at: Math.floor(Date.now() / 1000), expires_at: upload.expires, bytes: upload.data };
      files.set(file.id, file);
      upload.file = objectOf(file);
    }
    sendJson(response, 200, uploadOf(upload));
  }

  function page(request, response, url, file, rest) {
    const [, count, password] = /-(\d+)(?:-(\w+))?\.pdf$/.exec(file.filename) ?? [];
    if (!count) return sendJson(response, 400, errorObject("no PDF", "invalid_media"));
    if (password && decodeURIComponent(request.headers["x-document-password"] ?? "") !== password)
      return sendJson(response, 400, errorObject("the PDF is encrypted", "password_required"));
    if (!rest) return sendJson(response, 200, { object: "document", pages: Number(count), width: 612, height: 792 });
    if (Number(rest) > Number(count)) return sendJson(response, 404, errorObject("no such page", "not_found"));
    response.writeHead(200, { "Content-Type": "image/svg+xml" });
    response.end(drawnPage(Number(rest), Number(url.searchParams.get("width") ?? 900)));
  }

  function content(request, response, file) {
    const [, from, to] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? "") ?? [];
    const first = Number(from ?? 0);
    const last = to ? Math.min(Number(to), file.bytes.length - 1) : file.bytes.length - 1;
    response.writeHead(from === undefined ? 200 : 206, {
      "Content-Type": /\.webm$/.test(file.filename) ? "video/webm" : "application/octet-stream", "Accept-Ranges": "bytes", "Content-Length": last - first + 1,
      "Content-Range": `bytes ${first}-${last}/${file.bytes.length}`,
    });
    response.end(file.bytes.subarray(first, last + 1));
  }

  async function answer(request, response, url) {
    const [, , kind, id, action, rest] = url.pathname.split("/");
    const gone = () => sendJson(response, 404, errorObject("no such file", "not_found"));
    if (kind === "uploads" && !id) {
      const { filename, bytes, expires_after } = await readBody(request);
      const upload = { id: `upload_${++number}`, filename, bytes, data: Buffer.alloc(0), expires: Math.floor(Date.now() / 1000) + expires_after.seconds };
      uploads.set(upload.id, upload);
      return sendJson(response, 200, uploadOf(upload));
    }
    const upload = uploads.get(id);
    if (kind === "uploads") {
      if (!upload) return gone();
      if (action === "cancel") uploads.delete(id);
      return request.method === "PUT" ? take(request, response, upload) : sendJson(response, 200, uploadOf(upload));
    }
    if (!id) return sendJson(response, 200, { object: "list", data: [...files.values()].reverse().map(objectOf) });
    const file = files.get(id);
    if (!file) return gone();
    if (action === "pages") return page(request, response, url, file, rest);
    if (action === "content") return content(request, response, file);
    if (request.method === "DELETE") files.delete(id);
    return sendJson(response, 200, request.method === "DELETE" ? { id, object: "file", deleted: true } : objectOf(file));
  }
  return { answer, files, uploads, faults };
}

/** Indexes of videos: each look at one that is at work finds it a part further, unless it is held. */
function indexStore(files) {
  const indexes = new Map();
  const state = { indexes, held: false, searches: [], fails: "" };
  const parts = [
    "A blue screen with a counter.", "A red bar crosses the picture.", '[{"bbox_2d": [10, 10, 200, 200], "label": "red square"}, {"bbox_2d": [10, 10, 300, 300], "label": "counter"}]',
    "The red bar has gone; a long caption follows, which goes on about everything that can be seen in these few seconds until it has to be cut somewhere, since no list of results needs so many words of one place.",
    "A green field with a counter.",
  ];
  let number = 0;

  async function answer(request, response, url) {
    const [, , , id, action] = url.pathname.split("/");
    const say = (index) => sendJson(response, 200, index);
    if (!id && request.method === "GET") return say({ object: "list", data: [...indexes.values()].filter((index) => index.file_id === url.searchParams.get("file_id")).reverse() });
    if (!id) {
      const wish = await readBody(request);
      const same = [...indexes.values()].find((index) => index.file_id === wish.file_id);
      if (!files.has(wish.file_id)) return sendJson(response, 404, errorObject("no such file", "not_found"));
      const index = same ?? {
        id: `index_${++number}`, object: "video.index", file_id: wish.file_id, model: wish.model, status: "queued", segment_seconds: 2, fps: 0.5, max_pixels: null,
        duration: null, segments: { done: 0, total: null }, seconds_left: null, error: null,
      };
      Object.assign(index, { status: index.status === "completed" ? "completed" : "queued", error: null });
      indexes.set(index.id, index);
      return say(index);
    }
    const index = indexes.get(id);
    if (!index) return sendJson(response, 404, errorObject("no such index", "not_found"));
    if (action === "cancel") return say(Object.assign(index, { status: "cancelled", seconds_left: null }));
    if (action === "search") {
      const { query, limit, refine } = await readBody(request);
      state.searches.push({ query, limit, refine });
      const words = query.toLowerCase().split(/\s+/);
      const data = parts.slice(0, index.segments.done).map((caption, i) => ({ object: "video.range", start: 2 * i + (refine ? 0.5 : 0), end: 2 * i + 2, caption, confirmed: refine }))
        .map((range) => ({ ...range, score: words.filter((word) => range.caption.toLowerCase().includes(word)).length }))
        .map((range) => ({ ...range, match: "words" })).filter((range) => range.score).sort((a, b) => b.score - a.score).slice(0, limit);
      // "shade" is in no caption; the first means something alike
      if (refine && !data.length && words.includes("shade")) data.push({ object: "video.range", start: 0, end: 2, caption: parts[0], confirmed: true, score: 0.9, match: "meaning" });
      return say({ object: "list", data, index });
    }
    if (["queued", "in_progress"].includes(index.status) && !state.held) {
      if (state.fails) Object.assign(index, { status: "failed", error: { code: "invalid_media", message: state.fails } });
      else if (index.segments.total === null) Object.assign(index, { status: "in_progress", duration: 10, segments: { done: 0, total: parts.length } });
      else if (++index.segments.done === parts.length) Object.assign(index, { status: "completed", seconds_left: null });
      else index.seconds_left = 70 * (parts.length - index.segments.done);
    }
    say(index);
  }
  return { answer, state };
}

/** How many tokens the mock counts for a part of a message. */
const tokensOf = (part) => {
  if (part.type === "image_url") return part.image_url.max_pixels ? 64 : 2040;
  if (part.type === "video_url") return 1200;
  if (part.type !== "file") return 0;
  const { pages = "1-40", mode, max_pixels } = part.file;
  const count = pages.split(",").reduce((sum, range) => { const [a, b = a] = range.split("-"); return sum + Number(b || 40) - Number(a) + 1; }, 0);
  return count * (mode === "text" ? 120 : max_pixels ? 64 : 940);
};

/** @param {{ pace?: number }} options */
export async function startMock({ pace = 1, port = 0 } = {}) {
  const store = fileStore();
  const videos = indexStore(store.files);
  const files = await assets();
  const csp = await contentSecurityPolicy();
  /** What tests look at. */
  const seen = { requests: [], aborted: 0, store, videos: videos.state };

  async function complete(request, response) {
    const body = await readBody(request);
    seen.requests.push(body);
    const users = body.messages.filter((m) => m.role === "user");
    const parts = users.flatMap((m) => m.content);
    const pictures = parts.filter((p) => p.type === "image_url").length;
    const question = users.at(-1).content.find((p) => p.type === "text")?.text ?? "";
    const gone = parts.map((p) => p.file?.file_id ?? p.video_url?.url).find((id) => id && !store.files.has(id));
    if (gone) return sendJson(response, 400, errorObject(`'${gone}' is neither a data: URL nor the id of an uploaded file`, null));
    const answer = answerTo(question, pictures);
    const speed = question.includes("slowly") ? Math.max(pace, 1) : pace;
    if (answer.fault === "http") {
      return sendJson(response, 400, errorObject("The prompt has 9,412 tokens; this model takes 8,192.", "context_length_exceeded"));
    }
    if (answer.fault === "busy") return sendJson(response, 503, errorObject("64 requests are waiting already.", "queue_full", "server_error"));
    response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    let left = false;
    response.on("close", () => {
      if (!response.writableFinished) left = true, seen.aborted++;
    });
    const send = (value) => response.write(`data: ${typeof value === "string" ? value : JSON.stringify(value)}\n\n`);
    const chunk = (delta, finish = null) =>
      send({ id: "chatcmpl-1", object: "chat.completion.chunk", created: 1700000000, model: body.model, choices: [{ index: 0, delta, finish_reason: finish }] });
    const began = Date.now();
    chunk({ role: "assistant", content: "" });
    for await (const progress of readingStages(pictures, speed)) {
      if (left) return;
      send({ object: "chat.completion.chunk", choices: [], weft: { progress } });
    }
    const first = Date.now() - began;
    let count = 0;
    for (const [field, text] of [["reasoning_content", answer.reasoning ?? ""], ["content", answer.text]]) {
      for (const piece of text.match(/\s*\S{1,6}|\s+$/g) ?? []) {
        if (left) return;
        chunk({ [field]: piece });
        if (++count % 16 === 0) send({ choices: [], weft: { progress: { stage: "generate", done: count, total: 0, unit: "tokens", elapsed_ms: Date.now() - began, eta_ms: null } } });
        await sleep(24 * speed);
      }
    }
    if (answer.fault === "drop") {
      await sleep(50); // What was written has to leave before the connection does.
      return response.destroy();
    }
    if (answer.fault === "sse") {
      send(errorObject("The key-value cache is full: 8,192 of 8,192 positions are in use.", "cache_full", "server_error"));
      return response.end();
    }
    chunk({}, answer.fault === "length" ? "length" : "stop");
    const prompt = pictures > 0 ? 2040 * pictures + 21 : 24;
    const spent = Math.max(1, Date.now() - began - first);
    send({
      choices: [], usage: { prompt_tokens: prompt, completion_tokens: count, total_tokens: prompt + count, prompt_tokens_details: { cached_tokens: body.messages.length > 1 ? 1800 : 0 } },
      weft: { timings: { prompt_ms: first, first_token_ms: first, generate_ms: spent, prompt_tokens_per_s: (prompt * 1000) / Math.max(1, first), tokens_per_s: (count * 1000) / spent } },
    });
    send("[DONE]");
    response.end();
  }

  const server = createServer(async (request, response) => {
    const asked = new URL(request.url, "http://mock");
    const path = asked.pathname;
    try {
      if (/^\/v1\/(files|uploads)(\/|$)/.test(path)) return await store.answer(request, response, asked);
      if (/^\/v1\/indexes(\/|$)/.test(path)) return await videos.answer(request, response, asked);
      if (path === "/v1/media/plan") {
        const { messages } = await readBody(request);
        const parts = messages.flatMap((m) => (Array.isArray(m.content) ? m.content : [])).filter((p) => p.type !== "text");
        const items = parts.map((part) => ({ type: part.type === "video_url" ? "video" : "image", tokens: tokensOf(part) }));
        const tokens = 21 + items.reduce((sum, item) => sum + item.tokens, 0);
        const fits = tokens < 8192;
        return sendJson(response, 200, {
          object: "media.plan", prompt_tokens: tokens, context_length: 8192, remaining: Math.max(0, 8192 - tokens), fits, seconds: { total: tokens * 0.002 }, items,
          suggestion: fits ? null : { max_pixels: 65536, prompt_tokens: 2581 },
        });
      }
      if (path === "/v1/models") return sendJson(response, 200, { object: "list", data: models });
      if (path === "/health") return sendJson(response, 200, { status: "ok" });
      if (path === "/v1/chat/completions") return await complete(request, response);
      if (path.startsWith("/samples/")) {
        const name = path.slice("/samples/".length).replace(/[^\w.-]/g, "");
        response.writeHead(200, { "Content-Type": "image/svg+xml" });
        return response.end(await readFile(fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url))));
      }
      const bytes = files.get(path);
      if (!bytes) return sendJson(response, 404, errorObject(`Nothing at ${path}.`, "not_found"));
      response.writeHead(200, { "Content-Type": typeOf(path === "/" ? "/index.html" : path), "Content-Security-Policy": csp, "X-Content-Type-Options": "nosniff" });
      response.end(bytes);
    } catch (error) {
      if (!response.headersSent) sendJson(response, 500, errorObject(String(error), "mock", "server_error"));
    }
  });
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  const address = server.address();
  return {
    url: `http://127.0.0.1:${address.port}`, seen,
    close: () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url } = await startMock({ port: Number(process.argv[2] ?? 8081), pace: Number(process.env.MOCK_PACE ?? 1) });
  console.log(`mock of weft on ${url}`);
}
