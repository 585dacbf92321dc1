"""The server with the official Python client: answers, streams, pictures, errors, concurrency, disconnects.

The model is random, so answers are noise; what is checked is that the same request has the same answer however it is
asked. test_server_hostile.py speaks to the socket itself. WEFT_BIN names the program."""
import base64
import json
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

if "WEFT_BIN" not in os.environ:
    pytest.skip("WEFT_BIN names no program", allow_module_level=True)

import openai

from weft_server import ANSWER_S, GOLDEN, Server, with_body

MEDIA = GOLDEN / "media"


def client_of(server: Server, key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0, timeout=ANSWER_S)


@pytest.fixture(scope="module")
def server():
    running = Server("--media-root", str(MEDIA))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(server):
    return client_of(server)


def user(text: str, *urls: str) -> list[dict]:
    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return [{"role": "user", "content": [*pictures, {"type": "text", "text": text}]}]


def data_url(name: str) -> str:
    return "data:image/png;base64," + base64.b64encode((MEDIA / name).read_bytes()).decode()


def ask(client, messages, **options):
    """The whole answer: text, finish reason, usage."""
    options = {"model": "tiny", "max_tokens": 40, "seed": 7, **options}
    answer = client.chat.completions.create(messages=messages, **options)
    return answer.choices[0].message.content, answer.choices[0].finish_reason, answer.usage


def ask_stream(client, messages, **options):
    options = {"model": "tiny", "max_tokens": 40, "seed": 7, **options}
    text, reasons, usage, roles, chunks = "", [], None, [], 0
    for chunk in client.chat.completions.create(messages=messages, stream=True, stream_options={"include_usage": True}, **options):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            chunks += 1
            roles += [choice.delta.role] if choice.delta.role else []
            text += choice.delta.content or ""
            reasons += [choice.finish_reason] if choice.finish_reason else []
    assert roles == ["assistant"] and len(reasons) == 1 and usage is not None
    return text, reasons[0], usage


# ---- answers ----

def test_models(client):
    model = client.models.list().data[0]
    assert model.id == "tiny" and model.object == "model" and model.weft["vision"] is True
    assert client.models.retrieve("tiny").id == "tiny"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("absent")


@pytest.mark.parametrize("options", [{"temperature": 0}, {"seed": 7}, {"seed": 7, "temperature": 1.5, "top_p": 0.9},
                                     {"temperature": 0, "presence_penalty": 1, "frequency_penalty": 0.5}], ids=str)
def test_stream_equals_whole(client, options):
    messages = user("Say something: é 你好 🙂")
    whole, again, stream = ask(client, messages, **options), ask(client, messages, **options), ask_stream(client, messages, **options)
    assert whole[0] and whole == again
    assert stream[0] == whole[0] and stream[1] == whole[1]
    assert stream[2].model_dump() == whole[2].model_dump()


def test_seed_decides(client):
    answers = {ask(client, user("Go on."), seed=seed, temperature=2)[0] for seed in range(6)}
    assert len(answers) > 1
    assert len({ask(client, user("Go on."), seed=seed, temperature=0)[0] for seed in range(4)}) == 1


def test_usage_and_length(client):
    for count in (1, 2, 17):
        text, reason, usage = ask(client, user("Count."), max_tokens=count, temperature=0)
        assert (reason, usage.completion_tokens) == ("length", count)
        assert usage.total_tokens == usage.prompt_tokens + count
    assert ask(client, user("Count."), max_tokens=None, max_completion_tokens=3, temperature=0)[2].completion_tokens == 3
    longer = ask(client, user("Count. Count. Count."), max_tokens=1, temperature=0)[2]
    assert longer.prompt_tokens > usage.prompt_tokens


