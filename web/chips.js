// What is attached to the draft: pictures as thumbnails; documents and clips as cards that tell how far they have come and let
// choose what of them is sent.
import { useState } from "preact/hooks";
import { arriving, isValid, settle, upload } from "./attachments.js";
import { detach } from "./chat.js";
import { IconButton } from "./controls.js";
import { cx, html } from "./html.js";
import { Icon } from "./icons.js";
import { fmt, fmtBytes, t } from "./i18n/index.js";
import { Thumb } from "./message.js";
import { changePicture, pictureOf } from "./pictures.js";
import { clock, pagesOf, secondsOf } from "./ranges.js";

const DPIS = [50, 72, 100, 150, 200];
const RATES = [0, 0.1, 0.5, 1, 2, 4];

/** How far an upload has come, and what to do when it stands still. @param {{ id: string, state: Arriving }} props */
function Arrival({ id, state }) {
  const words = t();
  const share = state.total ? Math.min(1, state.sent / state.total) : 0;
  const percent = fmt(Math.floor(share * 100));
  if (state.state === "locked") {
    return html`<p class="card-state"><${Icon} name="lock" size=${14} /><span>${words.locked}</span>
      <button type="button" class="link" onClick=${() => settle(id)}>${words.enterPassword}</button></p>`;
  }
  if (state.state === "failed") {
    return html`<p class="card-state failed" role="alert"><span>${state.why}</span>
      <button type="button" class="link" onClick=${() => upload(id)}>${words.retry}</button></p>`;
  }
  const text = state.state === "waiting" ? words.uploadWaiting(percent) : share < 1 ? words.uploading(percent) : words.opening;
  return html`
    <div class="card-state">
      <span class="card-bar" role="progressbar" aria-label=${text} aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.floor(share * 100)}>
        <i style=${{ transform: `scaleX(${share})` }}></i></span>
      <span>${text}</span>
    </div>`;
}

/** A field that keeps what is typed and hands on what is valid. @param {{ label: string, text: string, hint?: string, valid: (text: string) => boolean, onText: (text: string) => void, size: number }} props */
function Field({ label, text, hint, valid, onText, size }) {
  const [typed, setTyped] = useState(text);
  const good = valid(typed);
  return html`
    <label class="field"><span>${label}</span>
      <input type="text" style=${{ width: `${size}ch` }} value=${typed} placeholder=${hint} aria-invalid=${!good} spellcheck=${false} autocomplete="off"
        onInput=${(/** @type {any} */ e) => {
          setTyped(e.currentTarget.value);
          onText(e.currentTarget.value);
        }} /></label>`;
}

/** @param {{ label: string, value: string | number, options: [string | number, string][], onChoose: (value: string) => void }} props */
const Choice = ({ label, value, options, onChoose }) => html`
  <label class="field"><span>${label}</span>
    <select value=${String(value)} onChange=${(/** @type {any} */ e) => onChoose(e.currentTarget.value)}>
      ${options.map(([key, name]) => html`<option key=${key} value=${String(key)} selected=${String(key) === String(value)}>${name}</option>`)}
    </select></label>`;

/** @param {{ picture: Picture, pdf: PdfChoice }} props */
function PdfFields({ picture, pdf }) {
  const words = t();
  const change = (/** @type {Partial<PdfChoice>} */ some) => changePicture(picture.id, { pdf: { ...pdf, ...some } });
  const shrunk = picture.maxPixels !== undefined;
  const size = (/** @type {string} */ value) => changePicture(picture.id, { maxPixels: undefined, pdf: { ...pdf, dpi: Number(value) } });
  return html`
    <div class="card-fields">
      <${Field} label=${words.pagesField} text=${pdf.range} hint=${pdf.count > 1 ? `1-${pdf.count}` : "1"} size=${14}
        valid=${(/** @type {string} */ text) => pagesOf(text, pdf.count) !== null} onText=${(/** @type {string} */ range) => change({ range })} />
      <${Choice} label=${words.modeField} value=${pdf.mode} onChoose=${(/** @type {any} */ mode) => change({ mode })}
        options=${[["both", words.modeBoth], ["pages", words.modePages], ["text", words.modeText]]} />
      ${pdf.mode !== "text" && html`<${Choice} label=${words.sizeField} value=${shrunk ? "fit" : pdf.dpi} onChoose=${size}
        options=${[...(shrunk ? [["fit", words.sizeFit]] : []), ...DPIS.map((dpi) => [dpi, words.dpi(dpi)])]} />`}
      <label class="field check"><input type="checkbox" checked=${pdf.cite} onChange=${(/** @type {any} */ e) => change({ cite: e.currentTarget.checked })} />
        <span>${words.citeField}</span></label>
      ${pagesOf(pdf.range, pdf.count) === null && html`<p class="field-wrong" role="alert">${words.rangeWrong(pdf.count)}</p>`}
    </div>`;
}

