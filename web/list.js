// The list of conversations on the left, open or folded to icons, and the page's few settings under it.
import { useEffect, useState } from "preact/hooks";
import { IconButton } from "./controls.js";
import { cx, html } from "./html.js";
import { Mark } from "./icons.js";
import { lang, t } from "./i18n/index.js";
import { foldList, listOpen, phone } from "./layout.js";
import { prefer, prefs } from "./prefs.js";
import { conversations, conversationsRead, deleteConversation, dialog, newConversation, openConversation, openId, runs } from "./store.js";

/** @type {HTMLInputElement | null} */
let searchField = null;

export function focusSearch() {
  foldList(false);
  setTimeout(() => searchField?.focus(), 0);
}

/** @param {Conversation} c @param {string} wanted lower case */
const holds = (c, wanted) =>
  c.title.toLowerCase().includes(wanted) || c.turns.some((turn) => turn.text.toLowerCase().includes(wanted));

/** @param {Conversation[]} list @returns {[string, Conversation[]][]} */
function byDay(list) {
  const midnight = new Date().setHours(0, 0, 0, 0);
  const words = t();
  /** @type {[string, Conversation[]][]} */
  const groups = [[words.today, []], [words.yesterday, []], [words.earlier, []]];
  for (const c of list) groups[c.updated >= midnight ? 0 : c.updated >= midnight - 864e5 ? 1 : 2][1].push(c);
  return groups.filter(([, members]) => members.length);
}

/** @param {{ conversation: Conversation }} props */
function Item({ conversation: c }) {
  const [asking, setAsking] = useState(false);
  useEffect(() => {
    if (!asking) return undefined;
    const timer = setTimeout(() => setAsking(false), 4000);
    return () => clearTimeout(timer);
  }, [asking]);
  const open = () => {
    openConversation(c.id);
    if (phone.peek()) foldList(true);
  };
  return html`
    <li class=${cx("item", asking && "asking")}>
      <button type="button" class="item-open" aria-current=${c.id === openId.value ? "page" : undefined} onClick=${open}>
        ${runs.value.has(c.id) && html`<i class="pulse"></i>`}<span>${c.title}</span>
      </button>
      ${asking
        ? html`<button type="button" class="item-sure" onClick=${() => deleteConversation(c.id)}>${t().removeAsk}</button>`
        : html`<${IconButton} icon="trash" size=${16} label=${`${t().remove}: ${c.title}`} onClick=${() => setAsking(true)} />`}
    </li>`;
}

function Settings() {
  const words = t();
  const { theme } = prefs.value;
  const icon = theme === "light" ? "sun" : theme === "dark" ? "moon" : "auto";
  const label = theme === "light" ? words.themeLight : theme === "dark" ? words.themeDark : words.themeAuto;
  const turn = () => prefer({ theme: theme === undefined ? "light" : theme === "light" ? "dark" : undefined });
  return html`
    <div class="settings">
      <${IconButton} icon=${icon} label=${label} onClick=${turn} />
      <${IconButton} icon="box3" label=${words.filesTitle} onClick=${() => (dialog.value = "files")} />
      <${IconButton} icon="globe" label=${words.language} onClick=${() => prefer({ lang: lang.value === "zh" ? "en" : "zh" })} />
      <${IconButton} icon="help" label=${`${words.help} (?)`} onClick=${() => (dialog.value = "help")} />
    </div>`;
}

export function List() {
  const [wanted, setWanted] = useState("");
  const words = t();
  const open = listOpen.value;
  const start = () => {
    newConversation();
    if (phone.peek()) foldList(true);
  };
  if (!open) {
    return html`
      <nav class="list folded" aria-label=${words.conversations}>
        <${IconButton} icon="panel" label=${words.showList} expanded=${false} onClick=${() => foldList(false)} />
        <${IconButton} icon="plus" label=${words.newChat} onClick=${start} />
        <${IconButton} icon="search" label=${`${words.searchChats} (Ctrl+K)`} onClick=${focusSearch} />
        <span class="spacer"></span>
        <${Settings} />
      </nav>`;
  }
  const found = wanted ? conversations.value.filter((c) => holds(c, wanted.toLowerCase())) : conversations.value;
  return html`
    <nav class="list" aria-label=${words.conversations}>
      <div class="list-head">
        <span class="brand"><${Mark} size=${22} />weft</span>
        <${IconButton} icon="panel" label=${words.hideList} expanded=${true} onClick=${() => foldList(true)} />
      </div>
      <button type="button" class="button new" onClick=${start}>${words.newChat}</button>
      <input type="search" class="search" placeholder=${words.searchChats} aria-label=${words.searchChats} value=${wanted}
        ref=${(/** @type {HTMLInputElement | null} */ el) => (searchField = el)}
        onInput=${(/** @type {any} */ e) => setWanted(e.currentTarget.value)} />
      <div class="items">
        ${byDay(found).map(([day, members]) => html`
          <h2 key=${day}>${day}</h2>
          <ul key=${`${day} list`}>${members.map((c) => html`<${Item} key=${c.id} conversation=${c} />`)}</ul>`)}
        ${!found.length && conversationsRead.value && html`<p class="items-none">${wanted ? words.noMatch : words.noChats}</p>`}
      </div>
      <${Settings} />
    </nav>`;
}
