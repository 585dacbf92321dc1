// The page in a browser: what a person does, against the mock or, with WEFT_URL set, a real server.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { answered, askText, dropPicture, openPage, real, shoot, startBrowser, startServer } from "./browser.mjs";

let browser;
let server;
before(async () => {
  browser = await startBrowser();
  server = await startServer({ pace: 0 });
});
after(async () => {
  await browser?.close();
  await server?.close();
});

/** Runs a test on a fresh page and asks that nothing was logged as an error. */
const onPage = (options, act) => async () => {
  const page = await openPage(browser, server.url, options);
  try {
    await act(page);
    assert.deepEqual(page.faults, []);
  } finally {
    await page.context().close();
  }
};

/** Skips what only canned answers can show; undefined: go on. */
const hint = (t) => (real ? (t.skip("needs the mock"), true) : undefined);

describe("any server", () => {
  test("the front door offers samples, and one runs at a click", onPage({}, async (page) => {
    await page.locator(".sample img").first().waitFor();
    await shoot(page, "test-front");
    await page.locator(".sample").first().click();
    await page.locator(".stage img").waitFor();
    await answered(page);
    assert.ok((await page.locator(".answer.last .prose").innerText()).trim().length > 0);
    assert.equal(await page.locator(".failure").count(), 0);
    await shoot(page, "test-sample");
  }));

  const mute = () => { IDBFactory.prototype.open = () => new EventTarget(); };
  test("the page stands at once, though the browser's store never answers", onPage({ before: mute }, async (page) => {
    assert.equal(await page.locator(".front").count(), 1);
    await askText(page, "What do you see?");
    await answered(page);
    assert.equal(await page.locator(".failure").count(), 0);
  }));

  test("a dropped picture stands in the viewer, is sent, and answered", onPage({}, async (page) => {
    await dropPicture(page, { width: 320, height: 200 });
    await page.locator(".stage img").waitFor();
    assert.equal(await page.locator(".viewer-size").innerText(), "320 × 200");
    await askText(page, "What do you see?");
    await answered(page);
    assert.equal(await page.locator(".failure").count(), 0);
    assert.match(await page.locator(".answer.last .cost").textContent(), /\d+ tokens/);
  }));

  test("before it is sent, a draft with a picture says what it costs", onPage({}, async (page) => {
    await dropPicture(page, { width: 320, height: 200 });
    const line = page.locator(".composer-plan");
    await line.waitFor();
    assert.match(await line.innerText(), /^[\d,]+ of [\d,]+ tokens, about .+ to the first word$/);
    await page.locator(".draft-remove").click();
    await line.waitFor({ state: "detached" });
  }));

  test("a conversation and its picture survive a reload, and can be deleted", onPage({ width: 1600 }, async (page) => {
    await dropPicture(page);
    await askText(page, "Remember this");
    await answered(page);
    await page.reload();
    await page.locator(".item-open", { hasText: "Remember this" }).click();
    await page.locator(".stage img").waitFor();
    assert.equal(await page.locator(".question-text").innerText(), "Remember this");
    await page.locator(".item").first().hover();
    await page.locator(".item .icon-button").first().click();
    await page.locator(".item-sure").click();
    await page.locator(".front").waitFor();
    await page.reload();
    await page.locator(".items-none").waitFor();
  }));
});

