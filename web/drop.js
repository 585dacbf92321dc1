// The whole window takes pictures: dropped files and pasted ones.
import { signal } from "@preact/signals";
import { attach } from "./chat.js";
import { html } from "./html.js";
import { Icon } from "./icons.js";
import { t } from "./i18n/index.js";

const over = signal(false);

/** @param {DataTransfer | null} data */
const hasFiles = (data) => data?.types.includes("Files") ?? false;

export function listenToDrops() {
  let depth = 0;
  addEventListener("dragenter", (e) => {
    if (!hasFiles(e.dataTransfer)) return;
    e.preventDefault();
    depth++;
    over.value = true;
  });
  addEventListener("dragover", (e) => {
    if (hasFiles(e.dataTransfer)) e.preventDefault();
  });
  addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    over.value = depth > 0;
  });
  addEventListener("drop", (e) => {
    depth = 0;
    over.value = false;
    if (!hasFiles(e.dataTransfer)) return;
    e.preventDefault();
    attach([...(e.dataTransfer?.files ?? [])]);
  });
  addEventListener("paste", (e) => {
    const files = [...(e.clipboardData?.files ?? [])];
    if (!files.length) return;
    e.preventDefault();
    attach(files);
  });
}

export const DropZone = () =>
  over.value &&
  html`<div class="drop"><div><${Icon} name="picture" size=${36} /><strong>${t().dropHere}</strong><span>${t().dropKinds}</span></div></div>`;
