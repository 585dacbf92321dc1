// A clip made searchable, searched and played from what was found: in a browser, against the mock; and once against the program that
// WEFT_BIN names, with its embedded model.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { dropBytes, openPage, real, shoot, startBrowser, startServer } from "./browser.mjs";
import { EMBEDDED, startWeft } from "./weft.mjs";

let browser;
before(async () => (browser = await startBrowser()));
after(() => browser?.close());

/** A clip as a browser without licensed codecs plays it too. */
function clip(...source) {
  const folder = mkdtempSync(join(tmpdir(), "weft-clip-"));
  const file = join(folder, "clip.webm");
  execFileSync("ffmpeg", ["-v", "error", ...source, "-c:v", "libvpx", "-g", "5", "-cpu-used", "8", "-deadline", "realtime", file]);
  const bytes = readFileSync(file);
  rmSync(folder, { recursive: true });
  return bytes;
}
const counting = () => clip("-f", "lavfi", "-i", "testsrc=size=320x240:rate=5:duration=10");

const onPage = (options, act) => async (t) => {
  if (real) return t.skip("needs the mock");
  const server = await startServer({ pace: 0 });
  const page = await openPage(browser, server.url, options);
  try {
    await act(page, server.seen.videos, server);
    assert.deepEqual(page.faults.filter((fault) => !/Failed to load resource|net::ERR/.test(fault)), []);
  } finally {
    await page.context().close();
    await server.close();
  }
};

const finder = (page) => page.locator(".finder");
const make = (page, name = "Make searchable") => finder(page).getByRole("button", { name }).click();
const drop = async (page) => {
  await dropBytes(page, { name: "clip.webm", type: "video/webm", bytes: counting() });
  await page.locator(".card .card-fields").waitFor();
};
const find = async (page, words) => {
  await page.getByRole("searchbox", { name: "What to look for in the video" }).fill(words);
  await page.keyboard.press("Enter");
};

describe("a clip made searchable", () => {
  test("progress, results with their frames, a click plays, a second look", onPage({ width: 1600 }, async (page, videos) => {
    await drop(page);
    videos.held = true;
    await make(page);
    await finder(page).getByText("Opening the video").waitFor();
    videos.held = false;
    await finder(page).getByText(/[1-4] of 5 parts described · about \d+ min \d+ s left/).waitFor();
    assert.ok(Number(await finder(page).locator("[role=progressbar]").getAttribute("aria-valuenow")) > 0);
    await shoot(page, "index-making");
    await finder(page).locator("[role=progressbar]").waitFor({ state: "detached" });
    await find(page, "red");
    await finder(page).getByText("3 places").waitFor();
    assert.deepEqual(videos.searches, [{ query: "red", limit: 20, refine: false }]);
    const rows = page.locator(".found");
    assert.deepEqual(await rows.locator("b").allInnerTexts(), ["0:02 – 0:04", "0:04 – 0:06", "0:06 – 0:08"]);
    assert.match(await rows.nth(1).innerText(), /red square, counter/); // in words, whatever form the model chose
    await page.waitForFunction(() => [...document.querySelectorAll(".found img")].filter((img) => img.complete && img.naturalWidth === 160).length === 3);
    const sources = await rows.locator("img").evaluateAll((images) => images.map((img) => img.src));
    assert.equal(new Set(sources).size, 3);
    assert.equal(await page.locator(".times button").count(), 3); // and on the line
    await rows.nth(1).click();
    // It plays to the end of the range and stays there.
    await page.waitForFunction(() => { const v = document.querySelector("video"); return v.paused && v.currentTime >= 6 && v.currentTime < 7; });
    await shoot(page, "index-found");
    await finder(page).getByRole("button", { name: "Look again" }).click();
    await finder(page).getByText("seen again").first().waitFor();
    assert.deepEqual(videos.searches[1], { query: "red", limit: 3, refine: true });
    await shoot(page, "index-closer");
    await find(page, "elephant");
    await finder(page).getByText("Nothing found.").waitFor();
    assert.equal(await rows.count(), 0);
    const alike = finder(page).getByRole("button", { name: "Look for what is alike" });
    await alike.click();
    await alike.waitFor({ state: "detached" });
    await finder(page).getByText("Nothing found.").waitFor();
    assert.deepEqual(videos.searches[3], { query: "elephant", limit: 3, refine: true });
    await find(page, "shade");
    await alike.click();
    await finder(page).getByText("by meaning, seen again").waitFor();
    assert.equal(await rows.count(), 1);
    await shoot(page, "index-alike");
    await page.keyboard.press("Tab");
    await page.getByRole("searchbox", { name: "What to look for in the video" }).focus();
    await page.keyboard.press("Escape");
    assert.equal(await page.getByRole("searchbox", { name: "What to look for in the video" }).inputValue(), "");
    await finder(page).getByText("Nothing found.").waitFor({ state: "detached" });
  }));

  test("stopped, gone on with, and still there after a reload", onPage({ width: 1280 }, async (page, videos) => {
    await drop(page);
    await make(page);
    await finder(page).getByText(/1 of 5/).waitFor();
    videos.held = true;
    await finder(page).getByRole("button", { name: "Stop" }).click();
    await finder(page).getByText(/Stopped at \d of 5 parts/).waitFor();
    await find(page, "elephant"); // what is there can be searched
    await finder(page).getByText("Nothing found.").waitFor();
    videos.held = false;
    await make(page, "Go on");
    await finder(page).locator(".finder-state").waitFor({ state: "detached" });
    assert.equal(videos.indexes.size, 1);
    await page.reload();
    // From the files on the server: another attachment, the same file, the same index.
    await page.locator(".composer textarea").waitFor();
    await page.getByRole("button", { name: "Files on the server" }).click();
    await page.getByRole("button", { name: "Attach: clip.webm" }).click();
    await find(page, "green");
    await page.locator(".found").click();
    await page.waitForFunction(() => (document.querySelector("video")?.currentTime ?? 0) >= 8);
  }));

  test("what fails says why and can be tried again", onPage({}, async (page, videos) => {
    await dropBytes(page, { name: "old.avi", type: "", size: 5000 });
    await page.locator(".card .card-fields").waitFor();
    videos.fails = "the video is cut off";
    await make(page);
    await finder(page).getByText("the video is cut off").waitFor();
    videos.fails = "";
    await make(page, "Try again");
    await finder(page).locator(".finder-state").waitFor({ state: "detached" });
    await find(page, "counter");
    // This browser cannot play it: places all the same, without frames.
    await finder(page).getByText("3 places").waitFor();
    assert.equal(await page.locator(".found-picture.none").count(), 3);
  }));
});

