"""Names and texts that deceive, and inputs that are almost right: look-alike and invisible names, blank texts, another
normal form of a name or a password, `null` for absent fields, refusals that must name the client's id."""
import json
import os
import struct
import unicodedata

from kit import PASSWORD, Report, Server, Socket, User, patient, rnd

report = Report()


def register(url, name, password=PASSWORD):
    return patient(url, "POST", "/auth/register", {"username": name, "password": password})


def login(url, name, password=PASSWORD):
    return patient(url, "POST", "/auth/login", {"username": name, "password": password})[0]


def look_alikes(url):
    base = rnd("ann")
    User(url, base)
    composed, decomposed = base + "\u00e9", base + "e\u0301"
    User(url, composed)
    report.check(login(url, decomposed) == 200, "a name typed in the other normal form signs in")
    report.check(login(url, composed.upper()) == 200, "a name typed in capitals signs in")
    full_width = "".join(chr(ord(c) + 0xFEE0) for c in base)
    report.check(login(url, full_width) == 200, "a name typed in full width signs in")
    for label, name in [("zero-width space", base + "\u200b"), ("zero-width joiner", base[:2] + "\u200d" + base[2:]), ("byte-order mark", "\ufeff" + base),
                        ("right-to-left override", "\u202e" + base), ("soft hyphen", base[:2] + "\u00ad" + base[2:]), ("variation selector", base + "\ufe0f"),
                        ("tag character", base + "\U000e0041"), ("full width", full_width), ("other normal form", decomposed),
                        ("Cyrillic letter", base.replace("a", "\u0430", 1)), ("only zero-width spaces", "\u200b" * 7), ("only Hangul fillers", "\u3164" * 7),
                        ("only braille blanks", "\u2800" * 7)]:
        status, answer = register(url, name)
        report.check(status == 400, f"no account by the name of another with {label}", answer.get("code"))
    tail = "".join("co"[ord(c) % 2] for c in rnd(n=12))
    User(url, "xo" + tail)
    cyrillic = ("xo" + tail).translate(str.maketrans("xoc", "\u0445\u043e\u0441"))
    status, answer = register(url, cyrillic)
    report.check(status == 400, "no account whose name is all Cyrillic and looks like a Latin one", answer.get("code"))


def passwords(url):
    name, password = rnd(), "p\u00e4ssw\u00f6rd 12"
    register(url, name, password)
    report.check(login(url, name, unicodedata.normalize("NFD", password)) == 200, "a password typed in the other normal form signs in")
    report.check(login(url, name, password.replace(" ", "\u3000")) == 200, "a password typed with an ideographic space signs in")
    report.check(login(url, name, "passwort 12") == 401, "another password doesn't")


def blanks(url):
    user = User(url)
    for label, t in [("spaces", " "), ("zero-width space", "\u200b"), ("word joiner", "\u2060"), ("byte-order mark", "\ufeff"), ("braille blank", "\u2800"),
                     ("Hangul filler", "\u3164"), ("left-to-right mark", "\u200e"), ("grapheme joiner", "\u034f"), ("U+0001", "\x01"), ("NUL", "\x00")]:
        status, answer = user.do("POST", "/conversations/world/messages", {"messageType": 1, "content": t * 3})
        report.check((status, answer.get("code")) == (400, "MESSAGE_EMPTY"), f"a message of {label} is empty")
        status, answer = user.do("POST", "/conversations", {"type": 2, "name": t * 3})
        report.check((status, answer.get("code")) == (400, "INVALID_CONVERSATION_NAME"), f"a group has no name of {label}")
    group = user.group()
    for name in ["\u202egnp.exe", "p\u0430ypal", "Te\u200bam"]:
        status, _ = user.do("PUT", f"/conversations/{group}", {"name": name})
        report.check(status == 400, f"a group is not renamed to {ascii(name)}", status)
    for name in ["\U0001F468\u200d\U0001F469\u200d\U0001F467 Family", "I \u2764\ufe0f Rust", "\u65e5\u672c\u8a9e room"]:
        status, _ = user.do("PUT", f"/conversations/{group}", {"name": name})
        report.check(status == 200, f"a group may be called {ascii(name)}", status)


