"""Attacks on the listener: handshakes against the rules, readers that don't read, floods before the limits, forged addresses.
Each was a success once; the script leaves with 0 when none is."""
import resource
import threading

from kit import *

report = Report()
check = report.check


def raw(server, text, source=None, timeout=10):
    """The head of the answer to some bytes on a connection of their own; empty when it ends without one."""
    with contextlib.suppress(OSError):
        with socket.create_connection(("127.0.0.1", server.port), timeout, (source, 0) if source else None) as s:
            s.sendall(text.encode())
            head = b""
            while b"\r\n\r\n" not in head:
                more = s.recv(4096)
                if not more:
                    break
                head += more
            return head.decode("latin1").lower()
    return ""


def status(head):
    return int(head.split()[1]) if head.startswith("http/") else 0


def handshake(line, *headers, version="13", key="AAAAAAAAAAAAAAAAAAAAAA=="):
    lines = [line, "Host: x", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", f"Sec-WebSocket-Version: {version}", *headers]
    return "\r\n".join(lines) + "\r\n\r\n"


def handshakes(server, user):
    """What RFC 6455 says about a handshake, and tokens beside other credentials."""
    ws = f"/ws?token={user.token}"
    for scheme in ("Basic dXNlcjpw", "Negotiate YII=", "Bearer ", "Bearer old.token.x"):
        head = raw(server, handshake(f"GET {ws} HTTP/1.1", "Authorization: " + scheme))
        check(status(head) == 101, "another Authorization beside a good token", f"{scheme!r} -> {status(head)}")
    for name, text, expected in [
        ("HTTP/1.0", handshake(f"GET {ws} HTTP/1.0"), 426),
        ("version 8", handshake(f"GET {ws} HTTP/1.1", version="8"), 426),
        ("no upgrade", f"GET {ws} HTTP/1.1\r\nHost: x\r\n\r\n", 426),
        ("POST", handshake(f"POST {ws} HTTP/1.1"), 405),
        ("a short key", handshake(f"GET {ws} HTTP/1.1", key="abc"), 400),
    ]:
        head = raw(server, text)
        named = expected != 426 or "sec-websocket-version: 13" in head and "upgrade: websocket" in head
        check(status(head) == expected and named, f"a handshake with {name} is refused and told what is right", status(head))
    head = raw(server, handshake("GET /ws HTTP/1.1", f"Sec-WebSocket-Protocol: gochat.v1, bearer.{user.token}"))
    check(status(head) == 101 and "bearer" not in head, "a token travels as a subprotocol", status(head))


def early_answers(server):
    """The answer to a body that is still coming is not lost by a reset."""
    body, lost = b"x" * 3_000_000, 0
    for _ in range(20):
        try:
            answered = call(server.url, "POST", "/conversations", raw=body, source="127.0.2.1")[0]
            lost += answered not in (401, 413)
        except OSError:
            lost += 1
    check(lost == 0, "20 bodies of 3 MB without a token are answered", f"{lost} lost")


def pipelined(server, requests, source):
    """Statuses of the answers to requests that were sent at once over one connection."""
    answers = b""
    with socket.create_connection(("127.0.0.1", server.port), 30, (source, 0)) as s:
        sender = threading.Thread(target=lambda: s.sendall("".join(requests).encode()), daemon=True)
        sender.start()
        with contextlib.suppress(OSError):
            while answers.count(b"HTTP/1.1 ") < len(requests):
                more = s.recv(65536)
                if not more:
                    break
                answers += more
    return [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]]


def guesses(server):
    """Handshakes with a bad token, preflights and forged addresses meet limits."""
    began = time.monotonic()
    answers = pipelined(server, [handshake(f"GET /ws?token=guess{i} HTTP/1.1") for i in range(1500)], "127.0.2.2")
    judged, took = answers.count(401), time.monotonic() - began
    check(judged <= 25 + 11 * took, "1,500 handshakes with bad tokens are not all judged", f"{judged} in {took:.1f} s")
    for name, one, source in [
        ("preflights", lambda i: "OPTIONS /api/conversations HTTP/1.1\r\nHost: x\r\n\r\n", "127.0.2.3"),
        ("requests with forged X-Forwarded-For", lambda i: f"GET /nowhere HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 8.8.{i // 250}.{i % 250}\r\n\r\n", "127.0.2.4"),
    ]:
        began = time.monotonic()
        answers = pipelined(server, [one(i) for i in range(1500)], source)
        passed, took = len(answers) - answers.count(429), time.monotonic() - began
        check(passed <= 210 + 110 * took, f"1,500 {name} meet a limit", f"{passed} in {took:.1f} s")


