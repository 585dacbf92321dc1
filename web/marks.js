// The marks of an answer as a list beside the prose: number, label, pixels of the original. A row and its region on the
// picture light each other.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { pageOf } from "./attachments.js";
import { CopyButton, Tabs } from "./controls.js";
import { cx, html } from "./html.js";
import { fmt, t } from "./i18n/index.js";
import { highlight } from "./markdown.js";
import { phone } from "./layout.js";
import { nameOf, Overlay } from "./overlay.js";
import { pictureOf } from "./pictures.js";
import { inPixels } from "./regions.js";
import { changeAnswer, current, focus, hot, lookAt, placeOfRegion, reveal, sheetOpen, stage } from "./store.js";

const PAGE_PX = 900;

/** @param {Region} region @param {Picture | undefined} picture @param {number} page */
function place(region, picture, page) {
  if (!picture) return "";
  if (picture.kind === "video") return "";
  if (picture.pdf) return t().pageShort(Math.max(1, page));
  const { x1, y1, x2, y2 } = inPixels(region, picture);
  return region.kind === "point" ? `${x1}, ${y1}` : `${x1}, ${y1} – ${x2}, ${y2}`;
}

/** @param {{ region: Region, turn: AnswerTurn, pictures: string[] }} props */
function Row({ region, turn, pictures }) {
  const ref = useRef(/** @type {HTMLButtonElement | null} */ (null));
  const here = stage.value?.turn === turn.id;
  const lit = here && hot.value === region.index;
  const wanted = here && reveal.value === region.index;
  useEffect(() => {
    if (!wanted) return;
    ref.current?.scrollIntoView({ block: "nearest" });
    reveal.value = null;
  }, [wanted]);
  const at = placeOfRegion(region, pictures, turn.picture);
  const shown = pictureOf(at.picture);
  return html`
    <li>
      <button type="button" ref=${ref} class=${cx("mark-row", lit && "lit")}
        onPointerMove=${(/** @type {PointerEvent} */ e) => e.pointerType === "mouse" && !lit && lookAt(turn.id, region)}
        onPointerLeave=${() => (hot.value = null)}
        onFocus=${() => lookAt(turn.id, region)} onClick=${() => lookAt(turn.id, region, true)}>
        <span class="mark-number">${region.index + 1}</span>
        <span class="mark-label">${nameOf(region)}
          ${region.fields.map(([key, value]) => html`<span class="mark-field">${key}: ${value}</span>`)}</span>
        <span class="mark-place">${place(region, shown?.picture, at.page)}</span>
      </button>
    </li>`;
}

/** On a phone the viewer is a sheet away, so the marked picture stands in the answer too. A tap opens the sheet.
 * @param {{ regions: Region[], turn: AnswerTurn, pictures: string[] }} props */
function SmallPicture({ regions, turn, pictures }) {
  const ref = useRef(/** @type {HTMLButtonElement | null} */ (null));
  const [width, setWidth] = useState(0);
  const first = placeOfRegion(regions[0], pictures, turn.picture);
  const id = first.picture ?? "";
  const whole = pictureOf(id);
  const shown = whole?.picture.kind === "pdf" ? pageOf(whole.picture, first.page, PAGE_PX) : whole;
  const here = Boolean(shown?.picture.width);
  useLayoutEffect(() => setWidth(ref.current?.clientWidth ?? 0), [here]);
  if (!shown || !here) return null;
  const scale = width / shown.picture.width;
  const room = { width, height: Math.round(shown.picture.height * scale) };
  const open = () => {
    focus.value = { picture: id, turn: turn.id, ...(first.page ? { page: first.page } : {}) };
    sheetOpen.value = true;
  };
  const inFocus = stage.value?.turn === turn.id;
  return html`
    <button type="button" ref=${ref} class="marks-picture" aria-label=${t().showPicture(shown.picture.name)} onClick=${open} style=${{ height: `${room.height}px` }}>
      <img src=${shown.url} alt="" />
      ${width > 0 && html`<${Overlay} regions=${regions.filter((r) => {
          const at = placeOfRegion(r, pictures, turn.picture);
          return at.picture === id && at.page === first.page;
        })}
        hot=${inFocus ? hot.value : null} camera=${{ scale, x: 0, y: 0, fitted: true }} picture=${shown.picture} room=${room} />`}
    </button>`;
}

/** @param {{ segment: Extract<Segment, { type: "regions" }>, turn: AnswerTurn, pictures: string[] }} props */
export function MarkList({ segment, turn, pictures }) {
  const [tab, setTab] = useState("list");
  const { regions, source, complete } = segment;
  const choose = (/** @type {string} */ picture) => {
    const id = current.peek()?.id;
    if (id) changeAnswer(id, turn.id, { picture });
    focus.value = { picture, turn: turn.id };
  };
  const chosen = turn.picture ?? pictures[0];
  return html`
    <figure class="marks">
      <figcaption>
        <${Tabs} names=${[["list", t().listTab], ["json", t().jsonTab]]} chosen=${tab} onChoose=${setTab} />
        ${regions.length > 0 && html`<span class="marks-count">${t().markCount(regions.length, fmt(regions.length))}</span>`}
        ${pictures.length > 1 && turn.state !== "running" && regions.some((region) => !region.page) && html`
          <span class="marks-pictures" role="group" aria-label=${t().onPicture}>
            ${pictures.map((id, i) => html`
              <button type="button" key=${id} aria-pressed=${id === chosen} title=${`${t().onPicture} ${i + 1}`}
                onClick=${() => choose(id)}>${i + 1}</button>`)}
          </span>`}
        <span class="spacer"></span>
        <${CopyButton} text=${() => source} />
      </figcaption>
      ${phone.value && regions.length > 0 && pictures.length > 0 && html`<${SmallPicture} regions=${regions} turn=${turn} pictures=${pictures} />`}
      ${tab === "list"
        ? html`<ol>
            ${regions.map((region) => html`<${Row} key=${region.index} region=${region} turn=${turn} pictures=${pictures} />`)}
            ${!complete && html`<li class="mark-pending">${t().locating}<i class="dots"></i></li>`}
          </ol>`
        : html`<pre tabindex="0"><code dangerouslySetInnerHTML=${{ __html: highlight(source, "json") }} /></pre>`}
    </figure>`;
}