describe("with canned answers", () => {
  test("marks light their region and the region lights its row; pixels are those of the original", async (t) => hint(t) ?? onPage({}, async (page) => {
    await page.locator(".sample").first().click();
    await answered(page);
    const row = page.locator(".mark-row").first();
    assert.match(await row.innerText(), /light switch/);
    assert.match(await row.innerText(), /979, 384 – 1069, 486/);
    await page.mouse.move(5, 5);
    await row.hover();
    await page.locator(".label.lit", { hasText: "light switch" }).waitFor();
    const stage = await page.locator(".stage img").boundingBox();
    await page.mouse.move(stage.x + stage.width * 0.24, stage.y + stage.height * 0.57, { steps: 4 });
    await page.locator(".mark-row.lit", { hasText: "armchair" }).waitFor();
    const line = await page.locator(".mark.lit .line").boundingBox();
    assert.ok(Math.abs(line.x - (stage.x + stage.width * 0.112)) < 4, `${line.x}`);
    assert.ok(Math.abs(line.width - stage.width * 0.26) < 6, `${line.width}`);
    await row.click();
    await page.waitForFunction(() => !document.querySelector(".stage img")?.style.transform.includes("scale(0.4"));
    await page.mouse.move(5, 5);
    await page.locator(".viewer-size").click();
    await page.keyboard.press("]");
    await page.locator(".mark-row.lit").waitFor();
  })(t));

  test("zoom keeps the pixel under the pointer, fit brings the whole back", async (t) => hint(t) ?? onPage({}, async (page) => {
    await dropPicture(page, { width: 2000, height: 1200 });
    await page.locator(".stage img").waitFor();
    const before = await page.locator(".stage img").boundingBox();
    const at = { x: before.x + before.width * 0.3, y: before.y + before.height * 0.5 };
    await page.mouse.move(at.x, at.y);
    await page.mouse.wheel(0, -700);
    await page.waitForFunction((width) => document.querySelector(".stage img").getBoundingClientRect().width > width * 1.5, before.width);
    const after = await page.locator(".stage img").boundingBox();
    assert.ok(Math.abs((at.x - after.x) / after.width - 0.3) < 0.01);
    assert.ok(Math.abs((at.y - after.y) / after.height - 0.5) < 0.01);
    await page.locator(".stage").focus();
    await page.keyboard.press("0");
    await page.waitForFunction((width) => Math.abs(document.querySelector(".stage img").getBoundingClientRect().width - width) < 1, before.width);
  })(t));

  test("progress is told in the server's numbers; Esc stops at once and keeps what is there", async (t) => hint(t) ?? onPage({}, async (page) => {
    await dropPicture(page);
    await askText(page, "Explain slowly and at length");
    await page.getByText(/Reading the picture \(\d+ of 27 layers\)/i).waitFor();
    await page.getByText(/Reading 2,061 tokens \(\d+ %, about \d+ s left\)/i).waitFor();
    await page.locator(".answer.last .prose h2").waitFor({ timeout: 20_000 });
    const aborted = server.seen.aborted;
    await page.keyboard.press("Escape");
    await page.locator(".turn-note", { hasText: "Stopped here" }).waitFor();
    assert.match(await page.locator(".answer.last .prose").innerText(), /What the chart/);
    for (let i = 0; i < 50 && server.seen.aborted === aborted; i++) await page.waitForTimeout(50);
    assert.equal(server.seen.aborted, aborted + 1);
  })(t));

  test("reasoning is one folded line that counts, and opens", async (t) => hint(t) ?? onPage({}, async (page) => {
    await askText(page, "Think: where does the light come from?");
    await answered(page);
    const line = page.locator(".reasoning > button");
    assert.match(await line.innerText(), /Thought for [\d.]+ s/);
    assert.equal(await page.locator(".reasoning-text").count(), 0);
    await line.click();
    assert.match(await page.locator(".reasoning-text").innerText(), /sun stands on the right/);
    assert.doesNotMatch(await page.locator(".answer.last > .prose").innerText(), /sun stands/);
  })(t));

  test("an answer's markup cannot touch the page", async (t) => hint(t) ?? onPage({}, async (page) => {
    await askText(page, "hostile");
    await answered(page);
    const prose = page.locator(".answer.last .prose");
    for (const bad of ["img", "script", "iframe", "style", "form", "[onerror]"]) assert.equal(await prose.locator(bad).count(), 0, bad);
    for (const href of await prose.locator("a").evaluateAll((links) => links.map((a) => a.getAttribute("href") ?? ""))) {
      assert.doesNotMatch(href, /^(javascript|data):/i);
    }
    assert.match(await page.title(), /hostile/);
    // The policy speaks up while the sanitiser reads the handler in a document of its own; nothing ran, as the title shows.
    page.faults = page.faults.filter((fault) => !/^Executing inline event handler violates/.test(fault));
  })(t));

  test("a page in an answer is previewed in a frame that runs nothing and sees nothing", async (t) => {
    if (hint(t)) return;
    const page = await openPage(browser, server.url);
    await askText(page, "HTML please");
    await answered(page);
    const frame = page.locator("iframe.preview");
    await frame.waitFor();
    assert.equal(await frame.getAttribute("sandbox"), "");
    assert.equal(await frame.evaluate((el) => el.contentDocument), null);
    const inner = page.frames().find((f) => f.parentFrame());
    assert.equal(await inner.locator("body").getAttribute("data-ran"), null);
    assert.equal(await inner.locator("button").evaluate((el) => getComputedStyle(el).backgroundColor), "rgb(37, 99, 235)");
    assert.match(await page.title(), /HTML please/);
    await page.getByRole("tab", { name: "Code" }).click();
    assert.ok(await page.locator(".code .hljs-tag").count() > 5);
    assert.deepEqual(page.faults.filter((f) => !f.includes("allow-scripts")), []);
    await page.context().close();
  });

  test("errors stand where they happened and say what to do; what had arrived stays", async (t) => {
    if (hint(t)) return;
    const page = await openPage(browser, server.url);
    for (const [question, what, todo] of [
      ["too long", /9,412 tokens/, /Start a new chat/],
      ["busy", /waiting already/, /Try again in a moment/],
      ["fail midway", /cache is full/, /./],
      ["break off", /connection broke off/, /What had arrived is kept/],
      ["say nothing", /without an answer/, /Ask again/],
    ]) {
      await askText(page, question);
      const failure = page.locator(".answer.last .failure");
      await failure.waitFor();
      assert.match(await failure.innerText(), what, question);
      assert.match(await failure.innerText(), todo, question);
      if (/midway|break/.test(question)) assert.match(await page.locator(".answer.last .prose").innerText(), /first part arrives/);
    }
    await askText(page, "run out");
    await page.getByText(/limit of tokens/).waitFor();
    await page.context().close();
  });

  test("a server that went away is said so, and trying again works once it is back", async (t) => {
    if (hint(t)) return;
    const first = await startServer({ pace: 0 });
    const page = await openPage(browser, first.url);
    await first.close();
    await askText(page, "Anyone there?");
    const failure = page.locator(".answer.last .failure");
    await failure.getByText("weft does not answer.").waitFor();
    await failure.getByText(/weft serve/).waitFor();
    const second = await startServer({ pace: 0, port: Number(new URL(first.url).port) });
    await failure.getByRole("button", { name: "Try again" }).click();
    await answered(page);
    assert.equal(await page.locator(".failure").count(), 0);
    await page.context().close();
    await second.close();
  });

  test("again, and changed: what followed the question goes", async (t) => hint(t) ?? onPage({}, async (page) => {
    await askText(page, "First question");
    await answered(page);
    await askText(page, "Second question");
    await page.locator(".answer").nth(1).waitFor();
    await answered(page);
    await page.locator(".question").first().hover();
    await page.locator(".question").first().getByRole("button", { name: "Edit" }).click();
    await page.locator(".editor textarea").fill("Changed question");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.querySelectorAll(".question").length === 1);
    await answered(page);
    const body = server.seen.requests.at(-1);
    assert.deepEqual(body.messages.map((m) => m.role), ["user"]);
    assert.equal(body.messages[0].content[0].text, "Changed question");
    const count = server.seen.requests.length;
    await page.locator(".answer.last").hover();
    await page.locator(".answer.last").getByRole("button", { name: "Answer again" }).click();
    await answered(page);
    assert.equal(server.seen.requests.length, count + 1);
    assert.deepEqual(server.seen.requests.at(-1).messages, body.messages);
  })(t));

  test("several pictures go in order, before the text, byte for byte; later questions carry them", async (t) => hint(t) ?? onPage({}, async (page) => {
    await dropPicture(page, { width: 100, height: 60, name: "a.png" });
    await dropPicture(page, { width: 80, height: 90, name: "b.webp", type: "image/webp" });
    await page.locator(".draft-picture").nth(1).waitFor();
    await askText(page, "Compare");
    await answered(page);
    await askText(page, "And now?");
    await page.locator(".answer").nth(1).waitFor();
    await answered(page);
    const { messages, stream, weft, stream_options } = server.seen.requests.at(-1);
    assert.deepEqual([stream, weft.progress, stream_options.include_usage], [true, true, true]);
    assert.deepEqual(messages.map((m) => m.role), ["user", "assistant", "user"]);
    assert.deepEqual(messages[0].content.map((p) => p.type), ["image_url", "image_url", "text"]);
    assert.match(messages[0].content[0].image_url.url, /^data:image\/png;base64,iVBOR/);
    assert.match(messages[0].content[1].image_url.url, /^data:image\/webp;base64,UklGR/);
    assert.equal(await page.locator(".strip .thumb").count(), 2);
  })(t));

  test("a file that is no picture is refused with what to do", async (t) => hint(t) ?? onPage({}, async (page) => {
    await page.evaluate(() => {
      const data = new DataTransfer();
      data.items.add(new File(["not a picture"], "notes.heic", { type: "image/heic" }));
      window.dispatchEvent(new DragEvent("drop", { dataTransfer: data, cancelable: true }));
    });
    await page.getByText(/notes\.heic: this browser cannot read it.*JPEG or PNG/).waitFor();
    assert.equal(await page.locator(".draft-picture").count(), 0);
  })(t));

  test("Enter belongs to the input method while it composes; Shift+Enter is a new line", async (t) => hint(t) ?? onPage({}, async (page) => {
    const area = page.locator(".composer textarea");
    await area.fill("ni hao");
    await area.evaluate((el) => el.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", isComposing: true, bubbles: true, cancelable: true })));
    await page.keyboard.press("Shift+Enter");
    assert.equal(await area.inputValue(), "ni hao\n");
    assert.equal(await page.locator(".question").count(), 0);
  })(t));

  test("keys: help, search, new chat; language and theme stay chosen", async (t) => hint(t) ?? onPage({ width: 1600 }, async (page) => {
    await page.locator(".front h1").click();
    await page.keyboard.press("?");
    await page.locator("dialog[open]").waitFor();
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => !document.querySelector("dialog[open]"));
    await page.keyboard.press("Control+k");
    await page.waitForFunction(() => document.activeElement.className === "search");    // after the list has unfolded
    await page.getByRole("button", { name: "中文" }).click();
    await page.getByText("给它一张图").waitFor();
    await page.getByRole("button", { name: /主题/ }).click();
    await page.getByRole("button", { name: /主题/ }).click();
    await page.reload();
    await page.getByText("给它一张图").waitFor();
    assert.equal(await page.evaluate(() => [document.documentElement.lang, document.documentElement.dataset.theme].join()), "zh-CN,dark");
  })(t));

  for (const width of [390, 1280, 1920]) {
    test(`nothing is cut off sideways at ${width} px, and every control has a name`, async (t) => hint(t) ?? onPage({ width, height: 844, touch: width < 500 }, async (page) => {
      const check = async (state) => {
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), state);
        const nameless = await page.evaluate(() => [...document.querySelectorAll("button, a, textarea, input:not([type=file]):not([type=checkbox]), iframe")]
          .filter((el) => !(el.getAttribute("aria-label") || el.getAttribute("title") || el.textContent.trim())).map((el) => el.outerHTML));
        assert.deepEqual(nameless, [], state);
      };
      await check("front");
      await page.locator(".sample").first().click();
      await answered(page);
      await check("marks");
      await askText(page, "Explain at length");
      await page.locator(".answer").nth(1).waitFor();
      await answered(page);
      await check("long answer");
      if (width < 500) {
        await page.locator(".phone-strip .thumb").first().click();
        await page.locator(".viewer.sheet.open .stage img").waitFor();
        await page.locator(".sheet-close").click();
        await page.locator(".viewer.sheet.open").waitFor({ state: "detached" });
      }
    })(t));
  }
});
