"""Plans: tokens equal to what the same request really has, memory near what it really takes, settings that fit when they say so."""
import base64
import io
import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

if "WEFT_BIN" not in os.environ:
    pytest.skip("WEFT_BIN names no program", allow_module_level=True)

import openai
from PIL import Image

from test_server import MEDIA, ask, client_of, data_url, user
from weft_server import GOLDEN, Server

CLIP = {"type": "video_url", "video_url": {"url": (MEDIA / "long.avi").as_uri()}}
LARGE = {"mm_processor_kwargs": {"max_pixels": 4_000_000}}
BALL = {"type": "video_url", "video_url": {"url": (MEDIA / "ball.avi").as_uri()}}


@pytest.fixture(scope="module")
def server():
    running = Server("--media-root", str(MEDIA), model="video")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(server):
    client = client_of(server)
    end = time.monotonic() + 60
    while plan(client, user("x"))["seconds"] is None:  # measured on the side, while nothing else is at work
        assert time.monotonic() < end
        time.sleep(0.05)
    return client


def plan(client, messages, **options):
    return client.post("/media/plan", body={"messages": messages, **options}, cast_to=object)


def parts(*media, text="What?"):
    return [{"role": "user", "content": [*media, {"type": "text", "text": text}]}]


def picture(width: int, height: int) -> dict:
    buffer = io.BytesIO()
    Image.radial_gradient("L").resize((width, height)).convert("RGB").save(buffer, "PNG")
    return {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()}}


@pytest.mark.parametrize("messages, options", [
    (user("Only words, 你好 🙂"), {}),
    (user("What?", data_url("small.png")), {}),
    (user("And these?", data_url("shapes.png"), data_url("wide.png"), data_url("small.png")), {}),
    (user("Smaller", data_url("shapes.png")), {"mm_processor_kwargs": {"max_pixels": 5000, "min_pixels": 1000}}),
    (parts(CLIP), {}), (parts(BALL, text="When?"), {}), (parts(CLIP), {"mm_processor_kwargs": {"fps": 1}}), (parts(BALL, CLIP, picture(300, 200)), {}),
    (parts({**CLIP, "video_start": 1, "video_end": 3, "num_frames": 7}), {}),
    (parts(picture(700, 500), text="Tools") , {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]}),
], ids=lambda v: "")
def test_tokens_are_exact(client, messages, options):
    planned = plan(client, messages, **options)
    extra = {key: options[key] for key in options if key != "tools"}
    usage = ask(client, messages, max_tokens=1, temperature=0, extra_body=extra, **({"tools": options["tools"]} if "tools" in options else {}))[2]
    assert planned["prompt_tokens"] == usage.prompt_tokens
    assert planned["media_tokens"] == sum(item["tokens"] for item in planned["items"])
    assert len(planned["items"]) == sum(1 for m in messages for p in m["content"] if p["type"] != "text")
    for item in planned["items"]:
        t, h, w = item["grid"]
        assert item["tokens"] == t * h * w // 4 and item["frames"] >= t  # merges of 2 x 2 patches, pairs of frames
    assert planned["fits"] and planned["suggestion"] is None and planned["remaining"] == planned["context_length"] - planned["prompt_tokens"]
    assert planned["seconds"]["total"] > 0 and planned["memory"]["peak_bytes"] > planned["memory"]["kv_bytes"] * 0.99


def test_what_does_not_fit_says_what_would(client):
    server = Server("--context", "600", model="video", name="tiny")
    try:
        small = client_of(server)
        messages = parts(picture(1500, 1200), picture(400, 900))
        planned = plan(small, messages, **LARGE)
        assert not planned["fits"] and planned["remaining"] == 0 and planned["prompt_tokens"] > 600
        with pytest.raises(openai.BadRequestError) as refused:
            ask(small, messages, max_tokens=1, extra_body=LARGE)
        assert refused.value.body["code"] == "context_length_exceeded" and str(planned["prompt_tokens"]) in refused.value.message
        setting = planned["suggestion"]
        options = {"mm_processor_kwargs": {"max_pixels": setting["max_pixels"]}}
        fitting = plan(small, messages, **options)
        assert fitting["fits"] and fitting["prompt_tokens"] == setting["prompt_tokens"]
        assert ask(small, messages, max_tokens=1, temperature=0, extra_body=options)[2].prompt_tokens == setting["prompt_tokens"]
        factor = fitting["items"][0]["resized"][0] * fitting["items"][0]["resized"][1] // fitting["items"][0]["tokens"]  # a token's area
        assert not plan(small, messages, mm_processor_kwargs={"max_pixels": setting["max_pixels"] + factor})["fits"]  # the best one, not just one
        assert plan(small, parts(text="word " * 2000))["suggestion"] is None  # nothing that smaller pictures could do
    finally:
        server.stop()


