// The turns of a conversation: quiet questions with their pictures, answers as prose, marks and code, and under them
// what they cost and what can be done with them.
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { askChanged, regenerate } from "./chat.js";
import { CodeBlock } from "./code.js";
import { CopyButton, IconButton, useTick, WithCode } from "./controls.js";
import { cx, html } from "./html.js";
import { Icon } from "./icons.js";
import { fmt, fmtRate, fmtSeconds, fmtTime, t } from "./i18n/index.js";
import { blocksOf } from "./markdown.js";
import { MarkList } from "./marks.js";
import { pictureOf } from "./pictures.js";
import { ProgressLine } from "./progress.js";
import { clock } from "./ranges.js";
import { segmentsOf } from "./regions.js";
import { currentRun, focus, lookAtPage, lookAtTime, runOf, sheetOpen, stage, withCalls } from "./store.js";

/** @param {{ id: string, turn: string | null, size: "small" | "large" }} props */
export function Thumb({ id, turn, size }) {
  const shown = pictureOf(id);
  if (shown === null) return html`<span class=${cx("thumb", size, "gone")} title=${t().pictureGone}><${Icon} name="picture" /></span>`;
  if (!shown) return html`<span class=${cx("thumb", size)}></span>`;
  const { name, width, height, kind, pdf, video } = shown.picture;
  const badge = kind === "pdf" ? `PDF${size === "large" && pdf && pdf.count > 1 ? ` ${fmt(pdf.count)}` : ""}` : video ? (video.duration ? clock(video.duration) : "▶") : "";
  const look = () => {
    focus.value = { picture: id, turn };
    sheetOpen.value = true;
  };
  return html`
    <button type="button" class=${cx("thumb", size, kind && "file")} aria-label=${t().showPicture(name)} title=${kind ? name : `${name} · ${width} × ${height}`}
      aria-current=${stage.value?.picture === id ? "true" : undefined} onClick=${look}>
      ${width > 0
        ? html`<img src=${shown.url} alt="" style=${{ aspectRatio: `${width} / ${height}` }} />`
        : html`<span class="thumb-blank"><${Icon} name=${kind === "video" ? "film" : pdf?.encrypted ? "lock" : "form"} size=${22} /></span>`}
      ${badge && html`<span class="thumb-badge">${badge}</span>`}
    </button>`;
}

/** @param {{ turn: UserTurn, answer: string | null }} props */
export function Question({ turn, answer }) {
  const [editing, setEditing] = useState(false);
  return html`
    <article class="question" aria-label=${t().you}>
      ${turn.pictures.length > 0 && html`
        <div class="question-pictures">
          ${turn.pictures.map((id) => html`<${Thumb} key=${id} id=${id} turn=${answer} size="large" />`)}
        </div>`}
      ${editing
        ? html`<${Editor} turn=${turn} onDone=${() => setEditing(false)} />`
        : turn.text && html`<div class="question-text">${turn.text}</div>`}
      ${!editing && html`
        <div class="turn-actions">
          ${turn.text && html`<${CopyButton} text=${() => turn.text} />`}
          <${IconButton} icon="edit" label=${t().edit} disabled=${currentRun.value !== null} onClick=${() => setEditing(true)} />
        </div>`}
    </article>`;
}

/** @param {{ turn: UserTurn, onDone: () => void }} props */
function Editor({ turn, onDone }) {
  const [text, setText] = useState(turn.text);
  const area = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  // Before the first paint: keys typed at once belong to it.
  useLayoutEffect(() => {
    const el = area.current;
    el?.focus();
    el?.setSelectionRange(el.value.length, el.value.length);
  }, []);
  const send = () => {
    if (!text.trim() && !turn.pictures.length) return;
    onDone();
    askChanged(turn.id, text.trim());
  };
  /** @param {KeyboardEvent} e */
  const keys = (e) => {
    if (e.key === "Escape") {
      e.stopPropagation();
      onDone();
    } else if (e.key === "Enter" && !e.shiftKey && !e.isComposing) {
      e.preventDefault();
      send();
    }
  };
  return html`
    <div class="editor">
      <textarea ref=${area} class="growing" rows="1" aria-label=${t().edit} value=${text} onKeyDown=${keys}
        onInput=${(/** @type {any} */ e) => setText(e.currentTarget.value)}></textarea>
      <div class="editor-actions">
        <button type="button" class="button" onClick=${onDone}>${t().cancel}</button>
        <button type="button" class="button primary" onClick=${send}>${t().saveAsk}</button>
      </div>
    </div>`;
}

/** @param {{ text: string, ms: number, from: number, live: boolean }} props */
function Reasoning({ text, ms, from, live }) {
  const [open, setOpen] = useState(false);
  useTick(live, 500);
  const time = live ? fmtSeconds(performance.now() - from) : fmtTime(ms);
  // The thought of the moment stands beside the counter while the line is folded.
  const tail = live && !open ? (text.trim().split("\n").at(-1) ?? "").slice(-160) : "";
  const blocks = open ? blocksOf(text) : [];
  return html`
    <section class=${cx("reasoning", live && "live")}>
      <button type="button" aria-expanded=${open} onClick=${() => setOpen(!open)}>
        <${Icon} name="chevron" size=${16} />
        <span class="reasoning-time">${live ? t().thinking(time) : t().thought(time)}</span>
        ${tail && html`<span class="reasoning-tail"><bdi>${tail}</bdi></span>`}
      </button>
      ${open && html`<div class="reasoning-text prose">
        ${blocks.map((b, i) => html`<${BlockView} key=${i} block=${b} live=${false} />`)}</div>`}
    </section>`;
}

