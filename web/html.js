// The template tag of the page: htm bound to Preact. Every component imports it from here.
import { h } from "preact";
import htm from "htm";

/** @typedef {import("preact").ComponentChildren} Children */

/** @type {(strings: TemplateStringsArray, ...values: any[]) => any} */
export const html = htm.bind(/** @type {any} */ (h));

/** Class names joined, falsy ones left out.
 * @param {...(string | false | null | undefined)} names */
export const cx = (...names) => names.filter(Boolean).join(" ");
