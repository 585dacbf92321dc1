// Random ids. crypto.randomUUID is absent on plain http from another machine, getRandomValues is not.
export const uid = () =>
  [...crypto.getRandomValues(new Uint8Array(10))].map((b) => b.toString(16).padStart(2, "0")).join("");
