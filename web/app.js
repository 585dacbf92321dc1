// The page: puts the parts together and starts them.
import { useEffect, useRef } from "preact/hooks";
import { render } from "preact";
import { spoken } from "./chat.js";
import { Composer } from "./composer.js";
import { IconButton } from "./controls.js";
import { ConversationView } from "./conversation.js";
import { Dialogs } from "./dialogs.js";
import { DropZone, listenToDrops } from "./drop.js";
import { followDraft } from "./plan.js";
import { Front } from "./front.js";
import { cx, html } from "./html.js";
import { t } from "./i18n/index.js";
import { listenToKeys } from "./keys.js";
import { foldList, listFloats, listOpen, phone, resetSplit, setSplit, split } from "./layout.js";
import { List } from "./list.js";
import { Thumb } from "./message.js";
import { ModelPicker } from "./models.js";
import { current, loadConversations, loadModels, newConversation, picturesIn, stage } from "./store.js";
import { Viewer } from "./viewer.js";

/** The border between conversation and picture. */
function Divider() {
  const ref = useRef(/** @type {HTMLDivElement | null} */ (null));
  const talk = () => /** @type {HTMLElement} */ (ref.current?.previousElementSibling);
  const room = () => talk().offsetWidth + /** @type {HTMLElement} */ (ref.current?.nextElementSibling).offsetWidth;
  /** @param {PointerEvent} e */
  const move = (e) => {
    if (ref.current?.hasPointerCapture(e.pointerId)) setSplit(e.clientX - talk().getBoundingClientRect().left, room());
  };
  /** @param {KeyboardEvent} e */
  const keys = (e) => {
    const step = { ArrowLeft: -24, ArrowRight: 24 }[e.key];
    if (!step) return;
    e.preventDefault();
    setSplit(talk().offsetWidth + step, room());
  };
  return html`
    <div class="divider" ref=${ref} role="separator" aria-orientation="vertical" tabindex="0" aria-label=${t().resize} title=${t().resize}
      onPointerDown=${(/** @type {PointerEvent} */ e) => (e.preventDefault(), ref.current?.setPointerCapture(e.pointerId))}
      onPointerMove=${move} onDblClick=${resetSplit} onKeyDown=${keys}></div>`;
}

function Bar() {
  const words = t();
  return html`
    <header class="bar">
      ${phone.value && html`<${IconButton} icon="panel" label=${words.showList} onClick=${() => foldList(false)} />`}
      <${ModelPicker} />
      <span class="spacer"></span>
      ${phone.value && current.value && html`<${IconButton} icon="plus" label=${words.newChat} onClick=${newConversation} />`}
    </header>`;
}

/** On a phone the talk's pictures stand over the composer; a tap slides the viewer up. */
function PhoneStrip() {
  const conversation = current.value;
  const pictures = conversation ? picturesIn(conversation) : [];
  if (!phone.value || !pictures.length) return null;
  const turn = stage.value?.turn ?? null;
  return html`<div class="strip phone-strip">${pictures.map((id) => html`<${Thumb} key=${id} id=${id} turn=${turn} size="small" />`)}</div>`;
}

function App() {
  const conversation = current.value;
  const viewing = stage.value !== null;
  const open = listOpen.value;
  useEffect(() => {
    document.title = conversation ? `${conversation.title} · weft` : "weft";
  }, [conversation?.title]);
  return html`
    <div class=${cx("app", open && "list-open", listFloats.value && "list-floats", viewing && "viewing")} style=${{ "--split": split.value || undefined }}>
      <${List} />
      ${open && listFloats.value && html`<div class="scrim" onClick=${() => foldList(true)}></div>`}
      <main class="talk">
        <${Bar} />
        ${conversation ? html`<${ConversationView} conversation=${conversation} />` : html`<${Front} />`}
        <${PhoneStrip} />
        <${Composer} />
      </main>
      ${viewing && !phone.value && html`<${Divider} />`}
      <${Viewer} />
      <${DropZone} />
      <${Dialogs} />
      <div class="offscreen" role="status" aria-live="polite">${spoken.value}</div>
    </div>`;
}

listenToKeys();
listenToDrops();
followDraft();
loadModels();
loadConversations();
// At once, not when the store has answered: what a browser shows at `load` is the page.
const root = document.getElementById("app");
if (root) render(html`<${App} />`, root);
