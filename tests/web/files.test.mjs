// Documents, clips and uploads in the page, in a browser, against the mock: what a person sees, and what the server gets.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { answered, askText, dropBytes, openPage, real, shoot, startBrowser, startServer } from "./browser.mjs";

let browser;
before(async () => (browser = await startBrowser()));
after(() => browser?.close());

/** A page on a server of its own. */
const onPage = (options, act) => async (t) => {
  if (real) return t.skip("needs the mock");
  const server = await startServer({ pace: 0 });
  const page = await openPage(browser, server.url, options);
  try {
    await act(page, server.seen, server);
    assert.deepEqual(page.faults.filter((fault) => !/Failed to load resource|net::ERR/.test(fault)), []);
  } finally {
    await page.context().close();
    await server.close();
  }
};

const PDF = "%PDF-1.4 as the mock has it";
const card = (page) => page.locator(".card").last();
const ready = (page) => page.locator(".card .card-fields").waitFor();
const lastParts = (seen) => seen.requests.at(-1).messages.at(-1).content;

/** Ten seconds of a circle that crosses, as a browser without licensed codecs plays them too. */
function clip() {
  const folder = mkdtempSync(join(tmpdir(), "weft-clip-"));
  const file = join(folder, "clip.webm");
  execFileSync("ffmpeg", ["-v", "error", "-f", "lavfi", "-i", "testsrc=size=160x120:rate=5:duration=10", "-c:v", "libvpx", "-g", "5", "-cpu-used", "8", "-deadline", "realtime", file]);
  const bytes = readFileSync(file);
  rmSync(folder, { recursive: true });
  return bytes;
}

