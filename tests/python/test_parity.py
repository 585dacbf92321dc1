"""Every stage of every golden request equals the reference: prompt, ids and positions exactly, the rest tightly.

WEFT_BIN names the program. The goldens are made by lab/goldens.py."""
import json
import os
from pathlib import Path

import pytest

import parity

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
MANIFESTS = {path.parent.name: json.loads(path.read_text(encoding="utf-8"))
             for path in sorted(GOLDEN.glob("models/*/manifest.json"))}
CASES = [(name, request["name"]) for name, manifest in MANIFESTS.items() for request in manifest["requests"]]

if "WEFT_BIN" not in os.environ:
    pytest.skip("WEFT_BIN names no program", allow_module_level=True)


def test_there_are_goldens():
    assert len(MANIFESTS) >= 18 and len(CASES) >= 28


@pytest.mark.parametrize("name, request_name", CASES, ids=lambda value: str(value))
def test_every_stage(name, request_name, tmp_path):
    manifest, folder = MANIFESTS[name], GOLDEN / "models" / name / request_name
    entry = next(r for r in manifest["requests"] if r["name"] == request_name)
    model = folder.parent / manifest["model"]
    request = parity.place_request(folder / "request.json", GOLDEN, tmp_path)
    expected = parity.load_expected(folder)
    assert set(expected) == set(entry["arrays"]), "the golden folder does not hold what its manifest lists"
    parity.dump(model, request, tmp_path)
    prompt = (folder / "prompt.txt").read_bytes().decode()
    faults = parity.compare_dump(tmp_path, expected, prompt, entry["rows"], manifest["spec"]["mean"], manifest["spec"]["std"])
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("name, request_name", CASES, ids=lambda value: str(value))
def test_greedy_tokens(name, request_name, tmp_path):
    manifest, folder = MANIFESTS[name], GOLDEN / "models" / name / request_name
    request = parity.place_request(folder / "request.json", GOLDEN, tmp_path)
    expected = parity.load_expected(folder)["greedy_ids"].tolist()
    assert parity.generate(folder.parent / manifest["model"], request) == expected
