// The peer's side: raw prefill and decode of llama.cpp through the addon that node-llama-cpp ships, one JSON object out.
// The addon's own calls are used, not the wrapper around them: nothing but llama_decode stands between the clocks.
//
//   node llama.mjs --model M.gguf --threads N --rows prefill:512:0,decode:32:0:1,first_token:20 [--kv f16|q8_0|f32]
//                  [--variant haswell] [--repeat N] [--batch-size 512] [--no-mmap] [--logits IDS --out FILE]
import {existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeSync, openSync, closeSync} from "node:fs";
import {createRequire} from "node:module";
import {tmpdir} from "node:os";
import path from "node:path";
import {parseArgs} from "node:util";

const {values: options} = parseArgs({options: {
    model: {type: "string"}, threads: {type: "string", default: "2"}, rows: {type: "string", default: ""}, kv: {type: "string", default: "f16"},
    variant: {type: "string"}, repeat: {type: "string", default: "1"}, "batch-size": {type: "string", default: "512"}, "no-mmap": {type: "boolean"},
    logits: {type: "string"}, out: {type: "string"}, vocab: {type: "string", default: "151936"}, version: {type: "boolean"},
}});
const started = performance.now();

/** The folder with the addon for this machine. */
function addonFolder() {
    const scope = path.join(import.meta.dirname, "node_modules", "@node-llama-cpp");
    const machine = `${{linux: "linux", darwin: "mac", win32: "win"}[process.platform]}-${process.arch}`; // others may be installed, too
    for (const name of existsSync(scope) ? readdirSync(scope) : []) {
        const bins = path.join(scope, name, "bins");
        for (const build of existsSync(bins) ? readdirSync(bins) : [])
            if (build.startsWith(machine) && existsSync(path.join(bins, build, "llama-addon.node"))) return path.join(bins, build);
    }
    console.error("peer: llama.cpp is not installed: run bench/peer/setup");
    process.exit(3);
}

/** Loads the addon with all CPU variants to choose from, or with the one that is named. */
async function loadAddon() {
    const folder = addonFolder(), addon = createRequire(import.meta.url)(path.join(folder, "llama-addon.node"));
    addon.setLogger(() => {});
    let backends = folder;
    if (options.variant) {
        const library = path.join(folder, `libggml-cpu-${options.variant}.so`);
        if (!existsSync(library)) {
            const names = readdirSync(folder).map((f) => f.match(/^libggml-cpu-(.*)\.so$/)?.[1]).filter(Boolean);
            console.error(`peer: no variant '${options.variant}': ${names.join(", ")}`);
            process.exit(2);
        }
        backends = mkdtempSync(path.join(tmpdir(), "peer-"));
        symlinkSync(library, path.join(backends, path.basename(library)));
    }
    addon.loadBackends(backends);
    if (backends !== folder) rmSync(backends, {recursive: true});
    await addon.init();
    const build = JSON.parse(readFileSync(path.join(folder, "_nlcBuildMetadata.json"), "utf8")).buildOptions;
    return {addon, release: build.llamaCpp.release};
}

/** "kind:a:b:c,…": prefill:tokens:depth, decode:steps:depth:batch, first_token:tokens. */
function parseRows(text) {
    return text.split(",").filter(Boolean).map((item) => {
        const [kind, a, b = "0", c = "1"] = item.split(":");
        if (kind !== "prefill" && kind !== "decode" && kind !== "first_token") throw new Error(`peer: rows of kind '${kind}' need the native build`);
        return {kind, a: Number(a), b: Number(b), c: Number(c)};
    });
}

let state = 1n;
function randomTokens(count) {
    const tokens = new Uint32Array(count);
    for (let i = 0; i < count; i++) {
        state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
        tokens[i] = Number((state >> 33n) % BigInt(options.vocab));
    }
    return tokens;
}

class Runner {
    constructor(context, batchSize) {
        this.context = context;
        this.batchSize = batchSize;
    }
    /** Tokens into one sequence from position `at`; the last one's logits are computed when asked for. */
    async feed(tokens, at, logits, sequence = 0) {
        for (let begin = 0; begin < tokens.length; begin += this.batchSize) {
            const piece = tokens.subarray(begin, begin + this.batchSize), last = begin + piece.length === tokens.length;
            this.context.initBatch(piece.length);
            this.context.addToBatch(sequence, at + begin, piece, Uint32Array.from(last && logits ? [piece.length - 1] : []));
            await this.context.decodeBatch();
        }
    }
    rewind(depth, sequences = 1) {
        for (let s = 0; s < sequences; s++) this.context.removeTokenCellsFromSequence(s, depth, -1);
    }
    async prefill({a: tokens, b: depth}) {
        const ids = randomTokens(tokens), start = performance.now();
        await this.feed(ids, depth, true);
        const seconds = (performance.now() - start) / 1000;
        this.rewind(depth);
        return seconds;
    }
    async decode({a: steps, b: depth, c: batch}) {
        const ids = Array.from({length: steps}, () => randomTokens(batch)), start = performance.now();
        for (let i = 0; i < steps; i++) {
            this.context.initBatch(batch);
            for (let s = 0; s < batch; s++) this.context.addToBatch(s, depth + i, ids[i].subarray(s, s + 1), Uint32Array.of(0));
            await this.context.decodeBatch();
        }
        const seconds = (performance.now() - start) / 1000;
        this.rewind(depth, batch);
        return seconds;
    }
    /** From the start of this program; nothing is warmed up before. */
    async first_token({a: tokens}) {
        await this.feed(randomTokens(tokens), 0, true);
        const seconds = (performance.now() - started) / 1000;
        this.rewind(0);
        return seconds;
    }
}