def test_stop_strings(client):
    messages = user("Write a long text.")
    text = ask(client, messages, temperature=0, max_tokens=60)[0]
    assert len(text) > 20
    for length in (1, 3, 8):
        stop = text[len(text) // 2:][:length]
        expected = text[:text.index(stop)]
        for get in (ask, ask_stream):
            got, reason, usage = get(client, messages, temperature=0, max_tokens=60, stop=[stop, "never in there"])
            assert (got, reason) == (expected, "stop")
            assert usage.completion_tokens <= 60


def test_unicode_is_never_split(server, client):
    """Random bytes as tokens: every event is whole JSON in valid UTF-8, and together they are the whole answer."""
    several = 0
    for seed in range(5):
        body = {"model": "tiny", "messages": user("Bytes"), "max_tokens": 120, "seed": seed, "temperature": 2, "top_p": 1}
        connection = server.http()
        connection.request("POST", "/v1/chat/completions", json.dumps({**body, "top_k": 0, "stream": True}))
        response = connection.getresponse()
        assert response.getheader("Content-Type").startswith("text/event-stream")
        events = response.read().split(b"\n\n")
        connection.close()
        assert events[-1] == b"" and events[-2] == b"data: [DONE]"
        pieces = [json.loads(event.removeprefix(b"data: ").decode("utf-8"))["choices"][0]["delta"].get("content", "") for event in events[:-2]]
        several += len(pieces) > 3
        for piece in pieces:
            piece.encode("utf-8")  # a lone surrogate would raise
        whole = client.chat.completions.create(**body, extra_body={"top_k": 0}).choices[0].message.content
        assert "".join(pieces) == whole
        assert any(ord(c) > 127 for c in whole)
    assert several


def test_reasoning():
    server = Server(model="thinking")
    try:
        client = client_of(server)
        options = {"model": "tiny", "messages": user("Think."), "max_tokens": 30, "temperature": 0}
        whole = client.chat.completions.create(**options)
        assert whole.choices[0].message.content == "" and whole.choices[0].message.reasoning_content
        assert whole.usage.completion_tokens_details.reasoning_tokens == whole.usage.completion_tokens == 30
        reasoning = "".join(getattr(chunk.choices[0].delta, "reasoning_content", None) or ""
                            for chunk in client.chat.completions.create(**options, stream=True))
        assert reasoning == whole.choices[0].message.reasoning_content
    finally:
        server.stop()


# ---- pictures ----

def test_the_same_picture_every_way(client):
    by_data = ask(client, user("What?", data_url("small.png")), temperature=0)
    by_path = ask(client, user("What?", (MEDIA / "small.png").as_uri()), temperature=0)
    with open(MEDIA / "small.png", "rb") as picture:
        file = client.files.create(file=picture, purpose="vision")
    by_upload = ask(client, user("What?", file.id), temperature=0)
    assert by_data == by_path == by_upload
    other = ask(client, user("What?", data_url("shapes.png")), temperature=0)
    assert other[2].prompt_tokens != by_data[2].prompt_tokens or other[0] != by_data[0]
    assert ask_stream(client, user("What?", file.id), temperature=0)[0] == by_data[0]


def test_files(client):
    content = random.Random(1).randbytes(300_000)
    file = client.files.create(file=("some name.bin", content), purpose="vision")
    assert (file.bytes, file.filename, file.purpose, file.object) == (len(content), "some name.bin", "vision", "file")
    assert client.files.retrieve(file.id).id == file.id
    assert client.files.content(file.id).read() == content
    assert file.id in [f.id for f in client.files.list()]
    assert client.files.delete(file.id).deleted
    for gone in (client.files.retrieve, client.files.delete, client.files.content):
        with pytest.raises(openai.NotFoundError):
            gone(file.id)
    with pytest.raises(openai.BadRequestError, match="image 1"):
        ask(client, user("What?", file.id))


def test_paths_only_below_the_root(client, tmp_path):
    outside = tmp_path / "outside.png"
    outside.write_bytes((MEDIA / "small.png").read_bytes())
    for url in (outside.as_uri(), f"file://{MEDIA}/../positions.json", f"file://{MEDIA}/%2e%2e/smart_resize.json",
                f"file://{MEDIA}/absent.png", f"file://{MEDIA}", "file:///dev/zero", "file://" + "/é" * 300):
        with pytest.raises(openai.BadRequestError, match="allowed folders"):
            ask(client, user("What?", url))


def test_no_paths_without_a_root():
    server = Server()
    try:
        with pytest.raises(openai.BadRequestError, match="--media-root"):
            ask(client_of(server), user("What?", (MEDIA / "small.png").as_uri()))
    finally:
        server.stop()


def test_progress_of_a_picture(server):
    connection = server.http()
    body = {"messages": user("What?", data_url("shapes.png")), "max_tokens": 2, "stream": True, "weft": {"progress": True}}
    connection.request("POST", "/v1/chat/completions", json.dumps(body))
    events = [json.loads(e[6:]) for e in connection.getresponse().read().decode().split("\n\n") if e.startswith("data: {")]
    connection.close()
    progress = [e["weft"]["progress"] for e in events if "progress" in e.get("weft", {})]
    order = ["queued", "decode", "vision", "prefill", "generate"]
    stages = [order.index(p["stage"]) for p in progress]
    assert stages == sorted(stages) and all(0 <= p["done"] <= p["total"] for p in progress)
    assert "timings" in events[-1]["weft"] and events[-1]["usage"]["completion_tokens"] == 2


# ---- errors ----

def refused(client, **request):
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(**{"model": "tiny", "messages": user("Hello"), "max_tokens": 4, **request})
    error = caught.value
    assert isinstance(error.body, dict) and error.body["message"] and error.body["type"]
    return error.status_code, error.body["code"], error.body["message"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("request_, status, code, words", [
    ({"model": "absent"}, 404, "model_not_found", "tiny"),
    ({"messages": []}, 400, None, "messages"),
    ({"temperature": -1}, 400, None, "temperature"),
    ({"max_tokens": 0}, 400, None, "max_tokens"),
    ({"n": 2}, 400, "unsupported", "'n'"),
    ({"logprobs": True}, 400, "unsupported", "logprobs"),
    ({"stop": ["x"] * 17}, 400, None, "stop"),
    ({"messages": user("What?", "https://example.org/a.png")}, 400, "unsupported", "--allow-url"),
    ({"messages": user("What?", "data:image/png;base64,!!!!")}, 400, None, "base64"),
    ({"messages": user("What?", "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode())}, 400, "invalid_media", "image 1"),
    ({"messages": user("What?", data_url("small.png"), "data:image/jpeg;base64,/9j/4AAQ")}, 400, "invalid_media", "image 2"),
    ({"messages": user("a <|image_pad|> of mine")}, 400, None, "special tokens"),
], ids=lambda value: str(value)[:40])
def test_refused(client, request_, status, code, words, stream):
    """Pictures that cannot be read included: before the first word a stream can still say 400."""
    got_status, got_code, message = refused(client, **request_, stream=stream)
    assert (got_status, got_code) == (status, code) and words in message


@pytest.mark.parametrize("stream", [False, True])
def test_context(stream):
    server = Server("--context", "128")
    try:
        client = client_of(server)
        assert refused(client, messages=user("word " * 400), stream=stream)[:2] == (400, "context_length_exceeded")
        text, reason, usage = ask(client, user("Write."), max_tokens=None, temperature=0)
        assert reason == "stop" or (reason == "length" and usage.total_tokens == 128)
        text, reason, usage = ask(client, user("Write."), max_tokens=100_000, temperature=0)
        assert reason == "stop" or (reason == "length" and usage.total_tokens == 128)
    finally:
        server.stop()


def test_api_key():
    server = Server(environment={"WEFT_API_KEY": "s3cret"})
    try:
        assert client_of(server, "s3cret").models.list().data
        for key in ("S3cret", "s3cre", "s3crets", "s3crets3cret"):
            with pytest.raises(openai.AuthenticationError):
                client_of(server, key).models.list()
            with pytest.raises(openai.AuthenticationError):
                ask(client_of(server, key), user("Hello"))
            with pytest.raises(openai.AuthenticationError):
                client_of(server, key).files.create(file=b"1234", purpose="vision")
        assert server.raw(with_body("/health", b"", method="GET"))[0] == 200
    finally:
        server.stop()


# ---- several at once ----

CONVERSATIONS = [user(f"Question {i}: " + "more words " * (i * 23)) for i in range(6)] + \
    [user("What is this?", data_url("small.png")), user("And these?", data_url("shapes.png"), data_url("wide.png"))]


@pytest.fixture(scope="module")
def exact_client():
    running = Server("--exact", "--media-root", str(MEDIA))
    yield client_of(running)
    running.stop()


@pytest.mark.parametrize("options", [{"temperature": 0}, {"temperature": 1.2, "seed": 11}], ids=str)
def test_parallel_equals_sequential(exact_client, options):
    """In exact mode to the letter; the default path rounds by how many rows share a step, which a drawn token can show."""
    client, options = exact_client, {**options, "max_tokens": 60}
    alone = [ask(client, messages, **options)[:2] for messages in CONVERSATIONS]
    for get in (ask_stream, ask):
        with ThreadPoolExecutor(len(CONVERSATIONS)) as pool:
            together = list(pool.map(lambda messages: get(client, messages, **options)[:2], CONVERSATIONS))
        assert together == alone


def test_more_than_fit_wait_for_their_turn(client):
    expected = ask(client, user("Turn"), temperature=0, max_tokens=20)
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda _: ask(client, user("Turn"), temperature=0, max_tokens=20), range(40)))
    assert answers == [expected] * 40


# ---- leaving ----

@pytest.fixture(scope="module")
def endless(server, client):
    """A request whose answer does not end by itself for a very long time: greedy text that has begun to repeat itself."""
    for i in range(20):
        messages = user(f"Tell me a story, number {i}.")
        text, reason, _ = ask(client, messages, temperature=0, max_tokens=1500)
        if reason == "length" and any(text[-300:] == text[-300 - k:-k] for k in range(1, 300)):
            return {"model": "tiny", "messages": messages, "temperature": 0, "max_tokens": 250_000}
    pytest.fail("the random model always stops: no request of this test runs for long")


def send(server, body):
    connection = server.connect()
    connection.sendall(with_body("/v1/chat/completions", json.dumps(body).encode()))
    return connection


def busy(server):
    """The generation is under way: the process has spent a while computing since it was asked."""
    before = server.cpu_seconds()
    while server.cpu_seconds() - before < 0.3:
        time.sleep(0.05)


@pytest.mark.parametrize("stream", [False, True])
def test_a_disconnect_stops_the_work(server, endless, stream):
    connection = send(server, {**endless, "stream": stream})
    if stream:
        assert b"data: " in connection.recv(65536) + connection.recv(65536)
    busy(server)
    connection.close()
    assert server.wait_idle()


def test_a_disconnect_is_seen_behind_bytes_sent_ahead(server, endless):
    connection = send(server, endless)
    connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    busy(server)
    connection.close()
    assert server.wait_idle()


def test_the_client_closes_a_stream(server, client, endless):
    stream = client.chat.completions.create(**endless, stream=True)
    for _, chunk in zip(range(5), stream):
        assert chunk.choices
    stream.close()
    assert server.wait_idle()


def test_disconnects_free_every_place(server, client, endless):
    """Twenty at once, more than work at the same time: all leave, those that wait too; the next one is answered."""
    expected = ask(client, user("Next"), temperature=0)
    connections = [send(server, {**endless, "stream": i % 2 == 0}) for i in range(20)]
    busy(server)
    for connection in connections:
        connection.close()
    assert ask(client, user("Next"), temperature=0) == expected
    assert server.wait_idle()


def test_a_reader_that_does_not_read_stops_nobody(server, client, endless):
    expected = ask(client, user("Others"), temperature=0)
    connection = send(server, {**endless, "stream": True})
    busy(server)
    assert ask(client, user("Others"), temperature=0) == expected
    connection.close()
    assert server.wait_idle()


def test_shutdown_with_open_streams(endless):
    server = Server()
    client = client_of(server)
    began, ended = threading.Barrier(4), []

    def read():
        stream = client.chat.completions.create(**endless, stream=True)
        next(iter(stream))
        began.wait(ANSWER_S)
        try:
            for _ in stream:
                pass
            ended.append("end")
        except Exception as error:
            ended.append(type(error).__name__)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    began.wait(ANSWER_S)
    waiting = send(server, endless)
    server.stop()  # checks the exit code
    for reader in readers:
        reader.join(ANSWER_S)
    waiting.close()
    assert len(ended) == 3
