// Marks drawn over the picture, in the screen's space so that lines stay thin at any zoom. Labels that would cover one
// another are left out until their region is lit.
import { onScreen } from "./camera.js";
import { cx, html } from "./html.js";
import { t } from "./i18n/index.js";

const LABEL_HEIGHT = 20;
const LABEL_CHARS = 28;
/** With more regions than this, a label wider than its box gives way to the number it has in the list. */
const ROOMY_MAX = 8;

/** What a region is called where it has no label. @param {Region} region */
export const nameOf = (region) => region.label || t()[region.kind];

/** @type {CanvasRenderingContext2D | null} */
let ruler = null;

/** @param {string} text */
function textWidth(text) {
  if (!ruler) {
    ruler = document.createElement("canvas").getContext("2d");
    if (ruler) ruler.font = "600 12px system-ui, sans-serif";
  }
  return (ruler?.measureText(text).width ?? text.length * 7) + 12;
}

/** @typedef {{ region: Region, text: string, x: number, y: number, width: number }} Label */

/**
 * Labels and where they stand: over the box, or inside it at the picture's top, never over one placed before.
 * @param {Region[]} regions @param {number | null} hot @param {import("./camera.js").Camera} camera
 * @param {import("./camera.js").Size} picture @param {import("./camera.js").Size} room
 * @returns {Label[]}
 */
function placeLabels(regions, hot, camera, picture, room) {
  /** @type {Label[]} */
  const placed = [];
  const first = regions.filter((r) => r.index === hot);
  for (const region of [...first, ...regions.filter((r) => r.index !== hot)]) {
    const s = onScreen(region, camera, picture);
    if (s.x > room.width || s.y > room.height || s.x + s.width < 0 || s.y + s.height < 0) continue;
    const name = nameOf(region);
    const short = name.length > LABEL_CHARS ? `${name.slice(0, LABEL_CHARS - 1)}…` : name;
    const crowded = region.index !== hot && region.kind === "box" && regions.length > ROOMY_MAX && textWidth(short) > s.width;
    const text = region.index === hot ? name.slice(0, 80) : crowded ? String(region.index + 1) : short;
    const width = Math.min(textWidth(text), room.width - 8);
    let x = region.kind === "point" ? s.x + 10 : s.x;
    let y = region.kind === "point" ? s.y - LABEL_HEIGHT / 2 : s.y - LABEL_HEIGHT - 1;
    if (region.kind === "point" && x + width > room.width - 4) x = s.x - 10 - width;
    if (region.kind === "box" && y < 2) y = s.y + 2;
    x = Math.max(4, Math.min(x, room.width - width - 4));
    y = Math.max(2, Math.min(y, room.height - LABEL_HEIGHT - 2));
    const clash = placed.some((p) => x < p.x + p.width + 2 && p.x < x + width + 2 && Math.abs(y - p.y) < LABEL_HEIGHT + 1);
    if (!clash) placed.push({ region, text, x, y, width });
  }
  return placed;
}

/** The hot region's shape, for the light around it. @param {{ x: number, y: number, width: number, height: number }} s @param {boolean} point */
const holePath = (s, point) =>
  point
    ? `M${s.x - 26} ${s.y}a26 26 0 1 0 52 0a26 26 0 1 0-52 0z`
    : `M${s.x} ${s.y}h${s.width}v${s.height}h${-s.width}z`;

/**
 * @param {{ regions: Region[], hot: number | null, camera: import("./camera.js").Camera,
 *           picture: import("./camera.js").Size, room: import("./camera.js").Size }} props
 */
export function Overlay({ regions, hot, camera, picture, room }) {
  const lit = regions.find((r) => r.index === hot);
  const whole = { x: camera.x, y: camera.y, w: picture.width * camera.scale, h: picture.height * camera.scale };
  const labels = placeLabels(regions, hot, camera, picture, room);
  return html`
    <svg class=${cx("overlay", lit && "lighting")} width=${room.width} height=${room.height} aria-hidden="true">
      ${lit && html`<path class="shade" fill-rule="evenodd"
        d=${`M${whole.x} ${whole.y}h${whole.w}v${whole.h}h${-whole.w}z${holePath(onScreen(lit, camera, picture), lit.kind === "point")}`} />`}
      ${regions.map((region) => {
        const s = onScreen(region, camera, picture);
        const name = cx("mark", region === lit && "lit");
        return region.kind === "point"
          ? html`<g key=${region.index} class=${name}><circle class="halo" cx=${s.x} cy=${s.y} r="6" /><circle class="dot" cx=${s.x} cy=${s.y} r="4.5" /></g>`
          : html`<g key=${region.index} class=${name}>
              <rect class="halo" x=${s.x} y=${s.y} width=${Math.max(1, s.width)} height=${Math.max(1, s.height)} rx="2" />
              <rect class="line" x=${s.x} y=${s.y} width=${Math.max(1, s.width)} height=${Math.max(1, s.height)} rx="2" /></g>`;
      })}
    </svg>
    <div class=${cx("labels", lit && "lighting")} aria-hidden="true">
      ${labels.map((label) => html`
        <span key=${label.region.index} class=${cx("label", label.region === lit && "lit")}
          style=${{ transform: `translate(${Math.round(label.x)}px, ${Math.round(label.y)}px)`, maxWidth: `${Math.ceil(label.width)}px` }}>${label.text}</span>`)}
    </div>`;
}
