"""Indexes of uploaded videos over HTTP: made in the background, taken up after a kill, cancelled, searched, exported, gone with their file.
Most of it runs on a random model, whose captions are noise that is the same each time; the embedded model is asked for what is there."""
import http.client
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

if "WEFT_BIN" not in os.environ:
    pytest.skip("WEFT_BIN names no program", allow_module_level=True)

import openai

from media_reference import ffmpeg
from weft_server import ANSWER_S, GOLDEN, Server

LONG = GOLDEN / "media" / "long.avi"
SEGMENTS = {"segment_seconds": 1, "fps": 2}
EMBEDDED = Path(__file__).resolve().parent.parent.parent / "models" / "tiny" / "instruct"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server("--data-dir", str(tmp_path_factory.mktemp("data")), model="video")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A clip of 400 segments of a second: enough to be interrupted in."""
    path = tmp_path_factory.mktemp("clips") / "many.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x64:r=2:d=400", "-c:v", "libx264", "-preset", "ultrafast", "-g", "10", str(path))
    return path


def call(server, method, path, body=None, raw=False):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=ANSWER_S)
    connection.request(method, path, json.dumps(body) if body is not None else None)
    response = connection.getresponse()
    data = response.read()
    connection.close()
    return response.status, data.decode() if raw else json.loads(data)


def upload(server, path):
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=ANSWER_S)
    with open(path, "rb") as file:
        return client.files.create(file=file, purpose="vision").id


def make(server, file, **options):
    status, index = call(server, "POST", "/v1/indexes", {"file_id": file, **SEGMENTS, **options})
    assert status == 200, index
    return index


def wait(server, index, until, seconds=120):
    """Looks until `until` says so; what was seen on the way."""
    seen, end = [], time.monotonic() + seconds
    while True:
        status, index = call(server, "GET", f"/v1/indexes/{index['id']}")
        assert status == 200, index
        seen.append(index)
        if until(index):
            return seen
        assert time.monotonic() < end, index
        time.sleep(0.02)


def completed(index):
    assert index["status"] in ("queued", "in_progress", "completed"), index
    return index["status"] == "completed"


def captions(server, index):
    status, body = call(server, "GET", f"/v1/indexes/{index['id']}/captions.json")
    assert status == 200
    return body["segments"]


def search(server, index, query, **options):
    return call(server, "POST", f"/v1/indexes/{index['id']}/search", {"query": query, **options})


def words_of(segment):
    return re.findall(r"[A-Za-z]{3,}", segment["caption"])


def test_an_index_is_made_searched_and_exported(server):
    file = upload(server, LONG)
    made = make(server, file)
    assert made["object"] == "video.index" and made["file_id"] == file and made["filename"] == "long.avi" and made["model"] == "tiny"
    assert made["segment_seconds"] == 1 and made["fps"] == 2 and made["error"] is None
    seen = wait(server, made, completed)
    done = [index["segments"]["done"] for index in seen]
    assert done == sorted(done)  # progress never goes back
    index = seen[-1]
    segments = captions(server, index)
    assert index["segments"]["done"] == index["segments"]["total"] == len(segments) == -(-index["duration"] // 1) >= 3
    assert index["ended_at"] >= index["created_at"] and index["seconds_left"] is None
    assert segments[0]["begin"] == 0 and all(a["end"] == b["begin"] for a, b in zip(segments, segments[1:]))

    assert make(server, file)["id"] == index["id"]  # the same again is the same index
    assert make(server, file, fps=1)["id"] != index["id"]
    status, listed = call(server, "GET", f"/v1/indexes?file_id={file}")
    assert status == 200 and len(listed["data"]) == 2 and listed["data"][1]["id"] == index["id"]
    status, page = call(server, "GET", f"/v1/indexes?file_id={file}&limit=1&after={listed['first_id']}")
    assert [i["id"] for i in page["data"]] == [index["id"]] and page["has_more"] is False
    assert call(server, "GET", "/v1/indexes?file_id=file-none")[1]["data"] == []

    number, word = next((i, word) for i, segment in enumerate(segments) for word in words_of(segment))
    status, found = search(server, index, word, limit=100)
    assert status == 200 and found["query"] == word and found["index"]["status"] == "completed"
    best = found["data"]
    assert best and [hit["score"] for hit in best] == sorted((hit["score"] for hit in best), reverse=True)
    assert any(hit["start"] <= segments[number]["begin"] < hit["end"] for hit in best)
    for hit in best:
        assert hit["confirmed"] is False and re.fullmatch(r"\[\d\d:\d\d:\d\d - \d\d:\d\d:\d\d\]", hit["range"])
        assert any(hit["caption"] == segment["caption"] for segment in segments)
    assert search(server, index, "qqqzzz")[1]["data"] == []
    status, refined = search(server, index, word, limit=2, refine=True)
    assert status == 200 and all(0 <= hit["start"] < hit["end"] <= index["duration"] for hit in refined["data"])

    status, srt = call(server, "GET", f"/v1/indexes/{index['id']}/captions.srt", raw=True)
    blocks = srt.strip("\n").split("\n\n")
    assert status == 200 and len(blocks) == len(segments) and blocks[0].startswith("1\n00:00:00,000 --> 00:00:01,000\n")
    assert call(server, "DELETE", f"/v1/files/{file}")[0] == 200


def test_the_command_line_makes_the_same_captions(server, tmp_path):
    file = upload(server, LONG)
    index = wait(server, make(server, file), completed)[-1]
    model = GOLDEN / "models" / "video" / "model"
    own = subprocess.run([os.environ["WEFT_BIN"], "index", str(LONG), "--model", str(model), "--segment", "1", "--fps", "2", "--quiet", "--json", "-", "--data-dir",
                          str(tmp_path)], capture_output=True, text=True, check=True, env={**os.environ, "XDG_DATA_HOME": str(tmp_path)}).stdout
    assert json.loads(own)["segments"] == captions(server, index)
    call(server, "DELETE", f"/v1/files/{file}")


def test_the_same_bytes_share_captions_which_go_with_the_last(server):
    first, second = upload(server, LONG), upload(server, LONG)
    index = wait(server, make(server, first), completed)[-1]
    other = make(server, second)
    assert other["id"] != index["id"]
    seen = wait(server, other, completed)
    assert all(each["segments"]["done"] in (0, index["segments"]["total"]) for each in seen)  # none is asked for again
    assert captions(server, other) == captions(server, index)
    word = next(word for segment in captions(server, other) for word in words_of(segment))
    assert call(server, "DELETE", f"/v1/indexes/{index['id']}")[1] == {"id": index["id"], "object": "video.index", "deleted": True}
    assert call(server, "GET", f"/v1/indexes/{index['id']}")[0] == 404
    assert search(server, other, word)[1]["data"]
    assert call(server, "DELETE", f"/v1/files/{second}")[0] == 200  # an index goes with its file
    assert call(server, "GET", f"/v1/indexes/{other['id']}")[0] == 404
    fresh = wait(server, make(server, first), completed)
    assert fresh[0]["segments"]["done"] < fresh[-1]["segments"]["total"]  # the captions had gone
    call(server, "DELETE", f"/v1/files/{first}")


def test_cancelled_and_taken_up_again(server, many):
    file = upload(server, many)
    index = wait(server, make(server, file), lambda index: index["segments"]["done"] >= 3)[-1]
    assert index["status"] == "in_progress" and index["segments"]["total"] == 400 and index["seconds_left"] > 0
    status, cancelled = call(server, "POST", f"/v1/indexes/{index['id']}/cancel")
    assert status == 200 and cancelled["status"] == "cancelled" and cancelled["seconds_left"] is None
    assert server.wait_idle()
    status, still = call(server, "GET", f"/v1/indexes/{index['id']}")
    kept = still["segments"]["done"]
    assert still["status"] == "cancelled" and 3 <= kept < 400
    assert [segment["begin"] for segment in captions(server, index)] == list(range(kept))
    assert make(server, file)["id"] == index["id"]
    resumed = wait(server, index, lambda index: index["segments"]["done"] > kept)
    assert all(each["segments"]["done"] >= kept for each in resumed)
    assert call(server, "DELETE", f"/v1/files/{file}")[0] == 200  # at work
    assert call(server, "GET", f"/v1/indexes/{index['id']}")[0] == 404
    assert server.wait_idle()


def test_a_chat_does_not_wait_for_an_index(server, many):
    file = upload(server, many)
    index = wait(server, make(server, file), lambda index: index["segments"]["done"] >= 1)[-1]
    for _ in range(3):
        status, answer = call(server, "POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 50, "temperature": 0})
        assert status == 200 and answer["usage"]["completion_tokens"] > 0
    after = call(server, "GET", f"/v1/indexes/{index['id']}")[1]
    assert after["status"] == "in_progress"  # and the index goes on
    wait(server, index, lambda index: index["segments"]["done"] > after["segments"]["done"])
    call(server, "DELETE", f"/v1/files/{file}")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_server_goes_on_where_it_was(tmp_path, many, how):
    arguments = ("--data-dir", str(tmp_path))
    server = Server(*arguments, model="video")
    index = wait(server, make(server, upload(server, many)), lambda index: index["segments"]["done"] >= 4)[-1]
    before = captions(server, index)
    server.process.send_signal(how)
    server.process.wait(60)
    again = Server(*arguments, model="video")  # nobody asks it to
    seen = wait(again, index, lambda now: now["segments"]["done"] > index["segments"]["done"] + 2)
    assert seen[0]["segments"]["done"] >= index["segments"]["done"]
    assert captions(again, index)[:len(before)] == before
    again.stop()
    other = Server(*arguments, model="dense_tied", name="other")  # its model is not served: it waits and says so
    status, waiting = call(other, "GET", f"/v1/indexes/{index['id']}")
    assert status == 200 and waiting["error"]["code"] == "model_not_found" and waiting["status"] == "in_progress"
    assert search(other, index, "word", refine=True)[0] == 404 and search(other, index, "word")[0] == 200
    other.stop()


def test_what_is_no_video_fails_and_says_why(server, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"this is no video" * 100)
    file = upload(server, path)
    failed = wait(server, make(server, file), lambda index: index["status"] == "failed")[-1]
    assert failed["error"]["code"] in ("invalid_media", "unsupported") and failed["error"]["message"] and failed["duration"] is None and failed["segments"]["total"] is None
    status, found = search(server, failed, "word")
    assert status == 200 and found["data"] == []
    assert captions(server, failed) == []
    call(server, "DELETE", f"/v1/files/{file}")


@pytest.mark.parametrize("body, status, part", [
    ({}, 400, "file_id"), ([], 400, "object"), ({"file_id": 1}, 400, "file_id"), ({"file_id": "file-none"}, 404, "file-none"),
    ({"segment_seconds": 0}, 400, "segment"), ({"segment_seconds": "10"}, 400, "segment_seconds"), ({"segment_seconds": 1e9}, 400, "segment"), ({"fps": 0}, 400, "frames"),
    ({"fps": -1}, 400, "frames"), ({"max_pixels": 1.5}, 400, "max_pixels"), ({"max_pixels": -1}, 400, "max_pixels"), ({"model": "none"}, 404, "model"), ({"model": 3}, 400, "model"),
], ids=str)
def test_wishes_that_are_refused(server, body, status, part):
    file = upload(server, LONG)
    if isinstance(body, dict) and body and "file_id" not in body:
        body = {"file_id": file, **body}
    got, answer = call(server, "POST", "/v1/indexes", body)
    assert got == status and part in answer["error"]["message"] and answer["error"]["type"] == "invalid_request_error"
    call(server, "DELETE", f"/v1/files/{file}")


def test_searches_that_are_refused(server):
    file = upload(server, LONG)
    index = wait(server, make(server, file), completed)[-1]
    for body in ({}, {"query": ""}, {"query": 5}, {"query": "a\0b"}, {"query": "x", "limit": 0}, {"query": "x", "limit": 101}, {"query": "x", "limit": 1.5}, {"query": "x", "refine": "yes"},
                 {"query": "..."}, []):
        status, answer = call(server, "POST", f"/v1/indexes/{index['id']}/search", body)
        assert status == 400 and answer["error"]["message"], body
    assert search(server, index, "x" * 1001)[0] == 413
    for odd in ('"', 'a" OR "b', "NEAR(x y)", "caption:x", "x*", "'; DROP TABLE segments", "你好"):
        status, answer = search(server, index, odd)
        assert status in (200, 400) and "syntax" not in json.dumps(answer)
    for method, path in (("GET", "/v1/indexes/index_none"), ("DELETE", "/v1/indexes/index_none"), ("POST", "/v1/indexes/index_none/cancel"), ("POST", "/v1/indexes/index_none/search"),
                         ("GET", "/v1/indexes/index_none/captions.srt"), ("GET", f"/v1/indexes/{index['id']}/captions.txt"), ("DELETE", f"/v1/indexes/{index['id']}/search"),
                         ("POST", f"/v1/indexes/{index['id']}/other"), ("GET", "/v1/indexes/" + "x" * 500)):
        status, answer = call(server, method, path, {"query": "x"} if method == "POST" else None)
        assert status == 404 and answer["error"]["code"] == "not_found", path
    assert call(server, "POST", f"/v1/indexes/{index['id']}", {})[0] == 405
    assert call(server, "PUT", "/v1/indexes", {})[0] == 405
    call(server, "DELETE", f"/v1/files/{file}")


@pytest.fixture(scope="module")
def circle(tmp_path_factory):
    """A minute of a blue square; a red circle in its place from second 20 to 30."""
    path = tmp_path_factory.mktemp("clips") / "circle.mp4"
    sources = []
    for seconds, shape in ((20, "rectangle"), (10, "circle"), (30, "rectangle")):
        inside = "lt(hypot(X-95,Y-95),35)" if shape == "circle" else "lt(max(abs(X-80),abs(Y-100)),40)"
        rgb = (220, 30, 30) if shape == "circle" else (30, 80, 220)
        geq = ":".join(f"{channel}='if({inside},{value},235)'" for channel, value in zip("rgb", rgb))
        sources.append(f"nullsrc=s=192x192:r=1:d=1,format=rgb24,geq={geq},loop={seconds * 4 - 1}:1,setpts=N/4/TB,fps=4")
    graph = ";".join(f"{source}[v{i}]" for i, source in enumerate(sources)) + ";[v0][v1][v2]concat=n=3"
    ffmpeg("-filter_complex", graph, "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-g", "20", str(path))
    return path


@pytest.mark.skipif(not EMBEDDED.is_dir(), reason="the embedded model is not there")
def test_the_embedded_model_finds_an_event(tmp_path, circle):
    server = Server("--data-dir", str(tmp_path), "--model", f"embedded={EMBEDDED}", model="video")
    status, index = call(server, "POST", "/v1/indexes", {"file_id": upload(server, circle), "model": "embedded"})
    assert status == 200 and index["segment_seconds"] == 10
    index = wait(server, index, completed)[-1]
    assert index["duration"] == pytest.approx(60, abs=0.5) and index["segments"] == {"done": 6, "total": 6}
    status, found = search(server, index, "red circle", limit=1)
    assert status == 200 and [(hit["start"], hit["end"]) for hit in found["data"]] == [(20, 30)]
    status, found = search(server, index, "red circle", limit=1, refine=True)
    hit = found["data"][0]
    assert hit["confirmed"] and abs(hit["start"] - 20) <= 1 and abs(hit["end"] - 30) <= 1
    server.stop()
