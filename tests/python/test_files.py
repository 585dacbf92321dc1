"""Uploaded files: the official client, the quota, expiry, ranges, content addressing, and what a killed server leaves behind."""
import hashlib
import http.client
import json
import os
import random
import signal
import sqlite3
import threading
import time
from pathlib import Path

import pytest

if "WEFT_BIN" not in os.environ:
    pytest.skip("WEFT_BIN names no program", allow_module_level=True)

import openai

from weft_server import ANSWER_S, Server, head, read_response, with_body

noise = random.Random(5).randbytes


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def server(data):
    running = Server("--data-dir", str(data), "--files-quota", "8M")
    yield running
    running.stop()


@pytest.fixture
def client(server):
    client = client_of(server)
    yield client
    for file in client.files.list():
        client.files.delete(file.id)


def client_of(server):
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=ANSWER_S)


def blobs(data: Path) -> set[str]:
    return {path.name for path in (data / "blobs").glob("*/*")}


def incoming(data: Path) -> list[str]:
    return sorted(path.name for path in (data / "incoming").iterdir())


def send(connection, content: bytes, name: str = "a.bin"):
    body = f'--xyz\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode() + content + b"\r\n--xyz--\r\n"
    connection.request("POST", "/v1/files", body, {"Content-Type": "multipart/form-data; boundary=xyz"})
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def put(server, upload: str, first: int, piece: bytes, total: int, patient: bool = True):
    request = with_body(f"/v1/uploads/{upload}", piece, f"Content-Range: bytes {first}-{first + len(piece) - 1}/{total}", method="PUT")
    status, _, body = server.raw(request)
    while status == 503 and patient:  # the connection that broke is still being put away
        status, _, body = server.raw(request)
    return status, json.loads(body)


# ---- content addressing, lists, expiry ----

def test_the_same_bytes_are_kept_once(client, data):
    content = noise(100_000)
    files = [client.files.create(file=(f"{i}.bin", content), purpose="vision") for i in range(3)]
    assert len({f.id for f in files}) == 3 and blobs(data) == {hashlib.sha256(content).hexdigest()} == {f.sha256 for f in files}
    for file in files[:2]:
        client.files.delete(file.id)
    assert client.files.content(files[2].id).read() == content
    client.files.delete(files[2].id)
    assert blobs(data) == set() and incoming(data) == []


def test_lists_come_in_pages_and_orders(client):
    made = [client.files.create(file=(f"{i}.bin", noise(10)), purpose="vision" if i % 2 else "user_data").id for i in range(7)]
    assert [f.id for f in client.files.list(limit=2, order="asc")] == made
    assert [f.id for f in client.files.list(limit=3)] == made[::-1]
    assert [f.id for f in client.files.list(purpose="vision", order="asc")] == made[1::2]
    with pytest.raises(openai.BadRequestError, match="after"):
        client.files.list(after="file-absent")
    with pytest.raises(openai.BadRequestError, match="limit"):
        client.files.list(limit=0)


def test_what_has_expired_is_gone(client, data):
    content = noise(5000)
    file = client.files.create(file=("a.bin", content), purpose="vision", extra_body={"expires_after": {"anchor": "created_at", "seconds": 3600}})
    assert file.expires_at == pytest.approx(time.time() + 3600, abs=60)
    assert client.files.retrieve(file.id).expires_at == file.expires_at
    database = sqlite3.connect(data / "files.db")  # an hour later
    with database:
        database.execute("UPDATE files SET expires = expires - 3700 WHERE id = ?", (file.id,))
    database.close()
    for gone in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError):
            gone(file.id)
    assert list(client.files.list()) == [] and blobs(data) == set()
    for seconds in (1, 10**9):
        with pytest.raises(openai.BadRequestError, match="expires_after"):
            client.files.create(file=b"abc", purpose="vision", extra_body={"expires_after": {"anchor": "created_at", "seconds": seconds}})


def test_the_quota_holds_for_all_together(client, data):
    first = client.files.create(file=noise(5 << 20), purpose="vision")
    for _ in range(2):
        with pytest.raises(openai.APIStatusError) as refused:
            client.files.create(file=noise(4 << 20), purpose="vision")
        assert (refused.value.status_code, refused.value.body["code"]) == (413, "limit_exceeded") and "quota" in refused.value.message
    with pytest.raises(openai.APIStatusError, match="quota"):
        client.uploads.create(filename="a", bytes=4 << 20, purpose="vision", mime_type="video/mp4")
    assert incoming(data) == []
    client.files.delete(first.id)
    client.files.create(file=noise(4 << 20), purpose="vision")


