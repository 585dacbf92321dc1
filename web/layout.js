// What the window's width means: list open or folded, viewer beside or as a sheet, and how wide the conversation is.
import { computed, signal } from "@preact/signals";
import { prefer, prefs } from "./prefs.js";

/** @param {string} query */
function media(query) {
  const list = matchMedia(query);
  const matches = signal(list.matches);
  list.addEventListener("change", () => (matches.value = list.matches));
  return matches;
}

export const phone = media("(max-width: 819px)");
const wide = media("(min-width: 1500px)");

/** Below "wide" the open list floats over the page and is not remembered. */
const floating = signal(false);

export const listFloats = computed(() => !wide.value);
export const listOpen = computed(() => (wide.value ? (prefs.value.list ?? true) : floating.value));

/** @param {boolean} fold */
export function foldList(fold) {
  if (wide.peek()) prefer({ list: !fold });
  else floating.value = !fold;
}

const SPLIT_MIN = 340;
const VIEWER_MIN = 320;

/** Width of the conversation beside the picture as a CSS length; empty: as the stylesheet says. */
export const split = computed(() => (prefs.value.split ? `${prefs.value.split}px` : ""));

/** @param {number} px @param {number} room width of conversation and viewer together */
export function setSplit(px, room) {
  prefer({ split: Math.round(Math.max(SPLIT_MIN, Math.min(px, room - VIEWER_MIN))) });
}

export const resetSplit = () => prefer({ split: undefined });
