"""weft bench: what it prints, and what it refuses. No figure is compared with a clock.

WEFT_BIN names the program."""
import json
import os
import subprocess
from pathlib import Path

import pytest

if "WEFT_BIN" not in os.environ:
    pytest.skip("WEFT_BIN names no program", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "models" / "tiny" / "instruct"
TEXT_ONLY = ROOT / "tests" / "golden" / "models" / "gguf_legacy" / "model" / "gguf_legacy.gguf"
MOE = ROOT / "tests" / "golden" / "models" / "moe" / "model"


def bench(*arguments, model=TINY) -> subprocess.CompletedProcess:
    return subprocess.run([os.environ["WEFT_BIN"], "bench", "--model", str(model), *map(str, arguments)], capture_output=True, text=True, timeout=120)


def report(*arguments, **options) -> dict:
    done = bench(*arguments, "--json", **options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_json_names_the_machine_and_every_row():
    result = report("--prefill", "300,64@200", "--decode", "4,4@200", "--image", "64x96,200x100", "--repeat", 2, "--threads", 1)
    assert result["cpu"] and result["threads"] == 1 and result["level"] in ("ref", "avx2", "avx512") or "-" in result["level"]
    rows = result["rows"]
    assert [(r["kind"], r["depth"]) for r in rows] == [
        ("load", 0), ("first_token", 0), ("prefill", 0), ("prefill", 200), ("decode", 0), ("decode", 200), ("image", 0), ("image", 0)]
    assert [r["tokens"] for r in rows[2:6]] == [300, 64, 4, 4]
    assert [(r["width"], r["height"]) for r in rows[6:]] == [(64, 96), (200, 100)]
    assert all(r["seconds"] > 0 and r["rss_bytes"] > 1 << 20 for r in rows)
    for r in rows[2:]:
        assert r["tokens"] > 0 and r["tokens_per_s"] == pytest.approx(r["tokens"] / r["seconds"], rel=1e-4)
        assert r["runs"] == 2 and r["seconds_min"] <= r["seconds"] <= r["seconds_max"]
    assert rows[1]["seconds"] >= rows[0]["seconds"] and rows[1]["tokens"] > 5


def test_decode_is_measured_once_per_batch():
    rows = report("--decode", "3@130,2", "--batch", "1,3")["rows"][2:]
    assert [(r["batch"], r["tokens"], r["depth"]) for r in rows] == [(1, 3, 130), (3, 9, 130), (1, 2, 0), (3, 6, 0)]


def test_picture_tokens_are_those_of_a_request(tmp_path):
    from PIL import Image
    Image.new("RGB", (150, 90), "red").save(tmp_path / "a.png")
    ask = [{"type": "text", "text": "?"}]
    counts = []
    for parts in (ask, [{"type": "image_url", "image_url": {"url": f"file://{tmp_path}/a.png"}}, *ask]):
        file = tmp_path / "request.json"
        file.write_text(json.dumps({"messages": [{"role": "user", "content": parts}]}))
        out = tmp_path / "dump"
        subprocess.run([os.environ["WEFT_BIN"], "dump", "--model", TINY, "--request", file, "--out", out, "--stages", "input_ids"], check=True)
        import numpy as np
        counts.append(np.load(out / "input_ids.npy").size)
    row = report("--image", "150x90")["rows"][-1]
    assert row["tokens"] == counts[1] - counts[0] - 2  # vision_start and vision_end


def test_a_first_look_has_every_kind():
    assert [r["kind"] for r in report()["rows"]] == ["load", "first_token", "prefill", "decode", "image"]


def test_table_has_a_line_per_row():
    done = bench("--prefill", "20", "--decode", "2@10", "--batch", "2")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["prefill", "20@0", "20", "0"] in [line[:4] for line in lines]
    assert ["decode", "2@10,", "2", "at", "once", "4", "10"] in [line[:7] for line in lines]


def test_experts_and_levels():
    rows = report("--prefill", "40", "--decode", "3", "--cpu", "ref", "--exact", model=MOE)
    assert rows["level"] == "ref" and len(rows["rows"]) == 4


@pytest.mark.parametrize("arguments", [
    ["--prefill", "0"], ["--prefill", ""], ["--prefill", "5,"], ["--prefill", "5@"], ["--prefill", "5@-1"], ["--prefill", "x"],
    ["--prefill", "99999999999999999999"], ["--decode", "4 4"], ["--decode", "-4"], ["--decode", "4", "--batch", "0"], ["--batch", "1;2"],
    ["--image", "512"], ["--image", "512x"], ["--image", "0x5"], ["--image", "5x5x5"], ["--repeat", "0"],
    ["--prefill", ",".join(["1"] * 300)],
])
def test_bad_lists_are_wrong_usage(arguments):
    done = bench(*arguments)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.startswith("weft: error: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments, part", [
    (["--prefill", "900", "--context", "512"], "context"), (["--decode", "2@511", "--context", "512"], "context"), (["--decode", "1", "--batch", "99"], "1 to 8"),
    (["--image", "20000x5"], "1 to 16384"), (["--image", "5000x10"], "aspect"), (["--decode", "1", "--repeat", "5000"], "runs"),
    (["--prefill", "4000", "--memory", "1M"], "--memory"), (["--cpu", "none"], "none"),
])
def test_what_cannot_run_is_said(arguments, part):
    done = bench(*arguments, "--json")
    assert done.returncode == 1 and done.stdout == "" and done.stderr.startswith("weft: error: ") and part in done.stderr


def test_no_pictures_without_a_vision_tower(tmp_path):
    lone = tmp_path / "lone.gguf"
    lone.symlink_to(TEXT_ONLY)
    done = bench("--image", "64x64", model=lone)
    assert done.returncode == 1 and "vision" in done.stderr
    assert [r["kind"] for r in report(model=lone)["rows"]] == ["load", "first_token", "prefill", "decode"]
