"""Hostile pictures and clips sent to a running server: each one is an error with a message, the server and its memory stay as
they were, and the next picture is answered."""
import json
import os
import struct
import time
import zlib
from pathlib import Path

import pytest
from PIL import Image

from media_reference import data_url, saved, waves
from weft_server import Server

RGB = Image.fromarray(waves(64, 96, 3, 1))


def png(width: int, height: int, *chunks: tuple[bytes, bytes], colour: int = 2) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunk(*c) for c in chunks) + chunk(b"IEND", b"")


def box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + name + body


def gif_bomb() -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + bytes(6) + b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\2\1\0\0;"


def tiff(**tags: tuple[int, int, int]) -> bytes:
    """A directory of (tag, type, value), with nothing behind it."""
    entries = sorted(tags.values())
    return b"II*\0\10\0\0\0" + struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", t, k, 1, v) for t, k, v in entries) + bytes(4)


def nested(depth: int) -> bytes:
    body = b""
    for _ in range(depth):
        body = box(b"moov", body)
    return box(b"ftyp", b"isom\0\0\0\0isom") + body


zeros = zlib.compress(bytes(200 << 20), 9)
PICTURES = {
    "png of 65,535 x 65,535": png(65535, 65535, (b"IDAT", zlib.compress(bytes(1 << 20)))),
    "png of no width": png(0, 5), "png without pixels": png(96, 64), "png of 2^31 - 1": png(0x7FFFFFFF, 0x7FFFFFFF, (b"IDAT", zeros)),
    "jpeg bomb": saved(Image.new("L", (64, 64)), "JPEG").replace(struct.pack(">HH", 64, 64), struct.pack(">HH", 65500, 65500), 1),
    "gif bomb": gif_bomb(), "gif loop": b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0, 0, 0) + b"!\xFE\1x" * 1000,
    "bmp bomb": b"BM" + struct.pack("<IHHI", 0, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 65535, 65535, 1, 24, 0, 0, 0, 0, 0, 0),
    "bmp of negative width": b"BM" + struct.pack("<IHHI", 0, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, -5, 5, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(99),
    "tiff bomb": tiff(w=(256, 4, 65535), h=(257, 4, 65535), b=(258, 3, 8), o=(273, 4, 8), n=(279, 4, 4)),
    "tiff of a huge strip": tiff(w=(256, 4, 60000), h=(257, 4, 2000), b=(258, 3, 8), p=(262, 3, 1), o=(273, 4, 8), n=(279, 4, 0xFFFFFFF0), r=(278, 4, 2000)),
    "tiff directory loop": b"II*\0\10\0\0\0" + struct.pack("<H", 1) + struct.pack("<HHII", 256, 4, 1, 5) + struct.pack("<I", 8),
    "webp of nothing": b"RIFF" + struct.pack("<I", 4) + b"WEBP", "webp cut": saved(RGB, "WEBP")[:99],
    "avif of nothing": box(b"ftyp", b"avif\0\0\0\0mif1avif"), "heic of nothing": box(b"ftyp", b"heic\0\0\0\0mif1heic"),
    "heic of boxes": box(b"ftyp", b"heic\0\0\0\0mif1heic") + box(b"meta", bytes(4) + box(b"iloc", b"\xFF" * 4000)),
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "xml bomb": b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'b'>]>",
    "pdf": b"%PDF-1.7\n1 0 obj<</S/JavaScript/JS(app.alert(1))>>", "zip": b"PK\3\4" + bytes(100), "html": b"<html><body>hello", "empty": b"", "text": b"hello",
    "jpeg that is a zip": b"\xFF\xD8\xFF\xE0" + b"PK\3\4" * 500, "gif that is a script": b"GIF89a=1;/*" + b"A" * 200 + b"*/alert(1)",
    "jpeg cut": saved(RGB, "JPEG")[:500], "png cut": saved(RGB, "PNG")[:900],
}
VIDEOS = {
    "mp4 of nothing": box(b"ftyp", b"isom\0\0\0\0isom"), "mp4 of nested boxes": nested(2000), "mp4 with a size of 2^63": b"\0\0\0\1ftyp\x7F" + b"\xFF" * 7,
    "mkv of nothing": b"\x1A\x45\xDF\xA3\x01" + b"\xFF" * 7, "avi of nothing": b"RIFF\xFF\xFF\xFF\xFFAVI LIST\xFF\xFF\xFF\xFFhdrl",
    "playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n", "concat": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n", "still webp": saved(RGB, "WEBP"),
    "sound": b"RIFF" + struct.pack("<I", 36) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8) + b"data" + bytes(4), "empty": b"",
}
# These are pictures after all: bombs in what nobody asked for.
HARMLESS = {
    "png with a profile of 200 MB": png(96, 64, (b"iCCP", b"x\0\0" + zeros), (b"IDAT", zlib.compress(bytes(64 * (1 + 96 * 3))))),
    "png with a text of 200 MB": png(96, 64, (b"zTXt", b"x\0\0" + zeros), (b"IDAT", zlib.compress(bytes(64 * (1 + 96 * 3))))),
    "png with a thousand texts": png(96, 64, *[(b"tEXt", b"a\0b")] * 3000, (b"IDAT", zlib.compress(bytes(64 * (1 + 96 * 3))))),
    "jpeg with a zip behind it": saved(RGB, "JPEG") + b"PK\3\4" * 100,
    "jpeg with exif in circles": saved(RGB, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xFF\xFF" + bytes(2)),
}


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


def refused(server: Server, kind: str, data: bytes) -> None:
    status, answer = ask(server, kind, data)
    assert status in (400, 413), answer
    message = answer["error"]["message"]
    assert message.startswith(("image 1: ", "video 1: ")) and len(message) > 20 and message.isprintable(), message


@pytest.mark.parametrize("name", PICTURES)
def test_pictures(server, name):
    refused(server, "image_url", PICTURES[name])


@pytest.mark.parametrize("name", VIDEOS)
def test_videos(server, name):
    refused(server, "video_url", VIDEOS[name])


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless(server, name):
    status, answer = ask(server, "image_url", HARMLESS[name])
    assert status == 200, answer


def test_server_stays_as_it_was(server):
    """After all of that: little memory, no worker left, and pictures are answered."""
    ask(server, "image_url", saved(RGB, "PNG"))
    before = resident_mb(server)
    for name in ("png of 65,535 x 65,535", "tiff bomb", "gif bomb", "heic of boxes", "bmp bomb"):
        for _ in range(3):
            refused(server, "image_url", PICTURES[name])
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
