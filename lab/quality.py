"""How far the path that serves requests is from the exact one, and how far the peer's path on the same file is.

For each text: logits at every position of its prompt from `weft dump` (exact, f32 throughout) and `weft dump --served`
(the default path), and with --peer those of llama.cpp over the same ids (bench/peer). The divergence is
KL(exact || other) in nats per position, with the standard error of its mean over positions. A random model's logits are
flatter than a trained one's: compare the columns, not the models.

usage: python lab/quality.py MODEL … [--weft build/weft] [--peer] [--peer-kv f16] [--kv q8] [--cpu LEVEL] [--texts FILE] [--json]"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
TEXTS = [
    "The river rises in the hills above the town, runs past two mills and an old bridge of stone, and reaches the sea "
    "after forty miles. In spring it floods the meadows; in a dry summer one can walk across it without wet knees.",
    "def area(points):\n    total = 0\n    for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1]):\n"
    "        total += x0 * y1 - x1 * y0\n    return abs(total) / 2\n\nprint(area([(0, 0), (4, 0), (4, 3)]))  # 6.0",
    "Invoice 2041-77: 3 lamps at 19.90, 12 bulbs at 2.35, delivery 4.50; total 92.40, due on 14 March. 東京 20:15, "
    "Gleis 7, Rückfahrt am Sonntag; señal débil, répondez s'il vous plaît.",
    "There are three shapes in the picture: a red circle on the left, a blue square in the middle and a small green "
    "triangle below them. The circle is larger than the square. Nothing else is shown on the white background.",
    "Take two eggs, a cup of flour and half a cup of milk. Beat the eggs first; add flour little by little, then milk, "
    "and leave it alone for half an hour. The pan must be hot. Turn each cake once, when its edge begins to dry.",
    "{\"name\": \"station-4\", \"height_m\": 412.5, \"samples\": [3, 5, 8, 13, 21, 34], \"ok\": true, \"note\": null}\n"
    "SELECT day, max(speed) FROM wind WHERE station = 4 GROUP BY day ORDER BY 2 DESC LIMIT 10;",
]


def weft_logits(args, model: str, text: str, folder: Path, served: bool) -> tuple[np.ndarray, np.ndarray]:
    """(ids, f32 logits [positions, vocab])"""
    body = folder / "request.json"
    body.write_text(json.dumps({"messages": [{"role": "user", "content": text}]}), encoding="utf-8")
    out = folder / ("served" if served else "exact")
    command = [args.weft, "dump", "--model", model, "--request", body, "--out", out, "--stages", "input_ids,logits"]
    if served:
        command += ["--served", *(["--kv", args.kv] if args.kv else []), *(["--cpu", args.cpu] if args.cpu else [])]
    subprocess.run([*map(str, command)], check=True)
    ids = np.load(out / "input_ids.npy").reshape(-1)
    return ids, np.load(out / "logits.npy", mmap_mode="r").reshape(len(ids), -1)


def peer_logits(args, model: str, ids: np.ndarray, vocab: int, folder: Path) -> np.ndarray:
    (folder / "ids.txt").write_text(" ".join(map(str, ids)))
    out = folder / "peer.f32"
    command = ["--model", model, "--kv", args.peer_kv, "--logits", folder / "ids.txt", "--out", out]
    program = [args.native] if args.native else ["node", ROOT / "bench" / "peer" / "llama.mjs", "--vocab", vocab]
    subprocess.run([*map(str, program + command)], check=True, stdout=subprocess.DEVNULL)
    return np.fromfile(out, dtype=np.float32).reshape(len(ids), vocab)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    x = logits.astype(np.float64)
    x -= x.max(axis=1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def divergence(exact: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """KL(exact || other) in nats and whether the likeliest token is the same, per position."""
    kl, same = [], []
    for at in range(0, len(exact), 16):  # whole prompts of large vocabularies would take gigabytes
        log_p, log_q = log_softmax(exact[at:at + 16]), log_softmax(other[at:at + 16])
        kl.append((np.exp(log_p) * (log_p - log_q)).sum(axis=1))
        same.append(log_p.argmax(axis=1) == log_q.argmax(axis=1))
    return np.concatenate(kl), np.concatenate(same)


def standard_error(kl: np.ndarray) -> float:
    return float(kl.std() / len(kl) ** 0.5)


def summary(parts: list) -> dict:
    kl, same = np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    return {"positions": len(kl), "kl_mean": float(kl.mean()), "kl_error": standard_error(kl),
            "kl_p99": float(np.percentile(kl, 99)), "kl_max": float(kl.max()), "same_top": float(same.mean())}


def main() -> None:
    parser = argparse.ArgumentParser(description="divergence of the served path, and of the peer's, from the exact path")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--weft", default=str(ROOT / "build" / "weft"))
    parser.add_argument("--peer", action="store_true", help="measure llama.cpp too (GGUF only; bench/peer/setup first)")
    parser.add_argument("--native", help="its native build instead of the prebuilt one")
    parser.add_argument("--peer-kv", default="f16")
    parser.add_argument("--kv", help="weft's cache format (default: its own default)")
    parser.add_argument("--cpu", help="weft's kernel level")
    parser.add_argument("--texts", type=Path, help="one text per line instead of the built-in ones")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    texts = args.texts.read_text(encoding="utf-8").splitlines() if args.texts else TEXTS
    results = []
    for model in args.models:
        parts = {"weft": [], "peer": []}
        for text in texts:
            with tempfile.TemporaryDirectory() as folder:
                ids, exact = weft_logits(args, model, text, Path(folder), False)
                _, served = weft_logits(args, model, text, Path(folder), True)
                parts["weft"].append(divergence(exact, served))
                if args.peer and model.endswith(".gguf"):
                    parts["peer"].append(divergence(exact, peer_logits(args, model, ids, exact.shape[1], Path(folder))))
        results += [{"model": Path(model).name, "path": who, **summary(found)} for who, found in parts.items() if found]
        if parts["peer"]:  # of the same positions, so its error is smaller than those of the means
            more = np.concatenate([w[0] - p[0] for w, p in zip(parts["weft"], parts["peer"])])
            results[-2] |= {"over_peer": float(more.mean()), "over_peer_error": standard_error(more)}
        if args.peer and not model.endswith(".gguf"):
            print(f"quality: {model}: the peer reads GGUF files only, skipped", file=sys.stderr)
    if args.json:
        print(json.dumps(results, indent=1))
        return
    print(f"{'':32}{'path':>6}{'positions':>11}{'KL mean':>12}{'+-':>10}{'KL 99 %':>12}{'KL max':>12}{'same top':>10}")
    for r in results:
        print(f"{r['model']:32}{r['path']:>6}{r['positions']:11}{r['kl_mean']:12.3e}{r['kl_error']:10.1e}{r['kl_p99']:12.2e}{r['kl_max']:12.2e}{r['same_top']:10.3f}"
              + (f"   over the peer: {r['over_peer']:+.1e} +- {r['over_peer_error']:.0e}" if "over_peer" in r else ""))


if __name__ == "__main__":
    main()
