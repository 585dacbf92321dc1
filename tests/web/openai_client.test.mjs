// The official client for JavaScript, unchanged: against the program that WEFT_BIN names, a server at WEFT_URL, or the mock.
// What only a real server can do (equal answers, uploads, errors of its own) is skipped with the mock.
import { File as NodeFile } from "node:buffer";
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import OpenAI, { toFile } from "openai";
import { startServer } from "./browser.mjs";
import { fortyPages, lines, pdf } from "./pdf.mjs";
import { startWeft } from "./weft.mjs";

globalThis.File ??= NodeFile; // Node.js 18 has it, but not as a global; the client needs it for uploads

const own = Boolean(process.env.WEFT_BIN) && !process.env.WEFT_URL;
const real = own || Boolean(process.env.WEFT_URL);
const onlyReal = { skip: real ? false : "the mock has canned answers" };

let server;
let client;
let model;
before(async () => {
  server = own ? await startWeft() : await startServer({ pace: 0 });
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
  model = (await client.models.list()).data[0].id;
});
after(async () => {
  const code = await server?.close();
  if (own) assert.equal(code, 0, "the server did not end well");
});

const picture = (name) => readFile(new URL(`../golden/media/${name}`, import.meta.url));
const dataUrl = async (name) => `data:image/png;base64,${(await picture(name)).toString("base64")}`;
const user = (text, ...urls) => [{ role: "user", content: [...urls.map((url) => ({ type: "image_url", image_url: { url } })), { type: "text", text }] }];

async function askStream(options) {
  const stream = await client.chat.completions.create({ model, stream: true, stream_options: { include_usage: true }, ...options });
  const got = { text: "", reason: null, usage: null, chunks: 0 };
  for await (const chunk of stream) {
    got.chunks += chunk.choices.length;
    got.text += chunk.choices[0]?.delta.content ?? "";
    got.reason = chunk.choices[0]?.finish_reason ?? got.reason;
    got.usage = chunk.usage ?? got.usage;
  }
  return got;
}

async function ask(options) {
  const { choices: [choice], usage } = await client.chat.completions.create({ model, ...options });
  return { text: choice.message.content, reason: choice.finish_reason, usage };
}

const refusal = (promise, kind, code) => assert.rejects(promise, (error) => {
  assert.ok(error instanceof kind, `${error.constructor.name}: ${error.message}`);
  assert.equal(error.code, code);
  return true;
});

test("models are listed", async () => {
  const models = await client.models.list();
  assert.ok(models.data.length > 0);
  assert.equal(models.data[0].object, "model");
});

test("an answer streams and ends with its usage", async () => {
  const { reason, usage } = await askStream({ max_tokens: 24, messages: user("Describe the picture.") });
  assert.ok(["stop", "length"].includes(reason), String(reason));
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
});

test("a picture can be sent", async () => {
  model = (await client.models.list()).data.find((m) => m.weft?.vision).id;
  const { chunks } = await askStream({ max_tokens: 8, messages: user("What colour?", await dataUrl("small.png")) });
  assert.ok(chunks > 0);
});

test("a stream is the whole answer in pieces", onlyReal, async () => {
  for (const options of [{ temperature: 0 }, { seed: 3, temperature: 1.4 }]) {
    const request = { ...options, max_tokens: 50, messages: user("Say é 你好 🙂") };
    const whole = await ask(request);
    const { chunks, ...stream } = await askStream(request);
    assert.deepEqual(stream, whole);
    assert.ok(chunks > 1 && whole.text.length > 0);
  }
});

test("the client's helper gathers a stream", onlyReal, async () => {
  const request = { model, temperature: 0, max_tokens: 20, messages: user("Gather.") };
  const runner = client.chat.completions.stream(request);
  const final = await runner.finalChatCompletion();
  assert.equal(final.choices[0].message.content, (await ask(request)).text);
});

test("streams beside each other do not disturb each other", onlyReal, async () => {
  const requests = [];
  for (let i = 0; i < 8; i++) requests.push({ temperature: 0, max_tokens: 40, messages: user(`Question ${i} ${"and more ".repeat(i * 9)}`) });
  const alone = [];
  for (const request of requests) alone.push((await ask(request)).text);
  const together = await Promise.all(requests.map(askStream));
  assert.deepEqual(together.map((answer) => answer.text), alone);
});

test("an uploaded picture is the same picture", onlyReal, async () => {
  const bytes = await picture("small.png");
  const file = await client.files.create({ file: await toFile(bytes, "ein Bild 猫.png"), purpose: "vision" });
  assert.equal(file.bytes, bytes.length);
  assert.equal(file.filename, "ein Bild 猫.png");
  assert.deepEqual(Buffer.from(await (await client.files.content(file.id)).arrayBuffer()), bytes);
  const request = { temperature: 0, max_tokens: 12 };
  const uploaded = await ask({ ...request, messages: user("What?", file.id) });
  assert.deepEqual(uploaded, await ask({ ...request, messages: user("What?", await dataUrl("small.png")) }));
  const ids = [];
  for await (const listed of client.files.list()) ids.push(listed.id);
  assert.ok(ids.includes(file.id));
  assert.equal((await client.files.delete(file.id)).deleted, true);
  await refusal(client.files.retrieve(file.id), OpenAI.NotFoundError, "not_found");
});

