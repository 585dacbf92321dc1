// The page's state: models, conversations, the draft, and what the viewer shows. Signals only; components read them and
// re-render. Turns are never changed in place.
import { computed, signal } from "@preact/signals";
import { listModels } from "./api.js";
import { allConversations, pictureIds, putConversation, removeConversation, removePicture } from "./db.js";
import { t } from "./i18n/index.js";
import { dropPictures, pictureOf } from "./pictures.js";
import { prefer, prefs } from "./prefs.js";
import { citationsOf, pagesOf, timesOf } from "./ranges.js";
import { regionsOf } from "./regions.js";
import { uid } from "./uid.js";

const RETRY_MS = 2500;
const TITLE_MAX = 80;

/** Models on offer; null until the server has answered. @type {import("@preact/signals").Signal<Model[] | null>} */
export const models = signal(null);

/** True while the server does not answer the page's first question. */
export const modelsMissing = signal(false);

export const model = computed(() => {
  const list = models.value ?? [];
  return list.find((m) => m.id === prefs.value.model) ?? list[0] ?? null;
});

/** Asks for the models until the server answers. */
export async function loadModels() {
  try {
    models.value = await listModels();
    modelsMissing.value = false;
  } catch {
    modelsMissing.value = true;
    setTimeout(loadModels, RETRY_MS);
  }
}

/** @param {string} id */
export const chooseModel = (id) => prefer({ model: id });

/** Newest first. @type {import("@preact/signals").Signal<Conversation[]>} */
export const conversations = signal([]);

/** Whether the stored conversations have been read. */
export const conversationsRead = signal(false);

/** @type {import("@preact/signals").Signal<string | null>} */
export const openId = signal(null);

export const current = computed(() => conversations.value.find((c) => c.id === openId.value) ?? null);

/** @type {import("@preact/signals").Signal<string[]>} */
export const draftPictures = signal([]);
export const draftText = signal("");

/** One line over the composer: what just could not be done and what to do. */
export const notice = signal("");

/**
 * An answer on its way. Text grows in signals of its own, so that only the message that shows it re-renders.
 * @typedef {object} Run
 * @property {string} conversation
 * @property {string} turn
 * @property {AbortController} abort
 * @property {number} started
 * @property {number} pictures  how many are sent along
 * @property {import("@preact/signals").Signal<string>} text
 * @property {import("@preact/signals").Signal<string>} reasoning
 * @property {import("@preact/signals").Signal<ToolCall[]>} toolCalls
 * @property {import("@preact/signals").Signal<Progress | null>} progress
 * @property {{ from: number, to: number }} thinking  when reasoning began and ended, 0 for not yet
 */

/** Answers on their way, by conversation. @type {import("@preact/signals").Signal<Map<string, Run>>} */
export const runs = signal(new Map());

export const currentRun = computed(() => (openId.value ? (runs.value.get(openId.value) ?? null) : null));

/** The run that writes this turn, if any. @param {string} turnId */
export function runOf(turnId) {
  const run = currentRun.value;
  return run?.turn === turnId ? run : null;
}

export async function loadConversations() {
  const ids = await pictureIds().catch(() => []);
  const stored = await allConversations().catch(() => []);
  // A turn still marked as running was cut off when its tab closed.
  /** @type {Conversation[]} */
  const read = stored.map((c) => ({
    ...c, turns: c.turns.map((turn) => (turn.role === "assistant" && turn.state === "running" ? { ...turn, state: "stopped" } : turn)),
  }));
  // The page stands already: what was begun meanwhile stays as it is.
  const begun = conversations.peek();
  conversations.value = [...begun, ...read.filter((c) => !begun.some((own) => own.id === c.id))];
  conversationsRead.value = true;
  // Pictures of questions that were edited away. The ids were read first: a question of another tab comes before its pictures.
  const used = new Set([...conversations.peek().flatMap(picturesIn), ...draftPictures.peek()]);
  for (const id of ids) if (!used.has(id)) removePicture(id).catch(() => {});
}

