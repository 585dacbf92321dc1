// The browser and the server that the tests talk to: Debian's Chromium, and the mock or whatever WEFT_URL names.
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { startMock } from "./mock.mjs";

const EXECUTABLE = process.env.CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

/** Set to a folder to have screenshots written there. */
const SHOTS = process.env.WEFT_SHOTS ?? "";

export const real = Boolean(process.env.WEFT_URL);

export async function startServer(options) {
  if (process.env.WEFT_URL) return { url: process.env.WEFT_URL, seen: null, close: async () => {} };
  return startMock(options);
}

export const startBrowser = () => chromium.launch({ executablePath: EXECUTABLE, args: FLAGS, headless: true });

/** A fresh page; anything the page logs as an error, or that its policy blocks, is collected in page.faults. */
export async function openPage(browser, url, { width = 1280, height = 800, dark = false, lang = "en", touch = false, reducedMotion = true, before = null } = {}) {
  const context = await browser.newContext({
    viewport: { width, height }, colorScheme: dark ? "dark" : "light", locale: lang === "zh" ? "zh-CN" : "en-GB",
    hasTouch: touch, isMobile: touch, reducedMotion: reducedMotion ? "reduce" : "no-preference", permissions: ["clipboard-read", "clipboard-write"],
  });
  const page = await context.newPage();
  page.faults = [];
  page.on("console", (message) => message.type() === "error" && page.faults.push(message.text()));
  page.on("pageerror", (error) => page.faults.push(String(error)));
  if (before) await page.addInitScript(before);
  await page.goto(url);
  await page.locator(".composer textarea").waitFor();
  return page;
}

export async function shoot(page, name) {
  if (!SHOTS) return;
  await mkdir(SHOTS, { recursive: true });
  await page.screenshot({ path: join(SHOTS, `${name}.png`) });
}

/** A picture made in the page and dropped on the window like a file. */
export async function dropPicture(page, { width = 640, height = 400, name = "drawn.png", type = "image/png" } = {}) {
  await page.evaluate(async ({ width, height, name, type }) => {
    const canvas = new OffscreenCanvas(width, height);
    const c = canvas.getContext("2d");
    c.fillStyle = "#d8e6f0";
    c.fillRect(0, 0, width, height);
    c.fillStyle = "#c0392b";
    c.fillRect(width * 0.2, height * 0.3, width * 0.2, height * 0.3);
    const data = new DataTransfer();
    data.items.add(new File([await canvas.convertToBlob({ type })], name, { type }));
    for (const kind of ["dragenter", "dragover", "drop"]) window.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
  }, { width, height, name, type });
  await page.locator(".draft-picture img").last().waitFor();
}

/** A file dropped on the window: `text` and then sevens up to `size`, or `bytes`. */
export async function dropBytes(page, { name, type = "application/pdf", text = "", size = 0, bytes = null }) {
  await page.evaluate(({ name, type, text, size, base64 }) => {
    const parts = base64 ? [Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))] : [text, new Uint8Array(Math.max(0, size - text.length)).fill(7)];
    const data = new DataTransfer();
    data.items.add(new File(parts, name, { type, lastModified: 1700000000000 }));
    window.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
  }, { name, type, text, size, base64: bytes ? bytes.toString("base64") : "" });
}

export async function askText(page, text) {
  await page.locator(".composer textarea").fill(text);
  await page.keyboard.press("Enter");
}

/** Waits until the last answer is complete. */
export const answered = (page) => page.locator(".answer.last[aria-busy=false]").waitFor({ timeout: 60_000 });