/** @param {{ picture: Picture, video: VideoChoice }} props */
function VideoFields({ picture, video }) {
  const words = t();
  const change = (/** @type {Partial<VideoChoice>} */ some) => changePicture(picture.id, { video: { ...video, ...some } });
  const time = (/** @type {string} */ text) => (text.trim() ? secondsOf(text) : 0);
  const good = (/** @type {string} */ text) => time(text) !== null && (!video.duration || Number(time(text)) <= video.duration);
  return html`
    <div class="card-fields">
      <${Field} label=${words.fromField} text=${video.from ? clock(video.from) : ""} hint="0:00" size=${10} valid=${good}
        onText=${(/** @type {string} */ text) => good(text) && change({ from: Number(time(text)) })} />
      <${Field} label=${words.toField} text=${video.to ? clock(video.to) : ""} hint=${video.duration ? clock(video.duration) : words.theEnd} size=${10} valid=${good}
        onText=${(/** @type {string} */ text) => good(text) && change({ to: Number(time(text)) })} />
      <${Choice} label=${words.rateField} value=${video.fps} onChoose=${(/** @type {string} */ fps) => change({ fps: Number(fps) })}
        options=${RATES.map((rate) => [rate, rate ? words.fps(String(rate)) : words.fpsAuto])} />
      ${!isValid(picture) && html`<p class="field-wrong" role="alert">${words.timesWrong}</p>`}
    </div>`;
}

/** @param {{ picture: Picture, state: Arriving | undefined }} props */
function Card({ picture, state }) {
  const words = t();
  const { id, name, pdf, video } = picture;
  const bytes = picture.file?.bytes ?? state?.total ?? 0;
  const facts = [
    pdf && pdf.count > 0 && words.pageCount(pdf.count, fmt(pdf.count)), video && video.duration > 0 && clock(video.duration), bytes > 0 && fmtBytes(bytes),
  ].filter(Boolean).join(" · ");
  return html`
    <section class="card" aria-label=${name}>
      <${Thumb} id=${id} turn=${null} size="small" />
      <div class="card-main">
        <p class="card-name"><span title=${name}>${name}</span><small>${facts}</small></p>
        ${state && html`<${Arrival} id=${id} state=${state} />`}
        ${!state && pdf && html`<${PdfFields} picture=${picture} pdf=${pdf} />`}
        ${!state && video && html`<${VideoFields} picture=${picture} video=${video} />`}
      </div>
      <${IconButton} icon="close" size=${16} class="card-remove" onClick=${() => detach(id)}
        label=${state?.state === "sending" || state?.state === "waiting" ? words.cancelUpload(name) : words.removePicture(name)} />
    </section>`;
}

/** @param {{ id: string }} props */
export function Chip({ id }) {
  const picture = pictureOf(id)?.picture;
  const state = arriving.value.get(id);
  if (picture?.kind) return html`<${Card} picture=${picture} state=${state} />`;
  const name = picture?.name ?? "";
  return html`
    <span class=${cx("draft-picture", state && "arriving")}>
      <${Thumb} id=${id} turn=${null} size="small" />
      ${state && html`<span class="draft-percent">${state.state === "failed"
        ? html`<button type="button" class="link" onClick=${() => upload(id)} title=${state.why}>${t().retry}</button>`
        : t().percent(fmt(state.total ? Math.floor((100 * state.sent) / state.total) : 0))}</span>`}
      <button type="button" class="draft-remove" aria-label=${t().removePicture(name)} title=${t().removePicture(name)}
        onClick=${() => detach(id)}><${Icon} name="close" size=${12} /></button>
    </span>`;
}
