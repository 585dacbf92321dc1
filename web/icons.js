// The page's one icon set: 20 px, 1.6 px strokes, drawn in the text's colour.
import { html } from "./html.js";

/** Functions, since a virtual node may stand in one place only.
 * @type {Record<string, () => any>} */
const paths = {
  alert: () => html`<path d="M10 6.5v4.2M10 13.6v.1" /><circle cx="10" cy="10" r="7.5" />`,
  auto: () => html`<circle cx="10" cy="10" r="6.8" /><path d="M10 3.2v13.6a6.8 6.8 0 0 0 0-13.6z" fill="currentColor" />`,
  box: () => html`<path d="M3.5 7V4.5a1 1 0 0 1 1-1H7M13 3.5h2.5a1 1 0 0 1 1 1V7M16.5 13v2.5a1 1 0 0 1-1 1H13M7 16.5H4.5a1 1 0 0 1-1-1V13" />`,
  chat: () => html`<path d="M4.5 4h11A1.5 1.5 0 0 1 17 5.5v7a1.5 1.5 0 0 1-1.5 1.5H9l-3.5 3v-3h-1A1.5 1.5 0 0 1 3 12.5v-7A1.5 1.5 0 0 1 4.5 4z" />`,
  check: () => html`<path d="m4.5 10.5 3.7 3.7 7.3-8" />`,
  chevron: () => html`<path d="m6 8 4 4 4-4" />`,
  close: () => html`<path d="m5.5 5.5 9 9M14.5 5.5l-9 9" />`,
  code: () => html`<path d="m7 6-4 4 4 4M13 6l4 4-4 4" />`,
  copy: () => html`<rect x="7" y="7" width="9.5" height="9.5" rx="1.5" /><path d="M13 7V5a1.5 1.5 0 0 0-1.5-1.5H5A1.5 1.5 0 0 0 3.5 5v6.5A1.5 1.5 0 0 0 5 13h2" />`,
  down: () => html`<path d="M10 4v11.5M5.5 11l4.5 4.5 4.5-4.5" />`,
  edit: () => html`<path d="M4 16l.8-3.4L13.2 4.2a1.5 1.5 0 0 1 2.1 0l.5.5a1.5 1.5 0 0 1 0 2.1L7.4 15.2z" />`,
  eye: () => html`<path d="M2.5 10S5.3 5 10 5s7.5 5 7.5 5-2.8 5-7.5 5-7.5-5-7.5-5z" /><circle cx="10" cy="10" r="2.2" />`,
  eyeOff: () => html`<path d="M2.5 10S5.3 5 10 5s7.5 5 7.5 5-2.8 5-7.5 5-7.5-5-7.5-5zM4 16.5 16 3.5" />`,
  fit: () => html`<rect x="3" y="4.5" width="14" height="11" rx="1.5" /><path d="M6 9.5V7.5h2M14 10.5v2h-2" />`,
  form: () => html`<rect x="4" y="3" width="12" height="14" rx="1.5" /><path d="M7 7h6M7 10h6M7 13h3.5" />`,
  globe: () => html`<circle cx="10" cy="10" r="7" /><path d="M3 10h14M10 3c4 4.3 4 9.7 0 14M10 3c-4 4.3-4 9.7 0 14" />`,
  help: () => html`<circle cx="10" cy="10" r="7.2" /><path d="M7.9 7.9a2.1 2.1 0 1 1 3.1 1.9c-.7.4-1 .8-1 1.5M10 13.8v.1" />`,
  minus: () => html`<path d="M4.5 10h11" />`,
  moon: () => html`<path d="M16.5 11.8A6.9 6.9 0 0 1 8.2 3.5a6.9 6.9 0 1 0 8.3 8.3z" />`,
  panel: () => html`<rect x="3" y="4" width="14" height="12" rx="2" /><path d="M8 4v12" />`,
  picture: () => html`<rect x="3" y="4" width="14" height="12" rx="2" /><circle cx="7.2" cy="8" r="1.3" /><path d="m3.5 14 4-3.5 2.5 2 3-3.2 3.7 3.7" />`,
  plus: () => html`<path d="M10 4.5v11M4.5 10h11" />`,
  point: () => html`<circle cx="10" cy="10" r="5" /><path d="M10 2.5v4M10 13.5v4M2.5 10h4M13.5 10h4" />`,
  refresh: () => html`<path d="M16 10a6 6 0 1 1-1.9-4.4L16 7.4M16 3.8v3.6h-3.6" />`,
  search: () => html`<circle cx="9" cy="9" r="5.2" /><path d="m13 13 3.7 3.7" />`,
  send: () => html`<path d="M10 16V4.5M5 9.3l5-5 5 5" />`,
  stop: () => html`<rect x="5.5" y="5.5" width="9" height="9" rx="1.5" fill="currentColor" />`,
  sun: () => html`<circle cx="10" cy="10" r="3.2" /><path d="M10 2.5v2M10 15.5v2M2.5 10h2M15.5 10h2M4.7 4.7l1.4 1.4M13.9 13.9l1.4 1.4M4.7 15.3l1.4-1.4M13.9 6.1l1.4-1.4" />`,
  lock: () => html`<rect x="4.5" y="9" width="11" height="7.5" rx="1.5" /><path d="M7 9V6.5a3 3 0 0 1 6 0V9" />`,
  box3: () => html`<path d="M3.5 6.5h13v9a1 1 0 0 1-1 1h-11a1 1 0 0 1-1-1zM2.5 3.5h15v3h-15zM8 10h4" />`,
  left: () => html`<path d="m12 5-5 5 5 5" />`,
  right: () => html`<path d="m8 5 5 5-5 5" />`,
  film: () => html`<rect x="3" y="4.5" width="14" height="11" rx="1.5" /><path d="M7 4.5v11M13 4.5v11M3 10h14" />`,
  trash: () => html`<path d="M4 6h12M8 6V4.5a1 1 0 0 1 1-1h2a1 1 0 0 1 1 1V6M5.5 6l.7 9.2a1.5 1.5 0 0 0 1.5 1.3h4.6a1.5 1.5 0 0 0 1.5-1.3L14.5 6" />`,
  wrap: () => html`<path d="M3.5 5h13M3.5 15h4M3.5 10H14a2.5 2.5 0 0 1 0 5h-3M12.7 13.2 11 15l1.7 1.8" />`,
};