describe("uploads", () => {
  test("a document goes up in ranges with its share, and is sent by its id", onPage({}, async (page, seen) => {
    seen.store.faults.slowMs = 12;
    await dropBytes(page, { name: "report-40.pdf", text: PDF, size: 20_000_000 });
    await page.getByText(/Uploading, \d+ %/).waitFor();
    assert.ok(await page.getByRole("button", { name: "Send" }).isDisabled());
    const bar = page.locator(".card [role=progressbar]");
    const first = Number(await bar.getAttribute("aria-valuenow"));
    await page.waitForFunction((n) => Number(document.querySelector(".card [role=progressbar]")?.getAttribute("aria-valuenow") ?? 101) > n, first);
    await ready(page);
    assert.match(await card(page).innerText(), /40 pages · 20 MB/);
    const [file] = seen.store.files.values();
    assert.equal(file.bytes.length, 20_000_000);
    assert.equal(file.bytes.subarray(0, PDF.length).toString(), PDF);
    assert.ok(Math.abs(file.expires_at - Date.now() / 1000 - 30 * 86400) < 100);
    await askText(page, "What is it about?");
    await answered(page);
    const [part] = lastParts(seen);
    assert.equal(part.file.file_id, file.id);
    assert.ok(!JSON.stringify(seen.requests).includes("base64"));
  }));

  test("a broken connection is taken up where it was", onPage({}, async (page, seen) => {
    seen.store.faults.breaks = 3;
    await dropBytes(page, { name: "report-4.pdf", text: PDF, size: 18_000_000 });
    await page.getByText(/Connection lost at \d+ %, trying again/).waitFor();
    await ready(page);
    const [file] = seen.store.files.values();
    assert.equal(file.bytes.length, 18_000_000);
    assert.ok(file.bytes.subarray(PDF.length, 17_000_000).equals(Buffer.alloc(17_000_000 - PDF.length, 7)));
    assert.equal(seen.store.uploads.size, 1);
  }));

  test("a connection that stays broken can be tried again by hand, and a reload goes on too", onPage({}, async (page, seen) => {
    await page.clock.install();
    seen.store.faults.breaks = 100;
    await dropBytes(page, { name: "report-4.pdf", text: PDF, size: 4_000_000 });
    const again = card(page).getByRole("button", { name: "Try again" });
    for (let i = 0; i < 200 && !(await again.count()); i++) {
      await page.clock.runFor(2000);
      await page.evaluate(() => fetch("/health")); // real time passes for the requests
    }
    await again.waitFor();
    const sent = [...seen.store.uploads.values()][0].data.length;
    assert.ok(sent > 200_000, String(sent));
    seen.store.faults.breaks = 0;
    await again.click();
    await ready(page);
    assert.equal(seen.store.uploads.size, 1);
    assert.equal([...seen.store.files.values()][0].bytes.length, 4_000_000);
  }));

  test("cancelling leaves nothing behind", onPage({}, async (page, seen) => {
    seen.store.faults.slowMs = 30;
    await dropBytes(page, { name: "report-4.pdf", text: PDF, size: 20_000_000 });
    await page.getByText(/Uploading, \d+ %/).waitFor();
    await page.getByRole("button", { name: "Cancel the upload of report-4.pdf" }).click();
    assert.equal(await page.locator(".card").count(), 0);
    for (let i = 0; i < 100 && seen.store.uploads.size; i++) await page.waitForTimeout(50);
    assert.deepEqual([seen.store.uploads.size, seen.store.files.size], [0, 0]);
    // Taken out after it was complete, the file goes too.
    seen.store.faults.slowMs = 0;
    await dropBytes(page, { name: "report-5.pdf", text: PDF });
    await ready(page);
    assert.equal(seen.store.files.size, 1);
    await page.getByRole("button", { name: "Remove report-5.pdf" }).click();
    for (let i = 0; i < 100 && seen.store.files.size; i++) await page.waitForTimeout(50);
    assert.equal(seen.store.files.size, 0);
  }));

  test("what the server keeps is listed, attached again, and deleted", onPage({ width: 1600 }, async (page, seen) => {
    await dropBytes(page, { name: "report-40.pdf", text: PDF });
    await ready(page);
    await askText(page, "Hello");
    await answered(page);
    await page.getByRole("button", { name: "Files on the server" }).click();
    const row = page.locator(".stored");
    assert.match(await row.innerText(), /report-40\.pdf\s+1 kB · until \S+ \S+ \d{4}/);
    await shoot(page, "files-list");
    await row.getByRole("button", { name: "Attach: report-40.pdf" }).click();
    await ready(page);
    await askText(page, "Again");
    await page.locator(".answer").nth(1).waitFor();
    await answered(page);
    assert.equal(lastParts(seen)[0].file.file_id, [...seen.store.files.keys()][0]);
    await page.getByRole("button", { name: "Files on the server" }).click();
    await page.getByRole("button", { name: "Delete: report-40.pdf" }).click();
    await page.getByRole("button", { name: "Delete?" }).click();
    await page.getByText("No files are stored.").waitFor();
    assert.equal(seen.store.files.size, 0);
    await page.keyboard.press("Escape");
    const count = seen.requests.length;
    await askText(page, "And now?");
    await page.locator(".answer.last .failure").getByText("report-40.pdf is no longer stored on the server. Attach it again.").waitFor();
    assert.equal(seen.requests.length, count);
  }));

  test("a large picture goes up once; when the server has forgotten it, it is sent as it is", onPage({}, async (page, seen) => {
    await page.evaluate(async () => {
      const canvas = new OffscreenCanvas(1800, 1800);
      const pixels = new ImageData(1800, 1800);
      for (let at = 0; at < pixels.data.length; at += 65536) crypto.getRandomValues(pixels.data.subarray(at, at + 65536));
      for (let at = 3; at < pixels.data.length; at += 4) pixels.data[at] = 255;
      canvas.getContext("2d").putImageData(pixels, 0, 0);
      const data = new DataTransfer();
      data.items.add(new File([await canvas.convertToBlob({ type: "image/png" })], "noise.png", { type: "image/png" }));
      window.dispatchEvent(new DragEvent("drop", { dataTransfer: data, cancelable: true }));
    });
    await page.locator(".draft-picture:not(.arriving) img").waitFor();
    await askText(page, "What?");
    await answered(page);
    const [id, file] = [...seen.store.files][0];
    assert.ok(file.bytes.length > 8e6);
    assert.deepEqual(lastParts(seen)[0], { type: "image_url", image_url: { url: id } });
    seen.store.files.clear();
    await askText(page, "And now?");
    await page.locator(".answer").nth(1).waitFor();
    await answered(page);
    assert.match(seen.requests.at(-1).messages[0].content[0].image_url.url, /^data:image\/png;base64,iVBOR/);
  }));

  test("a deleted conversation takes its files along", onPage({ width: 1600 }, async (page, seen) => {
    await dropBytes(page, { name: "report-2.pdf", text: PDF });
    await ready(page);
    await askText(page, "Remember this");
    await answered(page);
    await page.reload();
    await page.locator(".item-open", { hasText: "Remember this" }).click();
    await page.locator(".stage img").waitFor();
    assert.equal(seen.store.files.size, 1);
    await page.locator(".item").first().hover();
    await page.locator(".item .icon-button").first().click();
    await page.locator(".item-sure").click();
    for (let i = 0; i < 100 && seen.store.files.size; i++) await page.waitForTimeout(50);
    assert.equal(seen.store.files.size, 0);
  }));
});

