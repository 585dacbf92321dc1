#!/usr/bin/env node
// weft and its peer side by side: the same GGUF, the same machine, in turns, so that both meet the same weather.
//
//   bench/peer/compare.mjs --model M.gguf [--mmproj P.gguf] [--prefill 512,512@4096] [--decode 32,32@4096] [--batch 1,4]
//                          [--image 512x512] [--first-token] [--rounds 2] [--threads 2] [--kv f16|q8_0] [--json]
//                          [--variant haswell] [--native] [--weft build/weft] [--weft-args="--cpu avx2 --kv q8"]
//
// The peer is llama.cpp as node-llama-cpp ships it (--variant NAME: that CPU build of it; else its own choice), or with
// --native the build that ./setup --native makes, which also encodes pictures. Per row the median of all rounds counts.
import {execFile} from "node:child_process";
import {existsSync, readFileSync} from "node:fs";
import path from "node:path";
import {parseArgs, promisify} from "node:util";

const here = import.meta.dirname, run = promisify(execFile);
const {values: o} = parseArgs({options: {
    model: {type: "string"}, mmproj: {type: "string"}, prefill: {type: "string"}, decode: {type: "string"}, image: {type: "string"},
    batch: {type: "string"}, "first-token": {type: "boolean"}, rounds: {type: "string", default: "2"}, threads: {type: "string", default: "2"},
    kv: {type: "string", default: "f16"}, json: {type: "boolean"}, variant: {type: "string"}, native: {type: "boolean"},
    "native-program": {type: "string", default: path.join(here, ".native", "native")},
    weft: {type: "string", default: path.join(here, "..", "..", "build", "weft")}, "weft-args": {type: "string", default: ""},
}});
const fail = (message) => {
    console.error(`compare: ${message}`);
    process.exit(2);
};
if (!o.model) fail("--model names a GGUF file");
if (!o.prefill && !o.decode && !o.image && !o["first-token"]) o.prefill = "512", o.decode = "32";
if (o.image && !o.native) fail("the prebuilt peer does not encode pictures: use --native after ./setup --native");
if (!existsSync(o.weft)) fail(`${o.weft} is not there: build weft, or name it with --weft`);

const list = (text) => (text ? text.split(",") : []);
const rows = [
    ...(o["first-token"] ? [{kind: "first_token", a: 20, b: 0, c: 1, label: "first token, s"}] : []),
    ...list(o.prefill).map((t) => ({kind: "prefill", a: +t.split("@")[0], b: +(t.split("@")[1] ?? 0), c: 1})),
    ...list(o.decode).flatMap((t) => list(o.batch ?? "1").map((c) => ({kind: "decode", a: +t.split("@")[0], b: +(t.split("@")[1] ?? 0), c: +c}))),
    ...list(o.image).map((t) => ({kind: "image", a: +t.split("x")[0], b: +t.split("x")[1], c: 1})),
];
for (const r of rows) {
    if (!Number.isInteger(r.a) || !Number.isInteger(r.b) || !Number.isInteger(r.c)) fail("lists look like 512,512@4096 and 512x512");
    r.label ??= r.kind === "image" ? `image ${r.a}x${r.b}, s` : `${r.kind} ${r.a} @${r.b}${r.c > 1 ? ` x${r.c}` : ""}, t/s`;
    r.peer = [];
    r.weft = [];
}

async function output(program, args) {
    try {
        const {stdout} = await run(program, args, {maxBuffer: 1 << 26});
        return JSON.parse(stdout);
    } catch (error) {
        return fail(`${program} failed: ${(error.stderr || error.message).trim().split("\n").at(-1)}`);
    }
}

/** Seconds of each row, in the order of `rows`. */
async function runPeer() {
    const args = ["--model", o.model, "--threads", o.threads, "--kv", o.kv, "--rows", rows.map((r) => `${r.kind}:${r.a}:${r.b}:${r.c}`).join(",")];
    if (o.native) return output(o["native-program"], [...args, ...(o.mmproj ? ["--mmproj", o.mmproj] : [])]);
    return output(process.execPath, [path.join(here, "llama.mjs"), ...args, ...(o.variant ? ["--variant", o.variant] : [])]);
}

