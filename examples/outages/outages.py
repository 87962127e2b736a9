#!/usr/bin/env python3
"""What users see while Kafka, MySQL, Redis or etcd is gone, and that nothing acknowledged is lost.

    make infra-up && make app-up N=2
    pip install websockets
    python3 examples/outages/outages.py [redis etcd mysql kafka]

For each server: SIGKILL, a look at everything a user does while it is away, start, and then an audit of every
message that was acknowledged before, meanwhile and after. Exits non-zero if one is missing, doubled or out of order.
"""

import contextlib
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

BASE = "http://127.0.0.1:8080"
AWAY = 20  # seconds a server stays away at least
PATIENCE = 12  # seconds a user waits for an answer
RUN = uuid.uuid4().hex[:6]


def infra(*arguments):
    subprocess.run(["deploy/infra/infra", *arguments], check=True, stdout=subprocess.DEVNULL)


def call(method, path, token=None, body=None):
    """(answer, what it looked like to the user)."""
    request = urllib.request.Request(
        BASE + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {}),
    )
    began = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            status, reply = answer.status, json.load(answer)
    except urllib.error.HTTPError as refusal:
        status, text = refusal.code, refusal.read()
        reply = json.loads(text) if text.startswith(b"{") else {}
    except OSError as error:
        return {}, f"no answer: {error}"
    code = reply.get("code") or ("ok" if status == 200 else reply.get("status", ""))
    return reply.get("data") or {}, f"{status} {code} in {1000 * (time.monotonic() - began):.0f} ms"


def must(method, path, token=None, body=None):
    data, seen = call(method, path, token, body)
    if not data:
        raise SystemExit(f"{method} {path}: {seen}")
    return data


class Person:
    def __init__(self, label):
        self.label = label
        self.account = {"username": f"{label}-{RUN}", "password": "a long enough password"}
        must("POST", "/api/auth/register", body=self.account)
        session = must("POST", "/api/auth/login", body=self.account)
        self.token, self.id = session["accessToken"], session["user"]["id"]
        self.socket, self.pushed, self.breaks = None, [], 0

    def frames(self, until):
        """Frames up to a moment; a broken connection is opened again, as a client would."""
        while (left := until - time.monotonic()) > 0:
            try:
                if self.socket is None:
                    url = BASE.replace("http", "ws", 1) + f"/ws?token={self.token}"
                    self.socket = contextlib.ExitStack().enter_context(connect(url, open_timeout=5))
                frame = json.loads(self.socket.recv(timeout=left))
            except TimeoutError:
                return
            except (OSError, ConnectionClosed) as error:
                self.socket, self.breaks = None, self.breaks + 1
                print(f"      {self.label}'s connection broke: {error}")
                time.sleep(0.5)
                continue
            if frame["type"] == "new-message":
                self.pushed.append(frame["data"]["content"])
            yield frame

    def send(self, chat, text, wait=PATIENCE):
        """(sequence number or None, what was seen). The same text has the same id, so a repeat is safe."""
        data = {"conversationId": chat, "content": text, "messageType": 1, "client_msg_id": text}
        began = time.monotonic()
        for _ in self.frames(began + 0.01):
            pass
        try:
            self.socket.send(json.dumps({"type": "send-message", "data": data}))
        except (AttributeError, OSError, ConnectionClosed):
            self.socket = None
            return None, "not connected"
        for frame in self.frames(began + wait):
            data, took = frame.get("data", {}), f"in {1000 * (time.monotonic() - began):.0f} ms"
            if frame["type"] == "message-ack" and data.get("client_msg_id") == text:
                return data["seqId"], f"acknowledged {took}"
            if frame["type"] == "error" and text in json.dumps(frame):
                return None, f"{data.get('code')} {took}"
        return None, f"no answer within {wait} s"


def received(person, text, wait):
    began = time.monotonic()
    for _ in person.frames(began + wait):
        if text in person.pushed:
            return f"received in {1000 * (time.monotonic() - began):.0f} ms"
    return f"received" if text in person.pushed else f"not within {wait} s"


