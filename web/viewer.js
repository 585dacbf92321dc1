// The picture beside the conversation, as large as the window allows: zoom to the pointer, pan, fit, one to one, by
// mouse, touch and keys; marks of the answer in focus over it.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { pageOf } from "./attachments.js";
import { centreOn, fit, pan, regionAt, zoomTo } from "./camera.js";
import { IconButton } from "./controls.js";
import { cx, html } from "./html.js";
import { Icon } from "./icons.js";
import { fmt, t } from "./i18n/index.js";
import { phone } from "./layout.js";
import { Thumb } from "./message.js";
import { Overlay } from "./overlay.js";
import { NoPage, PageStrip, PageTurner } from "./pages.js";
import { pictureOf } from "./pictures.js";
import { Player } from "./player.js";
import { centre, current, draftPictures, hot, marks, marksShown, picturesIn, reveal, sheetOpen, stage, stagePage, turnTo } from "./store.js";

/** Pages are drawn so wide: readable when zoomed, quick on the way. */
const PAGE_PX = 1400;

const STEP = 1.25;
const PAN_PX = 60;
const MOVE_MS = 140;
const CLICK_PX = 4;
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** @typedef {import("./camera.js").Camera} Camera */

/**
 * The camera of one picture in one window, with a short glide between places.
 * @param {Picture | undefined} picture
 */
function useCamera(picture) {
  const stageRef = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [room, setRoom] = useState({ width: 0, height: 0 });
  const [camera, setCamera] = useState(/** @type {Camera | null} */ (null));
  const latest = useRef(/** @type {Camera | null} */ (null));
  const frame = useRef(0);
  latest.current = camera;

  useLayoutEffect(() => {
    const el = stageRef.current;
    if (!el) return undefined;
    const measure = () => setRoom({ width: el.clientWidth, height: el.clientHeight });
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(el);
    return () => observer.disconnect();
  }, []);

  useLayoutEffect(() => {
    cancelAnimationFrame(frame.current);
    if (picture && room.width > 0) setCamera(fit(picture, room));
  }, [picture?.id]);

  useLayoutEffect(() => {
    if (!picture || room.width === 0) return;
    setCamera((c) => (!c || c.fitted ? fit(picture, room) : pan(c, 0, 0, picture, room)));
  }, [room.width, room.height]);

  /** @param {Camera} to @param {boolean} [glide] */
  const go = (to, glide = false) => {
    cancelAnimationFrame(frame.current);
    const from = latest.current;
    if (!glide || still.matches || !from) {
      latest.current = to;
      setCamera(to);
      return;
    }
    const start = performance.now();
    const step = (/** @type {number} */ now) => {
      const part = Math.min(1, (now - start) / MOVE_MS);
      const eased = 1 - (1 - part) ** 3;
      const mix = (/** @type {number} */ a, /** @type {number} */ b) => a + (b - a) * eased;
      setCamera(part < 1 ? { scale: mix(from.scale, to.scale), x: mix(from.x, to.x), y: mix(from.y, to.y), fitted: false } : to);
      if (part < 1) frame.current = requestAnimationFrame(step);
    };
    frame.current = requestAnimationFrame(step);
  };
  return { stageRef, room, camera, latest, go };
}

/**
 * Pointers on the stage: drag pans, two fingers zoom, a click chooses a region, hovering lights one.
 * @param {ReturnType<typeof useCamera>} view @param {Picture | undefined} picture @param {Region[]} regions
 * @param {(at: { x: number, y: number } | null) => void} onHover in pixels of the original
 */
