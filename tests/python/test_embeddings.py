"""Vectors of texts, pictures and clips: the state from which transformers makes its logits, in every form that clients ask for."""
import base64
import json
import os
from pathlib import Path

import numpy as np
import pytest

if "WEFT_BIN" not in os.environ:
    pytest.skip("WEFT_BIN names no program", allow_module_level=True)

import openai

from test_server import client_of
from weft_server import GOLDEN, Server

WORDING = "\n\nSummary of the above in one word:"


def head_of(model: Path) -> np.ndarray:
    """[vocabulary, hidden] of a model with tied embeddings in bfloat16."""
    data = (model / "model.safetensors").read_bytes()
    size = int.from_bytes(data[:8], "little")
    entry = json.loads(data[8:8 + size])["model.language_model.embed_tokens.weight"]
    assert entry["dtype"] == "BF16"
    begin, end = (8 + size + v for v in entry["data_offsets"])
    return (np.frombuffer(data[begin:end], "<u2").astype("<u4") << 16).view("<f4").reshape(entry["shape"])


@pytest.fixture(scope="module", params=["dense_tied", "video"])
def exact(request):
    running = Server("--exact", "--media-root", str(GOLDEN), model=request.param)
    yield running, GOLDEN / "models" / request.param
    running.stop()


@pytest.fixture(scope="module")
def client():
    running = Server("--exact", "--context", "512")
    yield client_of(running)
    running.stop()


def embed(client, **body) -> dict:
    return client.post("/embeddings", body=body, cast_to=object)


def test_the_head_makes_the_reference_logits_of_it(exact):
    server, folder = exact
    head, cases = head_of(folder / "model").astype(np.float64), 0
    for request in sorted(folder.glob("*/request.json")):
        body = json.loads(request.read_text(encoding="utf-8").replace("{DIR}", str(GOLDEN)))
        found = embed(client_of(server), **body)
        vector = np.array(found["data"][0]["embedding"])
        logits = np.load(request.parent / "logits.npy").astype(np.float64).reshape(-1, len(head))[-1]
        assert abs(np.linalg.norm(vector) - 1) < 1e-5
        made = head @ vector
        assert made @ logits / np.linalg.norm(made) / np.linalg.norm(logits) > 0.999999, request
        assert found["usage"]["prompt_tokens"] == found["usage"]["total_tokens"] == len(np.load(request.parent / "input_ids.npy"))
        cases += 1
    assert cases >= 2


def test_a_text_is_asked_for_in_one_word(client):
    plain = client.embeddings.create(model="tiny", input="A red car", encoding_format="float")
    asked = embed(client, messages=[{"role": "user", "content": "A red car" + WORDING}])
    assert plain.data[0].embedding == asked["data"][0]["embedding"]
    assert plain.object == "list" and plain.model == "tiny" and plain.data[0].object == "embedding"


def test_every_form_of_numbers_is_the_same(client):
    texts = ["one", "two \U0001f642", "one"]
    packed = client.embeddings.create(model="tiny", input=texts)  # OpenAI's client asks for base64 and unpacks it
    listed = embed(client, input=texts, encoding_format="float")
    raw = embed(client, input="one", encoding_format="base64")["data"][0]["embedding"]
    assert [d.index for d in packed.data] == [0, 1, 2]
    for a, b in zip(packed.data, listed["data"]):
        assert np.array_equal(np.float32(a.embedding), np.float32(b["embedding"]))
    assert np.array_equal(np.frombuffer(base64.b64decode(raw, validate=True), "<f4"), np.float32(packed.data[0].embedding))
    assert packed.data[0].embedding == packed.data[2].embedding != packed.data[1].embedding


@pytest.mark.parametrize("body, status, words", [
    ({}, 400, "'input'"),
    ({"input": ""}, 400, "'input'"),
    ({"input": []}, 400, "'input'"),
    ({"input": [1, 2]}, 400, "'input'"),
    ({"input": ["a", ""]}, 400, "'input'"),
    ({"input": ["a"] * 257}, 400, "1 to 256"),
    ({"input": "a", "encoding_format": "int8"}, 400, "encoding_format"),
    ({"input": "a", "dimensions": 7}, 400, "dimensions"),
    ({"input": "a", "model": "nobody"}, 404, "GET /v1/models"),
    ({"messages": []}, 400, "messages"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}]}, 400, "image 1"),
    ({"input": "word " * 600}, 400, "token"),
])
def test_refused(client, body, status, words):
    with pytest.raises(openai.APIStatusError) as refusal:
        embed(client, **body)
    assert refusal.value.status_code == status and words in str(refusal.value)
    assert len(embed(client, input="still there")["data"]) == 1