async function runWeft() {
    const args = ["bench", "--json", "--model", o.model, "--threads", o.threads, ...o["weft-args"].split(/\s+/).filter(Boolean)];
    for (const name of ["mmproj", "prefill", "decode", "batch", "image"]) if (o[name]) args.push(`--${name}`, o[name]);
    return output(o.weft, o.prefill || o.decode || o.image ? args : [...args, "--decode", "1"]);
}

/** [busy, all, ours] ticks so far: the machine's, and those of this program and the ones it has run. NaN where /proc is not. */
function ticks() {
    try {
        const all = readFileSync("/proc/stat", "utf8").split("\n")[0].trim().split(/\s+/).slice(1, 9).map(Number);
        const own = readFileSync("/proc/self/stat", "utf8").replace(/^.*\) /, "").split(" ").slice(11, 15).map(Number);
        const sum = (list) => list.reduce((a, b) => a + b, 0);
        return [sum(all) - all[3] - all[4], sum(all), sum(own)];
    } catch {
        return [NaN, NaN, NaN];
    }
}

let weft, peer;
const before = ticks();
for (let round = 0; round < Number(o.rounds); round++) {
    peer = await runPeer();
    weft = await runWeft();
    const order = ["first_token", "prefill", "decode", "image"].filter((kind) => rows.some((r) => r.kind === kind));
    const measured = weft.rows.filter((r) => order.includes(r.kind));
    if (measured.length < rows.length || peer.rows.length !== rows.length) fail("the programs did not measure the same rows");
    rows.forEach((r, i) => {
        r.peer.push(peer.rows[i].seconds);
        r.weft.push(measured[i].seconds);
        r.tokens = measured[i].tokens;
    });
}

const after = ticks(), [busy, all, ours] = after.map((t, i) => t - before[i]);
const others = Math.max(0, (busy - ours) / all); // other programs' share of the machine while this ran

const median = (values) => {
    const sorted = [...values].sort((a, b) => a - b), n = sorted.length;
    return (sorted[(n - 1) >> 1] + sorted[n >> 1]) / 2;
};
const result = rows.map((r) => {
    const seconds = [median(r.peer), median(r.weft)], rate = r.kind === "prefill" || r.kind === "decode";
    const [p, w] = rate ? seconds.map((s) => (r.a * r.c) / s) : seconds;
    return {row: r.label, kind: r.kind, tokens: r.tokens, depth: r.kind === "image" ? 0 : r.b, batch: r.c, unit: rate ? "tokens_per_s" : "seconds", peer: p, weft: w, ratio: seconds[0] / seconds[1]};
});
const cpu = weft.cpu ?? readFileSync("/proc/cpuinfo", "utf8").match(/model name\s*: (.*)/)?.[1] ?? "unknown";
const name = `llama.cpp ${peer.release ?? "native"}${o.variant ? ` (${o.variant})` : ""}, KV ${o.kv}`;
if (o.json) {
    console.log(JSON.stringify({cpu, level: weft.level, threads: weft.threads, model: path.basename(o.model), peer: name, rounds: Number(o.rounds), others, rows: result}));
} else {
    console.log(`${path.basename(o.model)} on ${cpu}, ${weft.threads} threads; peer: ${name}; weft: ${weft.level}; ${o.rounds} rounds`);
    if (others > 0.03) console.log(`not a quiet machine: other programs used ${(100 * others).toFixed(0)} % of it meanwhile`);
    console.log(`${"".padEnd(26)}${"peer".padStart(12)}${"weft".padStart(12)}${"ratio".padStart(9)}`);
    const figure = (x) => (x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toFixed(2));
    for (const r of result) console.log(`${r.row.padEnd(26)}${figure(r.peer).padStart(12)}${figure(r.weft).padStart(12)}${`${r.ratio.toFixed(2)}x`.padStart(9)}`);
}