/** @param {string} text @param {string} fallback */
export function titleOf(text, fallback) {
  const line = text.trim().split("\n")[0].replace(/\s+/g, " ");
  return line ? (line.length > TITLE_MAX ? `${line.slice(0, TITLE_MAX - 1)}…` : line) : fallback;
}

/** @param {string} title @returns {Conversation} */
export function createConversation(title) {
  const now = Date.now();
  const conversation = { id: uid(), title, created: now, updated: now, turns: [] };
  conversations.value = [conversation, ...conversations.value];
  openId.value = conversation.id;
  return conversation;
}

/**
 * Replaces the turns of a conversation and stores it.
 * @param {string} id @param {(turns: Turn[]) => Turn[]} change @param {boolean} [touch] moves it to the top of the list
 */
export function changeTurns(id, change, touch = true) {
  const old = conversations.peek().find((c) => c.id === id);
  if (!old) return;
  const changed = { ...old, turns: change(old.turns), updated: touch ? Date.now() : old.updated };
  const others = conversations.peek().filter((c) => c.id !== id);
  conversations.value = touch ? [changed, ...others] : conversations.peek().map((c) => (c.id === id ? changed : c));
  putConversation(changed);
}

/** @param {string} id @param {string} turnId @param {Partial<AnswerTurn>} change @param {boolean} [touch] */
export function changeAnswer(id, turnId, change, touch = false) {
  changeTurns(id, (turns) => turns.map((t) => (t.id === turnId && t.role === "assistant" ? { ...t, ...change } : t)), touch);
}

/** @param {string} id */
export function openConversation(id) {
  openId.value = id;
  focus.value = null;
  notice.value = "";
}

export function newConversation() {
  openId.value = null;
  focus.value = null;
  notice.value = "";
}

/** Deletes a conversation, its run, and the pictures no other conversation holds. @param {string} id */
export async function deleteConversation(id) {
  const gone = conversations.peek().find((c) => c.id === id);
  if (!gone) return;
  runs.peek().get(id)?.abort.abort();
  conversations.value = conversations.peek().filter((c) => c.id !== id);
  if (openId.peek() === id) newConversation();
  const used = new Set(conversations.peek().flatMap(picturesIn));
  dropPictures(picturesIn(gone).filter((p) => !used.has(p)));
  await removeConversation(id).catch(() => {});
}

/** @param {Conversation} conversation */
export const picturesIn = (conversation) => conversation.turns.flatMap((t) => (t.role === "user" ? t.pictures : []));

/** The pictures an answer speaks of: those of the nearest question before it that has any. @param {Conversation} c @param {string} turnId */
export function picturesFor(c, turnId) {
  const at = c.turns.findIndex((t) => t.id === turnId);
  for (let i = at; i >= 0; i--) {
    const turn = c.turns[i];
    if (turn.role === "user" && turn.pictures.length) return turn.pictures;
  }
  return [];
}

/**
 * What the viewer shows: a picture, document or clip, and the answer whose marks lie on it; of a document a page (absent: the first
 * that was sent), and the box that a citation in the text names.
 * @typedef {{ picture: string, turn: string | null, page?: number, box?: number[] | null }} Focus
 */

/** Chosen by hand or by what happened last; null: the latest. @type {import("@preact/signals").Signal<Focus | null>} */
export const focus = signal(null);

/** @type {import("@preact/signals").ReadonlySignal<Focus | null>} */
export const stage = computed(() => {
  const conversation = current.value;
  const drafts = draftPictures.value;
  const inTalk = conversation ? picturesIn(conversation) : [];
  const wanted = focus.value;
  if (wanted && (drafts.includes(wanted.picture) || inTalk.includes(wanted.picture))) return wanted;
  if (drafts.length) return { picture: /** @type {string} */ (drafts.at(-1)), turn: null };
  if (!conversation || !inTalk.length) return null;
  const answer = conversation.turns.findLast((t) => t.role === "assistant");
  if (!answer || answer.role !== "assistant") return { picture: inTalk[inTalk.length - 1], turn: null };
  return { picture: answer.picture ?? picturesFor(conversation, answer.id)[0] ?? inTalk[0], turn: answer.id };
});