@pytest.mark.parametrize("asked, answer", [
    ("bytes=0-0", (206, slice(0, 1))), ("bytes=10-19", (206, slice(10, 20))), ("bytes=990-", (206, slice(990, 1000))), ("bytes=-5", (206, slice(995, 1000))),
    ("bytes=-5000", (206, slice(0, 1000))), ("bytes=999-5000", (206, slice(999, 1000))), ("bytes=1000-", (416, None)), ("bytes=-0", (416, None)),
    ("bytes=5-2", (200, slice(0, 1000))), ("bytes=1-2,5-6", (200, slice(0, 1000))), ("apples=1-2", (200, slice(0, 1000))), ("bytes=", (200, slice(0, 1000))),
])
def test_ranges_of_content(server, client, asked, answer):
    content = noise(1000)
    file = client.files.create(file=content, purpose="vision")
    status, headers, body = server.raw(head("GET", f"/v1/files/{file.id}/content", f"Range: {asked}"))
    assert status == answer[0]
    if answer[1]:
        assert body == content[answer[1]]
    if status == 206:
        assert headers["content-range"] == f"bytes {answer[1].start}-{answer[1].stop - 1}/1000"


# ---- uploads ----

def test_the_client_uploads_in_parts(client):
    content = noise(300_000)
    upload = client.uploads.upload_file_chunked(file=content, filename="clip.mp4", bytes=len(content), mime_type="video/mp4", purpose="vision", part_size=70_000)
    assert (upload.status, upload.file.filename, upload.file.bytes) == ("completed", "clip.mp4", len(content))
    assert client.files.content(upload.file.id).read() == content


def test_parts_out_of_order_are_refused(client):
    content = noise(100)
    upload = client.uploads.create(filename="a", bytes=100, purpose="vision", mime_type="video/mp4")
    parts = [client.uploads.parts.create(upload.id, data=content[at:at + 50]).id for at in (0, 50)]
    for ids in (parts[::-1], parts[:1], parts + parts[1:], ["part_0_100000"], ["x"]):
        with pytest.raises(openai.BadRequestError, match="part"):
            client.uploads.complete(upload.id, part_ids=ids)
    with pytest.raises(openai.BadRequestError, match="announced"):
        client.uploads.parts.create(upload.id, data=b"more")
    assert client.uploads.complete(upload.id, part_ids=parts).file.sha256 == hashlib.sha256(content).hexdigest()


def test_an_upload_goes_on_after_a_broken_connection_and_a_killed_server(tmp_path):
    content, total = noise(3_000_000), 3_000_000
    server = Server("--data-dir", str(tmp_path))
    upload = client_of(server).uploads.create(filename="long.mp4", bytes=total, purpose="vision", mime_type="video/mp4").id
    with server.connect() as connection:  # breaks in the middle of the range
        connection.sendall(head("PUT", f"/v1/uploads/{upload}", f"Content-Length: {total}", f"Content-Range: bytes 0-{total - 1}/{total}") + content[:1_000_000])
    here = 0
    while here < 1_000_000:
        here = json.loads(server.raw(head("GET", f"/v1/uploads/{upload}"))[2])["bytes_received"]
    assert put(server, upload, 0, content[:10], total)[0] == 400  # not where it stands
    assert put(server, upload, here, content[here:here + 500_000], total)[0] == 200
    with server.connect() as connection:  # the server dies in the middle of the range
        connection.sendall(head("PUT", f"/v1/uploads/{upload}", "Content-Length: 1000000", f"Content-Range: bytes {here + 500_000}-{here + 1_499_999}/{total}") + content[here + 500_000:here + 900_000])
        part = tmp_path / "incoming" / upload
        while part.stat().st_size < here + 900_000:
            time.sleep(0.01)
        server.process.kill()
        server.process.wait()
    server = Server("--data-dir", str(tmp_path))
    try:
        state = json.loads(server.raw(head("GET", f"/v1/uploads/{upload}"))[2])
        here = state["bytes_received"]
        assert here == 1_900_000 and state["status"] == "pending" and list(client_of(server).files.list()) == []
        status, done = put(server, upload, here, content[here:], total)
        assert (status, done["status"]) == (200, "completed")
        assert client_of(server).files.content(done["file"]["id"]).read() == content
        assert server.raw(head("GET", f"/v1/uploads/{upload}"))[0] == 404 and incoming(tmp_path) == []
    finally:
        server.stop()


