"""People: races for a group's owner, edits within one second, receipts of a group one was removed from, blocks.

Every fact was false once: a hand-over beside a departure left groups without an owner, the first of two edits within a second was
lost, a removed author was pushed `message-read`, and a blocked pair could open a chat.
"""
import os
import threading

from kit import *

ROUNDS = int(os.environ.get("ROUNDS", "8"))
report = Report()


def together(*calls):
    """Runs the calls at the same moment; their statuses."""
    gate, statuses = threading.Barrier(len(calls)), [None] * len(calls)

    def run(n):
        gate.wait()
        statuses[n] = calls[n]()[0]
    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(calls))]
    [t.start() for t in threads]
    [t.join() for t in threads]
    return statuses


def role(by, group, whom, number):
    return lambda: by.do("PUT", f"/conversations/{group}/members/{whom.id}", {"role": number})


def remove(by, group, whom):
    return lambda: by.do("DELETE", f"/conversations/{group}/members/{whom.id}")


def is_sound(group, people):
    """Whether the group has exactly one owner, who is a member, and counts its members."""
    for user in people:
        status, answer = user.do("GET", f"/conversations/{group}")
        if status == 200:
            data = answer["data"]
            owners = [m["userId"] for m in data["members"] if m["role"] == 3]
            return owners == [data["ownerId"]] and data["memberCount"] == len(data["members"])
    return False


def owners(a, b, c):
    def with_admin():
        group = a.group(b, c)
        role(a, group, c, 2)()
        return group
    races = [
        ("hand-over | the heir leaves", lambda g: (role(a, g, b, 3), remove(b, g, b))),
        ("hand-over | an admin removes the heir", lambda g: (role(a, g, b, 3), remove(c, g, b))),
        ("hand-over | another tab makes the heir a plain member", lambda g: (role(a, g, c, 3), role(a, g, c, 1))),
        ("hand-over | another tab hands over to somebody else", lambda g: (role(a, g, b, 3), role(a, g, c, 3))),
    ]
    for name, race in races:
        groups = [with_admin() for _ in range(ROUNDS)]
        [together(*race(group)) for group in groups]
        bad = sum(not is_sound(group, (a, b, c)) for group in groups)
        report.check(bad == 0, f"{name}: every group has exactly one owner", f"{bad} of {ROUNDS} without")


def edits(a, b):
    group = a.group(b)
    role(a, group, b, 2)()
    for field in ("version", "updatedAt"):
        a.do("PUT", f"/conversations/{group}", {"name": rnd("start ")})
        seen = a.do("GET", f"/conversations/{group}")[1]["data"][field]
        first = a.do("PUT", f"/conversations/{group}", {"name": "first", field: seen})[0]
        second = b.do("PUT", f"/conversations/{group}", {"name": "second", field: seen})[0]
        report.check((first, second) == (200, 409), f"the second edit of one {field} conflicts", (first, second))


def receipts(a, b, c):
    group = a.group(b, c)
    b.say(group, "mine")
    socket, reader = b.socket(device="r"), c.socket(device="r")
    remove(a, group, b)()
    c.do("PUT", f"/conversations/{group}/read", {})
    reader.send("typing", {"conversationId": group})
    with contextlib.suppress(AssertionError):
        reader.expect("message-read", 5)
    heard = []
    until = time.monotonic() + 2
    while time.monotonic() < until:
        frame = socket.receive(until - time.monotonic())
        if frame and (frame.get("data") or {}).get("conversationId") == group:
            heard.append(frame["type"])
    socket.close(), reader.close()
    heard = [kind for kind in heard if kind in ("message-read", "typing-indicator")]
    report.check(not heard, "a removed member hears neither receipts nor typing of the group", heard)


def blocks(a, b):
    chat = a.single(b)
    status = a.do("POST", f"/friends/{b.id}/block")[0]
    report.check(status == 200, "a user blocks another one over HTTP", status)
    tries = {
        "writes": b.do("POST", f"/conversations/{chat}/messages", {"messageType": 1, "content": "hello?"})[0],
        "asks": b.do("POST", "/friends/requests", {"targetUserId": a.id})[0],
        "opens a chat": b.do("POST", "/conversations", {"type": 1, "members": [a.id]})[0],
        "makes a group": b.do("POST", "/conversations", {"type": 2, "name": "trap", "members": [a.id]})[0],
    }
    report.check(set(tries.values()) == {403}, "a blocked user reaches nobody", tries)
    a.do("DELETE", f"/friends/{b.id}/block")
    status = b.do("POST", f"/conversations/{chat}/messages", {"messageType": 1, "content": "thanks"})[0]
    report.check(status == 201, "lifting the block opens the chat again", status)


def main(url):
    a, b, c = (User(url) for _ in range(3))
    owners(a, b, c)
    edits(a, b)
    receipts(a, b, c)
    blocks(User(url), User(url))


if os.environ.get("GOCHAT_URL"):
    main(os.environ["GOCHAT_URL"].rstrip("/"))
else:
    with Server() as server:
        main(server.url)
report.end()
