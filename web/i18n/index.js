// The language in use: t() is its catalogue, and the formatters follow it. Reading any of them in a component subscribes to it.
import { computed } from "@preact/signals";
import { prefs } from "../prefs.js";
import { en } from "./en.js";
import { zh } from "./zh.js";

export const lang = computed(() => prefs.value.lang ?? (navigator.language.startsWith("zh") ? "zh" : "en"));

const catalogue = computed(() => (lang.value === "zh" ? zh : en));

export const t = () => catalogue.value;

const locale = computed(() => (lang.value === "zh" ? "zh-CN" : "en"));
const whole = computed(() => new Intl.NumberFormat(locale.value, { maximumFractionDigits: 0 }));
const tenth = computed(() => new Intl.NumberFormat(locale.value, { minimumFractionDigits: 1, maximumFractionDigits: 1 }));
const compact = computed(() => new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 }));

/** @param {number} n */
export const fmt = (n) => whole.value.format(n);

/** One decimal below 100, none above. @param {number} n */
export const fmtRate = (n) => (n < 100 ? tenth : whole).value.format(n);

/** 4440000000 -> "4.44B". @param {number} n */
export const fmtCompact = (n) => compact.value.format(n);

/** Positions as they are usually named: 262144 -> "256K". @param {number} n */
export const fmtContext = (n) => (n >= 1024 ? `${Math.round(n / 1024)}K` : String(n));

/** Milliseconds for reading: "0.8 s", "12 s", "2 min 5 s". @param {number} ms */
export function fmtTime(ms) {
  const s = ms / 1000;
  if (s < 9.95) return t().seconds(tenth.value.format(s));
  if (s < 60) return t().seconds(fmt(s));
  const rounded = Math.round(s);
  return t().minutes(fmt(Math.floor(rounded / 60)), fmt(rounded % 60));
}

/** Whole seconds, for counters that tick. @param {number} ms */
export function fmtSeconds(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  return s < 60 ? t().seconds(fmt(s)) : t().minutes(fmt(Math.floor(s / 60)), fmt(s % 60));
}

/** @param {number} bytes */
export const fmtBytes = (bytes) =>
  bytes < 1e6 ? `${fmt(Math.max(1, bytes / 1e3))} kB`
    : bytes < 1e9 ? `${bytes < 1e7 ? tenth.value.format(bytes / 1e6) : fmt(bytes / 1e6)} MB` : `${tenth.value.format(bytes / 1e9)} GB`;

/** A day for reading. @param {number} seconds since 1970 */
export const fmtDay = (seconds) => new Intl.DateTimeFormat(locale.value, { dateStyle: "medium" }).format(seconds * 1000);
