"""What clients other than the official ones may send: raw bytes on the socket. After each the server still answers.

WEFT_BIN names the program."""
import http.client
import json
import os
import socket
import struct
import time

import pytest

if "WEFT_BIN" not in os.environ:
    pytest.skip("WEFT_BIN names no program", allow_module_level=True)

from weft_server import ANSWER_S, Server, head, read_response, with_body

CHAT = "/v1/chat/completions"
HELLO = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 3, "temperature": 0}


@pytest.fixture(scope="module")
def shared():
    running = Server()
    yield running
    running.stop()


@pytest.fixture
def server(shared):
    yield shared
    status, _, body = shared.raw(with_body(CHAT, json.dumps(HELLO).encode()))
    assert status == 200 and json.loads(body)["usage"]["completion_tokens"] > 0


def error_of(answer):
    status, headers, body = answer
    assert headers["content-type"] == "application/json"
    error = json.loads(body)["error"]
    assert error["message"] and error["type"]
    return status, error["code"]


# ---- lengths and encodings of a body ----

@pytest.mark.parametrize("path, length", [(CHAT, 600 << 20), ("/v1/files", 21 << 30), (CHAT, 1 << 62)])
@pytest.mark.parametrize("expect", [(), ("Expect: 100-continue",)], ids=["sends", "asks"])
def test_too_long_a_body_is_refused_before_it_comes(server, path, length, expect):
    assert error_of(server.raw(head("POST", path, f"Content-Length: {length}", *expect))) == (413, "limit_exceeded")


@pytest.mark.parametrize("length", ["-1", "abc", "99999999999999999999999", "5 5"])
def test_malformed_lengths(server, length):
    status, _, _ = server.raw(head("POST", CHAT, f"Content-Length: {length}", "Connection: close") + b"{}")
    assert 400 <= status < 500


def test_leave_to_send_is_given(server):
    body = json.dumps(HELLO).encode()
    with server.connect() as connection:
        connection.sendall(head("POST", CHAT, f"Content-Length: {len(body)}", "Expect: 100-continue"))
        assert connection.recv(4096).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert read_response(connection)[0] == 200


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_chunked_bodies(server, size):
    body = json.dumps({**HELLO, "user": "x" * 5000}).encode()
    chunks = [body[i:i + size] for i in range(0, len(body), size)]
    encoded = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    status, _, answer = server.raw(head("POST", CHAT, "Transfer-Encoding: chunked") + encoded)
    assert status == 200 and json.loads(answer)["choices"]


def test_malformed_chunks(server):
    status, _, _ = server.raw(head("POST", CHAT, "Transfer-Encoding: chunked") + b"zz\r\n{}\r\n0\r\n\r\n")
    assert status == 400


def test_a_body_that_nobody_asked_for_is_not_read_without_end(server):
    """A GET with chunks that never end: cut off after a bounded number of bytes."""
    chunk = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
    with server.connect() as connection:
        connection.sendall(head("GET", "/v1/models", "Transfer-Encoding: chunked"))
        sent = 0
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while sent < 1 << 30:
                connection.sendall(chunk)
                sent += len(chunk)
        assert sent < 200 << 20


def test_a_body_cut_short(server):
    with server.connect() as connection:
        connection.sendall(head("POST", CHAT, "Content-Length: 1000") + b'{"messages": [')
    with server.connect() as connection:  # reset instead of closed
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(head("POST", "/v1/files", "Content-Length: 1000", "Content-Type: multipart/form-data; boundary=xyz") + b"--xyz\r\n")


# ---- JSON ----

@pytest.mark.parametrize("body, status", [
    (b"", 400), (b"{", 400), (b"[]", 400), (b"null", 400), (b'"text"', 400), (b"{}", 400), (b'{"messages": 5}', 400), (b'{"messages"}', 400),
    (b'{"messages": [{}]}', 400), (b'{"messages": [{"role": "user", "content": 5}]}', 400), (b'{"model": 5}', 400),
    (b"\xff\xfe{}", 400), (b'{"messages": [{"role": "user", "content": "\xff"}]}', 400), (b'{"a": "\\', 400), (b'{"a": "' + b"\\" * 99, 400),
    (b'{"messages": [{"role": "user", "content": "x"}]} and more', 400), (b"\0" * 100, 400),
    (b"[" * 100_000, 400), (b'{"messages": ' + b"[" * 2040 + b"]" * 2040 + b"}", 400), (b'{"messages": ' + b'{"a":' * 2040 + b"1" + b"}" * 2040 + b"}", 400),
    (b'{"messages": [' + b"1," * 1_200_000 + b"1]}", 413), (b'{"a":1,' * 1 + b'"b":[[],' + b"{}," * 1_200_000 + b"0]}", 413),
    (b'{"m\\u006fdel": "absent", "messages": []}', 404),
    (b'{"model": "tiny", "model": "absent", "messages": []}', 404), (b'{"model": "' + "\u00e9".encode() * 300 + b'", "messages": []}', 404),
], ids=lambda value: repr(value)[:30])
def test_json(server, body, status):
    assert error_of(server.raw(with_body(CHAT, body)))[0] == status