def absent(url):
    a, b = User(url), User(url)
    for label, (status, answer) in [
        ("description, avatarUrl, members null", a.do("POST", "/conversations", {"type": 2, "name": "x", "description": None, "avatarUrl": None, "members": None})),
        ("members null beside targetUserId", a.do("POST", "/conversations", {"type": 1, "members": None, "targetUserId": b.id})),
        ("seqId null", a.do("PUT", "/conversations/world/read", {"seqId": None})),
        ("a body that is null", a.do("PUT", "/conversations/world/read", raw=b"null")),
        ("a guest's body that is null", patient(url, "POST", "/auth/guest", raw=b"null")),
        ("an empty type", a.do("GET", "/conversations?type=&page=1")),
        ("an empty cursor", a.do("GET", "/conversations/world/messages?cursor=")),
    ]:
        report.check(status in (200, 201), f"{label} counts as absent", answer.get("message", "") if status > 201 else "")
    for label, body, name in [("a number for text", {"type": 2, "name": 5}, "`name`"), ("text for a number", {"type": "2", "name": "x"}, "`type`"),
                              ("a list of numbers", {"type": 2, "name": "x", "members": [5]}, "`members[0]`")]:
        status, answer = a.do("POST", "/conversations", body)
        report.check(status == 400 and name in answer["message"], f"{label} is refused by the field's name", answer["message"])
    status, _ = patient(url, "POST", "/auth/login", raw=json.dumps([a.name, PASSWORD]).encode())
    report.check(status == 400, "a list is no body", status)


def refusals(url):
    user = User(url)
    socket = Socket(url, user.token)
    good = {"conversationId": '"world"', "messageType": "1", "content": '"hi"'}
    for label, change in [("half an emoji", {"content": '"hi \\ud83d"'}), ("no content", {"content": None}), ("content null", {"content": "null"}),
                          ("content a number", {"content": "5"}), ("extra an object", {"extra": '{"a":1}'}), ("messageType 1.5", {"messageType": "1.5"}),
                          ("resend text", {"resend": '"true"'}), ("conversationId a number", {"conversationId": "5"}), ("messageType null", {"messageType": "null"}),
                          ("a field twice", {"content": '"a","content":"b"'}), ("no such conversation", {"conversationId": '"nowhere"'})]:
        cid = rnd("c")
        data = {**good, **change, "client_msg_id": f'"{cid}"'}
        body = ",".join(f'"{k}":{v}' for k, v in data.items() if v is not None)
        raw(socket, '{"type":"send-message","data":{%s}}' % body)
        try:
            frame = socket.expect("error", timeout=5)
        except AssertionError:
            frame = {}
        report.check(cid in json.dumps(frame), f"the refusal of {label} names the message", frame.get("message", "no answer"))


def raw(socket, text):
    """Sends text as it is."""
    payload, mask = text.encode(), os.urandom(4)
    n = len(payload)
    length = bytes([0x80 | n]) if n < 126 else struct.pack(">BH", 0xFE, n)
    socket.s.sendall(b"\x81" + length + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload)))


SERVICE = {"GOCHAT_SERVICE_HOST": "10.96.3.4", "GOCHAT_PORT": "tcp://10.96.3.4:8080", "GOCHAT_PORT_8080_TCP_ADDR": "10.96.3.4"}
with Server("gateway.rates.disabled=true", env=SERVICE) as server:
    report.check(True, "the server starts beside a Kubernetes service of its name")
    look_alikes(server.url)
    passwords(server.url)
    blanks(server.url)
    absent(server.url)
    refusals(server.url)
report.end()
