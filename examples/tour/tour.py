#!/usr/bin/env python3
"""The two-minute tour: everything a chat does, against a running server, with a third-party WebSocket client.

    pip install websockets
    python3 examples/tour/tour.py [http://127.0.0.1:8080]

Prints every step and what came back; exits non-zero at the first surprise.
"""

import contextlib
import json
import sys
import time
import urllib.error
import urllib.request
import uuid

from websockets.sync.client import connect

BASE = (sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080").rstrip("/")
RUN = uuid.uuid4().hex[:6]
# Seconds; more than a busy machine needs for anything here.
PATIENCE = 60


def say(text):
    print(text, flush=True)


def call(method, path, token=None, body=None, expect=None):
    """One API call; returns `data`."""
    request = urllib.request.Request(
        BASE + "/api" + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {}),
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            status, reply = answer.status, json.load(answer)
    except urllib.error.HTTPError as refusal:
        status, reply = refusal.code, json.load(refusal)
    if expect and (status, reply.get("code")) != expect:
        raise SystemExit(f"{method} {path}: expected {expect}, got {status} {reply}")
    if not expect and not reply.get("success"):
        raise SystemExit(f"{method} {path}: {status} {reply}")
    return reply.get("data") or {}


class Person:
    """A signed-in user with, at times, a socket."""

    def __init__(self, label, session):
        self.label, self.token = label, session["accessToken"]
        self.id, self.name = session["user"]["id"], session["user"]["username"]
        self.socket, self.open, self.kept = None, None, []

    def api(self, method, path, body=None, expect=None):
        return call(method, path, self.token, body, expect)

    def online(self):
        self.open = contextlib.ExitStack()
        self.socket = self.open.enter_context(connect(BASE.replace("http", "ws", 1) + f"/ws?token={self.token}", open_timeout=PATIENCE))
        return self

    def offline(self):
        self.open.close()
        self.socket = None

    def send(self, kind, **data):
        self.socket.send(json.dumps({"type": kind, "data": data}))

    def expect(self, kind, **fields):
        """The next frame of this type with these fields; others are kept for later."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for frame in self.kept:
                data = frame.get("data", {})
                if frame["type"] == kind and all(data.get(k) == v for k, v in fields.items()):
                    self.kept.remove(frame)
                    say(f"   {self.label:5} <- {json.dumps(frame, ensure_ascii=False)[:150]}")
                    return data
            try:
                self.kept.append(json.loads(self.socket.recv(timeout=deadline - time.monotonic())))
            except TimeoutError:
                raise SystemExit(f"{self.label}: no `{kind}` {fields} came; got {[f['type'] for f in self.kept]}")

    def message(self, conversation, text):
        client_id = uuid.uuid4().hex
        self.send("send-message", conversationId=conversation, content=text, messageType=1, client_msg_id=client_id)
        return self.expect("message-ack", client_msg_id=client_id)


def register(label):
    account = {"username": f"{label}-{RUN}", "password": "a long enough password"}
    call("POST", "/auth/register", body=account)
    return Person(label, call("POST", "/auth/login", body=account))


def main():
    say("1. two users register and sign in, a guest drops by")
    alice, bob = register("alice"), register("bob")
    guest = Person("guest", call("POST", "/auth/guest"))
    say(f"   {alice.name} {bob.name} {guest.name}")

    say("2. alice and bob become friends; that opens their chat")
    alice.online()
    request = alice.api("POST", "/friends/requests", {"targetUserId": bob.id, "message": "it's me"})["request"]
    accepted = bob.api("PUT", f"/friends/requests/{request['id']}", {"action": "accept"})
    chat = accepted["conversation"]["id"]
    alice.expect("friend-added", friendId=bob.id)

    say("3. bob comes online, alice is told")
    bob.online()
    alice.expect("online-status", userId=bob.id, status="online")

    say("4. a message, its ack, its delivery; bob reads it, alice sees that")
    ack = alice.message(chat, "hello bob")
    assert ack["seqId"] == 1, ack
    bob.expect("new-message", conversationId=chat, seqId=1, content="hello bob")
    deadline = time.monotonic() + PATIENCE
    while (unread := bob.api("PUT", f"/conversations/{chat}/read", {"seqId": 1})["unreadCount"]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert unread == 0, unread
    alice.expect("message-read", conversationId=chat, userId=bob.id, seqId=1)

    say("5. the same client id again: no second message")
    client_id = uuid.uuid4().hex
    for _ in range(2):
        alice.send("send-message", conversationId=chat, content="once", messageType=1, client_msg_id=client_id)
    first, second = (alice.expect("message-ack", client_msg_id=client_id) for _ in range(2))
    assert (first["messageId"], first["seqId"]) == (second["messageId"], second["seqId"]), (first, second)
    bob.expect("new-message", content="once")

    say("6. a group of three")
    carol = register("carol").online()
    group = alice.api("POST", "/conversations", {"type": 2, "name": "Tour", "members": [bob.id, carol.id]})["id"]
    bob.message(group, "hello group")
    alice.expect("new-message", conversationId=group, content="hello group")
    carol.expect("new-message", conversationId=group, content="hello group")

    say("7. world chat, guests included")
    guest.online()
    guest.message("world", f"hello world {RUN}")
    alice.expect("new-message", conversationId="world", content=f"hello world {RUN}")

    say("8. a message is recalled")
    slip = carol.message(group, "oops")
    alice.expect("new-message", content="oops")
    carol.api("DELETE", f"/conversations/{group}/messages/{slip['messageId']}")
    alice.expect("message-recalled", conversationId=group, messageId=slip["messageId"])

    say("9. bob loses his connection, misses two messages, reconnects and catches up")
    bob.offline()
    alice.message(chat, "are you there?")
    alice.message(chat, "never mind")
    bob.online()
    deadline = time.monotonic() + PATIENCE
    while True:
        missed = bob.api("GET", f"/conversations/{chat}/messages?after_seq=2&limit=50")["messages"]
        if len(missed) == 2 or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    assert [m["content"] for m in missed] == ["are you there?", "never mind"], missed
    say(f"   bob   fetched {[(m['seqId'], m['content']) for m in missed]}")

    say("10. history, newest first, and who may not read it")
    history = alice.api("GET", f"/conversations/{chat}/messages")["messages"]
    say(f"   alice sees {[(m['seqId'], m['content']) for m in history]}")
    assert [m["seqId"] for m in history] == [4, 3, 2, 1], history
    guest.api("GET", f"/conversations/{chat}/messages", expect=(403, "NOT_CONVERSATION_MEMBER"))

    for person in (alice, bob, carol, guest):
        person.offline()
    say("The tour is complete.")


if __name__ == "__main__":
    main()
