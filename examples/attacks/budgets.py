"""What one party costs others: guessed passwords, typing, guests, the world chat, members who come and go.

Runs on a server of its own with the default settings, or on GOCHAT_URL; takes less than a minute.
"""
import os
import threading
import time

from kit import PASSWORD, Report, Server, User, call, rnd

report = Report()
_next = [2]


def address():
    """A loopback address that wasn't used before: a stranger of its own."""
    _next[0] += 1
    return f"127.{_next[0] >> 16 & 255}.{_next[0] >> 8 & 255}.{_next[0] & 255}"


def sign_in(url, name, password, source):
    return call(url, "POST", "/auth/login", {"username": name, "password": password}, source=source)


def guessed_passwords(url):
    owner = User(url, source=address())
    outcomes, sources = [], [address() for _ in range(20)]
    for n in range(60):
        status, answer, headers = sign_in(url, owner.name, "wrong password", sources[n % 20])
        outcomes.append(status)
    judged = outcomes.count(401)
    report.check(judged <= 12, "60 wrong passwords from 20 addresses: few are judged", judged)
    report.check(outcomes[-1] == 429 and "retry-after" in {k.lower() for k in headers}, "the others are told when to come back")
    status = sign_in(url, owner.name, PASSWORD, owner.source)[0]
    report.check(status == 200, "the owner signs in from a known address meanwhile", status)
    unknown = [sign_in(url, rnd("nobody"), "wrong password", sources[0])[0] for _ in range(1)]
    report.check(unknown[0] in (401, 429), "a name without an account answers as others do", unknown[0])


def typing_in_turn(url):
    one, other = User(url, source=address()), User(url, source=address())
    chat = one.single(other)
    writer, reader = one.socket(), other.socket()
    told, until = 0, time.monotonic() + 7
    n = 0
    while time.monotonic() < until:
        writer.send(("typing", "stop-typing")[n % 2], {"conversationId": chat})
        n += 1
        frame = reader.receive(0.025)
        told += bool(frame and frame["type"] == "typing-indicator")
    report.check(1 <= told <= 4, f"{n} typing and stop-typing frames in 7 s: one signal per 3 s", told)


def guests_of_one_address(url):
    source, made, until = address(), 0, time.monotonic() + 10
    while time.monotonic() < until:
        status, _, _ = call(url, "POST", "/auth/guest", {}, source=source)
        made += status == 201
        if status == 429:
            time.sleep(0.1)
    report.check(made <= 32, "one address makes guests for 10 s", made)


def rate_of_the_world(url):
    guests = [User(url, guest=True, source=address()) for _ in range(20)]
    account = User(url, source=address())
    status, answer = guests[0].once("POST", "/conversations/world/messages", {"messageType": 1, "content": "x" * 1001})
    report.check(status == 400 and answer.get("code") == "MESSAGE_TOO_LARGE", "a guest's text of 1,001 characters is refused", answer.get("code"))
    outcomes = []

    def flood(guest):
        for n in range(10):
            status, answer = guest.once("POST", "/conversations/world/messages", {"messageType": 1, "content": f"{guest.name} {n}"})
            outcomes.append((status, answer.get("code"), answer.get("details", {}).get("retryAfter")))

    began = time.monotonic()
    threads = [threading.Thread(target=flood, args=(guest,)) for guest in guests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    accepted = sum(status == 201 for status, _, _ in outcomes)
    slow = [o for o in outcomes if o[1] == "SLOW_MODE"]
    report.check(accepted <= 60 + 11 * took, f"20 guests send 10 messages each within {took:.1f} s: the world takes its rate", accepted)
    report.check(not slow or all(o[2] for o in slow), "slow mode says when the next may be sent", len(slow))
    status, answer = account.once("POST", "/conversations/world/messages", {"messageType": 1, "content": "still here"})
    report.check(status == 201, "an account has a share that guests can't use up", status)


def members_who_come_and_go(url):
    owner, victim = User(url, source=address()), User(url, source=address())
    members = [User(url, source=address()) for _ in range(30)]
    group = owner.group(victim)
    path = f"/conversations/{group}/members"
    listener = victim.socket()
    profiles, until, rounds = 0, time.monotonic() + 8, 0
    frames = []

    def listen():
        try:
            while time.monotonic() < until + 1:
                frame = listener.receive(0.5)
                if frame:
                    frames.append(frame)
        except EOFError:
            pass

    thread = threading.Thread(target=listen)
    thread.start()
    while time.monotonic() < until:
        status, _ = owner.once("POST", path, {"members": [m.id for m in members]})
        if status == 429:
            time.sleep(0.2)
            continue
        rounds += 1
        for member in members:
            member.once("DELETE", f"{path}/{member.id}")
    thread.join()
    for frame in frames:
        if frame["type"] == "member-added":
            profiles = max(profiles, sum("user" in m for m in frame["data"]["members"]))
    report.check(0 < profiles <= 10, "a signal about 30 members carries few profiles", profiles)
    report.check(listener.bytes_read < 600_000, f"30 members left and were added again {rounds} times in 8 s: bytes told to one member", listener.bytes_read)


def searches(url):
    user = User(url, source=address())
    report.check(user.once("GET", "/users/search?q=a")[0] == 400, "one letter is no search")
    outcomes = []

    def search():
        for _ in range(20):
            outcomes.append(user.once("GET", f"/users/search?q={rnd('', 3)}")[0])

    threads = [threading.Thread(target=search) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report.check(429 in outcomes, "160 searches at once use up a budget", outcomes.count(200))


def attack(url):
    for act in (guessed_passwords, typing_in_turn, guests_of_one_address, rate_of_the_world, members_who_come_and_go, searches):
        act(url)


if os.environ.get("GOCHAT_URL"):
    attack(os.environ["GOCHAT_URL"].rstrip("/"))
else:
    with Server() as server:
        attack(server.url)
report.end()