def test_a_budget_that_is_too_small_says_what_would_fit():
    server = Server("--memory", "300K", model="video", name="tiny")
    try:
        small = client_of(server)
        messages = parts(picture(1500, 1200), picture(400, 900))
        planned = plan(small, messages, **LARGE)
        assert not planned["fits"] and planned["context_length"] < planned["prompt_tokens"] < 4000
        with pytest.raises(openai.BadRequestError, match="raise --memory .*max_pixels") as refused:
            ask(small, messages, max_tokens=1, extra_body=LARGE)
        setting = int(re.search(r"max_pixels (\d+)", refused.value.message)[1])
        assert refused.value.body["code"] == "context_length_exceeded" and setting == planned["suggestion"]["max_pixels"]
        fitting = ask(small, messages, max_tokens=1, temperature=0, extra_body={"mm_processor_kwargs": {"max_pixels": setting}})[2]
        assert fitting.prompt_tokens == planned["suggestion"]["prompt_tokens"]
    finally:
        server.stop()


def broken_picture(width: int, height: int) -> dict:
    """Its header is whole, its pixels are not there."""
    whole = base64.b64decode(picture(width, height)["image_url"]["url"].split(",")[1])
    return {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(whole[:whole.index(b"IDAT") + 40]).decode()}}


def test_what_does_not_fit_is_refused_before_it_is_decoded(client):
    messages = parts(*[broken_picture(1500, 1200)] * 3)
    planned = plan(client, messages, **LARGE)
    assert planned["fits"] and [item["width"] for item in planned["items"]] == [1500] * 3  # a plan decodes nothing either
    with pytest.raises(openai.BadRequestError, match="image 1: .*(truncated|damaged)"):
        ask(client, messages, max_tokens=1, extra_body=LARGE)
    server = Server("--context", "600", model="video", name="tiny")
    try:
        with pytest.raises(openai.BadRequestError) as refused:
            ask(client_of(server), messages, max_tokens=1, extra_body=LARGE)
        assert refused.value.body["code"] == "context_length_exceeded" and str(planned["prompt_tokens"]) in refused.value.message
    finally:
        server.stop()


@pytest.mark.parametrize("media, options", [
    ([picture(1024, 768)] * 10, LARGE),
    ([picture(5000, 3600)], {"mm_processor_kwargs": {"max_pixels": 60_000}}),  # what is decoded is far larger than what is encoded
    ([picture(2048, 1536)] * 2, LARGE),  # held at full size no longer than needed
], ids=["many", "shrunk", "large"])
def test_memory_is_near(media, options):
    messages = parts(*media)
    server = Server("--media-root", str(MEDIA), model="video")  # of its own: what others left would be used again
    try:
        client = client_of(server)
        planned = plan(client, messages, **options)
        ask(client, parts(picture(64, 64)), max_tokens=1)  # what is made once is there
        process = Path(f"/proc/{server.process.pid}")

        def kib(name):
            return int(re.search(rf"{name}:\s+(\d+)", (process / "status").read_text())[1])

        (process / "clear_refs").write_text("5")
        before = kib("VmRSS")
        usage = ask(client, messages, max_tokens=1, temperature=0, extra_body=options)[2]
        real = (kib("VmHWM") - before) * 1024
        assert usage.prompt_tokens == planned["prompt_tokens"]
        assert abs(planned["memory"]["peak_bytes"] - real) < 0.2 * real, (planned["memory"], real)
    finally:
        server.stop()


@pytest.mark.parametrize("body, status, words", [
    ({}, 400, "messages"), ({"messages": user("What?", "data:image/png;base64,AAAA")}, 400, "image 1"), ({"messages": user("x"), "model": "absent"}, 404, "model"),
    ({"messages": user("a <|image_pad|> of mine")}, 400, "special tokens"),
], ids=str)
def test_plans_that_are_refused(client, body, status, words):
    with pytest.raises(openai.APIStatusError) as refused:
        client.post("/media/plan", body=body, cast_to=object)
    assert refused.value.status_code == status and words in refused.value.message


def test_the_speed_is_measured_once_and_kept(tmp_path):
    environment = {**os.environ, "XDG_DATA_HOME": str(tmp_path / "data"), "XDG_CACHE_HOME": str(tmp_path)}
    command = [os.environ["WEFT_BIN"], "plan", "--model", str(GOLDEN / "models" / "video" / "model"), str(MEDIA / "long.avi"), str(MEDIA / "small.png"), "-q", "What?", "--json"]
    first = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    kept = (tmp_path / "weft" / "rates.json").read_text()
    second = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    assert first == second and (tmp_path / "weft" / "rates.json").read_text() == kept
    assert [item["type"] for item in first["items"]] == ["video", "image"] and first["seconds"]["total"] > 0
    text = subprocess.run(command[:-1], env=environment, capture_output=True, check=True, text=True).stdout
    assert f"together: {first['prompt_tokens']} tokens" in text and "fits" in text
    rates = json.loads(kept)
    for entry in rates.values():
        entry["prefill"] /= 10
    (tmp_path / "weft" / "rates.json").write_text(json.dumps(rates))
    slower = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    assert slower["seconds"]["prefill"] == pytest.approx(10 * first["seconds"]["prefill"]) and slower["seconds"]["vision"] == first["seconds"]["vision"]
