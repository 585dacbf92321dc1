// Where a question is written: pictures, text, send and stop.
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { attach, canSend, sendDraft, stop } from "./chat.js";
import { Chip } from "./chips.js";
import { IconButton } from "./controls.js";
import { kept } from "./db.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";
import { fmt, fmtTime, t } from "./i18n/index.js";
import { pictureOf } from "./pictures.js";
import { plan, planFault, shrink } from "./plan.js";
import { current, currentRun, draftPictures, draftText, model, notice, openId } from "./store.js";

/** @type {HTMLInputElement | null} */
let picker = null;
/** @type {HTMLTextAreaElement | null} */
let writing = null;

/** Opens the system's file dialog. Must run inside a key or pointer event. */
export const pickFiles = () => picker?.click();

export const focusComposer = () => writing?.focus();

const touch = matchMedia("(hover: none)");

/** Tokens and time of the draft, or that it does not fit. */
function PlanLine() {
  const known = plan.value;
  if (!known) return planFault.value && html`<p class="composer-plan over" role="status">${planFault.value}</p>`;
  const time = known.seconds ? fmtTime(known.seconds.total * 1000) : "";
  return html`<p class=${known.fits ? "composer-plan" : "composer-plan over"} role="status">
    ${t().planLine(fmt(known.prompt_tokens), fmt(known.context_length), time, known.fits)}
    ${known.suggestion && html` <button type="button" class="link" onClick=${() => shrink(known.suggestion?.max_pixels ?? 0)}>
      ${t().planShrink(fmt(known.suggestion.prompt_tokens))}</button>`}</p>`;
}

export function Composer() {
  const area = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  const text = draftText.value;
  const pictures = draftPictures.value;
  const running = currentRun.value !== null;
  const chosen = model.value;
  const sees = chosen?.weft?.vision !== false;
  // A document's text is for every model.
  const blind = chosen && !sees && pictures.some((id) => pictureOf(id)?.picture.kind !== "pdf") ? t().noVision(chosen.id) : "";
  const said = notice.value || blind || (kept.value ? "" : t().notKept);

  // Grows with its text where the browser does not do it by itself.
  useLayoutEffect(() => {
    const el = area.current;
    if (!el || CSS.supports("field-sizing", "content")) return;
    el.style.height = "auto";
    el.style.height = `${el.scrollHeight}px`;
  }, [text]);

  // On a touch screen focus would bring up the keyboard unasked.
  useEffect(() => {
    writing = area.current;
    if (!touch.matches) area.current?.focus();
  }, [openId.value, pictures.length]);

  /** @param {KeyboardEvent} e */
  const keys = (e) => {
    // While an input method is composing, Enter belongs to it (229: Safari says so after the composition's end).
    if (e.key !== "Enter" || e.shiftKey || e.isComposing || e.keyCode === 229) return;
    e.preventDefault();
    if (canSend()) sendDraft();
  };

  return html`
    <form class="composer" onSubmit=${(/** @type {Event} */ e) => (e.preventDefault(), sendDraft())}>
      ${said && html`<p class="composer-notice" role="status"><${Icon} name="alert" size=${16} /><span>${said}</span>
        ${notice.value && html`<${IconButton} icon="close" size=${14} label=${t().close} onClick=${() => (notice.value = "")} />`}</p>`}
      <div class="composer-box">
        ${pictures.length > 0 && html`<div class="draft-pictures">
          ${pictures.map((id) => html`<${Chip} key=${id} id=${id} />`)}</div>`}
        <div class="composer-line">
          <${IconButton} icon="picture" label=${`${t().attach} (Ctrl+O)`} onClick=${pickFiles} size=${20} />
          <textarea ref=${area} class="growing" rows="1" value=${text} aria-label=${t().ask}
            placeholder=${current.value ? t().askMore : sees ? t().ask : t().askText} onKeyDown=${keys}
            onInput=${(/** @type {any} */ e) => (draftText.value = e.currentTarget.value)}></textarea>
          ${running
            ? html`<button type="button" class="round stop" aria-label=${t().stop} title=${`${t().stop} (Esc)`} onClick=${stop}><${Icon} name="stop" /></button>`
            : html`<button type="submit" class="round send" aria-label=${t().send} title=${t().send} disabled=${!canSend()}><${Icon} name="send" /></button>`}
        </div>
      </div>
      <input type="file" hidden multiple accept="image/*,video/*,application/pdf,.pdf,.mkv,.avi,.ts" tabindex="-1" ref=${(/** @type {HTMLInputElement | null} */ el) => (picker = el)}
        onChange=${(/** @type {any} */ e) => {
          attach([...e.currentTarget.files]);
          e.currentTarget.value = "";
        }} />
      <${PlanLine} />
      <p class="composer-hint">${t().hintKeys}</p>
    </form>`;
}
