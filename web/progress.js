// The one slim line that says what is happening from the first byte sent to the first token, with the server's numbers.
import { useTick } from "./controls.js";
import { html } from "./html.js";
import { fmt, fmtBytes, fmtSeconds, t } from "./i18n/index.js";

/** What the line says and how full it is; a share of null means unknown.
 * @param {Progress | null} p @param {number} pictures @param {boolean} [thinking] @returns {{ text: string, share: number | null }} */
export function describe(p, pictures, thinking = false) {
  const words = t();
  if (!p) return { text: words.sending(""), share: null };
  const known = p.total > 0 ? Math.min(1, p.done / p.total) : null;
  const left = p.eta_ms !== null && p.eta_ms >= 1000 ? words.left(fmtSeconds(p.eta_ms)) : "";
  switch (p.stage) {
    case "sending":
      return { text: words.sending(p.total > 20_000 ? fmtBytes(p.total) : ""), share: null };
    case "queued":
      return { text: words.queued, share: null };
    case "decode":
      return { text: words.decode(pictures), share: known };
    case "vision": {
      const count = p.unit === "layers" ? words.visionDone(fmt(p.done), fmt(p.total)) : words.visionImages(fmt(p.done), fmt(p.total));
      return { text: [words.vision(pictures), p.total > 0 ? count : "", left && `· ${left}`].filter(Boolean).join(" "), share: known };
    }
    case "prefill": {
      const detail = [known === null ? "" : words.percent(fmt(known * 100)), left].filter(Boolean).join(", ");
      return { text: words.prefill(fmt(p.total)) + (detail ? ` (${detail})` : ""), share: known };
    }
    case "generate":
      return { text: [thinking ? words.reasoning : words.generate, p.done > 0 ? `· ${words.tokens(fmt(p.done))}` : ""].filter(Boolean).join(" "), share: null };
    default:
      return { text: thinking ? words.reasoning : words.generate, share: null };
  }
}

/** @param {{ run: import("./store.js").Run, thinking: boolean }} props */
export function ProgressLine({ run, thinking }) {
  useTick(true, 1000);
  const { text, share } = describe(run.progress.value, run.pictures, thinking);
  const elapsed = performance.now() - run.started;
  return html`
    <div class="progress">
      <div class="progress-bar" role="progressbar" aria-label=${text} aria-valuemin="0" aria-valuemax="100"
        aria-valuenow=${share === null ? undefined : Math.round(share * 100)}>
        <i class=${share === null ? "unknown" : ""} style=${share === null ? {} : { transform: `scaleX(${share})` }}></i>
      </div>
      <span class="progress-text">${text}</span>
      ${elapsed > 2000 && html`<span class="progress-time">${fmtSeconds(elapsed)}</span>`}
    </div>`;
}