@pytest.mark.parametrize("headers", [(), ("Content-Range: bytes 0-2",), ("Content-Range: bytes 0-2/4",), ("Content-Range: bytes 2-0/3",), ("Content-Range: bytes -1-2/3",),
                                     ("Content-Range: bytes 0-3/3",), ("Content-Range: bytes 99999999999999999999-1/3",), ("Content-Range: apples 0-2/3",)], ids=str)
def test_ranges_that_are_wrong(server, client, headers):
    upload = client.uploads.create(filename="a", bytes=3, purpose="vision", mime_type="video/mp4").id
    assert server.raw(with_body(f"/v1/uploads/{upload}", b"abc", *headers, method="PUT"))[0] == 400
    assert client.uploads.cancel(upload).status == "cancelled"
    assert put(server, upload, 0, b"abc", 3)[0] == 404


def test_two_connections_to_one_upload(server, client):
    upload = client.uploads.create(filename="a", bytes=1000, purpose="vision", mime_type="video/mp4").id
    with server.connect() as connection:
        connection.sendall(head("PUT", f"/v1/uploads/{upload}", "Content-Length: 1000", "Content-Range: bytes 0-999/1000") + b"x" * 10)
        while client.get(f"/uploads/{upload}", cast_to=object)["bytes_received"] < 10:
            pass
        status, answer = put(server, upload, 10, b"y" * 10, 1000, patient=False)
        assert status == 503 and "another connection" in answer["error"]["message"]
        connection.sendall(b"x" * 990)
        status, _, body = read_response(connection)
        assert json.loads(body)["file"]["sha256"] == hashlib.sha256(b"x" * 1000).hexdigest()


# ---- kill -9 ----

def test_a_killed_server_lists_nothing_half_written(tmp_path):
    """Killed many times at random moments while several clients upload: every listed file is whole and says its own hash; every
    file whose upload was confirmed is listed; nothing else is left on disk."""
    chance, confirmed, failures, sizes = random.Random(9), {}, [], (10, 4_000, 400_000, 3_000_000)
    for round_ in range(6):
        server = Server("--data-dir", str(tmp_path))

        def upload(seed: int):
            mine = random.Random(seed)
            try:
                for _ in range(1000):
                    connection = server.http()
                    content = mine.randbytes(mine.choice(sizes))
                    status, file = send(connection, content)
                    connection.close()
                    if status != 200:
                        failures.append(file)
                    confirmed[file["id"]] = hashlib.sha256(content).hexdigest()
            except (OSError, http.client.HTTPException):
                pass  # it was killed

        threads = [threading.Thread(target=upload, args=(100 * round_ + i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.2 + chance.random() * 0.8)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        for thread in threads:
            thread.join()
    assert len(confirmed) > 6 and failures == []
    server = Server("--data-dir", str(tmp_path))
    try:
        client = client_of(server)
        listed = {file.id: file for file in client.files.list(limit=10000)}
        assert set(confirmed) <= set(listed)
        for id_, file in listed.items():
            content = client.files.content(id_).read()
            assert hashlib.sha256(content).hexdigest() == file.sha256 == confirmed.get(id_, file.sha256) and len(content) == file.bytes
        assert blobs(tmp_path) == {file.sha256 for file in listed.values()} and incoming(tmp_path) == []
    finally:
        server.stop()


def test_files_outlive_a_restart_and_two_servers_share_them(tmp_path):
    first = Server("--data-dir", str(tmp_path))
    file = client_of(first).files.create(file=("a.bin", b"shared"), purpose="vision")
    second = Server("--data-dir", str(tmp_path))
    assert client_of(second).files.content(file.id).read() == b"shared"
    first.stop()
    second.stop()
    third = Server("--data-dir", str(tmp_path))
    assert [f.id for f in client_of(third).files.list()] == [file.id]
    third.stop()