/** @param {{ block: import("./markdown.js").Block, live: boolean }} props */
function BlockView({ block, live }) {
  if (block.type === "code") return html`<${CodeBlock} code=${block.code} language=${block.language} live=${live} />`;
  return html`<div class="block" dangerouslySetInnerHTML=${{ __html: block.html }} />`;
}

/** @param {{ turn: AnswerTurn, text: string, calls: ToolCall[], live: boolean, pictures: string[] }} props */
function Body({ turn, text, calls, live, pictures }) {
  const segments = useMemo(() => segmentsOf(withCalls(text, calls), live), [text, calls, live]);
  const kinds = pictures.map((id) => pictureOf(id)?.picture.kind);
  const links = { pages: kinds.includes("pdf"), times: kinds.includes("video") };
  return segments.map((segment, s) => {
    if (segment.type === "regions") {
      return html`<${MarkList} key=${`m${s}`} segment=${segment} turn=${turn} pictures=${pictures} />`;
    }
    const blocks = blocksOf(segment.text, links);
    const last = s === segments.length - 1;
    return blocks.map((block, i) => html`
      <${BlockView} key=${`${s}.${i}`} block=${block} live=${live && last && i === blocks.length - 1} />`);
  });
}

/** What to do about a failure. @param {Failure} error */
function advice(error) {
  const words = t();
  if (error.code === "offline") return words.offlineDo;
  if (error.code === "stream") return words.streamDo;
  if (error.code === "empty") return words.emptyDo;
  if (error.code === "context_length_exceeded") return words.contextDo;
  if (error.status === 429 || error.status === 503) return words.busyDo;
  return error.status >= 500 ? words.serverDo : "";
}

/** @param {{ turn: AnswerTurn, error: Failure }} props */
function FailureNote({ turn, error }) {
  const words = t();
  const known = { offline: words.offline, stream: words.streamBroke, empty: words.emptyAnswer }[error.code];
  return html`
    <div class="failure" role="alert">
      <${Icon} name="alert" />
      <div>
        <p class="failure-what">${error.message || known || words.streamBroke}</p>
        ${advice(error) && html`<p class="failure-do"><${WithCode} text=${advice(error)} /></p>`}
        <button type="button" class="button" onClick=${() => regenerate(turn.id)}>${words.retry}</button>
      </div>
    </div>`;
}

/** @param {{ turn: AnswerTurn }} props */
function Cost({ turn }) {
  const words = t();
  const { usage, timings } = turn;
  const cached = usage?.prompt_tokens_details?.cached_tokens ?? 0;
  const parts = [
    usage && words.tokens(fmt(usage.completion_tokens)),
    timings?.tokens_per_s && words.rate(fmtRate(timings.tokens_per_s)),
    timings?.first_token_ms && words.first(fmtTime(timings.first_token_ms)),
    usage && words.promptTokens(fmt(usage.prompt_tokens)),
    cached > 0 && words.cachedTokens(fmt(cached)),
    turn.model,
  ].filter(Boolean);
  return html`<span class="cost">${parts.map((part) => html`<span>${part}</span>`)}</span>`;
}

/** Links of an answer that lead into the page: cited pages, and times of a clip. @param {AnswerTurn} turn @returns {(e: MouseEvent) => void} */
const followLink = (turn) => (e) => {
  const href = (e.target instanceof Element ? e.target.closest("a") : null)?.getAttribute("href") ?? "";
  if (!href.startsWith("#")) return;
  e.preventDefault();
  const wanted = new URLSearchParams(href.slice(1));
  const box = wanted.get("box")?.split(",").map(Number) ?? null;
  if (wanted.has("page")) lookAtPage(turn.id, Number(wanted.get("page")), wanted.get("file") ?? "", box?.length === 4 && box.every(Number.isFinite) ? box : null);
  if (wanted.has("from")) lookAtTime(turn.id, Number(wanted.get("from")) || 0, wanted.has("to") ? Number(wanted.get("to")) : null);
};

/** @param {{ turn: AnswerTurn, pictures: string[], last: boolean }} props */
export function Answer({ turn, pictures, last }) {
  const run = runOf(turn.id);
  const live = run !== null;
  const text = run ? run.text.value : turn.text;
  const reasoning = run ? run.reasoning.value : turn.reasoning;
  const calls = run ? run.toolCalls.value : turn.toolCalls;
  const thinking = run !== null && run.thinking.from > 0 && run.thinking.to === 0;
  const ms = run ? run.thinking.to - run.thinking.from : turn.reasoningMs;
  return html`
    <article class=${cx("answer", last && "last")} aria-label=${t().answer} aria-busy=${live}>
      ${reasoning && html`<${Reasoning} text=${reasoning} ms=${ms} from=${run?.thinking.from ?? 0} live=${thinking} />`}
      <div class="prose" onClick=${followLink(turn)}><${Body} turn=${turn} text=${text} calls=${calls} live=${live} pictures=${pictures} /></div>
      ${run && html`<${ProgressLine} run=${run} thinking=${thinking} />`}
      ${turn.state === "failed" && turn.error && html`<${FailureNote} turn=${turn} error=${turn.error} />`}
      ${turn.state === "stopped" && !live && html`<p class="turn-note">${t().stopped}</p>`}
      ${turn.finish === "length" && !live && html`<p class="turn-note">${t().cutShort}</p>`}
      ${!live && html`
        <div class="turn-actions">
          ${text && html`<${CopyButton} text=${() => text} />`}
          ${turn.state !== "failed" && html`<${IconButton} icon="refresh" label=${t().regenerate} disabled=${currentRun.value !== null}
            onClick=${() => regenerate(turn.id)} />`}
          <${Cost} turn=${turn} />
        </div>`}
    </article>`;
}
