"""Hostile pictures and clips sent to a running server: each one is an error with a message, the server and its memory stay as
they were, and the next picture is answered."""
import json
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from hostile_media import PICTURES, RGB, VIDEOS
from media_reference import data_url, saved
from weft_server import GOLDEN, PeakOfWorkers, Server

WORKER_MIB_MAX = 256  # that any of these takes in a worker; 121 were measured, of 3 GiB that one may have


@pytest.fixture(scope="module")
def server():
    running = Server()
    yield running
    running.stop()


def ask(server: Server, kind: str, data: bytes) -> tuple[int, dict]:
    part = {"type": kind, kind: {"url": data_url(data)}, "min_pixels": 1024, "max_pixels": 65536}
    body = json.dumps({"model": "tiny", "max_tokens": 1, "messages": [{"role": "user", "content": [part, {"type": "text", "text": "?"}]}]})
    connection = server.http()
    connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def resident_mb(server: Server) -> float:
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def workers(server: Server) -> list[int]:
    """Process ids of the server's children."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == server.process.pid and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def told(message: str, words: str) -> None:
    """What, where, and in words of its own."""
    assert re.search(r"\b(image|video) 1: ", message) and len(message) > 20 and message.isprintable() and words in message, message


def check(server: Server, kind: str, data: bytes, words: str | None) -> None:
    status, answer = ask(server, kind, data)
    if words is None:
        assert status == 200, answer
    else:
        assert status in (400, 413), answer
        told(answer["error"]["message"], words)


def refused(server: Server, kind: str, data: bytes) -> None:
    check(server, kind, data, "")


@pytest.fixture(scope="module")
def watched(server):
    watch = PeakOfWorkers(server)
    yield server
    assert 0 < watch.stop() < WORKER_MIB_MAX


@pytest.mark.parametrize("name", PICTURES)
def test_pictures(watched, name):
    check(watched, "image_url", *PICTURES[name])


@pytest.mark.parametrize("name", VIDEOS)
def test_videos(watched, name):
    check(watched, "video_url", *VIDEOS[name])


def on_the_command_line(tmp_path, option: str, file: str, data: bytes, words: str | None) -> None:
    """The file's name is a lie: it is the bytes that count."""
    (tmp_path / file).write_bytes(data)
    run = subprocess.run([os.environ["WEFT_BIN"], "chat", "--model", str(GOLDEN / "models" / "dense_tied" / "model"), option, str(tmp_path / file), "-n", "1", "?"],
                         capture_output=True, text=True, timeout=120, env={**os.environ, "XDG_DATA_HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)})
    assert run.returncode == (0 if words is None else 1), run.stderr
    if words is not None:
        errors = [line for line in run.stderr.splitlines() if line.startswith("weft: error: ")]
        assert len(errors) == 1, run.stderr
        told(errors[0], words)


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_on_the_command_line(tmp_path, name):
    on_the_command_line(tmp_path, "--image", "picture.png", *PICTURES[name])


@pytest.mark.parametrize("name", VIDEOS)
def test_videos_on_the_command_line(tmp_path, name):
    on_the_command_line(tmp_path, "--video", "clip.mp4", *VIDEOS[name])


def test_server_stays_as_it_was(server):
    """After all of that: little memory, no worker left, and pictures are answered."""
    ask(server, "image_url", saved(RGB, "PNG"))
    before = resident_mb(server)
    for name in ("png of 65,535 x 65,535", "tiff bomb", "gif bomb", "heic of boxes", "bmp bomb"):
        for _ in range(3):
            refused(server, "image_url", PICTURES[name][0])
    assert resident_mb(server) < before + 32
    status, answer = ask(server, "image_url", saved(RGB, "JPEG"))
    assert status == 200, answer
    deadline = time.monotonic() + 10
    while workers(server) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert workers(server) == []


def test_hang_up_kills_the_worker():
    """A client that leaves takes the worker of its request along (misbehave.c's hangs for ever)."""
    running = Server(environment={"WEFT_MEDIA": str(Path(os.environ["WEFT_BUILD"], "misbehave"))})
    try:
        part = {"type": "image_url", "image_url": {"url": data_url(b"\xFF\xD8\xFFhang")}}
        body = json.dumps({"model": "tiny", "max_tokens": 1, "messages": [{"role": "user", "content": [part]}]}).encode()
        with running.connect() as connection:
            connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            deadline = time.monotonic() + 20
            while not workers(running) and time.monotonic() < deadline:
                time.sleep(0.02)
            assert workers(running) != []
        while workers(running) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert workers(running) == []
    finally:
        running.stop()
