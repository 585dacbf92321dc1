// The dialogs about files: what lies on the server, and the password of an encrypted document.
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, deleteFile, listFiles } from "./api.js";
import { passwordAsk } from "./attachments.js";
import { attachStored } from "./chat.js";
import { IconButton } from "./controls.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";
import { fmtBytes, fmtDay, t } from "./i18n/index.js";
import { dialog } from "./store.js";

const isClip = (/** @type {string} */ name) => /\.(mp4|m4v|mov|mkv|webm|avi|ts|m2ts|mts|mpe?g|ogv|3gp|flv|wmv)$/i.test(name);

/** @param {{ file: StoredFile, onGone: () => void }} props */
function Row({ file, onGone }) {
  const words = t();
  const [asking, setAsking] = useState(false);
  const [fault, setFault] = useState("");
  const pdf = /\.pdf$/i.test(file.filename);
  const usable = pdf || isClip(file.filename);
  const remove = () => deleteFile(file.id).then(onGone, (error) => (error.status === 404 ? onGone() : setFault(error.message || words.offline)));
  const use = () => {
    dialog.value = null;
    attachStored(file);
  };
  return html`
    <li class="stored">
      <${Icon} name=${pdf ? "form" : isClip(file.filename) ? "film" : "picture"} size=${18} />
      <span class="stored-name"><span title=${file.filename}>${file.filename}</span>
        <small>${fmtBytes(file.bytes)} · ${file.expires_at ? words.expires(fmtDay(file.expires_at)) : words.staysForever}${fault && ` · ${fault}`}</small></span>
      ${usable && html`<button type="button" class="button" onClick=${use} aria-label=${`${words.useFile}: ${file.filename}`}>${words.useFile}</button>`}
      ${asking
        ? html`<button type="button" class="item-sure" onClick=${remove}>${words.removeAsk}</button>`
        : html`<${IconButton} icon="trash" size=${16} label=${`${words.remove}: ${file.filename}`} onClick=${() => setAsking(true)} />`}
    </li>`;
}

export function StoredFiles() {
  const words = t();
  const [files, setFiles] = useState(/** @type {StoredFile[] | null} */ (null));
  const [fault, setFault] = useState("");
  useEffect(() => {
    listFiles().then(setFiles, (error) => setFault(error instanceof ApiError && error.message ? error.message : words.offline));
  }, []);
  const total = (files ?? []).reduce((sum, file) => sum + file.bytes, 0);
  return html`
    <p class="small">${words.filesAbout}</p>
    ${fault && html`<p class="field-wrong" role="alert">${fault}</p>`}
    ${files && !files.length && html`<p class="small">${words.filesNone}</p>`}
    ${files && files.length > 0 && html`
      <ul class="stored-list" tabindex="0" aria-label=${words.filesTitle}>
        ${files.map((file) => html`<${Row} key=${file.id} file=${file} onGone=${() => setFiles((list) => (list ?? []).filter((f) => f.id !== file.id))} />`)}
      </ul>
      <p class="small">${words.filesTotal(files.length, fmtBytes(total))}</p>`}`;
}

export function PasswordDialog() {
  const ref = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  /** The event of closing comes late: it may meet the next question. */
  const shownFor = useRef(/** @type {import("./attachments.js").PasswordAsk | null} */ (null));
  const ask = passwordAsk.value;
  const words = t();
  useEffect(() => {
    const el = ref.current;
    if (ask && !el?.open) el?.showModal();
    if (!ask && el?.open) el.close();
    shownFor.current = ask;
    if (ask && field.current) {
      field.current.value = "";
      field.current.focus();
    }
  }, [ask]);
  return html`
    <dialog ref=${ref} class="narrow" aria-label=${words.passwordTitle} onClose=${() => shownFor.current === passwordAsk.peek() && !ref.current?.open && shownFor.current?.answer(null)}
      onClick=${(/** @type {MouseEvent} */ e) => e.target === ref.current && ask?.answer(null)}>
      ${ask && html`
        <form class="dialog-body" onSubmit=${(/** @type {Event} */ e) => (e.preventDefault(), ask.answer(field.current?.value ?? ""))}>
          <header><h2>${words.passwordTitle}</h2><${IconButton} icon="close" label=${words.close} onClick=${() => ask.answer(null)} /></header>
          <label class="password"><span>${words.passwordOf(ask.name)}</span>
            <input ref=${field} type="password" autocomplete="off" aria-invalid=${ask.wrong} aria-describedby=${ask.wrong ? "password-wrong" : undefined} /></label>
          ${ask.wrong && html`<p class="field-wrong" id="password-wrong" role="alert">${words.passwordWrong}</p>`}
          <p class="small">${words.passwordKept}</p>
          <div class="editor-actions">
            <button type="button" class="button" onClick=${() => ask.answer(null)}>${words.cancel}</button>
            <button type="submit" class="button primary">${words.open}</button>
          </div>
        </form>`}
    </dialog>`;
}