/** The region under the pointer or chosen by key, in the answer in focus. @type {import("@preact/signals").Signal<number | null>} */
export const hot = signal(null);

/** A wish to bring a region to the middle; the viewer clears it. @type {import("@preact/signals").Signal<number | null>} */
export const centre = signal(null);

/** A wish to show a region's row in the conversation; the row clears it. @type {import("@preact/signals").Signal<number | null>} */
export const reveal = signal(null);

export const marksShown = signal(true);

/** On a narrow window the viewer is a sheet. */
export const sheetOpen = signal(false);

/** A wish to play a clip from a time, up to another; the player clears it. @type {import("@preact/signals").Signal<{ from: number, to: number | null } | null>} */
export const seek = signal(null);

/** @typedef {"help" | "real" | "files" | null} Dialog */
/** @type {import("@preact/signals").Signal<Dialog>} */
export const dialog = signal(/** @type {Dialog} */ (null));

/** The document among the attachments that a name means, else the first. @param {string[]} pictures @param {string} name */
export function documentNamed(pictures, name) {
  const documents = pictures.filter((id) => pictureOf(id)?.picture.kind === "pdf");
  const wanted = name.trim().toLowerCase();
  return documents.find((id) => wanted && pictureOf(id)?.picture.name.toLowerCase() === wanted)
    ?? documents.find((id) => wanted && pictureOf(id)?.picture.name.toLowerCase().startsWith(wanted)) ?? documents[0];
}

/** The first page of a document that was sent. @param {string} id */
export function firstPage(id) {
  const pdf = pictureOf(id)?.picture.pdf;
  return pdf ? (pagesOf(pdf.range, pdf.count)?.[0] ?? 1) : 0;
}

/** Which picture a region of an answer lies on, and which page of it (0: it has none). @param {Region} region @param {string[]} pictures @param {string | undefined} chosen
 * @returns {{ picture: string | undefined, page: number }} */
export function placeOfRegion(region, pictures, chosen) {
  if (region.page > 0) {
    const document = documentNamed(pictures, region.file);
    if (document) return { picture: document, page: region.page };
  }
  const picture = (region.image > 0 ? pictures[region.image - 1] : undefined) ?? chosen ?? pictures[0];
  return { picture, page: picture ? firstPage(picture) : 0 };
}

/** The page that the viewer shows; 0: what it shows has none. */
export const stagePage = computed(() => {
  const at = stage.value;
  if (!at || pictureOf(at.picture)?.picture.kind !== "pdf") return 0;
  return at.page ?? firstPage(at.picture);
});

/** The text and calls of an answer, finished or on its way. @param {AnswerTurn} turn */
function saidBy(turn) {
  const run = currentRun.value?.turn === turn.id ? currentRun.value : null;
  return { text: withCalls(run ? run.text.value : turn.text, run ? run.toolCalls.value : turn.toolCalls), live: run !== null };
}

/** The answer in focus. */
const answerInFocus = computed(() => {
  const at = stage.value;
  const turn = at?.turn && current.value?.turns.find((t) => t.id === at.turn);
  return turn && turn.role === "assistant" ? turn : null;
});

/** All marks of the answer in focus, with the places where they lie. */
const placed = computed(() => {
  const turn = answerInFocus.value;
  if (!turn || !current.value) return [];
  const pictures = picturesFor(current.value, turn.id);
  const { text, live } = saidBy(turn);
  return regionsOf(text, live).map((region) => ({ region, ...placeOfRegion(region, pictures, turn.picture) }));
});

/** The index of the mark that stands for a citation in the text. */
export const CITED = -1;

/** The marks on what the viewer shows. @type {import("@preact/signals").ReadonlySignal<Region[]>} */
export const marks = computed(() => {
  const at = stage.value;
  const page = stagePage.value;
  if (!at) return [];
  const found = placed.value.filter((p) => p.picture === at.picture && p.page === page).map((p) => p.region);
  if (!at.box || !page) return found;
  const [x1, y1, x2, y2] = at.box;
  return [...found, {
    index: CITED, kind: "box", x1: Math.min(x1, x2), y1: Math.min(y1, y2), x2: Math.max(x1, x2), y2: Math.max(y1, y2), label: t().pageShort(page),
    fields: [], image: 0, page, file: "",
  }];
});

