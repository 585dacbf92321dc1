// Conversations and pictures in IndexedDB. Where the browser keeps nothing (private windows, storage off), the same calls
// work on memory and `kept` is false. Pictures are stored once and referred to by id.
import { signal } from "@preact/signals";

const NAME = "weft";
const VERSION = 1;

/** Whether what is written will still be there after the tab closes. */
export const kept = signal(true);

/** @type {Record<string, Map<string, any>>} */
const memory = { conversations: new Map(), pictures: new Map() };

/** @returns {Promise<IDBDatabase | null>} */
function open() {
  return new Promise((resolve) => {
    const give = (/** @type {IDBDatabase | null} */ db) => {
      kept.value = db !== null;
      resolve(db);
    };
    try {
      const request = indexedDB.open(NAME, VERSION);
      request.onupgradeneeded = () => {
        request.result.createObjectStore("conversations", { keyPath: "id" });
        request.result.createObjectStore("pictures", { keyPath: "id" });
      };
      request.onsuccess = () => give(request.result);
      request.onerror = () => give(null);
      request.onblocked = () => give(null);
    } catch {
      give(null);
    }
  });
}

/** @type {Promise<IDBDatabase | null> | undefined} */
let opened;

/**
 * One request in one transaction.
 * @template T
 * @param {"conversations" | "pictures"} store
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest<T>} act
 * @param {() => T} inMemory
 * @returns {Promise<T>}
 */
async function run(store, mode, act, inMemory) {
  const db = await (opened ??= open());
  if (!db) return inMemory();
  return new Promise((resolve, reject) => {
    const transaction = db.transaction(store, mode);
    const request = act(transaction.objectStore(store));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onabort = () => reject(transaction.error ?? new Error("storage"));
  });
}

/** @param {"conversations" | "pictures"} store @param {{ id: string }} value @returns {Promise<void>} */
async function put(store, value) {
  memory[store].set(value.id, value);
  try {
    await run(store, "readwrite", (s) => s.put(value), () => value.id);
    if (store === "conversations" && kept.value) memory[store].delete(value.id);
  } catch {
    kept.value = false; // The disk is full or the browser said no: memory still has it.
  }
}

/** @template T @param {"conversations" | "pictures"} store @param {string} id @returns {Promise<T | undefined>} */
async function get(store, id) {
  const held = memory[store].get(id);
  return held ?? run(store, "readonly", (s) => s.get(id), () => undefined);
}

/** @param {"conversations" | "pictures"} store @param {string} id */
async function remove(store, id) {
  memory[store].delete(id);
  await run(store, "readwrite", (s) => s.delete(id), () => undefined);
}

/** @param {Conversation} conversation */
export const putConversation = (conversation) => put("conversations", conversation);

/** All conversations, newest first. @returns {Promise<Conversation[]>} */
export async function allConversations() {
  /** @type {Conversation[]} */
  const all = await run("conversations", "readonly", (s) => s.getAll(), () => [...memory.conversations.values()]);
  return all.sort((a, b) => b.updated - a.updated);
}

/** @param {Picture} picture */
export const putPicture = (picture) => put("pictures", picture);

/** @param {string} id @returns {Promise<Picture | undefined>} */
export const getPicture = (id) => get("pictures", id);

/** Ids of all stored pictures. @returns {Promise<string[]>} */
export const pictureIds = async () =>
  (await run("pictures", "readonly", (s) => s.getAllKeys(), () => [...memory.pictures.keys()])).map(String);

/** @param {string} id */
export const removeConversation = (id) => remove("conversations", id);

/** @param {string} id */
export const removePicture = (id) => remove("pictures", id);