/** @param {{ name: string, size?: number }} props */
export const Icon = ({ name, size = 20 }) => html`
  <svg class="icon" width=${size} height=${size} viewBox="0 0 20 20" aria-hidden="true" focusable="false"
    fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round">
    ${paths[name]?.()}
  </svg>`;

/** The mark of weft: two threads each way, over and under. */
export const Mark = ({ size = 24 }) => html`
  <svg class="mark-logo" width=${size} height=${size} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
    <rect width="32" height="32" rx="7" fill="var(--accent)" />
    <g fill="none" stroke="var(--accent-ink)" stroke-width="3.2" stroke-linecap="round">
      <path d="M11 6.5v3M11 16.5v9M21 6.5v9.5M21 23v2.5" />
      <path d="M6.5 13h9M25 13h.5M6.5 19.5h.5M16.5 19.5h9" />
    </g>
  </svg>`;

/** Which icon stands for a kind of sample task. @param {string} kind */
export function kindIcon(kind) {
  const known = /** @type {Record<string, string>} */ ({
    html: "code", code: "code", find: "box", ground: "box", box: "box", locate: "box", "all boxes": "box", list: "form", point: "point", count: "point",
    json: "form", form: "form", ocr: "form", read: "form", video: "film", when: "film", click: "point",
  });
  return known[kind] ?? "chat";
}
