"""weft-random-model: a pair of a published shape loads, runs and says what it is; wrong wishes are refused.

WEFT_BIN names the program, beside which weft-random-model is built."""
import json
import os
import subprocess
from pathlib import Path

import pytest

if "WEFT_BIN" not in os.environ:
    pytest.skip("WEFT_BIN names no program", allow_module_level=True)

MAKER = Path(os.environ["WEFT_BIN"]).parent / "weft-random-model"


def run(*command) -> subprocess.CompletedProcess:
    return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=120)


def weft(*arguments) -> str:
    done = run(os.environ["WEFT_BIN"], *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_pair_of_a_published_shape_runs(tmp_path):
    done = run(MAKER, "2b", tmp_path, "--type", "Q4_K_M", "--layers", 1, "--vision-layers", 4)
    assert done.returncode == 0, done.stderr
    text, vision = map(Path, done.stdout.split())
    assert text.is_file() and vision == tmp_path / "mmproj-2b-Q4_K_M.gguf"
    rows = json.loads(weft("bench", "--model", text, "--prefill", "3", "--decode", "1", "--image", "256x256", "--json"))["rows"]
    assert [r["kind"] for r in rows] == ["load", "first_token", "prefill", "decode", "image"] and rows[-1]["tokens"] == 64
    facts = weft("inspect", text)
    assert "1 layers, hidden 2048, 16 heads of 128 (8 kv), FFN 6144" in facts and "151936 rows" in facts
    assert "4 layers, hidden 1024, 16 heads, FFN 4096" in facts and "after layers 1 2 3" in facts
    words = tmp_path / "words.jsonl"
    words.write_text('"The quick brown fox, 12 times \u00e9\u4e2d<|im_end|>"\n')
    ids = weft("tokenize", "--model", text, "--file", words)
    assert 151645 in json.loads(ids) and len(json.loads(ids)) < len("The quick brown fox, 12 times ......<|im_end|>")
    ids_file = tmp_path / "ids.jsonl"
    ids_file.write_text(ids)
    assert json.loads(weft("detokenize", "--model", text, "--file", ids_file)).startswith("The quick brown fox, 12 times \u00e9\u4e2d")


@pytest.mark.parametrize("arguments, part", [
    (["5b"], "shape '5b'"), (["2b", "--type", "Q9"], "type 'Q9'"), (["2b", "--type", "Q8_0_M"], "type"), (["2b", "--type", "F8_E4M3"], "type"),
    (["2b", "--layers", "29"], "28 layers"), (["30b-a3b", "--experts", "4"], "experts"), (["2b", "--vision-layers", "2"], "4 layers"),
    (["2b", "--layers", "1", "--tokenizer", "/nowhere.json"], "/nowhere.json"), (["32b", "--type", "F32", "--vision", "Q3"], "vision type"),
])
def test_wrong_wishes_are_refused(tmp_path, arguments, part):
    done = run(MAKER, arguments[0], tmp_path, *arguments[1:])
    assert done.returncode == 1 and done.stdout == "" and part in done.stderr
    assert not list(tmp_path.glob("*.gguf"))


@pytest.mark.parametrize("arguments", [[], ["2b"], ["2b", "a", "b"], ["2b", "a", "--layers", "x"], ["2b", "a", "--layers"], ["2b", "a", "--what", "1"]])
def test_usage(arguments):
    done = run(MAKER, *arguments)
    assert done.returncode == 2 and "usage" in done.stderr