for (const [width, dark] of [[390, true], [390, false], [1280, true], [1920, false]]) {
  test(`a search at ${width} px, ${dark ? "dark" : "light"}: nothing is cut off, everything has a name`, onPage({ width, height: 844, dark, touch: width < 500, lang: dark ? "zh" : "en" }, async (page, videos) => {
    const check = async (state) => {
      await page.waitForTimeout(200);
      await shoot(page, `index-${state}-${width}-${dark ? "dark" : "light"}`);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), state);
      const nameless = await page.evaluate(() => [...document.querySelectorAll(".finder button, .finder input")].filter((el) => !(el.getAttribute("aria-label") || el.textContent.trim())).map((el) => el.outerHTML));
      assert.deepEqual(nameless, [], state);
      const outside = await page.evaluate(() => [...document.querySelectorAll(".finder *")].filter((el) => {
        const box = el.getBoundingClientRect();
        return box.width > 0 && (box.right > innerWidth + 1 || box.left < -1);
      }).map((el) => el.className));
      assert.deepEqual(outside, [], state);
      const [stage, video] = [await page.locator(".stage").boundingBox(), await page.locator("video").boundingBox()];
      assert.ok(video.height <= stage.height + 1 && video.width <= stage.width + 1, `${state}: the clip is cut off`);
    };
    await drop(page);
    if (width < 500) await page.locator(".card .thumb").tap();
    await finder(page).waitFor();
    await check("offer");
    videos.held = true;
    await finder(page).locator(".finder-state .button").click();
    await finder(page).locator("[role=progressbar]").waitFor();
    videos.held = false;
    await finder(page).getByText(/3/).first().waitFor();
    videos.held = true;
    await check("making");
    videos.held = false;
    await finder(page).locator("[role=progressbar]").waitFor({ state: "detached" });
    await finder(page).locator("input").fill("red counter");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.querySelectorAll(".found img").length === 5);
    await check("found");
  }));
}

describe("with the embedded model", { skip: !process.env.WEFT_BIN || process.env.WEFT_URL ? "WEFT_BIN names no program" : false, timeout: 240_000 }, () => {
  test("a red circle between blue squares is found and played", async () => {
    const server = await startWeft({ path: EMBEDDED });
    const page = await openPage(browser, server.url, { width: 1600 });
    const shape = (inside, r, g, b, seconds) => `nullsrc=s=192x192:r=1:d=1,format=rgb24,geq=r='if(${inside},${r},235)':g='if(${inside},${g},235)':b='if(${inside},${b},235)',loop=${seconds * 4 - 1}:1,setpts=N/4/TB,fps=4`;
    const [square, circle] = ["lt(max(abs(X-80),abs(Y-100)),40)", "lt(hypot(X-95,Y-95),35)"];
    const graph = [shape(square, 30, 80, 220, 20), shape(circle, 220, 30, 30, 10), shape(square, 30, 80, 220, 10)].map((source, i) => `${source}[v${i}]`).join(";");
    try {
      await dropBytes(page, { name: "clip.webm", type: "video/webm", bytes: clip("-filter_complex", `${graph};[v0][v1][v2]concat=n=3`) });
      await page.locator(".card .card-fields").waitFor();
      await make(page);
      await finder(page).locator("[role=progressbar]").waitFor({ timeout: 30_000 });
      await finder(page).locator("[role=progressbar]").waitFor({ state: "detached", timeout: 120_000 });
      await find(page, "red circle");
      const best = page.locator(".found").first();
      await best.waitFor();
      assert.equal(await best.locator("b").innerText(), "0:20 – 0:30");
      await best.locator("img").waitFor();
      await shoot(page, "index-real");
      await best.click();
      await page.waitForFunction(() => { const v = document.querySelector("video"); return v.currentTime >= 20 && v.currentTime < 31; });
    } finally {
      await page.context().close();
      assert.equal(await server.close(), 0);
    }
  });
});
