// Small PDF documents for tests: lines of text and rectangles, a font that is named and not embedded, and the oldest encryption
// (RC4 with 40 bits, PDF 1.7 section 7.6).
import { createHash } from "node:crypto";

const PAD = Buffer.from("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A", "hex");
const IDENTITY = Buffer.from("0123456789abcdef");

const md5 = (...parts) => createHash("md5").update(Buffer.concat(parts)).digest();

function rc4(key, data) {
  const state = Array.from({ length: 256 }, (_, i) => i);
  for (let i = 0, j = 0; i < 256; i++) {
    j = (j + state[i] + key[i % key.length]) % 256;
    [state[i], state[j]] = [state[j], state[i]];
  }
  let i = 0;
  let j = 0;
  return Buffer.from(data.map((byte) => {
    i = (i + 1) % 256;
    j = (j + state[i]) % 256;
    [state[i], state[j]] = [state[j], state[i]];
    return byte ^ state[(state[i] + state[j]) % 256];
  }));
}

/** A page's content: text at points from the lower left corner of 612 x 792, 24 points high. @param {...[number, number, string]} lines */
export const lines = (...all) =>
  `BT /F1 24 Tf ${all.map(([x, y, text]) => `1 0 0 1 ${x} ${y} Tm (${text.replace(/[\\()]/g, "\\$&")}) Tj`).join(" ")} ET`;

/** @param {string[]} contents one for each page @param {string} [password] ASCII @returns {Buffer} */
export function pdf(contents, password) {
  const plain = (text) => ({ text, stream: null });
  const objects = [
    plain("<< /Type /Catalog /Pages 2 0 R >>"),
    plain(`<< /Type /Pages /Kids [${contents.map((_, i) => `${5 + 2 * i} 0 R`).join(" ")}] /Count ${contents.length} >>`),
    plain("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"),
  ];
  for (const [i, content] of contents.entries()) {
    objects.push({ text: "", stream: Buffer.from(content, "latin1") });
    objects.push(plain(`<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents ${4 + 2 * i} 0 R /Resources << /Font << /F1 3 0 R >> >> >>`));
  }
  let key = null;
  let trailer = "";
  if (password !== undefined) {
    const padded = Buffer.concat([Buffer.from(password), PAD]).subarray(0, 32);
    const owner = rc4(md5(padded).subarray(0, 5), padded);
    const permissions = Buffer.from([0xfc, 0xff, 0xff, 0xff]);
    key = md5(padded, owner, permissions, IDENTITY).subarray(0, 5);
    objects.push(plain(`<< /Filter /Standard /V 1 /R 2 /O <${owner.toString("hex")}> /U <${rc4(key, PAD).toString("hex")}> /P -4 >>`));
    trailer = `/Encrypt ${objects.length} 0 R /ID [<${IDENTITY.toString("hex")}> <${IDENTITY.toString("hex")}>]`;
  }
  const parts = [Buffer.from("%PDF-1.4\n")];
  let size = parts[0].length;
  const offsets = objects.map(({ text, stream }, i) => {
    const at = size;
    const number = i + 1;
    const own = stream && key ? rc4(md5(key, Buffer.from([number & 255, number >> 8, 0, 0, 0])).subarray(0, 10), stream) : stream;
    const bytes = own
      ? Buffer.concat([Buffer.from(`${number} 0 obj\n<< /Length ${own.length} >>\nstream\n`), own, Buffer.from("\nendstream\nendobj\n")])
      : Buffer.from(`${number} 0 obj\n${text}\nendobj\n`);
    parts.push(bytes);
    size += bytes.length;
    return at;
  });
  const table = offsets.map((offset) => `${String(offset).padStart(10, "0")} 00000 n \n`).join("");
  parts.push(Buffer.from(`xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${table}trailer << /Size ${objects.length + 1} /Root 1 0 R ${trailer} >>\nstartxref\n${size}\n%%EOF\n`));
  return Buffer.concat(parts);
}

export const fortyPages = () => pdf(Array.from({ length: 40 }, (_, i) => `${lines([72, 700, `Page ${i + 1}`], [72, 660, "The total is 41.2 M"])} 0 0 1 rg 72 100 ${100 + 8 * i} 300 re f`));
