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

/** @param {{ pace?: number }} options */
export async function startMock({ pace = 1, port = 0 } = {}) {
  const files = await assets();
  const csp = await contentSecurityPolicy();
  /** What tests look at. */
  const seen = { requests: [], aborted: 0 };

  async function complete(request, response) {
    const body = await readBody(request);
    seen.requests.push(body);
    const users = body.messages.filter((m) => m.role === "user");
    const parts = users.flatMap((m) => m.content);
    const pictures = parts.filter((p) => p.type === "image_url").length;
    const question = users.at(-1).content.find((p) => p.type === "text")?.text ?? "";
    const answer = answerTo(question, pictures);
    const speed = question.includes("slowly") ? Math.max(pace, 1) : pace;
    if (answer.fault === "http") {
      return sendJson(response, 400, errorObject("The prompt has 9,412 tokens; this model takes 8,192.", "context_length_exceeded"));
    }
    if (answer.fault === "busy") return sendJson(response, 503, errorObject("64 requests are waiting already.", "queue_full", "server_error"));
    response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    let gone = false;
    response.on("close", () => {
      if (!response.writableFinished) gone = true, seen.aborted++;
    });
    const send = (value) => response.write(`data: ${typeof value === "string" ? value : JSON.stringify(value)}\n\n`);
    const chunk = (delta, finish = null) =>
      send({ id: "chatcmpl-1", object: "chat.completion.chunk", created: 1700000000, model: body.model, choices: [{ index: 0, delta, finish_reason: finish }] });
    const began = Date.now();
    chunk({ role: "assistant", content: "" });
    for await (const progress of readingStages(pictures, speed)) {
      if (gone) return;
      send({ object: "chat.completion.chunk", choices: [], weft: { progress } });
    }
    const first = Date.now() - began;
    let count = 0;
    for (const [field, text] of [["reasoning_content", answer.reasoning ?? ""], ["content", answer.text]]) {
      for (const piece of text.match(/\s*\S{1,6}|\s+$/g) ?? []) {
        if (gone) return;
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
    const path = new URL(request.url, "http://mock").pathname;
    try {
      if (path === "/v1/media/plan") {
        const { messages } = await readBody(request);
        const items = messages.flatMap((m) => (Array.isArray(m.content) ? m.content : [])).filter((p) => p.type === "image_url").map(() => ({ type: "image", tokens: 2040 }));
        const tokens = 21 + 2040 * items.length;
        return sendJson(response, 200, { object: "media.plan", prompt_tokens: tokens, context_length: 8192, remaining: Math.max(0, 8192 - tokens), fits: tokens < 8192, seconds: { total: 4.2 * items.length }, items });
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
