// The page's two dialogs: keys and help, and how to use a real checkpoint.
import { useEffect, useRef } from "preact/hooks";
import { Command, IconButton } from "./controls.js";
import { PasswordDialog, StoredFiles } from "./files.js";
import { html } from "./html.js";
import { t } from "./i18n/index.js";
import { dialog } from "./store.js";

const keyRows = () => {
  const words = t();
  return /** @type {[string[], string][]} */ ([
    [["Enter"], words.keySend],
    [["Shift", "Enter"], words.keyLine],
    [["Esc"], words.keyStop],
    [["Ctrl", "O"], words.keyAttach],
    [["Ctrl", "K"], words.keySearch],
    [["Ctrl", "Shift", "O"], words.keyNew],
    [["[", "]"], words.keyRegions],
    [["PgUp", "PgDn"], words.keyPages],
    [["+", "−", "0", "1"], words.keyZoom],
    [["?"], words.keyHelp],
  ]);
};

const RealCheckpoint = () => html`
  <p>${t().realText}</p>
  <p><${Command} text="weft serve --model ~/models/Qwen3-VL-4B-Instruct" /></p>
  <p><${Command} text="weft serve --model ~/models/Qwen3VL-4B-Instruct-Q4_K_M.gguf" /></p>
  <p>${t().realMore}</p>`;

const Help = () => html`
  <dl class="keys">
    ${keyRows().map(([keys, what]) => html`<div><dt>${keys.map((k) => html`<kbd>${k}</kbd>`)}</dt><dd>${what}</dd></div>`)}
  </dl>
  <h3>${t().realTitle}</h3>
  <${RealCheckpoint} />
  <p class="small">${t().privacy} <a href="/vendor/LICENSES.txt" target="_blank" rel="noopener">${t().licenses}</a></p>`;

export function Dialogs() {
  const ref = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const which = dialog.value;
  useEffect(() => {
    const el = ref.current;
    if (which && !el?.open) el?.showModal();
    if (!which && el?.open) el.close();
  }, [which]);
  const title = which === "real" ? t().realTitle : which === "files" ? t().filesTitle : t().helpTitle;
  return html`
    <${PasswordDialog} />
    <dialog ref=${ref} aria-label=${title} onClose=${() => (dialog.value = null)}
      onClick=${(/** @type {MouseEvent} */ e) => e.target === ref.current && (dialog.value = null)}>
      ${which && html`
        <div class="dialog-body">
          <header><h2>${title}</h2><${IconButton} icon="close" label=${t().close} onClick=${() => (dialog.value = null)} /></header>
          ${which === "real" ? html`<${RealCheckpoint} />` : which === "files" ? html`<${StoredFiles} />` : html`<${Help} />`}
        </div>`}
    </dialog>`;
}