describe("documents", () => {
  test("pages, kind and size are chosen; the plan follows; a range that is wrong says so", onPage({}, async (page, seen) => {
    await dropBytes(page, { name: "report-40.pdf", text: PDF });
    await ready(page);
    await page.locator(".composer-plan.over").waitFor();
    assert.match(await page.locator(".composer-plan").innerText(), /37,621 tokens do not fit the 8,192/);
    await page.getByRole("textbox", { name: "Pages", exact: true }).fill("1-3, 7");
    await page.getByText(/^3,781 of 8,192 tokens/).waitFor();
    await page.getByRole("combobox", { name: "Read", exact: true }).selectOption("text");
    await page.getByText(/^501 of 8,192 tokens/).waitFor();
    assert.equal(await page.getByRole("combobox", { name: "Size", exact: true }).count(), 0);
    await page.getByRole("combobox", { name: "Read", exact: true }).selectOption("both");
    await page.getByRole("combobox", { name: "Size", exact: true }).selectOption("150");
    await page.getByRole("textbox", { name: "Pages", exact: true }).fill("41");
    await page.getByText("Write pages as 1-3,7. The document has 40.").waitFor();
    await page.locator(".composer textarea").fill("What?");
    assert.ok(await page.getByRole("button", { name: "Send" }).isDisabled());
    await shoot(page, "pdf-card");
    await page.getByRole("textbox", { name: "Pages", exact: true }).fill("2-5");
    await askText(page, "What?");
    await answered(page);
    const [part, text, cite] = lastParts(seen);
    assert.deepEqual({ ...part.file, file_id: "" }, { file_id: "", filename: "report-40.pdf", mode: "both", dpi: 150, boxes: false, pages: "2-5" });
    assert.equal(text.text, "What?");
    assert.match(cite.text, /\[p\. 3\].*"page": 3, "bbox_2d"/);
  }));

  test("forty pages that do not fit are made smaller at a click", onPage({}, async (page, seen) => {
    await dropBytes(page, { name: "report-40.pdf", text: PDF });
    await ready(page);
    await page.getByRole("button", { name: "Make them smaller: 2,581 tokens, fits" }).click();
    await page.getByText(/^2,581 of 8,192 tokens/).waitFor();
    assert.equal(await page.getByRole("combobox", { name: "Size", exact: true }).inputValue(), "fit");
    await page.getByLabel("Cite pages").uncheck();
    await askText(page, "What?");
    await answered(page);
    const [part, ...rest] = lastParts(seen);
    assert.equal(part.file.max_pixels, 65536);
    assert.deepEqual(rest.map((p) => p.text), ["What?"]);
  }));

  test("an encrypted document asks for its password, again when it is wrong, and once more after a reload", onPage({ width: 1600 }, async (page, seen) => {
    await dropBytes(page, { name: "secret-3-pw1.pdf", text: PDF });
    const dialog = page.getByRole("dialog", { name: "Password needed" });
    await dialog.waitFor();
    await shoot(page, "password");
    const field = dialog.getByLabel("Password of secret-3-pw1.pdf");
    assert.ok(await field.evaluate((el) => el === document.activeElement));
    await page.keyboard.press("Escape");
    await card(page).getByText("This document is encrypted.").waitFor();
    await page.locator(".composer textarea").fill("Hm");
    assert.ok(await page.getByRole("button", { name: "Send" }).isDisabled());
    await card(page).getByRole("button", { name: "Enter password" }).click();
    await field.fill("nonsense");
    await page.keyboard.press("Enter");
    await dialog.getByRole("alert").getByText("does not open with this password").waitFor();
    await shoot(page, "password-wrong");
    await field.fill("pw1");
    await page.keyboard.press("Enter");
    await ready(page);
    await page.locator(".stage img").waitFor();
    await askText(page, "What?");
    await answered(page);
    assert.equal(lastParts(seen)[0].file.password, "pw1");
    await page.reload();
    assert.ok(!(await page.evaluate(() => JSON.stringify({ ...localStorage }))).includes("pw1"));
    await page.locator(".item-open").first().click();
    await page.locator(".stage").getByRole("button", { name: "Enter password" }).waitFor();
    await askText(page, "And?");
    await field.fill("pw1");
    await dialog.getByRole("button", { name: "Open" }).click();
    await page.locator(".answer").nth(1).waitFor();
    await answered(page);
    assert.equal(seen.requests.at(-1).messages[0].content[0].file.password, "pw1");
    await page.locator(".stage img").waitFor();
  }));

  test("a cited page opens with its box drawn; the strip and keys turn pages", onPage({ width: 1400 }, async (page) => {
    await dropBytes(page, { name: "report-40.pdf", text: PDF });
    await ready(page);
    await askText(page, "What was the revenue?");
    await answered(page);
    const number = page.getByLabel("Page number");
    assert.equal(await number.inputValue(), "1");
    assert.deepEqual(await page.locator(".prose a.cite").allInnerTexts(), ["[p. 3]", "[p. 12, 100, 300, 500, 400]", "[report-40.pdf, page 7 of 40]"]);
    await page.getByRole("link", { name: "[p. 3]" }).click();
    await page.locator(".stage img[alt='report-40.pdf, Page 3']").waitFor();
    const close = (a, b, what) => assert.ok(Math.abs(a - b) < 4, `${what}: ${a} and ${b}`);
    /** Whether the one drawn box lies at these thousandths of the page. */
    const boxAt = async (x, y, width, height) => {
      const image = await page.locator(".stage img").boundingBox();
      const line = await page.locator(".overlay .line").boundingBox();
      close(line.x, image.x + image.width * x, "x");
      close(line.y, image.y + image.height * y, "y");
      close(line.width, image.width * width, "width");
      close(line.height, image.height * height, "height");
    };
    await boxAt(0.1, 0.3, 0.4, 0.1);
    await shoot(page, "citation-page");
    await page.getByRole("link", { name: "[p. 12" }).click();
    await page.locator(".stage img[alt='report-40.pdf, Page 12']").waitFor();
    await page.locator(".mark.lit").waitFor();
    await page.waitForTimeout(50);
    await boxAt(0.1, 0.3, 0.4, 0.1);
    await shoot(page, "citation-box");
    await page.locator(".mark-row", { hasText: "the note" }).click();
    await page.locator(".stage img[alt='report-40.pdf, Page 7']").waitFor();
    assert.match(await page.locator(".mark-row.lit").innerText(), /the note\s+p\. 7/);
    await boxAt(0.1, 0.64, 0.7, 0.06);
    assert.deepEqual(await page.locator(".page-button.cited").evaluateAll((all) => all.map((el) => el.textContent.trim())), ["3", "7", "12"]);
    await page.getByRole("button", { name: "Page 12, cited" }).click();
    assert.equal(await number.inputValue(), "12");
    assert.equal(await page.locator(".overlay .line").count(), 0);
    await page.locator(".stage").focus();
    await page.keyboard.press("PageDown");
    await page.locator(".stage img[alt='report-40.pdf, Page 13']").waitFor();
    const small = page.getByRole("group", { name: "Pages of the document" });
    assert.equal(await small.locator("[tabindex='0']").count(), 1);
    await small.getByRole("button", { name: "Page 13" }).focus();
    await page.keyboard.press("ArrowRight");
    await page.waitForFunction(() => document.activeElement.getAttribute("aria-label") === "Page 14");
    await number.fill("40");
    await number.press("Enter");
    assert.ok(await page.getByRole("button", { name: "Next page" }).isDisabled());
    // The citation is a link for the keyboard as well.
    await page.getByRole("link", { name: "[p. 3]" }).focus();
    await page.keyboard.press("Enter");
    assert.equal(await number.inputValue(), "3");
  }));

  test("a citation far down a line is found, and a flood of brackets is only text", onPage({}, async (page) => {
    await dropBytes(page, { name: "report-40.pdf", text: PDF });
    await ready(page);
    await dropBytes(page, { name: "old.avi", type: "", size: 500 });
    await page.locator(".card .card-fields").nth(1).waitFor();
    await askText(page, "brackets");
    await answered(page);
    assert.deepEqual(await page.locator("a.cite").allInnerTexts(), ["00:00:05", "[p. 2]"]);
  }));

  test("what the server would refuse is said before it is sent", onPage({}, async (page) => {
    await page.route("**/v1/media/plan", (route) => route.fulfill({ status: 400, json: { error: { message: "report-4.pdf: this page is broken", code: "invalid_media" } } }));
    await dropBytes(page, { name: "report-4.pdf", text: PDF });
    await page.locator(".composer-plan.over", { hasText: "this page is broken" }).waitFor();
  }));

  test("without a document, what looks like a citation stays text", onPage({}, async (page) => {
    await askText(page, "What was the revenue?");
    await answered(page);
    assert.equal(await page.locator("a.cite").count(), 0);
    assert.match(await page.locator(".answer.last .prose").innerText(), /41\.2 M \[p\. 3\]/);
  }));
});

