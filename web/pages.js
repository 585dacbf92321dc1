// A document's pages under the viewer: turning them, and a strip of small ones. Only pages on the screen are fetched.
import { useEffect, useRef, useState } from "preact/hooks";
import { arriving, isShut, pageOf, settle, unlock } from "./attachments.js";
import { IconButton } from "./controls.js";
import { cx, html } from "./html.js";
import { Icon } from "./icons.js";
import { t } from "./i18n/index.js";
import { citedPages, stagePage, turnTo } from "./store.js";

/** Buttons in the strip; longer documents show the neighbourhood of the page at hand. */
const STRIP_MAX = 200;
const SMALL_PX = 96;

/** @param {{ document: Picture, page: number, current: boolean, cited: boolean }} props */
function PageButton({ document, page, current, cited }) {
  const ref = useRef(/** @type {HTMLButtonElement | null} */ (null));
  const [near, setNear] = useState(false);
  const shown = near ? pageOf(document, page, SMALL_PX) : undefined;
  const words = t();
  useEffect(() => {
    const el = ref.current;
    if (!el) return undefined;
    const observer = new IntersectionObserver((entries) => setNear(entries.some((entry) => entry.isIntersecting)));
    observer.observe(el);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    if (!current) return;
    ref.current?.scrollIntoView({ block: "nearest", inline: "nearest" });
    // Keys moved on from the page before: the focus comes along.
    if (ref.current?.parentElement?.contains(window.document.activeElement)) ref.current.focus();
  }, [current]);
  return html`
    <button type="button" ref=${ref} class=${cx("page-button", cited && "cited")} tabindex=${current ? 0 : -1} aria-current=${current ? "page" : undefined}
      aria-label=${cited ? words.pageCited(page) : words.page(page)} onClick=${() => turnTo(page)}>
      ${shown && html`<img src=${shown.url} alt="" />`}<span>${page}</span>
    </button>`;
}

/** @param {{ document: Picture }} props */
export function PageStrip({ document }) {
  const count = document.pdf?.count ?? 0;
  const at = stagePage.value;
  const cited = citedPages.value;
  if (count < 2 || isShut(document)) return null;
  const first = Math.max(1, Math.min(at - STRIP_MAX / 2, count - STRIP_MAX + 1));
  /** One stop of the Tab key; arrows go from page to page. @param {KeyboardEvent} e */
  const keys = (e) => {
    const to = /** @type {Record<string, number>} */ ({ ArrowLeft: at - 1, ArrowRight: at + 1, Home: 1, End: count })[e.key];
    if (to === undefined || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault();
    turnTo(to);
  };
  const pages = Array.from({ length: Math.min(count, STRIP_MAX) }, (_, i) => first + i);
  return html`
    <div class="strip pages" role="group" aria-label=${t().pagesOfDocument} onKeyDown=${keys}>
      ${pages.map((page) => html`<${PageButton} key=${page} document=${document} page=${page} current=${page === at} cited=${cited.has(page)} />`)}
    </div>`;
}

/** In the viewer's bar: one page back, which of how many, one on. @param {{ document: Picture }} props */
export function PageTurner({ document }) {
  const count = document.pdf?.count ?? 0;
  const at = stagePage.value;
  const words = t();
  if (!count) return null;
  return html`
    <${IconButton} icon="left" label=${words.pageBack} disabled=${at <= 1} onClick=${() => turnTo(at - 1)} />
    <label class="page-at"><input type="text" inputmode="numeric" size=${String(count).length} value=${at} aria-label=${words.pageNumber}
      onChange=${(/** @type {any} */ e) => {
        const wanted = Number(e.currentTarget.value);
        if (Number.isInteger(wanted) && wanted >= 1 && wanted <= count) turnTo(wanted);
        else e.currentTarget.value = at;
      }} /><span>/ ${count}</span></label>
    <${IconButton} icon="right" label=${words.pageOn} disabled=${at >= count} onClick=${() => turnTo(at + 1)} />`;
}

/** Stands in for a page that is not here. @param {{ document: Picture, failed: boolean }} props */
export function NoPage({ document, failed }) {
  const words = t();
  const state = arriving.value.get(document.id)?.state;
  const locked = state === "locked" || (!state && isShut(document));
  return html`
    <div class="stage-gone" role="status">
      ${locked
        ? html`<${Icon} name="lock" size=${28} /><span>${words.locked}</span>
            <button type="button" class="button" onClick=${() => (state ? settle(document.id) : unlock(document))}>${words.enterPassword}</button>`
        : state ? html`<${Icon} name="form" size=${28} /><span>${document.name}</span>`
        : failed ? html`<${Icon} name="form" size=${28} /><span>${words.pageGone}</span>`
        : html`<i class="pulse"></i><span>${words.pageComes}</span>`}
    </div>`;
}
