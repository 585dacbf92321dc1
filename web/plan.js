// What the draft would cost, asked of the server before anything is sent: a line under the composer. Only drafts with pictures
// have one: words alone cost little and change with every key.
import { effect, signal } from "@preact/signals";
import { planChat } from "./api.js";
import { messagesOf } from "./chat.js";
import { current, draftPictures, model } from "./store.js";

const WAIT_MS = 350;

/** The latest draft's plan; null: none, or not known yet. @type {import("@preact/signals").Signal<Plan | null>} */
export const plan = signal(null);

/** Follows the draft from now on. */
export function followDraft() {
  /** @type {AbortController | null} */
  let asking = null;
  effect(() => {
    const pictures = draftPictures.value;
    const chosen = model.value;
    const turns = current.value?.turns ?? [];
    asking?.abort();
    plan.value = null;
    if (!pictures.length || !chosen || chosen.weft?.vision === false) return;
    const mine = (asking = new AbortController());
    setTimeout(async () => {
      if (mine.signal.aborted) return;
      /** @type {UserTurn} */
      const draft = { id: "", role: "user", text: "", pictures };
      const { messages } = await messagesOf([...turns, draft]);
      const found = await planChat({ model: chosen.id, messages }, mine.signal).catch(() => null);
      if (!mine.signal.aborted) plan.value = found;
    }, WAIT_MS);
  });
}
