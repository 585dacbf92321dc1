"""Media by URL: off unless allowed, from the networks that are allowed only, counted into the memory of all requests, and given
up when the client leaves. Slow clients are cut off. tests/net/test_fetch.c has the ways around the refusal of private addresses."""
import http.server
import json
import os
import socket
import threading
import time

import pytest

if "WEFT_BIN" not in os.environ:
    pytest.skip("WEFT_BIN names no program", allow_module_level=True)

from test_server import MEDIA, ask, client_of, data_url, refused, user
from weft_server import Server, head, read_response, with_body


PADDED = (MEDIA / "small.png").read_bytes() + bytes(100_000)  # decoders stop at the picture's end; memory does not


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append(self.path)
        if self.path.startswith("/to?"):
            self.send_response(302)
            self.send_header("Location", self.path[4:])
            self.end_headers()
        elif self.path == "/never":
            self.server.left.wait(60)
        else:
            content = PADDED if self.path == "/large.png" else (MEDIA / self.path.lstrip("/")).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *_):
        pass


class Host:
    def __init__(self, address: str):
        self.server = http.server.ThreadingHTTPServer((address, 0), Handler)
        self.server.seen, self.server.left = [], threading.Event()
        self.url = f"http://{address}:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def stop(self):
        self.server.left.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def hosts():
    pair = Host("127.0.0.2"), Host("127.0.0.1")
    yield pair
    for host in pair:
        host.stop()


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    path = tmp_path_factory.mktemp("media") / "large.png"
    path.write_bytes(PADDED)
    return path


@pytest.fixture(scope="module")
def server(large):
    running = Server("--allow-url", "--allow-private-url", "127.0.0.2", "--media-root", str(MEDIA), "--media-root", str(large.parent), "--request-memory", "64k", "--request-timeout", "1")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(server):
    return client_of(server)


def test_a_picture_by_url(client, hosts):
    expected = ask(client, user("What?", data_url("small.png")), temperature=0)
    for url in (f"{hosts[0].url}/small.png", f"{hosts[0].url}/to?/small.png", f"{hosts[0].url}/to?{hosts[0].url}/small.png"):
        assert ask(client, user("What?", url), temperature=0) == expected


def test_private_addresses_are_refused_on_every_hop(client, hosts):
    good, bad = hosts
    port = bad.server.server_port
    for target in (bad.url, f"http://localhost:{port}", f"http://2130706433:{port}", f"http://0x7f.1:{port}", f"http://[::ffff:127.0.0.1]:{port}", f"http://0:{port}"):
        for url in (f"{target}/small.png", f"{good.url}/to?{target}/small.png"):
            assert refused(client, messages=user("What?", url))[0] == 400
    status, _, message = refused(client, messages=user("What?", f"{good.url}/to?file://{MEDIA}/small.png"))
    assert status == 400 and "only http: and https:" in message
    status, _, message = refused(client, messages=user("What?", f"{bad.url}/small.png"))
    assert "127.0.0.1" in message and "--allow-private-url" in message
    assert bad.server.seen == []


def test_off_unless_allowed(hosts):
    server = Server()
    try:
        before = list(hosts[0].server.seen)
        status, code, message = refused(client_of(server), messages=user("What?", f"{hosts[0].url}/small.png"))
        assert (status, code) == (400, "unsupported") and "--allow-url" in message
        assert hosts[0].server.seen == before
    finally:
        server.stop()


def test_public_only_unless_allowed(hosts):
    server = Server("--allow-url")
    try:
        before = list(hosts[0].server.seen)
        assert "not a public address" in refused(client_of(server), messages=user("What?", f"{hosts[0].url}/small.png"))[2]
        assert hosts[0].server.seen == before
    finally:
        server.stop()


def test_what_is_fetched_counts_into_the_memory_of_all_requests(client, hosts, large):
    status, _, message = refused(client, messages=user("What?", f"{hosts[0].url}/large.png"))
    assert status == 503 and "memory" in message
    assert ask(client, user("What?", large.as_uri()), temperature=0, max_tokens=1)  # files stay where they are
    for _ in range(40):  # what was counted is given back
        assert ask(client, user("What?", f"{hosts[0].url}/shapes.png"), temperature=0, max_tokens=1)


def test_a_client_that_leaves_ends_the_fetch(server, hosts):
    body = json.dumps({"messages": user("What?", f"{hosts[0].url}/never")}).encode()
    with server.connect() as connection:
        connection.sendall(with_body("/v1/chat/completions", body))
        while "/never" not in hosts[0].server.seen:
            time.sleep(0.01)
    # stopping waits for all connections: the module's end would hang for two minutes if the fetch went on
    threads = f"/proc/{server.process.pid}/task"
    for _ in range(600):
        if len(os.listdir(threads)) <= 8:
            break
        time.sleep(0.05)
    else:
        pytest.fail("the connection's thread still waits for a fetch that nobody wants")


def drip(connection: socket.socket, data: bytes) -> int:
    """Sends a byte now and then until the other side has enough of it; how many went."""
    connection.settimeout(0.1)
    for i in range(len(data)):
        try:
            connection.sendall(data[i:i + 1])
            if connection.recv(1000) == b"":
                return i
        except TimeoutError:
            continue
        except (ConnectionResetError, BrokenPipeError):
            return i
    return len(data)


@pytest.mark.parametrize("begin, rest", [
    (b"", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 1000),
    (head("POST", "/v1/chat/completions", "Content-Length: 1000"), b"{" + b" " * 900),
    (head("POST", "/v1/files", "Content-Length: 1000", "Content-Type: multipart/form-data; boundary=xyz"), b"--xyz\r\n" + b"a" * 900),
], ids=["headers", "body", "form"])
def test_slow_clients_are_cut_off(server, begin, rest):
    with server.connect() as connection:
        connection.sendall(begin)
        assert drip(connection, rest) < len(rest) // 2


def test_slow_but_honest_clients_are_not(server):
    """Three seconds where the limit for a short body is one: the bytes that come buy time."""
    body = json.dumps({"messages": user("Hello"), "max_tokens": 1, "pad": "x" * 300}).encode()
    padded = body + b" " * 60_000
    with server.connect() as connection:
        connection.sendall(head("POST", "/v1/chat/completions", f"Content-Length: {len(padded)}"))
        for i in range(0, len(padded), 20_000):
            connection.sendall(padded[i:i + 20_000])
            time.sleep(0.7)
        assert read_response(connection)[0] == 200


def test_a_connection_may_wait_between_requests(server):
    with server.connect() as connection:
        time.sleep(0.5)
        connection.sendall(head("GET", "/health"))
        assert read_response(connection)[0] == 200
        time.sleep(1.5)  # between requests there is more time
        connection.sendall(head("GET", "/health"))
        assert read_response(connection)[0] == 200
