// Pictures, and the faces of documents and clips (attachments.js), as this tab and IndexedDB have them.
// Files become pictures here: checked by decoding, measured upright, shown through object URLs. They are
// stored when they are sent, not before.
// What the server reads (JPEG, PNG, WebP) is sent byte for byte; what only the browser reads is sent as PNG.
import { signal } from "@preact/signals";
import { deleteFile } from "./api.js";
import { getPicture, putPicture, removePicture } from "./db.js";
import { uid } from "./uid.js";

export const PICTURES_MAX = 16;
export const PICTURE_BYTES_MAX = 64e6;

const AS_IS = new Set(["image/jpeg", "image/png", "image/webp"]);

/** A file that is no picture for this browser, or too large. */
export class PictureError extends Error {
  /** @param {"unreadable" | "large"} why @param {string} name */
  constructor(why, name) {
    super(`${name}: ${why}`);
    this.why = why;
    this.name = name;
  }
}

/** @typedef {{ picture: Picture, url: string }} Shown */

/** Pictures of this tab by id; null: looked for and gone. @type {import("@preact/signals").Signal<Map<string, Shown | null>>} */
const shown = signal(new Map());

/** @type {Set<string>} */
const loading = new Set();

/** @param {string} id @param {Shown | null} entry */
function show(id, entry) {
  shown.value = new Map(shown.value).set(id, entry);
}

/** @param {Blob} blob @returns {Promise<HTMLImageElement>} */
export function decode(blob) {
  return new Promise((resolve, reject) => {
    const url = URL.createObjectURL(blob);
    const image = new Image();
    image.onload = () => (URL.revokeObjectURL(url), resolve(image));
    image.onerror = () => (URL.revokeObjectURL(url), reject(new Error("decode")));
    image.src = url;
  });
}

/** @param {HTMLImageElement} image @returns {Promise<Blob>} */
function asPng(image) {
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  canvas.getContext("2d")?.drawImage(image, 0, 0);
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("encode"))), "image/png"));
}

/**
 * Takes a file in. Throws PictureError.
 * @param {Blob} file @param {string} name
 * @returns {Promise<Picture>}
 */
export async function takePicture(file, name) {
  if (file.size > PICTURE_BYTES_MAX) throw new PictureError("large", name);
  try {
    const image = await decode(file);
    if (!image.naturalWidth || !image.naturalHeight) throw new Error("no size");
    const blob = AS_IS.has(file.type) ? file : await asPng(image);
    // A copy, not the file itself: a File in IndexedDB dies when the original is moved.
    const bytes = new Blob([await blob.arrayBuffer()], { type: blob.type });
    const picture = {
      id: uid(), name, type: blob.type, width: image.naturalWidth, height: image.naturalHeight, blob: bytes,
    };
    show(picture.id, { picture, url: URL.createObjectURL(bytes) });
    return picture;
  } catch {
    throw new PictureError("unreadable", name);
  }
}

/**
 * The picture with this id if it is here; loading it from storage starts when it is not. Reading subscribes.
 * @param {string | null | undefined} id
 * @returns {Shown | null | undefined} undefined while loading, null if it is gone
 */
export function pictureOf(id) {
  if (!id) return null;
  const entry = shown.value.get(id);
  if (entry === undefined && !loading.has(id)) {
    loading.add(id);
    getPicture(id)
      .then((picture) => show(id, picture ? { picture, url: URL.createObjectURL(picture.blob) } : null))
      .catch(() => show(id, null))
      .finally(() => loading.delete(id));
  }
  return entry;
}

/** Takes in something that was attached, or changes what is known of it. @param {Picture} picture */
export function setPicture(picture) {
  const old = shown.peek().get(picture.id);
  if (old && old.picture.blob !== picture.blob) URL.revokeObjectURL(old.url);
  const url = old && old.picture.blob === picture.blob ? old.url : URL.createObjectURL(picture.blob);
  show(picture.id, { picture, url });
}

/** Changes a stored picture's record too. @param {string} id @param {Partial<Picture>} change */
export function changePicture(id, change) {
  const entry = shown.peek().get(id);
  if (!entry) return;
  setPicture({ ...entry.picture, ...change });
  getPicture(id).then((kept) => kept && putPicture({ ...kept, ...change })).catch(() => {});
}

/** Without subscribing, from storage if need be. @param {string} id @returns {Promise<Picture | undefined>} */
export const fetchPicture = async (id) => shown.peek().get(id)?.picture ?? getPicture(id);

/** Stores pictures that so far only this tab has. @param {string[]} ids */
export async function keepPictures(ids) {
  for (const id of ids) {
    const entry = shown.peek().get(id);
    if (entry) await putPicture(entry.picture);
  }
}

/** Deletes pictures from storage and this tab, and their copies on the server. @param {Iterable<string>} ids */
export async function dropPictures(ids) {
  const gone = [...ids];
  const records = await Promise.all(gone.map((id) => fetchPicture(id).catch(() => undefined)));
  const next = new Map(shown.value);
  for (const id of gone) {
    const entry = next.get(id);
    if (entry) URL.revokeObjectURL(entry.url);
    next.delete(id);
    removePicture(id).catch(() => {});
  }
  shown.value = next;
  for (const record of records) if (record?.file?.own) deleteFile(record.file.id).catch(() => {});
}

/** The picture as a data URL for the request, or null if it is gone. @param {string} id @returns {Promise<string | null>} */
export async function pictureDataUrl(id) {
  const picture = await fetchPicture(id);
  if (!picture) return null;
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(/** @type {string} */ (reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(picture.blob);
  });
}