test("files are listed page by page, kept for a while, and read by range", onlyReal, async () => {
  const made = [];
  for (let i = 0; i < 5; i++) {
    made.push(await client.files.create({
      file: await toFile(Buffer.alloc(1000 + i, i), `${i}.bin`), purpose: "user_data", expires_after: { anchor: "created_at", seconds: 7200 },
    }));
  }
  assert.equal(made[0].expires_at - made[0].created_at, 7200);
  const ids = [];
  for await (const file of client.files.list({ limit: 2, order: "asc", purpose: "user_data" })) ids.push(file.id);
  assert.deepEqual(ids.slice(-5), made.map((file) => file.id));
  const part = await client.files.content(made[4].id, { headers: { Range: "bytes=1002-" } });
  assert.equal(part.status, 206);
  assert.deepEqual([...new Uint8Array(await part.arrayBuffer())], [4, 4]);
  for (const file of made) await client.files.delete(file.id);
  await refusal(client.files.content(made[0].id), OpenAI.NotFoundError, "not_found");
  await refusal(client.files.create({ file: await toFile(Buffer.from("x"), "x"), purpose: "user_data", expires_after: { anchor: "created_at", seconds: 5 } }), OpenAI.BadRequestError, null);
});

test("a file is uploaded in parts, in order, and is whole", onlyReal, async () => {
  const bytes = randomBytes(300_000);
  const begin = () => client.uploads.create({ filename: "parts.bin", purpose: "user_data", bytes: bytes.length, mime_type: "application/octet-stream" });
  const upload = await begin();
  assert.equal(upload.status, "pending");
  const parts = [];
  for (let at = 0; at < bytes.length; at += 120_000) {
    parts.push((await client.uploads.parts.create(upload.id, { data: await toFile(bytes.subarray(at, at + 120_000), "part") })).id);
  }
  await refusal(client.uploads.complete(upload.id, { part_ids: [...parts].reverse() }), OpenAI.BadRequestError, null);
  const done = await client.uploads.complete(upload.id, { part_ids: parts });
  assert.equal(done.status, "completed");
  assert.deepEqual(Buffer.from(await (await client.files.content(done.file.id)).arrayBuffer()), bytes);
  assert.equal(done.file.sha256, createHash("sha256").update(bytes).digest("hex"));
  const other = await begin();
  assert.equal((await client.uploads.cancel(other.id)).status, "cancelled");
  await refusal(client.uploads.parts.create(other.id, { data: await toFile(bytes, "part") }), OpenAI.NotFoundError, "not_found");
  await client.files.delete(done.file.id);
});

const noPoppler = own && !existsSync(join(dirname(process.env.WEFT_BIN), "weft-pdf"));

test("an uploaded document is asked about: forty pages, some of them, with its password", { skip: onlyReal.skip || (noPoppler && "built without poppler-glib") }, async () => {
  const upload = async (name, bytes) => (await client.files.create({ file: await toFile(bytes, name), purpose: "user_data" })).id;
  const about = (file) => [{ role: "user", content: [{ type: "file", file }, { type: "text", text: "What?" }] }];
  const options = { temperature: 0, max_tokens: 2 };
  const forty = await upload("forty.pdf", fortyPages());
  const whole = await ask({ ...options, messages: about({ file_id: forty, page_tokens: 16 }) });
  const some = await ask({ ...options, messages: about({ file_id: forty, page_tokens: 16, pages: "5-8" }) });
  assert.ok(some.usage.prompt_tokens > whole.usage.prompt_tokens / 14 && some.usage.prompt_tokens < whole.usage.prompt_tokens / 6);
  const planned = await client.post("/media/plan", { body: { model, messages: about({ file_id: forty, page_tokens: 16 }) } });
  assert.equal(planned.prompt_tokens, whole.usage.prompt_tokens);
  assert.equal(planned.items.length, 40);
  const locked = await upload("locked.pdf", pdf([lines([72, 700, "Secret"])], "open sesame"));
  for (const password of [undefined, "no"]) await refusal(ask({ ...options, messages: about({ file_id: locked, password }) }), OpenAI.BadRequestError, "password_required");
  assert.ok((await ask({ ...options, messages: about({ file_id: locked, password: "open sesame" }) })).usage.prompt_tokens > 0);
  for (const id of [forty, locked]) await client.files.delete(id);
});

test("errors are the client's own kinds", onlyReal, async () => {
  const create = (options) => client.chat.completions.create({ model, max_tokens: 4, messages: user("Hello"), ...options });
  await refusal(create({ model: "absent" }), OpenAI.NotFoundError, "model_not_found");
  await refusal(create({ temperature: -1 }), OpenAI.BadRequestError, null);
  await refusal(create({ n: 2 }), OpenAI.BadRequestError, "unsupported");
  for (const stream of [false, true])
    await refusal(create({ stream, messages: user("What?", "data:image/jpeg;base64,/9j/4AAQ") }), OpenAI.BadRequestError, "invalid_media");
});

test("a stream can be left and the next question asked", onlyReal, async () => {
  const stream = await client.chat.completions.create({ model, stream: true, temperature: 0, max_tokens: 200_000, messages: user("Go on and on.") });
  for await (const chunk of stream) {
    assert.ok(chunk.choices);
    break;
  }
  stream.controller.abort();
  assert.ok((await ask({ temperature: 0, max_tokens: 4, messages: user("Next.") })).text.length > 0);
});
