// Documents and clips in the page, end to end: the program that WEFT_BIN names, its embedded model, a real browser. What the answers
// say is not judged here: that they come, and that they cost what the plan said.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { answered, askText, dropBytes, openPage, shoot, startBrowser } from "./browser.mjs";
import { fortyPages, lines, pdf } from "./pdf.mjs";
import { EMBEDDED, startWeft } from "./weft.mjs";

const program = process.env.WEFT_BIN && !process.env.WEFT_URL ? process.env.WEFT_BIN : "";
const skip = !program ? "WEFT_BIN names no program" : !existsSync(join(dirname(program), "weft-pdf")) ? "this weft was built without poppler-glib" : false;

describe("with the embedded model", { skip, timeout: 240_000 }, () => {
  let browser;
  let server;
  before(async () => ([browser, server] = await Promise.all([startBrowser(), startWeft({ path: EMBEDDED })])));
  after(async () => {
    await browser?.close();
    assert.equal(await server?.close(), 0, "the server did not end well");
  });

  const onPage = (act) => async () => {
    const page = await openPage(browser, server.url, { width: 1600 });
    // A small model may not find an end.
    await page.route("**/v1/chat/completions", (route) => route.continue({ postData: JSON.stringify({ ...route.request().postDataJSON(), max_tokens: 24 }) }));
    try {
      await act(page);
      assert.deepEqual(page.faults.filter((fault) => !/Failed to load resource|net::ERR/.test(fault)), []);
    } finally {
      await page.context().close();
    }
  };
  /** The tokens of the plan in the composer. */
  const planned = async (page) => Number((await page.locator(".composer-plan").innerText()).split(" ")[0].replaceAll(",", ""));
  const read = async (page) => Number(/([\d,]+) read/.exec(await page.locator(".answer.last .cost").textContent())[1].replaceAll(",", ""));

  test("a question about forty pages in one request; then about three of them", onPage(async (page) => {
    await dropBytes(page, { name: "report.pdf", bytes: fortyPages() });
    await page.locator(".card .card-fields").waitFor();
    assert.match(await page.locator(".card").innerText(), /40 pages/);
    await page.locator(".composer-plan").waitFor({ timeout: 60_000 });
    const all = await planned(page);
    await page.locator(".stage img").waitFor();
    await shoot(page, "real-draft");
    // The first page has black letters above and a blue bar below: the picture is the page, and upright.
    const colours = await page.locator(".stage img").evaluate(async (img) => {
      const canvas = new OffscreenCanvas(img.naturalWidth, img.naturalHeight);
      const c = canvas.getContext("2d");
      c.drawImage(img, 0, 0);
      const at = (x, y) => [...c.getImageData(x * canvas.width, y * canvas.height, 1, 1).data].slice(0, 3);
      return { size: [canvas.width, canvas.height], bar: at(0.2, 0.7), margin: at(0.9, 0.3) };
    });
    assert.deepEqual(colours, { size: [1400, Math.floor((1400 * 792) / 612 + 0.5)], bar: [0, 0, 255], margin: [255, 255, 255] });
    await askText(page, "What is the total?");
    await answered(page);
    assert.equal(await page.locator(".failure").count(), 0);
    const cost = await read(page);
    assert.ok(cost > all && cost < all + 20, `planned ${all} without the question, read ${cost}`);
    await page.getByRole("button", { name: "Page 40" }).click();
    await page.locator(".stage img[alt='report.pdf, Page 40']").waitFor();
    await shoot(page, "real-forty");

    await page.locator(".talk").click();
    await page.keyboard.press("Control+Shift+O");
    await dropBytes(page, { name: "report.pdf", bytes: fortyPages() });
    await page.getByRole("textbox", { name: "Pages", exact: true }).fill("2-4");
    await page.waitForFunction((most) => Number(document.querySelector(".composer-plan")?.textContent.trim().split(" ")[0].replaceAll(",", "")) < most, all / 5);
    const three = await planned(page);
    assert.ok(Math.abs(three - (all * 3) / 40) < all / 20, `${three} of ${all}`);
    await askText(page, "What is the total?");
    await answered(page);
    assert.equal(await page.locator(".failure").count(), 0);
    assert.ok((await read(page)) - three < 20);
  }));

  test("an encrypted document opens with its password only", onPage(async (page) => {
    await dropBytes(page, { name: "secret.pdf", bytes: pdf([lines([72, 700, "Secret"])], "pass 1") });
    const field = page.getByLabel("Password of secret.pdf");
    await field.fill("wrong");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").getByText("does not open with this password").waitFor();
    await field.fill("pass 1");
    await page.keyboard.press("Enter");
    await page.locator(".card .card-fields").waitFor();
    await page.locator(".stage img").waitFor();
    await askText(page, "What does it say?");
    await answered(page);
    assert.equal(await page.locator(".failure").count(), 0);
  }));

  test("an upload goes on when the connection comes back", onPage(async (page) => {
    const session = await page.context().newCDPSession(page);
    const network = (offline) => session.send("Network.emulateNetworkConditions", { offline, latency: 0, downloadThroughput: -1, uploadThroughput: 6_000_000 });
    await network(false);
    await dropBytes(page, { name: "large.pdf", text: "%PDF-1.4\n", size: 20_000_000 });
    await page.getByText(/Uploading, [1-9]\d? %/).waitFor();
    await network(true);
    await page.getByText(/Connection lost/).waitFor();
    await network(false);
    // All of it is there; that it is no document at all is found out then.
    await page.locator(".card-state.failed").waitFor({ timeout: 60_000 });
    const { data: [file] } = await page.evaluate(() => fetch("/v1/files?limit=1").then((r) => r.json()));
    assert.deepEqual([file.filename, file.bytes], ["large.pdf", 20_000_000]);
    const bytes = await page.evaluate((id) => fetch(`/v1/files/${id}/content`, { headers: { Range: "bytes=19000000-19000003" } }).then(async (r) => [...new Uint8Array(await r.arrayBuffer())]), file.id);
    assert.deepEqual(bytes, [7, 7, 7, 7]);
  }));

  test("a clip is uploaded, seen, and played from the server after a reload", onPage(async (page) => {
    const folder = mkdtempSync(join(tmpdir(), "weft-clip-"));
    execFileSync("ffmpeg", ["-v", "error", "-f", "lavfi", "-i", "testsrc=size=160x120:rate=5:duration=10", "-c:v", "libvpx", "-g", "5", "-cpu-used", "8", "-deadline", "realtime", join(folder, "clip.webm")]);
    const bytes = readFileSync(join(folder, "clip.webm"));
    rmSync(folder, { recursive: true });
    await dropBytes(page, { name: "clip.webm", type: "video/webm", bytes });
    await page.locator(".card .card-fields").waitFor();
    await page.getByRole("combobox", { name: "Frames", exact: true }).selectOption("0.5");
    await page.locator(".composer-plan").waitFor({ timeout: 60_000 });
    const plan = await planned(page);
    await askText(page, "What happens?");
    await answered(page);
    assert.equal(await page.locator(".failure").count(), 0);
    assert.ok((await read(page)) - plan < 20);
    await page.reload();
    await page.locator(".item-open").first().click();
    await page.waitForFunction(() => document.querySelector("video")?.readyState >= 1);
    await page.evaluate(() => (document.querySelector("video").currentTime = 7));
    await page.waitForFunction(() => document.querySelector("video").currentTime === 7 && document.querySelector("video").readyState >= 2);
    assert.match(await page.locator("video").getAttribute("src"), /^\/v1\/files\/file-\w+\/content$/);
  }));
});
