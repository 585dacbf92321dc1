// Small controls that several parts of the page share.
import { useEffect, useRef, useState } from "preact/hooks";
import { copyText } from "./clipboard.js";
import { cx, html } from "./html.js";
import { Icon } from "./icons.js";
import { t } from "./i18n/index.js";

/** A button that is an icon; the label is its name and its tooltip.
 * @param {{ icon: string, label: string, onClick: (event: MouseEvent) => void, class?: string, pressed?: boolean,
 *           disabled?: boolean, size?: number, expanded?: boolean }} props */
export const IconButton = ({ icon, label, onClick, class: name, pressed, disabled, size, expanded }) => html`
  <button type="button" class=${cx("icon-button", name)} title=${label} aria-label=${label} aria-pressed=${pressed}
    aria-expanded=${expanded} disabled=${disabled} onClick=${onClick}>
    <${Icon} name=${icon} size=${size ?? 18} />
  </button>`;

/** @param {{ text: () => string, label?: string, class?: string }} props */
export function CopyButton({ text, label, class: name }) {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return undefined;
    const timer = setTimeout(() => setDone(false), 1600);
    return () => clearTimeout(timer);
  }, [done]);
  return html`<${IconButton} icon=${done ? "check" : "copy"} class=${name} label=${done ? t().copied : (label ?? t().copy)}
    onClick=${async () => setDone(await copyText(text()))} />`;
}

/** A command line that copies. @param {{ text: string }} props */
export const Command = ({ text }) => html`
  <span class="command"><code>${text}</code><${CopyButton} text=${() => text} /></span>`;

/** Text with `code` between backticks. @param {{ text: string }} props */
export const WithCode = ({ text }) => html`${text.split("`").map((part, i) => (i % 2 ? html`<code>${part}</code>` : part))}`;

/** Two or more views of one thing. @param {{ names: [string, string][], chosen: string, onChoose: (key: string) => void }} props */
export const Tabs = ({ names, chosen, onChoose }) => html`
  <span class="tabs" role="tablist">
    ${names.map(([key, label]) => html`
      <button type="button" role="tab" key=${key} aria-selected=${key === chosen} onClick=${() => onChoose(key)}>${label}</button>`)}
  </span>`;

/** Re-renders every `ms` while `on`. @param {boolean} on @param {number} ms */
export function useTick(on, ms) {
  const [, setN] = useState(0);
  useEffect(() => {
    if (!on) return undefined;
    const timer = setInterval(() => setN((n) => n + 1), ms);
    return () => clearInterval(timer);
  }, [on, ms]);
}

/** Calls back on a press outside of the element. @param {boolean} on @param {() => void} close */
export function useOutside(on, close) {
  const ref = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    if (!on) return undefined;
    const listen = (/** @type {Event} */ event) => {
      if (event.target instanceof Node && !ref.current?.contains(event.target)) close();
    };
    document.addEventListener("pointerdown", listen, true);
    return () => document.removeEventListener("pointerdown", listen, true);
  }, [on]);
  return ref;
}
