"""Broken model files are refused: exit code 1, one line that names the fault, no crash and no sanitizer report.

WEFT_BIN names the program (best built with ASan and UBSan)."""
import os
import subprocess
from pathlib import Path

import pytest

import hostile

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
TIMEOUT_S, LINE_MAX = 20, 1200

if "WEFT_BIN" not in os.environ:
    pytest.skip("WEFT_BIN names no program", allow_module_level=True)


def inspect(path: Path) -> subprocess.CompletedProcess:
    return subprocess.run([os.environ["WEFT_BIN"], "inspect", str(path)], capture_output=True, timeout=TIMEOUT_S)


@pytest.mark.parametrize("source", [hostile.FOLDER, hostile.SHARDED, hostile.PAIR, hostile.SPLIT])
def test_the_unbroken_model_is_accepted(source):
    folder = GOLDEN / "models" / source / "model"
    first = sorted(folder.glob("gguf*.gguf"))
    done = inspect(first[0] if first else folder)
    assert done.returncode == 0, done.stderr.decode(errors="replace")


@pytest.mark.parametrize("name", hostile.CASES)
def test_refused_with_a_message(name, tmp_path):
    path, words = hostile.make(name, GOLDEN, tmp_path)
    done = inspect(path)
    said = done.stderr.decode(errors="replace")
    assert "Sanitizer" not in said and "runtime error" not in said, said[-3000:]
    assert done.returncode == 1, f"exit code {done.returncode}: {said[-2000:]}"
    lines = [line for line in said.splitlines() if line.strip()]
    assert lines and len(lines[-1]) <= LINE_MAX, said[-2000:]
    assert any(word.lower() in lines[-1].lower() for word in words), f"names none of {words}: {lines[-1]}"