describe("clips", () => {
  test("times in the answer play the clip from there, before and after a reload", onPage({ width: 1600 }, async (page, seen) => {
    const bytes = clip();
    await dropBytes(page, { name: "clip.webm", type: "video/webm", bytes });
    await ready(page);
    await page.locator(".card .thumb img").waitFor();
    assert.match(await card(page).innerText(), /clip\.webm\s+0:10/);
    await page.getByRole("textbox", { name: "From", exact: true }).fill("0:01");
    await page.getByRole("textbox", { name: "To", exact: true }).fill("9");
    await page.getByRole("combobox", { name: "Frames", exact: true }).selectOption("1");
    await page.locator(".composer-plan").waitFor();
    await shoot(page, "clip-card");
    await askText(page, "When does it come?");
    await answered(page);
    assert.deepEqual({ ...lastParts(seen)[0], video_url: 0 }, { type: "video_url", video_url: 0, fps: 1, video_start: 1, video_end: 9 });
    assert.ok([...seen.store.files.values()][0].bytes.equals(bytes));
    const check = async () => {
      assert.deepEqual(await page.locator("a.cite").allInnerTexts(), ["[00:00:02 - 00:00:04]", "[0:06]", "1.0 - 1.5 seconds"]);
      await page.getByRole("link", { name: "[0:06]" }).click();
      await page.waitForFunction(() => document.querySelector("video")?.currentTime === 6);
      await page.getByRole("link", { name: "[00:00:02" }).click();
      // It plays to the end of the range and stays there.
      await page.waitForFunction(() => { const v = document.querySelector("video"); return v.paused && v.currentTime >= 4 && v.currentTime < 5; });
      await page.getByRole("button", { name: "Play 0:06" }).focus();
      await page.keyboard.press("Enter");
      await page.waitForFunction(() => document.querySelector("video").currentTime === 6);
      const [line, bar] = [await page.locator(".times").boundingBox(), await page.locator(".times button").first().boundingBox()];
      assert.ok(Math.abs((bar.x - line.x) / line.width - 0.2) < 0.02 && Math.abs(bar.width / line.width - 0.2) < 0.02);
    };
    await check();
    await shoot(page, "clip-times");
    await page.reload();
    await page.locator(".item-open").first().click();
    assert.match(await page.locator("video").getAttribute("src"), /^\/v1\/files\/file-\d+\/content$/);
    await check();
  }));

  test("a clip that the browser cannot play is sent all the same", onPage({}, async (page, seen) => {
    await dropBytes(page, { name: "old.avi", type: "", size: 5000 });
    await ready(page);
    await page.getByText("This browser cannot play this clip. The model can still see it.").waitFor();
    await askText(page, "When?");
    await answered(page);
    assert.equal(lastParts(seen)[0].type, "video_url");
  }));
});

