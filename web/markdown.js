// Answers are Markdown, and hostile: marked makes HTML, DOMPurify keeps what prose needs. The text is cut into top-level
// blocks so that a streaming answer re-renders its last block only.
import DOMPurify from "dompurify";
import hljs from "highlight/core.mjs";
import bash from "highlight/bash.mjs";
import c from "highlight/c.mjs";
import css from "highlight/css.mjs";
import javascript from "highlight/javascript.mjs";
import json from "highlight/json.mjs";
import markdown from "highlight/markdown.mjs";
import python from "highlight/python.mjs";
import xml from "highlight/xml.mjs";
import { Marked } from "marked";
import { firstCitation, firstTime } from "./ranges.js";

for (const [name, grammar] of Object.entries({ bash, c, css, javascript, json, markdown, python, xml })) {
  hljs.registerLanguage(name, grammar);
}

/** Colouring longer code than this would stall the page. */
const HIGHLIGHT_MAX = 60_000;

/** @type {Record<string, string>} */
const ALIASES = {
  html: "xml", svg: "xml", xhtml: "xml", js: "javascript", mjs: "javascript", ts: "javascript", typescript: "javascript",
  jsx: "javascript", tsx: "javascript", py: "python", sh: "bash", shell: "bash", zsh: "bash", console: "bash",
  h: "c", cpp: "c", "c++": "c", md: "markdown", jsonc: "json", jsonl: "json", scss: "css",
};

const PURIFY = {
  ALLOWED_TAGS: [
    "p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "strong", "em", "b", "i", "del", "s", "sub", "sup", "mark", "kbd", "code",
    "pre", "blockquote", "ul", "ol", "li", "a", "table", "thead", "tbody", "tr", "th", "td", "span", "input", "details", "summary",
  ],
  ALLOWED_ATTR: ["href", "class", "align", "start", "type", "checked", "disabled", "colspan", "rowspan", "title"],
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|#)/i,
  // Otherwise the rule for addresses would apply to their values too.
  ADD_URI_SAFE_ATTR: ["align", "start", "type", "colspan", "rowspan"],
  ALLOW_DATA_ATTR: false,
};

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "A" && !node.getAttribute("href")?.startsWith("#")) {
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer");
  }
  // Only the check boxes of task lists, and they are for reading.
  if (node.tagName === "INPUT") {
    if (node.getAttribute("type") !== "checkbox") node.remove();
    else node.setAttribute("disabled", "");
  }
  const kept = (node.getAttribute("class") ?? "").split(/\s+/).filter((name) => /^(hljs|language)-?|^cite$/.test(name));
  if (kept.length) node.setAttribute("class", kept.join(" "));
  else node.removeAttribute("class");
});

const escapeHtml = (/** @type {string} */ text) =>
  text.replace(/[&<>"]/g, (ch) => /** @type {Record<string, string>} */ ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[ch]);

/** Coloured code as safe HTML. @param {string} code @param {string} language as written at the fence */
export function highlight(code, language) {
  const name = ALIASES[language] ?? language;
  if (code.length > HIGHLIGHT_MAX || !hljs.getLanguage(name)) return escapeHtml(code);
  return DOMPurify.sanitize(hljs.highlight(code, { language: name, ignoreIllegals: true }).value, PURIFY);
}

/** Which links into the page the text at hand may have. @typedef {{ pages: boolean, times: boolean }} Links */
/** @type {Links} */
let links = { pages: false, times: false };

const AHEAD = 1000;
const LINK_MAX = 300;

/** What of a text, from its beginning, leads to a page or a time. @param {string} src */
function firstLink(src) {
  const page = links.pages ? firstCitation(src) : null;
  const time = links.times ? firstTime(src) : null;
  if (page && (!time || page.index <= time.index)) {
    const query = new URLSearchParams({ page: String(page.page), ...(page.file ? { file: page.file } : {}), ...(page.box ? { box: page.box.join() } : {}) });
    return { index: page.index, raw: page.raw, href: `#${query}` };
  }
  if (!time) return null;
  const query = new URLSearchParams({ from: String(time.from), ...(time.to === null ? {} : { to: String(time.to) }) });
  return { index: time.index, raw: time.raw, href: `#${query}` };
}

/** `[p. 3]` and `[00:01:15 - 00:01:20]` as links; followed in message.js. */
const intoThePage = {
  name: "intoThePage",
  level: /** @type {const} */ ("inline"),
  // Asked at every piece of text, so it looks ahead a little way only: beyond that the text is cut, and asked about anew.
  start(/** @type {string} */ src) {
    if (!links.pages && !links.times) return undefined;
    const at = firstLink(src.slice(0, AHEAD + LINK_MAX))?.index ?? AHEAD;
    return at < src.length ? Math.min(at, AHEAD) : undefined;
  },
  tokenizer(/** @type {string} */ src) {
    const link = firstLink(src.slice(0, LINK_MAX));
    return link?.index === 0 ? { type: "intoThePage", raw: link.raw, href: link.href } : undefined;
  },
  renderer: (/** @type {any} */ token) => `<a class="cite" href="${escapeHtml(token.href)}">${escapeHtml(token.raw)}</a>`,
};

const marked = new Marked({
  gfm: true,
  extensions: [intoThePage],
  breaks: false,
  renderer: {
    code: ({ text, lang }) => `<pre><code>${highlight(text, (lang ?? "").trim().split(/\s/)[0].toLowerCase())}</code></pre>`,
    // Pictures of an answer would be fetched from elsewhere: their text stands in.
    image: ({ text, href }) => `<a href="${escapeHtml(href)}">${escapeHtml(text || href)}</a>`,
  },
});

/** @typedef {{ type: "html", raw: string, html: string } | { type: "code", raw: string, language: string, code: string }} Block */

/** Rendered blocks by source. A new generation starts when it is full, so it cannot grow. @type {Map<string, string>} */
let rendered = new Map();
const RENDERED_MAX = 2000;

/** @param {string} raw @param {() => string} make */
function once(raw, make) {
  const held = rendered.get(raw);
  if (held !== undefined) return held;
  if (rendered.size >= RENDERED_MAX) rendered = new Map();
  const html = make();
  rendered.set(raw, html);
  return html;
}

/** An answer may be a whole HTML page without a fence. @param {string} text */
const isBarePage = (text) => /^\s*(<!doctype html|<html[\s>])/i.test(text);

/** @param {string} text @param {Links} [wanted] @returns {Block[]} */
export function blocksOf(text, wanted = { pages: false, times: false }) {
  links = wanted;
  if (isBarePage(text)) return [{ type: "code", raw: text, language: "html", code: text.trim() }];
  const tokens = marked.lexer(text);
  /** @type {Block[]} */
  const blocks = [];
  for (const token of tokens) {
    if (token.type === "space" || token.type === "def") continue;
    if (token.type === "code") {
      const language = (token.lang ?? "").trim().split(/\s/)[0].toLowerCase();
      blocks.push({ type: "code", raw: token.raw, language, code: token.text });
      continue;
    }
    const html = once(`${links.pages ? "p" : ""}${links.times ? "t" : ""}|${token.raw}`, () => DOMPurify.sanitize(marked.parser([token]), PURIFY));
    if (html.trim()) blocks.push({ type: "html", raw: token.raw, html });
  }
  return blocks;
}
