// Ranges of pages, times of clips and citations, as people and models write them. Pure functions, no browser.
import assert from "node:assert/strict";
import { test } from "node:test";
import { citationsOf, cleanRange, clock, firstCitation, pagesOf, secondsOf, timesOf } from "../../web/ranges.js";

test("ranges of pages, in the order written", () => {
  for (const [text, pages] of [["", [1, 2, 3, 4, 5]], ["2", [2]], ["1-3, 5", [1, 2, 3, 5]], ["4-", [4, 5]], [" 3 – 4 ，1", [3, 4, 1]], ["2,2", [2, 2]]]) {
    assert.deepEqual(pagesOf(text, 5), pages, text);
  }
  for (const text of ["0", "6", "3-2", "x", "1-2-3", ",", "1,", "-3", "1.5", "99999999999", "4-6"]) assert.equal(pagesOf(text, 5), null, text);
  assert.equal(pagesOf("1-1001", 5000), null);
  assert.equal(pagesOf("1-1000", 5000).length, 1000);
  assert.equal(cleanRange(" 3 – 4 ，1"), "3-4,1");
});

test("times are read and written", () => {
  for (const [text, seconds] of [["0", 0], ["75", 75], ["1:15", 75], ["01:01:15.5", 3675.5], [" 2.25 ", 2.25]]) assert.equal(secondsOf(text), seconds, text);
  for (const text of ["", "x", "1:", ":5", "1:2:3:4", "-4", "1,5"]) assert.equal(secondsOf(text), null, text);
  assert.deepEqual([0, 75.4, 3675, 59.6].map(clock), ["0:00", "1:15", "1:01:15", "1:00"]);
});

test("times in answers: what is in brackets, and what can be nothing else", () => {
  const found = (text) => timesOf(text).map(({ raw, from, to }) => [raw, from, to]);
  assert.deepEqual(found("It stops [00:01:15 - 00:01:20], then [2:03]."), [["[00:01:15 - 00:01:20]", 75, 80], ["[2:03]", 123, null]]);
  assert.deepEqual(found("at 01:00:05 and 00:00:07.5–00:00:09"), [["01:00:05", 3605, null], ["00:00:07.5–00:00:09", 7.5, 9]]);
  assert.deepEqual(found("from 3.0 to 5.5 seconds, 从 2 到 4 秒"), [["3.0 to 5.5 seconds", 3, 5.5], ["2 到 4 秒", 2, 4]]);
  assert.deepEqual(found("[5:00 - 4:00]"), [["[5:00 - 4:00]", 300, null]]);
  for (const text of ["lunch at 10:30", "ratio 16:9", "[a:b]", "12:34:56:78", "[10:30](https://example.org)", "[100, 200, 300, 400]", "1.2.3"]) assert.deepEqual(found(text), [], text);
  assert.equal(timesOf("x [0:01]")[0].index, 2);
});

test("citations: pages, ranges, documents, boxes", () => {
  const found = (text) => citationsOf(text).map(({ page, file, box }) => [page, file, box]);
  assert.deepEqual(found("a [p. 3], b [p.4] c [page 5] d [pp. 6-8] e [P 9]"), [3, 4, 5, 6, 9].map((page) => [page, "", null]));
  assert.deepEqual(found("[report.pdf, page 7 of 40] [a, b.pdf, p. 2]"), [[7, "report.pdf", null], [2, "a, b.pdf", null]]);
  assert.deepEqual(found("[p. 3, 100, 200, 400, 260] [p. 3: (1,2,3,9999)]"), [[3, "", [100, 200, 400, 260]], [3, "", [1, 2, 3, 1000]]]);
  assert.deepEqual(found("见[第 12 页]"), [[12, "", null]]);
  for (const text of ["[3]", "[p]", "[p. 3](https://example.org)", "[page three]", "p. 3", "[people 3]", "[100, 200, 300, 400]"]) assert.deepEqual(found(text), [], text);
  assert.equal(firstCitation("see [p. 3]").index, 4);
});

test("hostile text ends", () => {
  for (const piece of ["[", "[p. ", "[a, ", "1:", "00:", "[0:00 - ", "1 - ", "[p. 3, 1, ", "1.1", "第"]) {
    const text = piece.repeat(Math.ceil(60_000 / piece.length));
    assert.ok(timesOf(text).length <= 500 && citationsOf(text).length <= 500);
  }
  assert.equal(timesOf("[0:01] ".repeat(2000)).length, 500);
});
