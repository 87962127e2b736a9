"""Clocks that step over a restart: the same minute is lived twice, then an hour before, then two years ahead, then now.

Every message that was acknowledged in any life must be in the history under its number and id, no id may be given twice,
and no life may refuse to send. Needs libfaketime (Debian: `faketime`); without it the script says so and passes.
"""
import glob
import os
import threading
import time

from kit import Report, Server, User, call

SECONDS = float(os.environ.get("CLOCK_SECONDS", "3"))
WRITERS = 4
WINDOW = 50
SETTINGS = ["gateway.rates.disabled=true", "gateway.websocket.rate=100000", "gateway.websocket.burst=100000"]


def library():
    """The preloaded library that fakes clocks for all threads."""
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    return found[0] if found else None


def at(moment):
    """The environment of a process that starts at `moment`, in Unix seconds. The monotonic clock stays true."""
    start = time.strftime("@%Y-%m-%d %H:%M:%S", time.gmtime(moment))
    return {"LD_PRELOAD": library(), "FAKETIME": start, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", "TZ": "UTC"}


def sign_in(url, name):
    user = User.__new__(User)
    user.url, user.source, user.name = url, None, name
    user.login()
    return user


def write(user, conversation, life, acked, refused):
    """Sends for `SECONDS`, a window of messages at a time, and notes every acknowledgement.
    Each writer has a group of its own: nobody else's messages fill its queue."""
    socket = user.socket(device=f"life-{life}")
    until, n = time.monotonic() + SECONDS, 0
    while time.monotonic() < until:
        for _ in range(WINDOW):
            n += 1
            client_id = f"{life}-{user.name}-{n}"
            socket.send("send-message", {"conversationId": conversation, "messageType": 1, "content": client_id, "client_msg_id": client_id})
        waiting = WINDOW
        while waiting:
            try:
                frame = socket.receive(20)
            except EOFError:
                refused.append(f"the socket was closed with {socket.close_code}")
                return
            if frame is None:
                refused.append("no answer")
                return
            data = frame.get("data") or {}
            if frame["type"] == "message-ack":
                acked.append((conversation, data["seqId"], str(data["messageId"]), data["client_msg_id"]))
                waiting -= 1
            elif frame["type"] == "error":
                refused.append(data)
                waiting -= 1
    socket.close()


def history(url, token, conversation):
    """All messages by seqId."""
    found, before = {}, None
    while True:
        path = f"/conversations/{conversation}/messages?limit=100" + (f"&cursor={before}" if before else "")
        status, answer, _ = call(url, "GET", path, token=token)
        assert status == 200, (status, answer)
        page = answer["data"]
        for message in page["messages"]:
            found[message["seqId"]] = message
        before = page.get("nextCursor")
        if not page.get("hasMore") or not before:
            return found


def settled(url, token, conversation, head):
    """The history once it reaches `head`; what is there after 30 s otherwise."""
    until = time.monotonic() + 30
    while True:
        found = history(url, token, conversation)
        if max(found, default=0) >= head or time.monotonic() > until:
            return found
        time.sleep(0.3)


def main():
    report = Report()
    if not library():
        print("skip  libfaketime is not installed: apt-get install faketime")
        report.end()
    now = int(time.time())
    lives = [("now", now), ("the same minute again", now), ("an hour before", now - 3600), ("two years ahead", now + 2 * 365 * 86400), ("now again", now + 60)]
    server = Server(*SETTINGS, env=at(now))
    names, groups, acked = [], [], []
    began, ready_after = time.monotonic(), 0
    with server:
        for life, (label, moment) in enumerate(lives):
            if life:
                server.env = at(moment)
                began = time.monotonic()
                server.start()
            if not names:
                users = [User(server.url) for _ in range(WRITERS)]
                silent = User(server.url)
                names = [user.name for user in users]
                groups = [user.group(silent) for user in users]
            users = [sign_in(server.url, name) for name in names]
            # Every life writes in the same seconds after its start: that is when ids would repeat.
            ready_after = ready_after or time.monotonic() - began
            time.sleep(max(0, began + ready_after - time.monotonic()))
            made, refused = [], []
            threads = [threading.Thread(target=write, args=(user, group, life, made, refused)) for user, group in zip(users, groups)]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
            report.check(made and not refused, f"{label}: messages are sent", f"{len(made)} acknowledged, {len(refused)} refused {refused[:1]}")
            acked += made
            missing = 0
            for user, group in zip(users, groups):
                own = [one[1:] for one in acked if one[0] == group]
                found = settled(server.url, user.token, group, max(seq for seq, *_ in own))
                stored = {(seq, str(message["id"]), message["content"]) for seq, message in found.items()}
                missing += sum(one not in stored for one in own)
            report.check(missing == 0, f"{label}: all {len(acked)} acknowledged messages are in the history", f"{missing} missing")
            repeated = len(acked) - len({one[2] for one in acked})
            report.check(repeated == 0, f"{label}: no id was given twice", f"{repeated} repeated")
            server.kill()
    report.end()


if __name__ == "__main__":
    main()
