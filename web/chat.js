// What a person does in a conversation: ask, stop, ask again, edit, attach. Owns the life of an answer from the first
// byte sent to the last stored; everything it learns on the way goes into the store's signals.
import { batch, signal } from "@preact/signals";
import { ApiError, fetchSample, streamChat } from "./api.js";
import { arriving, forget, isValid, kindOf, obstacle, partOf, takeFile, takeStored, UPLOAD_BYTES, uploadPicture } from "./attachments.js";
import { fmtBytes, t } from "./i18n/index.js";
import { dropPictures, fetchPicture, keepPictures, PICTURE_BYTES_MAX, PICTURES_MAX, PictureError, pictureOf, takePicture } from "./pictures.js";
import {
  changeAnswer, changeTurns, conversations, createConversation, current, draftPictures, draftText, focus, hot, model,
  notice, picturesFor, picturesIn, runs, sheetOpen, titleOf,
} from "./store.js";
import { uid } from "./uid.js";

/** How often arriving text reaches the screen, and storage. */
const PAINT_MS = 33;
const SAVE_MS = 2000;

/** Says to screen readers what happened; not shown. */
export const spoken = signal("");

/** @param {Iterable<File>} files */
export async function attach(files) {
  notice.value = "";
  for (const file of files) {
    if (draftPictures.peek().length >= PICTURES_MAX) {
      notice.value = t().tooMany(PICTURES_MAX);
      return;
    }
    try {
      const kind = await kindOf(file);
      if (kind !== "picture") {
        addToDraft(takeFile(file, file.name || kind, kind));
        continue;
      }
      const picture = await takePicture(file, file.name || "picture");
      addToDraft(picture.id);
      if (picture.blob.size > UPLOAD_BYTES) uploadPicture(picture);
    } catch (error) {
      if (!(error instanceof PictureError)) throw error;
      notice.value = error.why === "large" ? t().tooLarge(error.name, fmtBytes(PICTURE_BYTES_MAX)) : t().cannotRead(error.name);
    }
  }
}

/** @param {string} id */
function addToDraft(id) {
  batch(() => {
    draftPictures.value = [...draftPictures.peek(), id];
    focus.value = { picture: id, turn: null };
    hot.value = null;
  });
}

/** Attaches a file that the server has. @param {StoredFile} stored */
export async function attachStored(stored) {
  notice.value = "";
  if (draftPictures.peek().length >= PICTURES_MAX) {
    notice.value = t().tooMany(PICTURES_MAX);
    return;
  }
  const id = await takeStored(stored);
  if (id) addToDraft(id);
  else notice.value = t().cannotRead(stored.filename);
}

/** @param {string} id */
export function detach(id) {
  draftPictures.value = draftPictures.peek().filter((p) => p !== id);
  forget(id);
  dropPictures([id]);
}

/** Runs a sample task of the server at once. @param {Sample} sample */
export async function runSample(sample) {
  notice.value = "";
  try {
    const pictures = sample.image
      ? [(await takePicture(await fetchSample(sample.image), sample.image.split("/").pop() ?? "sample")).id]
      : [];
    ask(sample.prompt, pictures, sample.title);
  } catch (error) {
    notice.value = error instanceof PictureError ? t().cannotRead(error.name) : failureOf(error).message || t().offline;
  }
}

/** Sends the draft. */
export function sendDraft() {
  const text = draftText.peek().trim();
  const pictures = draftPictures.peek();
  if (!canSend()) return;
  batch(() => {
    draftText.value = "";
    draftPictures.value = [];
  });
  ask(text, pictures);
}

/** Whether Enter would send now. Reading subscribes. */
export function canSend() {
  const id = current.value?.id;
  const ready = draftPictures.value.every((p) => {
    const picture = arriving.value.has(p) ? null : pictureOf(p)?.picture;
    return picture && isValid(picture);
  });
  return Boolean(model.value && ready && (draftText.value.trim() || draftPictures.value.length) && !(id && runs.value.has(id)));
}

/** @param {string} text @param {string[]} pictures @param {string} [title] */
export function ask(text, pictures, title) {
  const chosen = model.peek();
  if (!chosen) return;
  batch(() => {
    const conversation = current.peek() ?? createConversation(title ?? titleOf(text, t().newChat));
    /** @type {UserTurn} */
    const question = { id: uid(), role: "user", text, pictures };
    startAnswer(conversation.id, (turns) => [...turns, question], chosen.id);
    keepPictures(pictures);
  });
}

/** Answers a question anew; what followed it goes. @param {string} answerId */
export function regenerate(answerId) {
  const conversation = current.peek();
  const chosen = model.peek();
  const at = conversation?.turns.findIndex((turn) => turn.id === answerId) ?? -1;
  if (!conversation || !chosen || at < 0) return;
  startAnswer(conversation.id, (turns) => turns.slice(0, at), chosen.id);
}

/** Asks a changed question in place of an earlier one. @param {string} questionId @param {string} text */
export function askChanged(questionId, text) {
  const conversation = current.peek();
  const chosen = model.peek();
  const at = conversation?.turns.findIndex((turn) => turn.id === questionId) ?? -1;
  if (!conversation || !chosen || at < 0) return;
  startAnswer(conversation.id, (turns) => turns.slice(0, at + 1).map((turn) => (turn.id === questionId ? { ...turn, text } : turn)), chosen.id);
}

/** Stops the answer on its way in the open conversation; what has arrived stays. @returns {boolean} whether there was one */
export function stop() {
  const id = current.peek()?.id;
  const run = id ? runs.peek().get(id) : undefined;
  run?.abort.abort();
  return run !== undefined;
}

