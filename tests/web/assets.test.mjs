// What is shipped: complete, small, licensed, allowed by the policy, and the same in every language.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { en } from "../../web/i18n/en.js";
import { zh } from "../../web/i18n/zh.js";
import { assets, contentSecurityPolicy, WEB } from "./assets.mjs";

const files = await assets();
const index = files.get("/index.html").toString("utf8");
const importmap = /<script type="importmap">([\s\S]*?)<\/script>/.exec(index)[1];

test("the policy allows exactly the inline script that the page has", async () => {
  const hash = createHash("sha256").update(importmap).digest("base64");
  const policy = await contentSecurityPolicy();
  assert.ok(policy.includes(`script-src 'self' 'sha256-${hash}'`), `csp.txt should hold sha256-${hash}`);
  assert.ok(!/unsafe-eval/.test(policy));
  assert.equal(index.match(/<script(?![^>]*\bsrc=)/g).length, 1);
  assert.ok(!/\son\w+=/.test(index));
});

test("every import leads to a shipped file", () => {
  const imports = JSON.parse(importmap).imports;
  for (const [url, bytes] of files) {
    if (!/\.m?js$/.test(url)) continue;
    for (const [, name] of bytes.toString("utf8").matchAll(/(?:^|[;\n])\s*(?:import|export)\b[^"';]*?from\s*["']([^"']+)["']/g)) {
      const prefix = Object.keys(imports).find((key) => key.endsWith("/") && name.startsWith(key));
      const target = name.startsWith(".") ? new URL(name, `http://x${url}`).pathname
        : imports[name] ?? (prefix && imports[prefix] + name.slice(prefix.length));
      assert.ok(files.has(target), `${url} imports ${name}`);
    }
  }
  for (const [, href] of index.matchAll(/(?:href|src)="(\/[^"]+)"/g)) assert.ok(files.has(href), href);
});

test("vendored code stays small and has its licences", async () => {
  const vendored = [...files].filter(([url]) => url.startsWith("/vendor/") && url.endsWith(".mjs"));
  const total = vendored.reduce((sum, [, bytes]) => sum + bytes.length, 0);
  assert.ok(total < 500_000, `${total} bytes`);
  const licences = files.get("/vendor/LICENSES.txt").toString("utf8");
  const { dependencies } = JSON.parse(await readFile(join(WEB, "package.json"), "utf8"));
  for (const name of Object.keys(dependencies)) assert.ok(licences.includes(name.replace("@highlightjs/cdn-assets", "highlight.js")), name);
});

test("the lock files name no host", async () => {
  for (const lock of [join(WEB, "package-lock.json"), new URL("./package-lock.json", import.meta.url)]) {
    assert.ok(!/https?:/.test(await readFile(lock, "utf8")), String(lock));
  }
});

test("both languages have the same entries of the same kind, none of them empty", () => {
  assert.deepEqual(Object.keys(zh).sort(), Object.keys(en).sort());
  for (const [key, value] of Object.entries(en)) {
    assert.equal(typeof zh[key], typeof value, key);
    if (typeof value === "string") assert.ok(zh[key].length > 0, key);
  }
});

test("every text colour has contrast AA on the grounds it stands on, in both themes", () => {
  const tokens = Object.fromEntries([...files.get("/styles/tokens.css").toString("utf8")
    .matchAll(/--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)/g)].map(([, name, light, dark]) => [name, [light, dark]]));
  const channel = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const luminance = (hex) => [1, 3, 5].map((i) => channel(parseInt(hex.slice(i, i + 2), 16) / 255)).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const contrast = (a, b) => (Math.max(luminance(a), luminance(b)) + 0.05) / (Math.min(luminance(a), luminance(b)) + 0.05);
  const pairs = [
    ...["page", "surface", "sunken", "raised", "hover", "accent-soft", "danger-soft"].map((ground) => ["text", ground]),
    ...["page", "surface", "sunken", "raised", "hover", "danger-soft"].map((ground) => ["muted", ground]),
    ["accent", "page"], ["accent", "raised"], ["accent", "surface"], ["accent-ink", "accent"], ["danger", "danger-soft"], ["muted", "stage"],
    ...["keyword", "string", "number", "name", "comment"].map((kind) => [`code-${kind}`, "surface"]),
  ];
  for (const [text, ground] of pairs) {
    for (const theme of [0, 1]) {
      const ratio = contrast(tokens[text][theme], tokens[ground][theme]);
      assert.ok(ratio >= 4.5, `${text} on ${ground}, ${["light", "dark"][theme]}: ${ratio.toFixed(2)}`);
    }
  }
});
