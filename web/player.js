// A clip beside the conversation: the browser's own player, and under it the times that the answer names or a search has found, as
// bars. What this
// browser cannot play says so; the model sees it all the same.
import { useEffect, useRef, useState } from "preact/hooks";
import { clipUrl } from "./attachments.js";
import { Finder } from "./finder.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";
import { t } from "./i18n/index.js";
import { clock } from "./ranges.js";
import { searches } from "./indexes.js";
import { seek, timesInFocus } from "./store.js";

const BAR_MIN = 0.6; // percent of the line, so that a moment can be hit

/** @param {{ picture: Picture }} props */
export function Player({ picture }) {
  const ref = useRef(/** @type {HTMLVideoElement | null} */ (null));
  const until = useRef(/** @type {number | null} */ (null));
  const [duration, setDuration] = useState(picture.video?.duration ?? 0);
  const [broken, setBroken] = useState(false);
  const words = t();
  const wish = seek.value;
  const search = searches.value.get(picture.file?.id ?? "");
  // What was found last stands on the line; else what the answer names.
  const times = search?.ranges.length ? search.ranges.map(({ start, end }, index) => ({ from: start, to: end, index })) : timesInFocus.value;

  useEffect(() => {
    const video = ref.current;
    if (!wish || !video) return undefined;
    const go = () => {
      seek.value = null;
      until.current = wish.to;
      video.currentTime = wish.from;
      if (wish.to !== null) video.play().catch(() => {});
    };
    if (video.readyState >= 1) return void go();
    video.addEventListener("loadedmetadata", go, { once: true });
    return () => video.removeEventListener("loadedmetadata", go);
  }, [wish, picture.id]);

  const stopAtEnd = () => {
    const video = ref.current;
    if (video && until.current !== null && video.currentTime >= until.current) {
      until.current = null;
      video.pause();
    }
  };
  const url = clipUrl(picture);
  return html`
    <div class="stage player">
      ${(broken || !url) && html`<p class="stage-gone"><${Icon} name="film" size=${28} /><span>${words.cannotPlay}</span></p>`}
      ${url && html`<video ref=${ref} src=${url} controls playsinline preload="metadata" hidden=${broken} aria-label=${picture.name}
        onError=${() => setBroken(true)} onTimeUpdate=${stopAtEnd}
        onLoadedMetadata=${(/** @type {any} */ e) => Number.isFinite(e.currentTarget.duration) && setDuration(e.currentTarget.duration)}></video>`}
    </div>
    ${times.length > 0 && duration > 0 && html`
      <div class="times" role="group" aria-label=${search?.ranges.length ? words.timesFound : words.timesOf}>
        ${times.map(({ from, to, index }) => {
          const label = to === null ? clock(from) : `${clock(from)} – ${clock(to)}`;
          const left = Math.min(100 - BAR_MIN, (100 * from) / duration);
          const width = Math.max(BAR_MIN, Math.min(100 - left, (100 * ((to ?? from) - from)) / duration));
          return html`<button type="button" key=${index} title=${label} aria-label=${words.playFrom(label)}
            style=${{ left: `${left}%`, width: `${width}%` }} onClick=${() => (seek.value = { from, to })}></button>`;
        })}
      </div>`}
    <${Finder} picture=${picture} url=${broken ? "" : url} />
    <div class="viewer-bar"><span class="viewer-size">${[picture.name, duration > 0 && clock(duration)].filter(Boolean).join(" · ")}</span></div>`;
}