/** @param {string} conversationId @param {(turns: Turn[]) => Turn[]} before @param {string} modelId */
function startAnswer(conversationId, before, modelId) {
  runs.peek().get(conversationId)?.abort.abort();
  /** @type {AnswerTurn} */
  const answer = { id: uid(), role: "assistant", model: modelId, text: "", reasoning: "", reasoningMs: 0, toolCalls: [], state: "running" };
  changeTurns(conversationId, (turns) => [...before(turns), answer]);
  const conversation = conversations.peek().find((c) => c.id === conversationId);
  if (!conversation) return;
  /** @type {import("./store.js").Run} */
  const run = {
    conversation: conversationId, turn: answer.id, abort: new AbortController(), started: performance.now(),
    pictures: picturesIn(conversation).length, text: signal(""), reasoning: signal(""), toolCalls: signal([]),
    progress: signal(null), thinking: { from: 0, to: 0 },
  };
  batch(() => {
    runs.value = new Map(runs.peek()).set(conversationId, run);
    const picture = picturesFor(conversation, answer.id)[0];
    focus.value = picture ? { picture, turn: answer.id } : null;
    hot.value = null;
    sheetOpen.value = false;
  });
  follow(run, conversation, answer);
}

/** @param {Turn[]} turns @returns {Promise<{ messages: object[], bytes: number }>} */
export async function messagesOf(turns) {
  const messages = [];
  let bytes = 0;
  for (const turn of turns) {
    if (turn.role === "assistant") {
      if (turn.text) messages.push({ role: "assistant", content: turn.text });
      continue;
    }
    const parts = (await Promise.all(turn.pictures.map(partOf))).filter((part) => part !== null);
    bytes += JSON.stringify(parts).length;
    const cites = (await Promise.all(turn.pictures.map(fetchPicture))).some((picture) => picture?.pdf?.cite);
    messages.push({
      role: "user",
      content: [...parts, ...(turn.text ? [{ type: "text", text: turn.text }] : []), ...(cites ? [{ type: "text", text: `\n\n${t().citePrompt}` }] : [])],
    });
  }
  return { messages, bytes };
}

/**
 * Text as it arrives, handed on a few times a second.
 * @param {import("./store.js").Run} run
 */
function collector(run) {
  let text = "";
  let reasoning = "";
  /** @type {ToolCall[]} */
  let calls = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let saved = performance.now();
  const paint = () => {
    clearTimeout(timer);
    timer = undefined;
    batch(() => {
      run.text.value = text;
      run.reasoning.value = reasoning;
      run.toolCalls.value = calls;
    });
    if (performance.now() - saved > SAVE_MS) {
      saved = performance.now();
      changeAnswer(run.conversation, run.turn, { text, reasoning, toolCalls: calls });
    }
  };
  const soon = () => (timer ??= setTimeout(paint, PAINT_MS));
  return {
    paint,
    /** @param {string} piece */
    addText(piece) {
      if (run.thinking.from && !run.thinking.to) run.thinking.to = performance.now();
      text += piece;
      soon();
    },
    /** @param {string} piece */
    addReasoning(piece) {
      run.thinking.from ||= performance.now();
      reasoning += piece;
      soon();
    },
    /** @param {number} index @param {string} name @param {string} args */
    addCall(index, name, args) {
      const old = calls[index] ?? { name: "", arguments: "" };
      calls = calls.slice();
      calls[index] = { name: old.name + name, arguments: old.arguments + args };
      soon();
    },
  };
}

/** @param {unknown} error @returns {Failure} */
function failureOf(error) {
  if (error instanceof ApiError) return { message: error.message, code: error.code, status: error.status };
  return { message: error instanceof Error ? error.message : String(error), code: "page", status: 0 };
}

/** @param {import("./store.js").Run} run @param {Conversation} conversation @param {AnswerTurn} answer */
async function follow(run, conversation, answer) {
  const collect = collector(run);
  /** @type {Partial<AnswerTurn>} */
  const end = { state: "done" };
  try {
    const why = await obstacle(picturesIn(conversation));
    if (why) throw new ApiError(why, "attachment", 0);
    if (run.abort.signal.aborted) throw new DOMException("stopped", "AbortError");
    const { messages, bytes } = await messagesOf(conversation.turns.filter((turn) => turn.id !== answer.id));
    run.progress.value = { stage: "sending", done: 0, total: bytes, unit: "bytes", elapsed_ms: 0, eta_ms: null };
    await streamChat({ model: answer.model, messages }, {
      onText: collect.addText,
      onReasoning: collect.addReasoning,
      onToolCall: collect.addCall,
      onProgress: (progress) => (run.progress.value = progress),
      onFinish: (reason) => (end.finish = reason),
      onUsage: (usage, timings) => ((end.usage = usage), (end.timings = timings)),
    }, run.abort.signal);
  } catch (error) {
    if (run.abort.signal.aborted) end.state = "stopped";
    else Object.assign(end, { state: "failed", error: failureOf(error) });
  }
  collect.paint();
  const text = run.text.peek();
  const nothing = !text.trim() && !run.toolCalls.peek().length;
  if (end.state === "done" && nothing && end.finish !== "length") {
    Object.assign(end, { state: "failed", error: { message: "", code: "empty", status: 200 } });
  }
  const { from, to } = run.thinking;
  batch(() => {
    changeAnswer(run.conversation, run.turn, {
      ...end, text, reasoning: run.reasoning.peek(), toolCalls: run.toolCalls.peek(),
      reasoningMs: from ? (to || performance.now()) - from : 0,
    }, true);
    if (runs.peek().get(run.conversation) === run) {
      const left = new Map(runs.peek());
      left.delete(run.conversation);
      runs.value = left;
    }
  });
  spoken.value = end.state === "done" ? t().answerReady : end.state === "stopped" ? t().stopped : (end.error?.message ?? "");
}
