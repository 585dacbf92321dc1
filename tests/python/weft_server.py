"""Starts `weft serve` for tests: on a free port, with its messages kept, stopped by SIGTERM.

WEFT_BIN names the program. A server that crashes, or that a sanitizer complains about, fails the test that used it."""
import http.client
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
START_S, STOP_S, ANSWER_S = 60, 60, 120
CACHE = tempfile.TemporaryDirectory(prefix="weft-cache-")  # of all servers of a run: each measures the machine otherwise


class Server:
    def __init__(self, *arguments: str, model: str | None = "dense_tied", name: str = "tiny", environment: dict | None = None):
        self.name = name
        self.messages: list[str] = []
        self.data = tempfile.TemporaryDirectory(prefix="weft-data-")  # nothing of a test stays in somebody's home
        named = ["--model", f"{name}={GOLDEN / 'models' / model / 'model'}"] if model else []  # None: the embedded ones
        self.process = subprocess.Popen(
            [os.environ["WEFT_BIN"], "serve", "--port", "0", *named, "--memory", "256M", *arguments],
            stderr=subprocess.PIPE, text=True, env={**os.environ, "XDG_DATA_HOME": self.data.name, "XDG_CACHE_HOME": CACHE.name, **(environment or {})})
        self.ready = threading.Event()
        self.port = 0
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if not self.ready.wait(START_S) or not self.port:
            self.process.kill()
            raise AssertionError("the server did not start:\n" + "".join(self.messages))

    def _read(self) -> None:
        for line in self.process.stderr:
            self.messages.append(line)
            found = re.search(r"http://(?:\[[^]]*\]|[^:/]+):(\d+)/", line)
            if found:
                self.port = int(found[1])
                self.ready.set()
        self.ready.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(STOP_S)
        self.reader.join(STOP_S)
        self.data.cleanup()
        assert code == 0, f"the server exited {code}:\n" + "".join(self.messages)[-6000:]

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait_idle(self, limit_s: float = 60, window_s: float = 0.5) -> bool:
        """True when the process spends no CPU time over a window; False when it never does within the limit."""
        end = time.monotonic() + limit_s
        before = self.cpu_seconds()
        while time.monotonic() < end:
            time.sleep(window_s)
            now = self.cpu_seconds()
            if now - before < 0.1 * window_s:
                return True
            before = now
        return False

    def connect(self, host: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection((host, self.port), timeout=ANSWER_S)

    def http(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_S)

    def raw(self, data: bytes, host: str = "127.0.0.1") -> tuple[int, dict, bytes]:
        """Sends bytes, reads one answer: status, headers (lower case), body."""
        with self.connect(host) as connection:
            try:
                connection.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused before all was sent: the answer is there nevertheless
            return read_response(connection)


def children(process: int) -> list[int]:
    return [int(child) for path in Path(f"/proc/{process}/task").glob("*/children") for child in path.read_text().split()]


class PeakOfWorkers(threading.Thread):
    """Looks every few milliseconds at the peak resident sizes of all that the server has started."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self.server, self.ended, self.mib = server, threading.Event(), 0.0
        self.start()

    def run(self) -> None:
        while not self.ended.wait(0.004):
            found = [self.server.process.pid]
            while found:
                try:
                    more = children(found.pop())
                    found += more
                    for child in more:
                        peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{child}/status").read_text())
                        self.mib = max(self.mib, int(peak[1]) / 1024 if peak else 0)
                except OSError:  # it has ended meanwhile
                    pass

    def stop(self) -> float:
        """The largest of all, in MiB; 0: none was seen."""
        self.ended.set()
        self.join()
        print(f"largest worker: {self.mib:.0f} MiB")
        return self.mib


def read_response(connection: socket.socket, method: str = "GET") -> tuple[int, dict, bytes]:
    response = http.client.HTTPResponse(connection, method=method)
    response.begin()
    return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()


def head(method: str, path: str, *headers: str, host: str = "localhost") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]).encode()


def with_body(path: str, body: bytes, *headers: str, method: str = "POST") -> bytes:
    return head(method, path, f"Content-Length: {len(body)}", *headers) + body
