"""What the attack scripts stand on: a server of one's own, users, and a WebSocket client. Standard library only.

`GOCHAT_BIN` names the program (default: target/release/gochat, then target/debug/gochat). With `GOCHAT_URL` the scripts
that need no settings of their own attack a server that runs already; it must listen on loopback.
"""
import base64
import contextlib
import json
import os
import random
import socket
import string
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PASSWORD = "correct horse 9"
# Seconds within which an end of a session holds, and other bounds in proportion; more for servers on a busy machine.
WITHIN = float(os.environ.get("ATTACK_WITHIN", 1))


def program():
    """Path of the `gochat` program."""
    if os.environ.get("GOCHAT_BIN"):
        return os.path.abspath(os.environ["GOCHAT_BIN"])
    for profile in ("release", "debug"):
        path = os.path.join(ROOT, "target", profile, "gochat")
        if os.path.exists(path):
            return path
    sys.exit("no gochat program: build one or set GOCHAT_BIN")


def free_port():
    """A TCP port on loopback that nobody listens on, below those that outgoing connections get: it stays free while a server is away."""
    while True:
        port = random.randrange(14_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind(("127.0.0.1", port))
            return port


class Server:
    """A `gochat` process on a temporary folder; use it with `with`."""

    def __init__(self, *settings, env=None, folder=None):
        self.settings, self.env = settings, env or {}
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._own = None if folder else tempfile.TemporaryDirectory()
        self.folder = folder or self._own.name
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        if self._own:
            with contextlib.suppress(OSError):
                self._own.cleanup()

    def start(self):
        """Starts the process and waits until it is healthy, two minutes at most."""
        command = [program(), "serve", "--listen", f"127.0.0.1:{self.port}", "--data-dir", os.path.join(self.folder, "data")]
        for setting in self.settings:
            command += ["--set", setting]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GOCHAT_")}
        self.log = open(os.path.join(self.folder, "log"), "ab")
        self.process = subprocess.Popen(command, env={**environment, **self.env}, stdout=subprocess.DEVNULL, stderr=self.log)
        for _ in range(1_200):
            if self.process.poll() is not None:
                sys.exit(f"the server left with {self.process.returncode}: {self.last_words()}")
            with contextlib.suppress(OSError):
                with urllib.request.urlopen(self.url + "/health", timeout=2):
                    return
            time.sleep(0.1)
        sys.exit("the server does not become healthy: " + self.last_words())

    def last_words(self):
        """The end of the server's log."""
        with open(os.path.join(self.folder, "log"), "rb") as log:
            return log.read()[-2000:].decode(errors="replace")

    def kill(self):
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """SIGTERM; SIGKILL after 15 s."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()

    def rss_mib(self):
        """Resident memory of the process in MiB."""
        with open(f"/proc/{self.process.pid}/status") as status:
            line = next(line for line in status if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024


def call(url, method, path, body=None, token=None, raw=None, headers=None, source=None, timeout=30):
    """(status, parsed answer, headers) of one request; `source` is the loopback address to come from."""
    data = raw if raw is not None else None if body is None else json.dumps(body).encode()
    import http.client
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout, source_address=(source, 0) if source else None)
    sent = {"Content-Type": "application/json", **(headers or {})}
    if token:
        sent["Authorization"] = "Bearer " + token
    try:
        connection.request(method, path if path.startswith("/health") or path == "/" else "/api" + path, data, sent)
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    try:
        parsed = json.loads(text or b"{}")
    except ValueError:
        parsed = {"raw": text.decode(errors="replace")}
    return answer.status, parsed, dict(answer.getheaders())


def patient(*args, **kw):
    """Like `call`, and waits while the server answers 429, 60 s at most."""
    until = time.monotonic() + 60
    while True:
        status, answer, headers = call(*args, **kw)
        if status != 429 or time.monotonic() > until:
            return status, answer
        time.sleep(min(float(headers.get("Retry-After", headers.get("retry-after", 0.3))), 2))


def rnd(prefix="u", n=8):
    """A random name."""
    return prefix + "".join(random.choices(string.ascii_lowercase + string.digits, k=n))


class User:
    """A signed-in account, or a guest with `guest=True`."""

    def __init__(self, url, name=None, guest=False, source=None):
        self.url, self.source = url, source
        if guest:
            status, answer = patient(url, "POST", "/auth/guest", {}, source=source)
            assert status in (200, 201), (status, answer)
            self._take(answer["data"])
            self.name = answer["data"]["user"]["username"]
        else:
            self.name = name or rnd()
            status, answer = patient(url, "POST", "/auth/register", {"username": self.name, "password": PASSWORD}, source=source)
            assert status == 201, (status, answer)
            self.login()

    def login(self):
        status, answer = patient(self.url, "POST", "/auth/login", {"username": self.name, "password": PASSWORD}, source=self.source)
        assert status == 200, (status, answer)
        self._take(answer["data"])

    def _take(self, data):
        self.token, self.refresh = data["accessToken"], data["refreshToken"]
        self.id = data.get("user", {}).get("id", getattr(self, "id", None))

    def do(self, method, path, body=None, **kw):
        """(status, answer); waits out 429."""
        return patient(self.url, method, path, body, token=self.token, source=self.source, **kw)

    def once(self, method, path, body=None, **kw):
        """(status, answer) of a single try."""
        return call(self.url, method, path, body, token=self.token, source=self.source, **kw)[:2]

    def say(self, conversation, text):
        status, answer = self.do("POST", f"/conversations/{conversation}/messages", {"messageType": 1, "content": text})
        assert status == 201, (status, answer)
        return answer["data"]

    def group(self, *others, name="a group"):
        """A group that tells nothing of itself, so that all its messages are those of its members."""
        quiet = {"group_settings": {"system_messages": False}}
        status, answer = self.do("POST", "/conversations", {"type": 2, "name": name, "memberIds": [o.id for o in others], "settings": quiet})
        assert status == 201, (status, answer)
        return answer["data"]["id"]

    def single(self, other):
        status, answer = self.do("POST", "/conversations", {"type": 1, "memberIds": [other.id]})
        assert status in (200, 201), (status, answer)
        return answer["data"]["id"]

    def socket(self, **kw):
        return Socket(self.url, self.token, source=self.source, **kw)


class Refused(Exception):
    """A WebSocket handshake that was answered with something other than 101."""

    def __init__(self, status, head):
        super().__init__(f"handshake answered {status}")
        self.status, self.head = status, head


class Socket:
    """A WebSocket connection with JSON frames."""

    def __init__(self, url, token, device=None, source=None):
        parts = urllib.parse.urlsplit(url)
        self.s = socket.create_connection((parts.hostname, parts.port), 30, (source, 0) if source else None)
        query = f"/ws?token={token}" + (f"&device={device}" if device else "")
        key = base64.b64encode(os.urandom(16)).decode()
        self.s.sendall((f"GET {query} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
        head = b""
        while b"\r\n\r\n" not in head:
            more = self.s.recv(4096)
            if not more:
                raise Refused(0, head)
            head += more
        head, self.rest = head.split(b"\r\n\r\n", 1)
        status = int(head.split()[1])
        if status != 101:
            self.s.close()
            raise Refused(status, head)
        self.close_code = None
        self.bytes_read = 0
        # Pongs are sent by whoever reads, perhaps while another thread sends.
        self._sending = threading.Lock()

    def _exactly(self, n):
        while len(self.rest) < n:
            more = self.s.recv(65536)
            if not more:
                raise EOFError
            self.bytes_read += len(more)
            self.rest += more
        out, self.rest = self.rest[:n], self.rest[n:]
        return out

    def send(self, kind, data=None, opcode=1):
        payload = json.dumps({"type": kind, "data": data or {}}).encode() if opcode == 1 else data or b""
        mask = os.urandom(4)
        n = len(payload)
        length = bytes([0x80 | n]) if n < 126 else struct.pack(">BH", 0xFE, n) if n < 65536 else struct.pack(">BQ", 0xFF, n)
        frame = bytes([0x80 | opcode]) + length + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
        with self._sending:
            self.s.sendall(frame)

    def receive(self, timeout=5):
        """The next JSON frame, `None` after `timeout` seconds without one. Raises EOFError when the connection is over."""
        until = time.monotonic() + timeout
        while True:
            self.s.settimeout(max(until - time.monotonic(), 0.001))
            try:
                first, second = self._exactly(2)
                n = second & 0x7F
                if n == 126:
                    n = struct.unpack(">H", self._exactly(2))[0]
                elif n == 127:
                    n = struct.unpack(">Q", self._exactly(8))[0]
                payload = self._exactly(n)
            except (socket.timeout, TimeoutError):
                return None
            except OSError as error:
                raise EOFError from error
            opcode = first & 0x0F
            if opcode == 8:
                self.close_code = struct.unpack(">H", payload[:2])[0] if len(payload) >= 2 else 1005
                raise EOFError
            if opcode == 9:
                self.send("", payload, opcode=10)
            elif opcode == 1:
                return json.loads(payload)

    def expect(self, kind, timeout=30, where=lambda data: True):
        """Waits for a frame of this type; the frames before it are dropped."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            frame = self.receive(until - time.monotonic())
            if frame and frame["type"] == kind and where(frame.get("data") or {}):
                return frame.get("data") or {}
        raise AssertionError(f"no {kind} within {timeout} s")

    def close(self):
        self.s.close()


class Report:
    """Prints one line per fact; `end` leaves with 0 when all held."""

    def __init__(self):
        self.failed = 0

    def check(self, holds, fact, detail=""):
        print(("ok    " if holds else "FAIL  ") + fact + (f": {detail}" if detail != "" else ""), flush=True)
        self.failed += not holds

    def end(self):
        sys.exit(1 if self.failed else 0)
