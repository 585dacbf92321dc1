// The official client for JavaScript, unchanged, against the mock or, with WEFT_URL set, a real server.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import OpenAI from "openai";
import { startServer } from "./browser.mjs";

let server;
let client;
before(async () => {
  server = await startServer({ pace: 0 });
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
});
after(() => server?.close());

/** 64 x 64 pixels, grey. */
const PNG = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAAAAACPAi4CAAAAKUlEQVR42u3MQREAAAwCIKMb3RD77SAA6VEEAoFAIBAIBAKBQCAQfA8G320AeXC6efoAAAAASUVORK5CYII=";

test("models are listed", async () => {
  const models = await client.models.list();
  assert.ok(models.data.length > 0);
  assert.equal(models.data[0].object, "model");
});

test("an answer streams and ends with its usage", async () => {
  const model = (await client.models.list()).data[0].id;
  const stream = await client.chat.completions.create({
    model, stream: true, stream_options: { include_usage: true }, max_tokens: 24,
    messages: [{ role: "user", content: [{ type: "text", text: "Describe the picture." }] }],
  });
  let usage = null;
  let reason = null;
  for await (const chunk of stream) {
    usage = chunk.usage ?? usage;
    reason = chunk.choices[0]?.finish_reason ?? reason;
  }
  assert.ok(["stop", "length"].includes(reason), String(reason));
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
});

test("a picture can be sent", async () => {
  const model = (await client.models.list()).data.find((m) => m.weft?.vision).id;
  const stream = await client.chat.completions.create({
    model, stream: true, max_tokens: 8,
    messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: PNG } }, { type: "text", text: "What colour?" }] }],
  });
  let chunks = 0;
  for await (const chunk of stream) chunks += chunk.choices.length;
  assert.ok(chunks > 0);
});
