// Under a clip: make it searchable, see how far that is, search it by words. A result is a range of time with what the model saw in
// it; a click plays it.
import { useEffect, useRef, useState } from "preact/hooks";
import { clearSearch, indexes, isAtWork, momentOf, searches, searchIn, startIndex, stopIndex, watchIndex } from "./indexes.js";
import { IconButton } from "./controls.js";
import { cx, html } from "./html.js";
import { Icon } from "./icons.js";
import { fmt, fmtSeconds, t } from "./i18n/index.js";
import { clock } from "./ranges.js";
import { model, seek } from "./store.js";

/** How far the index is. @param {{ file: string, index: VideoIndex }} props */
function Making({ file, index }) {
  const words = t();
  const { done, total } = index.segments;
  const share = total ? done / total : 0;
  const left = index.seconds_left !== null && index.seconds_left >= 1 ? words.left(fmtSeconds(index.seconds_left * 1000)) : "";
  const text = index.error ? words.indexWaits : total ? words.indexing(fmt(done), fmt(total)) : words.indexBegins;
  return html`
    <div class="finder-state" role="status">
      <span class="card-bar" role="progressbar" aria-label=${text} aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.floor(share * 100)}>
        <i style=${{ transform: `scaleX(${share})` }}></i></span>
      <span>${[text, left].filter(Boolean).join(" · ")}</span>
      <button type="button" class="link" onClick=${() => stopIndex(file)}>${words.stopIndex}</button>
    </div>`;
}

/** What a caption says, without the boxes that a model may have put around it. @param {string} caption */
export function plainCaption(caption) {
  if (!/^\s*(```json)?\s*\[?\s*\{/.test(caption)) return caption;
  const labels = [...caption.matchAll(/"(?:label|text|text_content)"\s*:\s*"((?:[^"\\]|\\.)*)"/g)].map((match) => match[1]);
  return labels.length ? [...new Set(labels)].join(", ") : caption;
}

/** @param {{ range: FoundRange, url: string }} props */
function Found({ range, url }) {
  const words = t();
  const label = `${clock(range.start)} – ${clock(range.end)}`;
  const moment = momentOf(url, (range.start + range.end) / 2);
  const caption = plainCaption(range.caption);
  return html`
    <li><button type="button" class="found" aria-label=${`${words.playFrom(label)}: ${caption}`}
      onClick=${() => (seek.value = { from: range.start, to: range.end })}>
      <span class=${cx("found-picture", moment === null && "none")}>${moment ? html`<img src=${moment} alt="" />` : html`<${Icon} name="film" size=${18} />`}</span>
      <span class="found-text"><b>${label}</b>${range.confirmed && html`<small class="found-sure"><${Icon} name="check" size=${13} />${range.match === "meaning" ? words.seenAlike : words.seenAgain}</small>`}
        <span title=${caption}>${caption}</span></span>
    </button></li>`;
}

/** @param {{ file: string, url: string }} props */
function Search({ file, url }) {
  const words = t();
  const search = searches.value.get(file);
  const [typed, setTyped] = useState(search?.query ?? "");
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  const busy = search && search.state !== "done";
  const submit = (/** @type {Event} */ e) => {
    e.preventDefault();
    if (typed.trim()) searchIn(file, typed.trim(), false);
  };
  const clear = () => {
    clearSearch(file);
    setTyped("");
    field.current?.focus();
  };
  return html`
    <form class="finder-search" role="search" onSubmit=${submit}>
      <${Icon} name="search" size=${16} />
      <input ref=${field} type="search" value=${typed} maxlength="300" placeholder=${words.searchClip} aria-label=${words.searchClip} autocomplete="off" spellcheck=${false}
        onInput=${(/** @type {any} */ e) => setTyped(e.currentTarget.value)}
        onKeyDown=${(/** @type {KeyboardEvent} */ e) => e.key === "Escape" && (e.stopPropagation(), clear())} />
      ${(search || typed) && html`<${IconButton} icon="close" size=${16} label=${words.clearSearch} onClick=${clear} />`}
      <button type="submit" class="button" disabled=${!typed.trim()}>${words.searchDo}</button>
    </form>
    ${search?.fault && html`<p class="field-wrong" role="alert">${search.fault}</p>`}
    ${search && !search.fault && html`
      <p class="finder-about" role="status">
        ${busy ? html`<span class="pulse"></span><span class="dots">${search.state === "closer" ? words.lookingAgain : words.searching}</span>`
          : search.ranges.length ? words.foundCount(search.ranges.length, fmt(search.ranges.length)) : words.foundNone}
        ${!busy && !search.ranges.length && isAtWork(search.index) && html` <span>${words.foundSoFar}</span>`}
        ${!busy && search.ranges.length > 0 && !search.closer && html`
          <button type="button" class="link" title=${words.lookAgainAbout} onClick=${() => searchIn(file, search.query, true)}>${words.lookAgain}</button>`}
        ${!busy && !search.ranges.length && !search.closer && html` <button type="button" class="link" title=${words.lookAlikeAbout}
          onClick=${() => searchIn(file, search.query, true)}>${words.lookAlike}</button>`}
      </p>`}
    ${search && search.ranges.length > 0 && html`
      <ul class="found-list" aria-label=${words.searchClip} aria-busy=${Boolean(busy)}>
        ${search.ranges.map((range) => html`<${Found} key=${`${range.start}-${range.end}`} range=${range} url=${url} />`)}
      </ul>`}`;
}

/** @param {{ picture: Picture, url: string }} props  url: where the clip plays from, empty when this browser cannot play it */
export function Finder({ picture, url }) {
  const words = t();
  const file = picture.file?.id ?? "";
  useEffect(() => (file ? watchIndex(file) : undefined), [file]);
  const known = indexes.value.get(file);
  if (!file || !known) return null;
  const { index, fault } = known;
  const sees = model.value?.weft?.vision !== false;
  const status = index?.status;
  return html`
    <section class="finder" aria-label=${words.finder}>
      ${!index && html`
        <div class="finder-state"><button type="button" class="button" disabled=${!sees} onClick=${() => startIndex(file, model.peek()?.id ?? "")}>
          <${Icon} name="search" size=${16} />${words.makeIndex}</button><span>${words.indexAbout}</span></div>`}
      ${isAtWork(index) && html`<${Making} file=${file} index=${index} />`}
      ${(status === "failed" || status === "cancelled") && html`
        <div class="finder-state"><span class=${cx(status === "failed" && "failed")}>${status === "failed" ? index?.error?.message : words.indexStopped(fmt(index?.segments.done ?? 0), fmt(index?.segments.total ?? 0))}</span>
          <button type="button" class="link" onClick=${() => startIndex(file, "")}>${status === "failed" ? words.retry : words.goOn}</button></div>`}
      ${fault && html`<p class="field-wrong" role="alert">${fault}</p>`}
      ${index && index.segments.done > 0 && html`<${Search} key=${index.id} file=${file} url=${url} />`}
    </section>`;
}