def strangers(server, user):
    """30 addresses ask for a page as fast as they can; a signed-in user lists conversations meanwhile."""
    stop = threading.Event()

    def ask(source):
        while not stop.is_set():
            with contextlib.suppress(OSError):
                with socket.create_connection(("127.0.0.1", server.port), 5, (source, 0)) as s:
                    for _ in range(50):
                        s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                        if stop.is_set() or not s.recv(65536):
                            break
    threads = [threading.Thread(target=ask, args=(f"127.0.3.{i}",), daemon=True) for i in range(1, 31)]
    for thread in threads:
        thread.start()
    answers = []
    for _ in range(60):
        answers.append(user.once("GET", "/conversations")[0])
        time.sleep(0.1)
    stop.set()
    for thread in threads:
        thread.join(10)
    check(answers.count(200) == len(answers), "a signed-in user is served while 30 addresses flood", f"{answers.count(200)} of {len(answers)}")


def greedy(server, users, chat):
    """300 clients ask for history and never read."""
    before, sockets = server.rss_mib(), []
    for i in range(300):
        user = users[i % len(users)]
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        s.bind((f"127.0.4.{1 + i % 50}", 0))
        with contextlib.suppress(OSError):
            s.connect(("127.0.0.1", server.port))
            s.sendall(f"GET /api/conversations/{chat}/messages?limit=100 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {user.token}\r\n\r\n".encode() * 2)
        sockets.append(s)
    peak, answered, began = 0, 0, time.monotonic()
    while time.monotonic() < began + 8 or answered < 8 and time.monotonic() < began + 20:
        peak = max(peak, server.rss_mib() - before)
        with contextlib.suppress(OSError):
            answered += call(server.url, "GET", "/health", source="127.0.2.9", timeout=3)[0] == 200
        time.sleep(0.25)
    check(peak < 300, "300 clients that don't read cost less than 300 MiB", f"{peak:.0f} MiB")
    check(answered >= 8, "/health answers meanwhile, with 1,024 files", answered)
    time.sleep(max(0, began + 24 - time.monotonic()))
    files = [os.readlink(f"/proc/{server.process.pid}/fd/{n}") for n in os.listdir(f"/proc/{server.process.pid}/fd")]
    open_sockets = sum(name.startswith("socket:") for name in files)
    check(open_sockets < 50, "they are gone 24 s later", f"{open_sockets} sockets are open")
    for s in sockets:
        s.close()


def silent(server, user):
    """600 connections of one address that say nothing, where 512 fit."""
    sockets = []
    for i in range(600):
        with contextlib.suppress(OSError):
            sockets.append(socket.create_connection(("127.0.0.1", server.port), 2, ("127.0.5.1", 0)))
    answers = [user.once("GET", "/conversations", timeout=5)[0] for _ in range(10)]
    check(answers.count(200) == 10, "others are served beside 600 silent connections", answers)
    for s in sockets:
        s.close()


def limits_of(server):
    """Soft and hard limit of open files of the server."""
    with open(f"/proc/{server.process.pid}/limits") as limits:
        return next(line for line in limits if line.startswith("Max open files")).split()[3:5]


hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (900, hard))
with Server() as server:
    soft, allowed = limits_of(server)
    check(soft == allowed, "the soft limit of open files is raised at the start", f"{soft} of {allowed}")
    user = User(server.url, source="127.0.1.1")
    handshakes(server, user)
    early_answers(server)
    guesses(server)
    strangers(server, user)
# What is left open to the server is what the script may open: 1,024 files for each.
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
with Server("gateway.rates.send.rate=1000", "gateway.rates.send.capacity=1000", "gateway.connections.header_timeout_ms=10000") as server:
    users = [User(server.url, source=f"127.0.1.{i}") for i in range(1, 7)]
    status_, answer = users[0].do("POST", "/conversations", {"type": 2, "name": "big", "members": [u.id for u in users[1:]]})
    assert status_ == 201, answer
    chat = answer["data"]["id"]
    for i in range(100):
        users[0].say(chat, "\U0001F600" * 4900)
    silent(server, users[1])
    greedy(server, users, chat)
report.end()
