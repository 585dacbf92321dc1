// Screenshots of every state at every width, for looking at:  WEFT_SHOTS=folder node tests/web/shots.mjs [name part]
import { answered, askText, dropPicture, openPage, shoot, startBrowser, startServer } from "./browser.mjs";

const only = process.argv[2] ?? "";
const quick = await startServer({ pace: 0 });
const slow = await startServer({ pace: 1 });
const browser = await startBrowser();

const sizes = { 390: { width: 390, height: 844, touch: true }, 1280: { width: 1280, height: 800 }, 1920: { width: 1920, height: 1080 } };

/** name -> [server, what to do before the picture is taken] */
const states = {
  empty: [quick, async (page) => { await page.locator(".sample img").first().waitFor(); }],
  attached: [quick, async (page) => { await dropPicture(page); await page.locator(".composer textarea").fill("What is red here?"); }],
  reading: [slow, async (page) => { await page.locator(".sample").first().click(); await page.getByText(/of 27|\/ 27/).waitFor(); await page.waitForTimeout(900); }],
  prefill: [slow, async (page) => { await page.locator(".sample").first().click(); await page.getByText(/%/).first().waitFor(); await page.locator(".progress-text", { hasText: /\d %|\d%/ }).waitFor(); await page.waitForTimeout(900); }],
  thinking: [slow, async (page) => { await page.locator(".sample").nth(3).click(); await page.locator(".reasoning").waitFor({ timeout: 20000 }); await page.waitForTimeout(700); }],
  writing: [slow, async (page) => { await page.locator(".sample").first().click(); await page.locator(".mark-row").nth(1).waitFor({ timeout: 30000 }); }],
  boxes: [quick, async (page) => { await page.locator(".sample").first().click(); await answered(page); }],
  lit: [quick, async (page) => { await page.locator(".sample").first().click(); await answered(page); await page.locator(".mark-row").first().hover(); }],
  many: [quick, async (page) => {
    await page.evaluate(async () => {
      const blob = await (await fetch("/samples/files.svg")).blob();
      const data = new DataTransfer();
      data.items.add(new File([blob], "files.svg", { type: "image/svg+xml" }));
      window.dispatchEvent(new DragEvent("drop", { dataTransfer: data, cancelable: true }));
    });
    await page.locator(".draft-picture img").waitFor();
    await askText(page, "Find every tile."); await answered(page);
  }],
  html: [quick, async (page) => { await page.locator(".sample").nth(2).click(); await answered(page); await page.waitForTimeout(300); }],
  json: [quick, async (page) => { await page.locator(".sample").nth(1).click(); await answered(page); }],
  long: [quick, async (page) => { await page.locator(".sample").nth(0).click(); await answered(page); await askText(page, "Explain the chart at length"); await answered(page); await page.locator(".answer.last").hover(); }],
  longtext: [quick, async (page) => { await askText(page, "Explain the chart at length"); await answered(page); await page.locator(".talk-scroll").evaluate((e) => e.scrollTo(0, 0)); }],
  error: [quick, async (page) => { await dropPicture(page); await askText(page, "This is too long for it"); await page.locator(".failure").waitFor(); }],
  midway: [quick, async (page) => { await dropPicture(page); await askText(page, "fail midway please"); await page.locator(".failure").waitFor(); }],
  chinese: [quick, async (page) => { await dropPicture(page); await askText(page, "这张图片里有什么？"); await answered(page); }],
  help: [quick, async (page) => { await page.keyboard.press("Control+/"); await page.locator("dialog[open]").waitFor(); }],
  models: [quick, async (page) => { await page.locator(".model-button").click(); }],
  list: [quick, async (page) => { for (const q of ["Where is the exit?", "Explain the chart", "Read the label"]) { await askText(page, q); await answered(page); await page.keyboard.press("Control+Shift+O"); await page.locator(".front").waitFor(); } await page.keyboard.press("Control+k"); await page.waitForTimeout(200); }],
  sheet: [quick, async (page) => { await page.locator(".sample").first().click(); await answered(page); await page.locator(".mark-row").first().click(); await page.waitForTimeout(300); }],
};

for (const [state, [server, act]] of Object.entries(states)) {
  for (const [size, shape] of Object.entries(sizes)) {
    for (const look of ["light-en", "dark-zh"]) {
      const name = `${state}-${size}-${look}`;
      if (only && !only.split(",").some((part) => name.includes(part))) continue;
      const page = await openPage(browser, server.url, { ...shape, dark: look.startsWith("dark"), lang: look.endsWith("zh") ? "zh" : "en" });
      try {
        await act(page);
      } catch (error) {
        console.log(`${name}: ${error.message.split("\n")[0]}`);
      }
      await shoot(page, name);
      if (page.faults.length) console.log(name, page.faults);
      await page.context().close();
    }
  }
}
await browser.close();
await quick.close();
await slow.close();