def history(person, chat):
    """Everything in the chat, oldest first; None while it can't be read."""
    rows, after = [], 0
    while True:
        data, seen = call("GET", f"/api/conversations/{chat}/messages?after_seq={after}&limit=100", person.token)
        if "messages" not in data:
            return None, seen
        page = sorted(data["messages"], key=lambda m: m["seqId"])
        rows += [(m["seqId"], m["content"]) for m in page]
        if len(page) < 100:
            return rows, seen
        after = page[-1]["seqId"]


def look(alice, bob, chat, name, acked, outbox):
    """Everything a user does, while the server is away."""
    text = f"{name}-away-{uuid.uuid4().hex[:6]}"
    seq, seen = alice.send(chat, text)
    print(f"      send                 {seen}")
    if seq:
        acked[text] = seq
        print(f"      its delivery         {received(bob, text, 5)}")
    else:
        outbox.append(text)
    for what, method, path, token, body in [
        ("history", "GET", f"/api/conversations/{chat}/messages", alice.token, None),
        ("conversation list", "GET", "/api/conversations", alice.token, None),
        ("mark as read", "PUT", f"/api/conversations/{chat}/read", bob.token, {"seqId": 1}),
        ("friends", "GET", "/api/friends", alice.token, None),
        ("own profile", "GET", "/api/users/profile", alice.token, None),
        ("sign in", "POST", "/api/auth/login", None, alice.account),
        ("/health", "GET", "/health", None, None),
    ]:
        print(f"      {what:20} {call(method, path, token, body)[1]}")


def outage(name, alice, bob, chat, acked):
    print(f"\n{name} is killed")
    outbox = []
    infra("kill", name)
    killed = time.monotonic()
    for moment in ("at once", "12 s later"):
        if moment != "at once":
            time.sleep(max(0, killed + 12 - time.monotonic()))
        print(f"   {moment}")
        look(alice, bob, chat, name, acked, outbox)
    time.sleep(max(0, killed + AWAY - time.monotonic()))
    infra("start", name)
    back = time.monotonic()
    print(f"   {name} is back after {back - killed:.0f} s")
    fence = f"{name}-back-{uuid.uuid4().hex[:6]}"
    outbox.append(fence)
    for text in outbox:
        seq = None
        while seq is None and time.monotonic() < back + 90:
            seq, seen = alice.send(chat, text, 3)
        acked[text] = seq
    print(f"      {len(outbox)} kept sends acknowledged {time.monotonic() - back:.1f} s after it was back")
    print(f"      the newest push      {received(bob, fence, 30)}, {time.monotonic() - back:.1f} s after it was back")
    audit(bob, chat, acked, back)


def audit(bob, chat, acked, back):
    wanted = sorted((seq or 0, text) for text, seq in acked.items())
    while True:
        rows, seen = history(bob, chat)
        if rows == wanted:
            break
        if time.monotonic() > back + 90:
            raise SystemExit(f"   FAILED: history is not what was acknowledged: {seen}\n{rows}\n{wanted}")
        time.sleep(0.2)
    numbers = [seq for seq, _ in rows]
    assert numbers == list(range(1, len(rows) + 1)), numbers
    print(f"      history              all {len(rows)} acknowledged messages, no gap, none twice, {time.monotonic() - back:.1f} s after")


def main():
    servers = sys.argv[1:] or ["redis", "etcd", "mysql", "kafka"]
    alice, bob = Person("alice"), Person("bob")
    request = must("POST", "/api/friends/requests", alice.token, {"targetUserId": bob.id, "message": "me"})["request"]
    chat = must("PUT", f"/api/friends/requests/{request['id']}", bob.token, {"action": "accept"})["conversation"]["id"]
    acked = {}
    for _ in bob.frames(time.monotonic() + 0.5):
        pass
    for n in range(20):
        seq, seen = alice.send(chat, f"before-{n}")
        acked[f"before-{n}"] = seq
    print(f"20 messages: the last one {seen}; {received(bob, 'before-19', 5)}")
    for name in servers:
        outage(name, alice, bob, chat, acked)
    print(f"\nNothing acknowledged was lost. Connections that broke: alice {alice.breaks}, bob {bob.breaks}.")


if __name__ == "__main__":
    main()