function usePointers(view, picture, regions, onHover) {
  const fingers = useRef(/** @type {Map<number, { x: number, y: number }>} */ (new Map()));
  const moved = useRef(0);
  const { stageRef, room, latest, go } = view;

  /** @param {{ clientX: number, clientY: number }} e */
  const local = (e) => {
    const box = stageRef.current?.getBoundingClientRect();
    return { x: e.clientX - (box?.left ?? 0), y: e.clientY - (box?.top ?? 0) };
  };

  useEffect(() => {
    const el = stageRef.current;
    if (!el || !picture) return undefined;
    const wheel = (/** @type {WheelEvent} */ e) => {
      const camera = latest.current;
      if (!camera) return;
      e.preventDefault();
      const at = local(e);
      const unit = e.deltaMode === 1 ? 16 : 1;
      go(zoomTo(camera, camera.scale * Math.exp(-e.deltaY * unit * (e.ctrlKey ? 0.01 : 0.0015)), at.x, at.y, picture, room));
    };
    el.addEventListener("wheel", wheel, { passive: false });
    return () => el.removeEventListener("wheel", wheel);
  }, [picture?.id, room.width, room.height]);

  return {
    onPointerDown: (/** @type {PointerEvent} */ e) => {
      if (e.button !== 0) return;
      stageRef.current?.setPointerCapture(e.pointerId);
      fingers.current.set(e.pointerId, local(e));
      if (fingers.current.size === 1) moved.current = 0;
    },
    onPointerMove: (/** @type {PointerEvent} */ e) => {
      const camera = latest.current;
      if (!camera || !picture) return;
      const at = local(e);
      const before = fingers.current.get(e.pointerId);
      if (!before) {
        const x = Math.floor((at.x - camera.x) / camera.scale);
        const y = Math.floor((at.y - camera.y) / camera.scale);
        onHover(x >= 0 && y >= 0 && x < picture.width && y < picture.height ? { x, y } : null);
        // The picture may move under a resting pointer; that lights nothing.
        if (!e.movementX && !e.movementY) return;
        const found = regionAt(regions, at.x, at.y, camera, picture);
        if (hot.peek() !== (found?.index ?? null)) {
          hot.value = found?.index ?? null;
          if (found) reveal.value = found.index;
        }
        return;
      }
      moved.current += Math.abs(at.x - before.x) + Math.abs(at.y - before.y);
      const others = [...fingers.current].filter(([id]) => id !== e.pointerId);
      fingers.current.set(e.pointerId, at);
      if (others.length === 0) {
        if (moved.current > CLICK_PX) go(pan(camera, at.x - before.x, at.y - before.y, picture, room));
        return;
      }
      const other = others[0][1];
      const ratio = Math.hypot(at.x - other.x, at.y - other.y) / Math.max(1, Math.hypot(before.x - other.x, before.y - other.y));
      const middle = { x: (at.x + other.x) / 2, y: (at.y + other.y) / 2 };
      const panned = pan(camera, (at.x - before.x) / 2, (at.y - before.y) / 2, picture, room);
      go(zoomTo(panned, panned.scale * ratio, middle.x, middle.y, picture, room));
    },
    onPointerUp: (/** @type {PointerEvent} */ e) => {
      const held = fingers.current.delete(e.pointerId);
      const camera = latest.current;
      if (!held || moved.current > CLICK_PX || !camera || !picture) return;
      const at = local(e);
      const found = regionAt(regions, at.x, at.y, camera, picture);
      hot.value = found?.index ?? null;
      if (found) {
        reveal.value = found.index;
        centre.value = found.index;
      }
    },
    onPointerCancel: (/** @type {PointerEvent} */ e) => fingers.current.delete(e.pointerId),
    onPointerLeave: () => {
      onHover(null);
      if (!fingers.current.size) hot.value = null;
    },
    onDblClick: (/** @type {MouseEvent} */ e) => {
      const camera = latest.current;
      if (!camera || !picture) return;
      const at = local(e);
      if (regionAt(regions, at.x, at.y, camera, picture)) return;
      const whole = fit(picture, room);
      go(camera.fitted ? zoomTo(camera, Math.max(1, whole.scale * 2), at.x, at.y, picture, room) : whole, true);
    },
  };
}

