"""`weft tokenize` and `weft detokenize` on golden models against the `tokenizers` library, on lines of hostile text.

WEFT_BIN names the program."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
MODELS = ROOT / "tests" / "golden" / "models"
LINES, SEED, TIMEOUT_S = 3000, 11, 120

if "WEFT_BIN" not in os.environ:
    pytest.skip("WEFT_BIN names no program", allow_module_level=True)
tokenizers = pytest.importorskip("tokenizers")
sys.path.insert(0, str(ROOT / "lab"))
import tokenizer_fuzz  # noqa: E402


def weft(command: str, model: Path, values: list, folder: Path) -> list:
    file = folder / f"{command}.jsonl"
    file.write_text("".join(json.dumps(value) + "\n" for value in values))
    done = subprocess.run([os.environ["WEFT_BIN"], command, "--model", str(model), "--file", str(file)],
                          capture_output=True, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    # Not splitlines: the answers may hold U+2028 and the like as they are.
    return [json.loads(line) for line in done.stdout.decode().split("\n") if line]


def models() -> list[Path]:
    return sorted(file.parent for file in MODELS.glob("*/model/tokenizer.json"))


@pytest.mark.parametrize("model", models(), ids=lambda path: path.parent.name)
def test_ids_and_text_equal_the_library(model, tmp_path):
    reference = tokenizers.Tokenizer.from_file(str(model / "tokenizer.json"))
    added = [token.content for token in reference.get_added_tokens_decoder().values()]
    texts = list(tokenizer_fuzz.lines(LINES, SEED, added))
    expected = [encoding.ids for encoding in reference.encode_batch(texts, add_special_tokens=False)]
    got = weft("tokenize", model, texts, tmp_path)
    wrong = [text for text, ids, want in zip(texts, got, expected, strict=True) if ids != want]
    assert not wrong, f"{len(wrong)} of {LINES} lines differ, the first: {wrong[0]!a}"
    shown = [reference.decode(ids, skip_special_tokens=False) for ids in expected]
    assert weft("detokenize", model, expected, tmp_path) == shown
