// Keys that work anywhere on the page. Those of one control live with it.
import { passwordAsk } from "./attachments.js";
import { stop } from "./chat.js";
import { focusComposer, pickFiles } from "./composer.js";
import { foldList, listFloats, listOpen } from "./layout.js";
import { focusSearch } from "./list.js";
import { dialog, newConversation, sheetOpen, stagePage, stepMark, turnTo } from "./store.js";

/** @param {KeyboardEvent} e */
function typing(e) {
  const el = e.target;
  return el instanceof HTMLTextAreaElement || el instanceof HTMLInputElement || el instanceof HTMLSelectElement || el instanceof HTMLVideoElement;
}

function escape() {
  if (dialog.peek() || passwordAsk.peek()) return false; // The dialog closes by itself.
  if (sheetOpen.peek()) return (sheetOpen.value = false), true;
  if (listFloats.peek() && listOpen.peek()) return foldList(true), true;
  return stop();
}

/** @param {KeyboardEvent} e */
function onKey(e) {
  if (e.defaultPrevented || e.isComposing) return;
  const command = e.ctrlKey || e.metaKey;
  const key = e.key.toLowerCase();
  let done = true;
  if (key === "escape") done = escape();
  else if (command && e.shiftKey && key === "o") newConversation(), focusComposer();
  else if (command && !e.shiftKey && key === "o") pickFiles();
  else if (command && key === "k") focusSearch();
  else if ((command && key === "/") || (key === "?" && !typing(e))) dialog.value = "help";
  else if (!command && !typing(e) && (key === "[" || key === "]")) stepMark(key === "]" ? 1 : -1);
  else if (!command && !typing(e) && (key === "pageup" || key === "pagedown") && stagePage.peek()) turnTo(stagePage.peek() + (key === "pagedown" ? 1 : -1));
  else done = false;
  if (done) e.preventDefault();
}

export const listenToKeys = () => document.addEventListener("keydown", onKey);
