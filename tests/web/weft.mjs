// Starts the program that WEFT_BIN names on a small random model, for tests that want the real server.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const START_MS = 60_000;

const golden = (model) => fileURLToPath(new URL(`../golden/models/${model}/model`, import.meta.url));

/** The model that comes with weft. */
export const EMBEDDED = fileURLToPath(new URL("../../models/tiny/instruct", import.meta.url));

/** `path`: a model's folder in place of a small random one. close() ends it with SIGTERM and gives its exit code. */
export async function startWeft({ model = "dense_tied", path = golden(model), options = [] } = {}) {
  const data = mkdtempSync(join(tmpdir(), "weft-data-")); // nothing of a test stays in somebody's home
  const child = spawn(process.env.WEFT_BIN, ["serve", "--port", "0", "--memory", "256M", "--model", `tiny=${path}`, ...options],
    { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, XDG_DATA_HOME: data, XDG_CACHE_HOME: data } });
  child.once("exit", () => rmSync(data, { recursive: true, force: true }));
  const ended = new Promise((resolve) => child.once("exit", (code, signal) => resolve(code ?? signal)));
  let said = "";
  const url = await new Promise((resolve, reject) => {
    const giveUp = (why) => (child.kill("SIGKILL"), reject(new Error(`weft does not start: ${why}\n${said}`)));
    const timer = setTimeout(giveUp, START_MS, "it takes too long");
    child.once("error", giveUp);
    child.once("exit", (code) => giveUp(`it exits with ${code}`));
    child.stderr.setEncoding("utf8").on("data", (text) => {
      said += text;
      const found = said.match(/http:\/\/localhost:(\d+)\//);
      if (!found) return;
      clearTimeout(timer);
      resolve(`http://127.0.0.1:${found[1]}`);
    });
  });
  return { url, seen: null, close: async () => (child.kill("SIGTERM"), ended) };
}
