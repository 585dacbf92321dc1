// Where the picture stands in its window: pure arithmetic, no DOM. Screen = picture pixel * scale + (x, y).

/** @typedef {{ width: number, height: number }} Size */
/** @typedef {{ scale: number, x: number, y: number, fitted: boolean }} Camera */

const MARGIN = 16;
const FIT_SCALE_MAX = 8;
const SCALE_MAX = 32;
/** A region brought to the middle fills about this share of the window. */
const CENTRE_SHARE = 0.4;
const CENTRE_SCALE_MAX = 4;

/** @param {Size} picture @param {Size} room @returns {Camera} */
export function fit(picture, room) {
  const inner = { width: Math.max(1, room.width - 2 * MARGIN), height: Math.max(1, room.height - 2 * MARGIN) };
  const scale = Math.min(inner.width / picture.width, inner.height / picture.height, FIT_SCALE_MAX);
  return {
    scale, x: (room.width - picture.width * scale) / 2, y: (room.height - picture.height * scale) / 2, fitted: true,
  };
}

/** Keeps the picture within reach: centred along a side that has room to spare, else covering it. @param {Camera} c @param {Size} picture @param {Size} room @returns {Camera} */
function held(c, picture, room) {
  const side = (/** @type {number} */ at, /** @type {number} */ length, /** @type {number} */ space) =>
    length + 2 * MARGIN <= space ? (space - length) / 2 : Math.min(MARGIN, Math.max(space - length - MARGIN, at));
  return { ...c, x: side(c.x, picture.width * c.scale, room.width), y: side(c.y, picture.height * c.scale, room.height) };
}

/** Zooms so that the picture's pixel under (px, py) stays there. @param {Camera} c @param {number} scale @param {number} px @param {number} py @param {Size} picture @param {Size} room */
export function zoomTo(c, scale, px, py, picture, room) {
  const least = Math.min(fit(picture, room).scale, 1);
  const next = Math.min(SCALE_MAX, Math.max(least, scale));
  const ratio = next / c.scale;
  return held({ scale: next, x: px - (px - c.x) * ratio, y: py - (py - c.y) * ratio, fitted: false }, picture, room);
}

/** @param {Camera} c @param {number} dx @param {number} dy @param {Size} picture @param {Size} room */
export const pan = (c, dx, dy, picture, room) => held({ ...c, x: c.x + dx, y: c.y + dy, fitted: false }, picture, room);

/** Brings a region to the middle, nearer if it is small. @param {Camera} c @param {Region} r @param {Size} picture @param {Size} room @returns {Camera} */
export function centreOn(c, r, picture, room) {
  const width = Math.max(1, ((r.x2 - r.x1) / 1000) * picture.width);
  const height = Math.max(1, ((r.y2 - r.y1) / 1000) * picture.height);
  const near = r.kind === "point"
    ? c.scale
    : Math.min((room.width * CENTRE_SHARE) / width, (room.height * CENTRE_SHARE) / height, CENTRE_SCALE_MAX);
  const whole = fit(picture, room);
  const scale = Math.max(whole.scale, near);
  if (scale <= whole.scale * 1.05) return whole;
  const cx = ((r.x1 + r.x2) / 2000) * picture.width;
  const cy = ((r.y1 + r.y2) / 2000) * picture.height;
  return held({ scale, x: room.width / 2 - cx * scale, y: room.height / 2 - cy * scale, fitted: false }, picture, room);
}

/** A region as a rectangle on the screen. @param {Region} r @param {Camera} c @param {Size} picture */
export function onScreen(r, c, picture) {
  const x = (/** @type {number} */ v) => (v / 1000) * picture.width * c.scale + c.x;
  const y = (/** @type {number} */ v) => (v / 1000) * picture.height * c.scale + c.y;
  return { x: x(r.x1), y: y(r.y1), width: x(r.x2) - x(r.x1), height: y(r.y2) - y(r.y1) };
}

/** The region at a place of the screen: a near point, else the smallest box. @param {Region[]} regions @param {number} px @param {number} py @param {Camera} c @param {Size} picture @returns {Region | null} */
export function regionAt(regions, px, py, c, picture) {
  const REACH = 12;
  let best = null;
  let bestArea = Infinity;
  for (const region of regions) {
    const s = onScreen(region, c, picture);
    const reach = region.kind === "point" ? REACH : 3;
    if (px < s.x - reach || py < s.y - reach || px > s.x + s.width + reach || py > s.y + s.height + reach) continue;
    const area = region.kind === "point" ? 0 : s.width * s.height;
    if (area < bestArea) [best, bestArea] = [region, area];
  }
  return best;
}