/** Pages of the document in the viewer that the answer in focus cites. */
export const citedPages = computed(() => {
  const at = stage.value;
  const turn = answerInFocus.value;
  /** @type {Set<number>} */
  const pages = new Set();
  if (!at || !turn || !current.value || !stagePage.value) return pages;
  for (const p of placed.value) if (p.picture === at.picture && p.region.page > 0) pages.add(p.page);
  const pictures = picturesFor(current.value, turn.id);
  for (const citation of citationsOf(saidBy(turn).text)) if (documentNamed(pictures, citation.file) === at.picture) pages.add(citation.page);
  return pages;
});

/** Times that the answer in focus names. */
export const timesInFocus = computed(() => (answerInFocus.value ? timesOf(saidBy(answerInFocus.value).text) : []));

/** Shows a page that an answer cites, and the place on it. @param {string} turnId @param {number} page @param {string} file @param {number[] | null} box */
export function lookAtPage(turnId, page, file, box) {
  const conversation = current.peek();
  const document = conversation && documentNamed(picturesFor(conversation, turnId), file);
  const pdf = document && pictureOf(document)?.picture.pdf;
  if (!document || !pdf || page < 1 || page > pdf.count) return;
  focus.value = { picture: document, turn: turnId, page, box };
  hot.value = box ? CITED : null;
  if (box) centre.value = CITED;
  sheetOpen.value = true;
}

/** Plays the answer's clip from a time that it names. @param {string} turnId @param {number} from @param {number | null} to */
export function lookAtTime(turnId, from, to) {
  const conversation = current.peek();
  const clip = conversation && picturesFor(conversation, turnId).find((id) => pictureOf(id)?.picture.kind === "video");
  if (!clip) return;
  focus.value = { picture: clip, turn: turnId };
  seek.value = { from, to };
  sheetOpen.value = true;
}

/** Turns to a page of the document in the viewer. @param {number} page */
export function turnTo(page) {
  const at = stage.peek();
  const pdf = at && pictureOf(at.picture)?.picture.pdf;
  if (!at || !pdf || page < 1 || page > pdf.count) return;
  focus.value = { picture: at.picture, turn: at.turn, page };
  hot.value = null;
}

/** An answer's text with its tool calls written out, as the page shows it. @param {string} text @param {ToolCall[]} calls */
export function withCalls(text, calls) {
  const plain = text.replace(/<\/?tool_call>/g, "");
  if (!calls.length) return plain;
  return [plain, ...calls.map((c) => `\`\`\`json\n{"name": ${JSON.stringify(c.name)}, "arguments": ${c.arguments || "{}"}}\n\`\`\``)].join("\n\n");
}

/** Shows an answer's region in the viewer. @param {string} turnId @param {Region} region @param {boolean} [move] */
export function lookAt(turnId, region, move = false) {
  const conversation = current.peek();
  const turn = conversation?.turns.find((t) => t.id === turnId);
  if (!conversation || turn?.role !== "assistant") return;
  const { picture, page } = placeOfRegion(region, picturesFor(conversation, turnId), turn.picture);
  if (!picture) return;
  const at = stage.peek();
  if (at?.picture !== picture || at.turn !== turnId || stagePage.peek() !== page) focus.value = { picture, turn: turnId, ...(page ? { page } : {}) };
  hot.value = region.index;
  if (move) {
    centre.value = region.index;
    sheetOpen.value = true;
  }
}

/** The next or previous mark becomes hot and is brought to the middle. @param {1 | -1} step */
export function stepMark(step) {
  const list = marks.peek();
  if (!list.length) return;
  const at = list.findIndex((r) => r.index === hot.peek());
  const next = list[at < 0 ? (step > 0 ? 0 : list.length - 1) : (at + step + list.length) % list.length];
  hot.value = next.index;
  centre.value = next.index;
  reveal.value = next.index;
}