def test_text_with_nul_and_astral_characters(server):
    body = {**HELLO, "messages": [{"role": "user", "content": "a\0b \U0001f642 \ud7ff"}]}
    assert server.raw(with_body(CHAT, json.dumps(body).encode()))[0] == 200


# ---- forms ----

def form(*parts: bytes, end: bytes = b"--xyz--\r\n", kind: str = "multipart/form-data; boundary=xyz"):
    return with_body("/v1/files", b"".join(b"--xyz\r\n" + part + b"\r\n" for part in parts) + end, f"Content-Type: {kind}")


FILE = b'Content-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'


@pytest.mark.parametrize("request_", [
    form(), form(FILE), form(b'Content-Disposition: form-data; name="purpose"\r\n\r\nvision'), form(FILE + b"abc", FILE + b"def"),
    form(FILE + b"abc", end=b""), form(b"Content-Disposition: form-data\r\n\r\nabc"), form(b"\r\nabc"), form(b"A: " + b"b" * 100_000 + b"\r\n\r\nabc"),
    form(FILE + b"abc", kind="multipart/form-data"), form(FILE + b"abc", kind="multipart/form-data; boundary="),
    form(FILE + b"abc", kind="multipart/form-data; boundary=" + "x" * 5000), with_body("/v1/files", b"file=abc", "Content-Type: application/x-www-form-urlencoded"),
    with_body("/v1/files", b"{}", "Content-Type: application/json"), with_body("/v1/files", b"abc"), with_body("/v1/files", b""),
    form(b"Content-Type: multipart/mixed; boundary=in\r\n\r\n--in\r\n\r\nabc\r\n--in--"),
], ids=str)
def test_forms_that_are_wrong(server, request_):
    assert error_of(server.raw(request_))[0] == 400
    assert json.loads(server.raw(head("GET", "/v1/files"))[2])["data"] == []


@pytest.mark.parametrize("name, shown", [(b"../../etc/passwd", "../../etc/passwd"), (b"\xff\xfe.png", "??.png"), ("\u732b.png".encode(), "\u732b.png")])
def test_names_of_uploads_are_only_names(server, name, shown):
    request = form(b'Content-Disposition: form-data; name="file"; filename="' + name + b'"\r\n\r\nabc',
                   b'Content-Disposition: form-data; name="purpose"\r\n\r\n\xff' + b"p" * 200)
    status, _, body = server.raw(request)
    file = json.loads(body)
    assert status == 200 and file["filename"] == shown and file["bytes"] == 3
    assert server.raw(head("GET", f"/v1/files/{file['id']}/content"))[2] == b"abc"
    assert server.raw(head("DELETE", f"/v1/files/{file['id']}"))[0] == 200


# ---- addresses and methods ----

@pytest.mark.parametrize("path", ["/samples/../../../../etc/passwd", "/samples/%2e%2e/%2e%2e/etc/passwd", "/samples/", "/samples/..", "/../etc/passwd", "//etc/passwd",
                                  "/v1/files/../../etc/passwd", "/v1/files/file-/content", "/v1/files//content", "/v1/files/" + "a" * 5000 + "/content", "/v1/files/x/content/y",
                                  "/v1/models/", "/v1/models/%00", "/v1/", "/v1", "/v1/unknown", "/%ff%fe", "http://evil.example/", "*"])
def test_addresses(server, path):
    status, _, body = server.raw(head("GET", path))
    assert status in (400, 404) and b"root:" not in body


@pytest.mark.parametrize("method, path, status", [
    ("PUT", "/v1/models", 405), ("DELETE", "/v1/models", 405), ("GET", CHAT, 405), ("OPTIONS", CHAT, 405), ("POST", "/", 405), ("DELETE", "/health", 405),
    ("POST", "/v1/models/tiny", 405), ("BREW", "/", 405), ("HEAD", CHAT, 405), ("HEAD", "/health", 200), ("HEAD", "/v1/models", 200), ("HEAD", "/", 200), ("HEAD", "/absent", 404)])
def test_methods(server, method, path, status):
    with server.connect() as connection:
        connection.sendall(head(method, path))
        answer = read_response(connection, method)
        assert answer[0] == status
        if method == "HEAD":
            assert answer[2] == b"" and int(answer[1]["content-length"]) > 0
        if status == 405:
            assert answer[1]["allow"]
        connection.sendall(head("GET", "/health"))  # nothing of the answer is left in the way
        assert read_response(connection)[0] == 200


