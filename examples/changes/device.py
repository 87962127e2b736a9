"""Devices that keep what they were told, and the users who hold them."""
import copy
import itertools
import random
import threading
import time
import uuid
from urllib.parse import quote, urlsplit

from kit import User, patient, rnd

# Seconds; a process that is killed may be missed for ten.
PATIENCE = 30
# What clients show of a message, by the parts that pushes tell: a push is about one part, a recall and what is read about all of
# them. A recalled message shows neither text nor times of edits.
TEXT = ("content", "extra", "editCount", "editedAt")
FIELDS = ("seqId", "senderId", *TEXT, "deleted", "reactions", "pinned", "createdAt")


class Messages:
    """A client's copy of one conversation: of two states of a part of a message, the one with the higher rev stays."""

    def __init__(self):
        self.states, self.revs, self.told = {}, {}, 0

    def take(self, message, fields=FIELDS):
        """Takes a message as reads and `new-message` show it, or these fields of it."""
        self.told += 1
        state = {field: message.get(field) for field in FIELDS}
        state["content"], state["extra"] = state["content"] or "", state["extra"] or ""
        state["deleted"], state["editCount"] = bool(state["deleted"]), state["editCount"] or 0
        state["pinned"] = bool(state["pinned"])
        state["reactions"] = [(r["emoji"], r["count"]) for r in state["reactions"] or []]
        if state["deleted"]:
            state["editedAt"] = None
        known = self.states.setdefault(message["id"], {"rev": 0})
        revs = self.revs.setdefault(message["id"], {})
        for field in fields:
            if message["rev"] >= revs.get(field, 0):
                known[field], revs[field] = state[field], message["rev"]
        known["rev"] = max(known["rev"], message["rev"])

    def take_frame(self, frame):
        data = frame["data"]
        if frame["type"] == "new-message":
            self.take(data)
        elif frame["type"] == "message-changed" and data["messageId"] in self.states:
            parts = {"edited": TEXT, "reaction": ("reactions",), "pinned": ("pinned",), "unpinned": ("pinned",)}
            message = {**data["message"], "id": data["messageId"], "seqId": data["seqId"], "rev": data["rev"]}
            self.take(message, parts.get(data["kind"], FIELDS))

    def differences(self, other):
        """Ids of messages that the two don't have in the same state."""
        return {m for m in self.states.keys() | other.states.keys() if self.states.get(m) != other.states.get(m)}


class Device:
    """A WebSocket of a user at one gateway. Every frame is kept in the order of its arrival."""

    def __init__(self, user):
        self.user, self.frames, self.changed, self.opened = user, [], threading.Condition(), time.monotonic()
        self.socket = user.socket(device=rnd("device"))
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        try:
            while True:
                frame = self.socket.receive(3_600)
                with self.changed:
                    self.frames.append(frame)
                    self.changed.notify_all()
        except (EOFError, OSError):
            pass

    def wait(self, fits, start=0, patience=PATIENCE):
        """The first frame from place `start` on that fits; `None` when there is none in time."""
        until = time.monotonic() + patience
        with self.changed:
            while True:
                for start in range(start, len(self.frames)):
                    if fits(self.frames[start]):
                        return self.frames[start]
                start = len(self.frames)
                if not self.changed.wait(until - time.monotonic()):
                    return None

    def act(self, kind, client_id=None, **data):
        """Sends until it is acknowledged or refused for good, for as long as a retry may help: (type of the answer, its data)."""
        client_id = client_id or str(uuid.uuid4())
        sent = {**data, "client_msg_id": client_id}
        until = time.monotonic() + PATIENCE

        def answers(frame):
            of = frame.get("data") or {}
            ack = of.get("client_msg_id") if frame["type"] in ("message-ack", "change-ack") else None
            return client_id in (ack, (of.get("details") or {}).get("client_msg_id"))
        while True:
            start = len(self.frames)
            self.socket.send(kind, sent)
            frame = self.wait(answers, start, max(until - time.monotonic(), 0.1))
            if frame is None:
                return "nothing", {}
            data = frame["data"]
            details = data.get("details") or {}
            if frame["type"] != "error" or not details.get("retryable") or time.monotonic() > until:
                return frame["type"], data
            sent["resend"] = True
            time.sleep(min(details.get("retryAfter") or 0.2, 2))

    def say(self, chat, text, **more):
        kind, ack = self.act("send-message", conversationId=chat, content=text, messageType=1, **more)
        assert kind == "message-ack", (kind, ack)
        return ack

    def edit(self, chat, message, text, **more):
        return self.act("edit-message", conversationId=chat, messageId=message, content=text, **more)

    def recall(self, chat, message, **more):
        return self.act("recall-message", conversationId=chat, messageId=message, **more)

    def react(self, chat, message, emoji, **more):
        return self.act("react", conversationId=chat, messageId=message, emoji=emoji, **more)

    def told(self, kind, rev, patience=PATIENCE):
        """Data of the frame of this type and rev; `None` when it doesn't come."""
        frame = self.wait(lambda f: f["type"] == kind and f["data"].get("rev") == rev, 0, patience)
        return frame and frame["data"]

    def fence(self):
        """Waits until the server answered everything that was sent on this socket before."""
        start = len(self.frames)
        self.socket.send("ping")
        assert self.wait(lambda frame: frame["type"] == "pong", start), "no pong"

    def settle(self):
        """Waits out the first two seconds, in which what a connection may have missed is told as well."""
        time.sleep(max(0, self.opened + 2.5 - time.monotonic()))

    def of(self, chat, *kinds):
        """Frames about a conversation so far, of these types if any are named."""
        about = [f for f in list(self.frames) if (f.get("data") or {}).get("conversationId") == chat]
        return [f for f in about if not kinds or f["type"] in kinds]

    def close(self):
        self.socket.close()


