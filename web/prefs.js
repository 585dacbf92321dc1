// What the person prefers, kept in localStorage under one key. Losing it loses nothing but comfort.
import { effect, signal } from "@preact/signals";

/**
 * @typedef {object} Prefs
 * @property {"light" | "dark"} [theme]  absent: as the system
 * @property {"en" | "zh"} [lang]  absent: as the browser
 * @property {string} [model]
 * @property {boolean} [list]  conversation list open; absent: open when the window is wide
 * @property {number} [split]  width of the conversation beside the picture, px; absent: by the window
 * @property {boolean} [wrap]  long lines of code wrap
 */

const KEY = "weft.prefs";

/** @returns {Prefs} */
function read() {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return stored && typeof stored === "object" ? stored : {};
  } catch {
    return {};
  }
}

/** @type {import("@preact/signals").Signal<Prefs>} */
export const prefs = signal(read());

/** @param {Partial<Prefs>} change  undefined removes a preference */
export function prefer(change) {
  prefs.value = { ...prefs.value, ...change };
  try {
    localStorage.setItem(KEY, JSON.stringify(prefs.value));
  } catch {
    // Storage is off: the choice lasts for this tab.
  }
}

effect(() => {
  const root = document.documentElement;
  const { theme, lang } = prefs.value;
  if (theme) root.dataset.theme = theme;
  else delete root.dataset.theme;
  root.lang = (lang ?? navigator.language).startsWith("zh") ? "zh-CN" : "en";
});
