// What the build ships, read the way the build reads it: files of web/ by their own names, vendored ones by vendor-map.json.
import { readFile, readdir } from "node:fs/promises";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const WEB = fileURLToPath(new URL("../../web/", import.meta.url));

/** @type {Record<string, string>} */
const TYPES = {
  ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".txt": "text/plain; charset=utf-8",
};

export const typeOf = (path) => TYPES[extname(path)] ?? "application/octet-stream";

/** Own files that are shipped: index.html, the icon, and every .js and .css. */
export async function ownFiles() {
  const files = ["index.html", "favicon.svg"];
  for (const [dir, ext] of [["", ".js"], ["i18n", ".js"], ["styles", ".css"]]) {
    for (const name of await readdir(join(WEB, dir))) if (name.endsWith(ext)) files.push(join(dir, name));
  }
  return files;
}

/** URL path -> bytes. */
export async function assets() {
  const map = JSON.parse(await readFile(join(WEB, "vendor-map.json"), "utf8"));
  const out = new Map();
  for (const file of await ownFiles()) out.set(`/${file}`, await readFile(join(WEB, file)));
  for (const [url, file] of Object.entries(map.files)) out.set(url, await readFile(join(WEB, file)));
  const texts = await Promise.all(
    Object.entries(map.licenses).map(async ([name, file]) => `${name}\n${"=".repeat(name.length)}\n\n${await readFile(join(WEB, file), "utf8")}`));
  out.set("/vendor/LICENSES.txt", Buffer.from(texts.join("\n\n")));
  out.set("/", out.get("/index.html"));
  return out;
}

export const contentSecurityPolicy = async () => (await readFile(join(WEB, "csp.txt"), "utf8")).trim();