def test_the_page_is_cached_by_its_tag(server):
    status, headers, body = server.raw(head("GET", "/"))
    assert status == 200 and headers["content-type"].startswith("text/html") and body and headers["content-security-policy"]
    status, _, body = server.raw(head("GET", "/", f"If-None-Match: {headers['etag']}"))
    assert (status, body) == (304, b"")


# ---- who may ask ----

@pytest.mark.parametrize("host, allowed", [("localhost", True), ("LOCALHOST:80", True), ("127.0.0.1:1", True), ("[::1]", True), ("[::1]:8080", True),
                                           ("evil.example", False), ("localhost.evil.example", False), ("127.0.0.1.evil.example", False), ("", False), ("[::2]", False)])
def test_host_names_on_loopback(server, host, allowed):
    for request in (head("GET", "/health", host=host), head("GET", "/", host=host)):
        status = server.raw(request)[0]
        assert status == 200 if allowed else status in (400, 403)
    if not allowed:
        assert server.raw(head("POST", CHAT, "Content-Length: 2", host=host) + b"{}")[0] in (400, 403)


def test_pages_of_other_sites(server):
    body = json.dumps(HELLO).encode()
    assert error_of(server.raw(with_body(CHAT, body, "Sec-Fetch-Site: cross-site", "Content-Type: text/plain"))) == (403, "cross_site")
    assert error_of(server.raw(with_body("/v1/files", b"", "Sec-Fetch-Site: cross-site"))) == (403, "cross_site")
    assert server.raw(with_body(CHAT, body, "Sec-Fetch-Site: same-origin"))[0] == 200
    assert server.raw(head("GET", "/", "Sec-Fetch-Site: cross-site"))[0] == 200  # a link to the page


@pytest.mark.parametrize("address, connect, anyone", [("0.0.0.0", "127.0.0.1", True), ("127.0.0.2", "127.0.0.2", False), ("::1", "::1", False), ("localhost", "localhost", False)])
def test_addresses_to_listen_on(address, connect, anyone):
    if address == "::1":
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
    server = Server("--host", address)
    try:
        assert server.raw(head("GET", "/health"), connect)[0] == 200
        assert server.raw(head("GET", "/health", host="weft.example"), connect)[0] == (200 if anyone else 403)
        shown = next(line for line in server.messages if "http://" in line)
        assert f"http://{'localhost' if anyone else '[::1]' if address == '::1' else address}:{server.port}/" in shown
    finally:
        server.stop()


# ---- connections ----

def test_keep_alive_after_errors(server):
    with server.connect() as connection:
        for request, status in [(with_body(CHAT, b"{"), 400), (head("GET", "/absent"), 404), (with_body("/v1/files", b"abc"), 400), (with_body("/absent", b"x" * 100_000), 405),
                                (with_body(CHAT, json.dumps(HELLO).encode()), 200), (with_body(CHAT, json.dumps({**HELLO, "stream": True}).encode()), 200),
                                (form(FILE), 400), (head("GET", "/health"), 200)] * 3:
            connection.sendall(request)
            assert read_response(connection)[0] == status


def test_pipelined_requests(server):
    with server.connect() as connection:
        connection.sendall((head("GET", "/health") + with_body(CHAT, json.dumps(HELLO).encode())) * 5)
        stream = connection.makefile("rb")
        codes = []
        for _ in range(10):
            codes.append(int(stream.readline().split()[1]))
            headers = http.client.parse_headers(stream)
            stream.read(int(headers["Content-Length"]))
        assert codes == [200] * 10


def test_many_connections(server):
    """More than the limit; when they leave, the server answers as before."""
    connections = []
    for i in range(300):
        try:
            connection = server.connect()
            connection.sendall([b"", b"GET ", head("GET", "/health")[:-2], head("POST", CHAT, "Content-Length: 100") + b"{"][i % 4])
            connections.append(connection)
        except OSError:
            break
    assert len(connections) > 100
    for connection in connections:
        connection.close()
    end = time.monotonic() + ANSWER_S
    while time.monotonic() < end:  # the places of those that left become free one after another
        try:
            if server.raw(head("GET", "/health"))[0] == 200:
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.05)
    pytest.fail("the server does not answer after many connections have left")


@pytest.mark.parametrize("request_", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100), b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 1000, bytes(5000),
                                      b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 50_000, b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\n: empty\r\n\r\n"],
                         ids=lambda value: repr(value)[:20])
def test_what_is_not_http(server, request_):
    with server.connect() as connection:
        try:
            connection.sendall(request_)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
        except OSError:  # reset, or closed before our own end was
            pass