class Person(User):
    """A user who knows the gateways; requests go to one of them."""

    def at(self, url):
        """The same session at another gateway."""
        other = copy.copy(self)
        other.url = url
        return other

    def read(self, path, may_be_behind=False):
        """An answer that isn't behind what this user was told: one that says so is asked for again."""
        until = time.monotonic() + PATIENCE
        while True:
            status, answer = self.do("GET", path)
            assert status == 200, (path, status, answer)
            if may_be_behind or not answer["data"].get("behind") or time.monotonic() > until:
                return answer["data"]

    def get(self, chat, rest, may_be_behind=False):
        return self.read(f"/conversations/{chat}{rest}", may_be_behind)

    def edit(self, chat, message, text, **more):
        """(status, data or refusal) of an edit over HTTP."""
        status, answer = self.do("PUT", f"/conversations/{chat}/messages/{message}", {"content": text, **more})
        return status, answer.get("data") or answer

    def recall(self, chat, message, query=""):
        status, answer = self.do("DELETE", f"/conversations/{chat}/messages/{message}{query}")
        return status, answer.get("data") or answer

    def react(self, chat, message, emoji, remove=False):
        path = f"/conversations/{chat}/messages/{message}/reactions/{quote(emoji)}"
        status, answer = self.do("DELETE" if remove else "PUT", path)
        return status, answer.get("data") or answer

    def pin(self, chat, message, remove=False):
        status, answer = self.do("DELETE" if remove else "PUT", f"/conversations/{chat}/pins/{message}")
        return status, answer.get("data") or answer

    def shown(self, chat, seq, more=""):
        """One message in history."""
        page = self.get(chat, f"/messages?after_seq={seq - 1}&limit=1{more}")["messages"]
        return page[0] if page else {}

    def listed(self, chat):
        lines = self.read("/conversations?size=50")["conversations"]
        return next((entry for entry in lines if entry["id"] == chat), {})

    def history(self, chat):
        """A copy made of the whole history."""
        all_of_it, after = Messages(), 0
        while True:
            page = self.get(chat, f"/messages?after_seq={after}&limit=100")
            for message in page["messages"]:
                all_of_it.take(message)
            if not page["hasMore"]:
                return all_of_it
            after = page["nextCursor"]


class Stage:
    """The gateways, the report, and a stranger who must not hear of anything."""

    def __init__(self, urls, report):
        self.urls, self.report = urls, report
        # On loopback every user comes from an address of its own: no waiting for limits on addresses.
        loopback = all(urlsplit(url).hostname in ("127.0.0.1", "localhost") for url in urls)
        first = random.randrange(2, 60_000)
        self.addresses = (f"127.9.{n >> 8 & 255}.{n & 255}" for n in itertools.count(first)) if loopback else itertools.repeat(None)
        self.stranger = Device(self.person())

    def person(self, url=None):
        """A new user of one gateway."""
        return Person(url or self.urls[0], source=next(self.addresses))

    def people(self, count):
        """So many users, on the gateways in turn."""
        return [self.person(self.urls[n % len(self.urls)]) for n in range(count)]

    def check(self, holds, fact, detail=""):
        self.report.check(bool(holds), fact, detail)

    def refused(self, fact, status, code, answer):
        """Checks a refusal over HTTP."""
        got = (answer[0], answer[1].get("code"))
        self.check(got == (status, code), fact, " ".join(map(str, got)))

    def end(self):
        """What ought to have reached nobody else didn't."""
        self.stranger.fence()
        about = [(f["type"], (f.get("data") or {}).get("conversationId", "world")) for f in self.stranger.frames]
        heard = sorted({kind for kind, conversation in about if conversation != "world"})
        self.check(not heard, "a stranger heard of nothing of all this", heard or "")