/** @param {{ id: string, regions: Region[] }} props */
function Stage({ id, regions }) {
  const own = pictureOf(id);
  const document = own?.picture.kind === "pdf" ? own.picture : null;
  const page = document ? stagePage.value : 0;
  const drawn = document && document.pdf?.count ? pageOf(document, page, PAGE_PX) : undefined;
  const shown = document ? (drawn ?? undefined) : own;
  const picture = shown?.picture;
  const view = useCamera(picture);
  const { stageRef, room, camera, latest, go } = view;
  const [at, setAt] = useState(/** @type {{ x: number, y: number } | null} */ (null));
  const pointers = usePointers(view, picture, regions, setAt);
  const words = t();

  useEffect(() => {
    const wanted = regions.find((r) => r.index === centre.value);
    if (!wanted || !picture || !latest.current || room.width === 0) return;
    centre.value = null;
    go(centreOn(latest.current, wanted, picture, room), true);
  }, [centre.value, picture?.id, room.width]);

  /** @param {number} factor */
  const zoom = (factor) =>
    picture && latest.current && go(zoomTo(latest.current, latest.current.scale * factor, room.width / 2, room.height / 2, picture, room), true);
  const whole = () => picture && go(fit(picture, room), true);
  const oneToOne = () =>
    picture && latest.current && go(zoomTo(latest.current, 1 / devicePixelRatio, room.width / 2, room.height / 2, picture, room), true);

  /** @param {KeyboardEvent} e */
  const keys = (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    /** @type {Record<string, () => void>} */
    const acts = {
      "+": () => zoom(STEP), "=": () => zoom(STEP), "-": () => zoom(1 / STEP), 0: whole, 1: oneToOne,
    };
    const moves = /** @type {Record<string, [number, number]>} */ ({
      ArrowLeft: [PAN_PX, 0], ArrowRight: [-PAN_PX, 0], ArrowUp: [0, PAN_PX], ArrowDown: [0, -PAN_PX],
    });
    if (document && (e.key === "PageDown" || e.key === "PageUp")) turnTo(page + (e.key === "PageDown" ? 1 : -1));
    else if (!picture || !latest.current) return;
    else if (moves[e.key]) go(pan(latest.current, ...moves[e.key], picture, room));
    else if (acts[e.key]) acts[e.key]();
    else return;
    e.preventDefault();
  };

  const percent = camera ? Math.round(camera.scale * devicePixelRatio * 100) : 100;
  return html`
    <div class=${cx("stage", camera && !camera.fitted && "movable")} ref=${stageRef} tabindex="0" role="application"
      aria-label=${`${document ? words.viewerPageKeys : words.viewerKeys} ${picture?.name ?? ""}`} onKeyDown=${keys} ...${pointers}>
      ${document && !shown && html`<${NoPage} document=${document} failed=${drawn === null} />`}
      ${shown === null && html`<p class="stage-gone"><${Icon} name="picture" size=${28} />${words.pictureGone}</p>`}
      ${shown && camera && html`
        <img src=${shown.url} alt=${shown.picture.name} draggable=${false} class=${cx(camera.scale >= 3 && "crisp")}
          style=${{ width: `${shown.picture.width}px`, height: `${shown.picture.height}px`, transform: `translate(${camera.x}px, ${camera.y}px) scale(${camera.scale})` }} />
        ${marksShown.value && regions.length > 0 && html`
          <${Overlay} regions=${regions} hot=${hot.value} camera=${camera} picture=${shown.picture} room=${room} />`}`}
    </div>
    <div class="viewer-bar">
      ${document ? html`<${PageTurner} document=${document} />` : html`<span class="viewer-size">${picture && (at ? `${fmt(at.x)}, ${fmt(at.y)}` : `${picture.width} × ${picture.height}`)}</span>`}
      <span class="spacer"></span>
      ${regions.length > 0 && html`
        <${IconButton} icon=${marksShown.value ? "eye" : "eyeOff"} label=${marksShown.value ? words.hideMarks : words.showMarks}
          pressed=${marksShown.value} onClick=${() => (marksShown.value = !marksShown.value)} />`}
      <${IconButton} icon="minus" label=${words.zoomOut} onClick=${() => zoom(1 / STEP)} />
      <button type="button" class="zoom" title=${words.actual} onClick=${oneToOne}>${percent} %</button>
      <${IconButton} icon="plus" label=${words.zoomIn} onClick=${() => zoom(STEP)} />
      <${IconButton} icon="fit" label=${words.fit} pressed=${camera?.fitted ?? true} onClick=${whole} />
    </div>`;
}

/** Answers have one stage; pictures of the talk and of the draft stand under it when there are several. */
export function Viewer() {
  const at = stage.value;
  if (!at) return null;
  const conversation = current.value;
  const shown = pictureOf(at.picture)?.picture;
  const all = [...new Set([...(conversation ? picturesIn(conversation) : []), ...draftPictures.value])];
  const answerTo = (/** @type {string} */ id) => {
    const i = conversation?.turns.findLastIndex((turn) => turn.role === "user" && turn.pictures.includes(id)) ?? -1;
    const next = i >= 0 ? conversation?.turns[i + 1] : undefined;
    return next?.role === "assistant" ? next.id : null;
  };
  return html`
    <aside class=${cx("viewer", phone.value && "sheet", phone.value && sheetOpen.value && "open")} aria-label=${t().viewer}
      inert=${phone.value && !sheetOpen.value}>
      ${phone.value && html`<${IconButton} icon="close" class="sheet-close" label=${t().close} onClick=${() => (sheetOpen.value = false)} />`}
      ${shown?.kind === "video"
        ? html`<${Player} key=${at.picture} picture=${shown} />`
        : html`<${Stage} key=${at.picture} id=${at.picture} regions=${marks.value} />`}
      ${shown?.kind === "pdf" && html`<${PageStrip} document=${shown} />`}
      ${all.length > 1 && html`
        <div class="strip">${all.map((id) => html`<${Thumb} key=${id} id=${id} turn=${answerTo(id)} size="small" />`)}</div>`}
    </aside>`;
}
