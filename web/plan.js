// What the draft would cost, asked of the server before anything is sent: a line under the composer. Only drafts with pictures
// have one: words alone cost little and change with every key.
import { computed, effect, signal } from "@preact/signals";
import { ApiError, planChat } from "./api.js";
import { arriving, isValid } from "./attachments.js";
import { messagesOf } from "./chat.js";
import { changePicture, pictureOf } from "./pictures.js";
import { current, draftPictures, model, picturesIn } from "./store.js";

const WAIT_MS = 350;

/** The latest draft's plan; null: none, or not known yet. @type {import("@preact/signals").Signal<Plan | null>} */
export const plan = signal(null);

/** Why the server would refuse the draft, in its words. */
export const planFault = signal("");

/** What of the draft's attachments is sent, as text: null while one of them cannot be sent yet. */
const draftKey = computed(() => {
  const parts = draftPictures.value.map((id) => {
    const picture = arriving.value.has(id) ? null : pictureOf(id)?.picture;
    return picture && isValid(picture) ? JSON.stringify([id, picture.file?.id, picture.pdf, picture.video, picture.maxPixels]) : null;
  });
  return parts.includes(null) ? null : parts.join("\n");
});

/** Follows the draft from now on. */
export function followDraft() {
  /** @type {AbortController | null} */
  let asking = null;
  effect(() => {
    const key = draftKey.value;
    const chosen = model.value;
    const turns = current.value?.turns ?? [];
    const pictures = draftPictures.peek();
    asking?.abort();
    plan.value = null;
    planFault.value = "";
    if (!key || !pictures.length || !chosen || chosen.weft?.vision === false) return;
    const mine = (asking = new AbortController());
    setTimeout(async () => {
      if (mine.signal.aborted) return;
      /** @type {UserTurn} */
      const draft = { id: "", role: "user", text: "", pictures };
      const { messages } = await messagesOf([...turns, draft]);
      const found = await planChat({ model: chosen.id, messages }, mine.signal).catch((error) => {
        // What is busy or not there now says so when the question is sent.
        if (!mine.signal.aborted && error instanceof ApiError && error.status >= 400 && error.status < 500) planFault.value = error.message;
        return null;
      });
      if (!mine.signal.aborted) plan.value = found;
    }, WAIT_MS);
  });
}

/** Gives everything in the talk and the draft the pixel budget with which it fits. @param {number} pixels */
export function shrink(pixels) {
  const ids = [...(current.peek() ? picturesIn(/** @type {Conversation} */ (current.peek())) : []), ...draftPictures.peek()];
  for (const id of ids) changePicture(id, { maxPixels: pixels });
}
