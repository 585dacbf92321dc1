// Boxes and points out of answers: fenced, bare, cut off, nested, hostile. Pure functions, no browser.
import assert from "node:assert/strict";
import { test } from "node:test";
import { readJson } from "../../web/json-lenient.js";
import { inPixels, regionsOf, segmentsOf } from "../../web/regions.js";

const box = '{"bbox_2d": [100, 200, 300, 400], "label": "door"}';
const fenced = `Here:\n\n\`\`\`json\n[\n\t${box},\n\t{"point_2d": [500, 600], "label": "knob"}\n]\n\`\`\`\nDone.`;

test("a fenced list becomes text, marks, text", () => {
  const segments = segmentsOf(fenced);
  assert.deepEqual(segments.map((s) => s.type), ["text", "regions", "text"]);
  const [door, knob] = regionsOf(fenced);
  assert.deepEqual([door.kind, door.label, door.x1, door.y1, door.x2, door.y2], ["box", "door", 100, 200, 300, 400]);
  assert.deepEqual([knob.kind, knob.label, knob.x1, knob.y1], ["point", "knob", 500, 600]);
  assert.match(segments[0].text, /Here:/);
  assert.match(segments[2].text, /Done\./);
});

test("bare objects are found inside prose, neighbours join", () => {
  const segments = segmentsOf(`The door ${box}, ${box} is green.`);
  assert.deepEqual(segments.map((s) => s.type), ["text", "regions", "text"]);
  assert.deepEqual(segments[1].regions.map((r) => r.index), [0, 1]);
});

test("every prefix of a streamed answer is read without error, and regions only ever grow", () => {
  let before = 0;
  for (let end = 0; end <= fenced.length; end++) {
    const found = regionsOf(fenced.slice(0, end), true);
    assert.ok(found.length >= before, `at ${end}: ${found.length} after ${before}`);
    before = found.length;
  }
  assert.equal(before, 2);
});

test("a box that is still being written is not drawn from half its numbers", () => {
  assert.equal(regionsOf('```json\n[{"bbox_2d": [100, 200, 300, 4', true).length, 0);
  assert.equal(regionsOf('```json\n[{"bbox_2d": [100, 200, 300, 400', true).length, 0);
  assert.equal(regionsOf('```json\n[{"bbox_2d": [100, 200, 300, 400]', true).length, 1);
});

test("while it may yet be marks, streamed JSON does not flash as code", () => {
  for (const text of ["```json\n[", '```json\n[{"la', '```json\n[{"label": "a", "bbox_2d": [1']) {
    assert.deepEqual(segmentsOf(text, true).map((s) => s.type), ["regions"], text);
  }
  assert.deepEqual(segmentsOf('```json\n{"city": "Ulm", "na', true).map((s) => s.type), ["text"]);
});

test("JSON without places stays text", () => {
  for (const text of ['```json\n{"city": "Ulm"}\n```', "see [1] and [a](b) and {x}", "```python\nbox = {'bbox_2d': [1, 2, 3, 4]}\nprint(box)\n```"]) {
    assert.deepEqual(segmentsOf(text).map((s) => s.type), ["text"], text);
  }
});

test("a computer_use call is a point named after its action", () => {
  const [click] = regionsOf('{"name": "computer_use", "arguments": {"action": "left_click", "coordinate": [640, 432]}}');
  assert.deepEqual([click.kind, click.label, click.x1, click.y1], ["point", "left click", 640, 432]);
});

test("corners in any order, values out of range, other fields and picture numbers", () => {
  const [r] = regionsOf('[{"bbox_2d": [900, -5, 100, 1200], "label": "a", "state": "on", "image": "Picture 2"}]');
  assert.deepEqual([r.x1, r.y1, r.x2, r.y2], [100, 0, 900, 1000]);
  assert.deepEqual(r.fields, [["state", "on"]]);
  assert.equal(r.image, 2);
});

test("pixels of the original", () => {
  const [r] = regionsOf(box);
  assert.deepEqual(inPixels(r, { width: 1920, height: 1080 }), { x1: 192, y1: 216, x2: 576, y2: 432 });
});

test("hostile text ends, quickly and quietly", () => {
  for (const piece of ["{", "[", '{"a":', '["', '{"a":[', "```json\n[", '{"bbox_2d":[1,2,3,4],', "\\", "'", '[{"a":"']) {
    const text = piece.repeat(Math.ceil(60_000 / piece.length));
    assert.ok(Array.isArray(segmentsOf(text, true)));
    assert.ok(Array.isArray(segmentsOf(text, false)));
  }
  assert.equal(readJson('{"__proto__": {"x": 1}}', 0).value.x, undefined);
});