const median = (list) => {
    const sorted = [...list].sort((a, b) => a - b), n = sorted.length;
    return (sorted[(n - 1) >> 1] + sorted[n >> 1]) / 2;
};

/** Every row at its depth: the cache is really computed up to there. */
async function measure(addon, model, rows) {
    const kv = cacheType(addon), batchSize = Number(options["batch-size"]);
    const sequences = Math.max(1, ...rows.map((r) => r.c)), positions = Math.max(256, ...rows.map((r) => r.a + r.b));
    const context = new addon.AddonContext(model, {
        contextSize: Math.ceil(positions / 256) * 256 * sequences, batchSize, sequences, threads: Number(options.threads),
        flashAttention: options.kv.startsWith("q") ? true : "auto", kvCacheKeyType: kv, kvCacheValueType: kv,
    });
    if (!(await context.init())) throw new Error("peer: the context could not be made");
    const runner = new Runner(context, batchSize), out = [];
    let depth = 0, warm = false;
    for (const row of rows) {
        if (row.kind !== "first_token" && !warm) { // as llama.cpp's own benchmark does
            await runner.prefill({a: 8, b: 0});
            await runner.decode({a: 1, b: 0, c: 1});
            warm = true;
        }
        if (row.b !== depth || row.c > 1)
            for (let s = 0; s < row.c; s++) {
                context.removeTokenCellsFromSequence(s, 0, -1);
                if (row.b) await runner.feed(randomTokens(row.b), 0, false, s);
            }
        depth = row.b;
        const seconds = [];
        for (let i = 0; i < (row.kind === "first_token" ? 1 : Number(options.repeat)); i++) seconds.push(await runner[row.kind](row));
        const tokens = row.a * row.c, middle = median(seconds);
        out.push({...row, tokens, seconds: middle, seconds_min: Math.min(...seconds), tokens_per_s: tokens / middle, rss_bytes: process.memoryUsage.rss()});
    }
    await context.dispose();
    return {rows: out};
}

/** The number of the KV type; the addon knows names in capitals only and takes f16 without a word for others. */
function cacheType(addon) {
    const type = addon.getGgmlType(options.kv.toUpperCase());
    if (type === undefined) throw new Error(`peer: unknown KV type ${options.kv}`);
    return type;
}

/** Logits after every position of the ids in a text file, as f32 [positions, vocab]. */
async function writeLogits(addon, model) {
    const ids = Uint32Array.from(readFileSync(options.logits, "utf8").trim().split(/\s+/).map(Number)), vocab = Number(options.vocab);
    const kv = cacheType(addon);
    const context = new addon.AddonContext(model, {contextSize: Math.ceil(ids.length / 256) * 256, batchSize: ids.length, sequences: 1, threads: Number(options.threads),
        flashAttention: options.kv.startsWith("q") ? true : "auto", kvCacheKeyType: kv, kvCacheValueType: kv});
    if (!(await context.init())) throw new Error("peer: the context could not be made");
    const sampler = new addon.AddonSampler(model);
    sampler.applyConfig({temperature: 0});
    context.initBatch(ids.length);
    const places = context.addToBatch(0, 0, ids, Uint32Array.from(ids, (_, i) => i));
    await context.decodeBatch();
    const file = openSync(options.out, "w");
    for (const place of places) {
        const [, , , logits] = await context.sampleToken(place, sampler, false, false, true);
        const row = new Float32Array(vocab);
        for (let i = 0; i < logits.length; i += 2) row[logits[i]] = logits[i + 1];
        writeSync(file, Buffer.from(row.buffer));
    }
    closeSync(file);
    await context.dispose();
}

const {addon, release} = await loadAddon();
if (options.version) {
    console.log(JSON.stringify({program: "llama.cpp", release, system: addon.systemInfo()}));
    process.exit(0);
}
const model = new addon.AddonModel(options.model, {addonExports: addon, gpuLayers: 0, useMmap: !options["no-mmap"]});
if (!(await model.init())) {
    console.error(`peer: llama.cpp cannot load ${options.model}`);
    process.exit(1);
}
const load = (performance.now() - started) / 1000;
if (options.logits) await writeLogits(addon, model);
const measured = options.logits ? {rows: []} : await measure(addon, model, parseRows(options.rows));
console.log(JSON.stringify({program: "llama.cpp", release, system: addon.systemInfo(), load_seconds: load, ...measured}));
process.exit(0);
