"""The embedded models truly answer the questions that the page offers beside their sample pictures.

Through `weft chat`, greedy, as a user gets it; WEFT_BIN names the program. Pictures and true answers are in models/tiny/samples."""
import json
import os
import subprocess
from pathlib import Path

import pytest

TINY = Path(__file__).resolve().parents[2] / "models" / "tiny"
MODELS = [name for name in ("instruct", "thinking") if (TINY / name).is_dir()]
SAMPLES = json.loads((TINY / "samples" / "samples.json").read_text(encoding="utf-8"))["samples"]


def ask(model: str, *arguments: str) -> str:
    done = subprocess.run([os.environ["WEFT_BIN"], "chat", "--quiet", "--model", str(TINY / model), *arguments],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def agree(given: str, true: str) -> bool:
    """The same words; of boxes the same names, in any order, each more than half on a true one (IoU > 0.5)."""
    if not true.startswith("[{"):
        return given == true
    left = json.loads(true)
    for box in (found := json.loads(given)):
        hit = next((t for t in left if t["label"] == box["label"] and overlap(t["bbox_2d"], box["bbox_2d"]) > 0.5), None)
        if hit is None:
            return False
        left.remove(hit)
    return bool(found) and not left


def overlap(a, b) -> float:
    """Intersection over union of two boxes [x1, y1, x2, y2]."""
    area = lambda r: max(0, r[2] - r[0]) * max(0, r[3] - r[1])
    both = area([max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])])
    return both / (area(a) + area(b) - both)


def test_there_are_samples():
    assert len(SAMPLES) >= 3


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s["image"])
def test_samples_are_answered_truly(model, sample):
    given = ask(model, "--image", str(TINY / "samples" / sample["image"]), sample["prompt"])
    assert agree(given, sample["answer"]), given


@pytest.mark.parametrize("model", MODELS)
def test_it_greets_without_a_picture(model):
    assert ask(model, "Hello!") == "Hello! How can I help you?"


def test_together_they_stay_small():
    assert sum(f.stat().st_size for f in TINY.rglob("*") if f.is_file()) < 40_000_000
