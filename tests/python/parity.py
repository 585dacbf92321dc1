"""Runs `weft dump` and `weft generate` on one request and compares with the reference's arrays.

Used by test_parity.py (committed goldens) and lab/parity_fuzz.py (models nobody has seen). Needs numpy only.
Every comparison returns a list of sentences; empty means equal."""
import json
import os
import subprocess
from pathlib import Path

import numpy as np

PIXEL_TOLERANCE, PIXEL_SHARE = 1e-4, 0.999
COSINE_MIN, RELATIVE_MAX = 0.99999, 1e-4
GREEDY_TOKENS = 24
TIMEOUT_S = 120


class WeftFailed(Exception):
    pass


def weft(*arguments: str) -> str:
    """Runs the program named by WEFT_BIN; returns its standard output."""
    done = subprocess.run([os.environ["WEFT_BIN"], *arguments], capture_output=True, timeout=TIMEOUT_S)
    if done.returncode != 0:
        raise WeftFailed(f"weft {arguments[0]} exited {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}")
    return done.stdout.decode()


def place_request(request: Path, media_base: Path, out: Path) -> Path:
    """A copy of the request with {DIR} replaced by where the pictures are."""
    text = request.read_text(encoding="utf-8").replace("{DIR}", str(media_base.resolve()))
    placed = out / "request.json"
    placed.write_text(text, encoding="utf-8")
    return placed


def dump(model: Path, request: Path, out: Path) -> None:
    weft("dump", "--model", str(model), "--request", str(request), "--out", str(out), "--stages", "all")


def generate(model: Path, request: Path, count: int = GREEDY_TOKENS) -> list[int]:
    out = weft("generate", "--model", str(model), "--request", str(request), "--greedy", "--exact",
               "--max-tokens", str(count), "--ids")
    return json.loads(out)


def compare_exact(name: str, got: np.ndarray, want: np.ndarray) -> list[str]:
    if got.shape != want.shape:
        return [f"{name}: shape {got.shape}, expected {want.shape}"]
    if not np.array_equal(got, want):
        at = np.argwhere(got != want)[0]
        return [f"{name}: {(got != want).sum()} differ, first at {at.tolist()}: {got[tuple(at)]}, expected {want[tuple(at)]}"]
    return []


def compare_float(name: str, got: np.ndarray, want: np.ndarray) -> list[str]:
    """Cosine of every row and the largest error relative to the largest magnitude."""
    if got.shape != want.shape:
        return [f"{name}: shape {got.shape}, expected {want.shape}"]
    if not np.isfinite(got).all():
        return [f"{name}: not finite"]
    got, want = got.astype(np.float64), want.astype(np.float64)
    norms = np.linalg.norm(got, axis=-1) * np.linalg.norm(want, axis=-1)
    cosine = ((got * want).sum(-1) / np.maximum(norms, 1e-30)).min()
    relative = np.abs(got - want).max() / np.abs(want).max()
    if cosine < COSINE_MIN or relative > RELATIVE_MAX:
        return [f"{name}: cosine {cosine:.8f} (at least {COSINE_MIN}), relative error {relative:.2e} (at most {RELATIVE_MAX})"]
    return []


def compare_pixels(name: str, got: np.ndarray, want: np.ndarray) -> list[str]:
    if got.shape != want.shape:
        return [f"{name}: shape {got.shape}, expected {want.shape}"]
    share = (np.abs(got - want) <= PIXEL_TOLERANCE).mean()
    return [] if share >= PIXEL_SHARE else [f"{name}: only {share:.5f} of the values within {PIXEL_TOLERANCE}"]


def normalise(raw: np.ndarray, mean, std) -> np.ndarray:
    per_channel = raw.shape[1] // 3
    return ((raw / 255.0 - np.repeat(mean, per_channel)) / np.repeat(std, per_channel)).astype(np.float32)


def load_expected(folder: Path) -> dict:
    return {f.stem: np.load(f) for f in folder.glob("*.npy")}


def compare_dump(out: Path, expected: dict, prompt: str, rows: dict, mean, std, stages=None) -> list[str]:
    """`rows`: which rows of a stage `expected` holds; a stage without an entry is whole."""
    faults = []
    got_prompt = (out / "prompt.txt").read_bytes().decode()
    if got_prompt != prompt:
        faults.append(f"prompt: {got_prompt!r}, expected {prompt!r}")
    for name, want in sorted(expected.items()):
        stage = name.removesuffix("_u8").removesuffix("_means")
        if name == "greedy_ids" or (stages and stage not in stages):
            continue
        path = out / f"{stage}.npy"
        if not path.exists():
            faults.append(f"{stage}.npy was not written")
            continue
        got = np.load(path)
        if name.endswith("_means"):
            if len(got) != len(want) or np.abs(got.astype(np.float64).mean(axis=1) - want).max() > PIXEL_TOLERANCE:
                faults.append(f"{name}: the mean of a patch differs")
            continue
        if stage in rows:
            if len(got) <= max(rows[stage]):
                faults.append(f"{stage}: {len(got)} rows, expected at least {max(rows[stage]) + 1}")
                continue
            got = got[rows[stage]]
        if name.endswith("_u8"):
            faults += compare_pixels(stage, got, normalise(want, mean, std))
        elif np.issubdtype(want.dtype, np.integer):
            faults += compare_exact(stage, got, want)
        else:
            faults += compare_float(stage, got, want)
    return faults