for (const [width, dark] of [[390, true], [390, false], [1280, true], [1920, false]]) {
  test(`documents and clips at ${width} px, ${dark ? "dark" : "light"}: nothing is cut off, everything has a name`, onPage({ width, height: 844, dark, touch: width < 500, lang: dark ? "zh" : "en" }, async (page) => {
    const check = async (state) => {
      await shoot(page, `files-${state}-${width}-${dark ? "dark" : "light"}`);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), state);
      const nameless = await page.evaluate(() => [...document.querySelectorAll("button, a, textarea, select, video, input:not([type=file])")]
        .filter((el) => !(el.getAttribute("aria-label") || el.getAttribute("title") || el.labels?.[0]?.textContent.trim() || el.textContent.trim())).map((el) => el.outerHTML));
      assert.deepEqual(nameless, [], state);
      const outside = await page.evaluate(() => [...document.querySelectorAll(".card *")].filter((el) => {
        const box = el.getBoundingClientRect();
        return box.width > 0 && (box.right > innerWidth + 1 || box.left < -1);
      }).map((el) => el.className));
      assert.deepEqual(outside, [], state);
    };
    await dropBytes(page, { name: "a-report-with-a-rather-long-name-that-has-to-be-cut-somewhere-40.pdf", text: PDF });
    await ready(page);
    await dropBytes(page, { name: "clip.webm", type: "video/webm", bytes: clip() });
    await page.locator(".card .card-fields").nth(1).waitFor();
    await page.locator(".card .thumb img").nth(1).waitFor();
    await page.locator(".composer-plan").waitFor();
    await check("draft");
    await askText(page, "revenue");
    await answered(page);
    await check("answer");
    await page.locator("a.cite").nth(1).click();
    await page.locator(".stage img").waitFor();
    await page.waitForTimeout(300);
    await check("cited");
    if (width > 500) return;
    await page.locator(".sheet-close").click();
    await page.locator(".phone-strip .thumb").nth(1).click();
    await page.locator("video").waitFor();
    await check("player");
  }));
}
