"""Sessions: two tabs, a thief who refreshes first, logouts beyond the bound, sockets of ended sessions."""
import threading
import time

from kit import PASSWORD, WITHIN, Refused, Report, Server, Socket, User, call, patient

report = Report()


def refresh(url, token):
    """(status, data or code) of one refresh."""
    status, answer = patient(url, "POST", "/auth/refresh", {"refreshToken": token})
    return status, answer.get("data") if status == 200 else answer.get("code")


def code(url, token):
    """Status and code of a read with an access token."""
    status, answer = patient(url, "GET", "/users/profile", token=token)
    return status, answer.get("code", "")


def seconds_until_closed(socket, longest=5 * WITHIN):
    """Seconds until the close frame comes, and its code."""
    began = time.monotonic()
    try:
        while time.monotonic() - began < longest:
            socket.receive(longest)
    except EOFError:
        return time.monotonic() - began, socket.close_code
    return longest, None


def another(user):
    """A further session of the same account."""
    session = User.__new__(User)
    session.url, session.source, session.name, session.id = user.url, user.source, user.name, user.id
    session.login()
    return session


def two_tabs(url):
    user = User(url)
    phone = another(user)
    socket = phone.socket(device="phone")
    answers = [None, None]

    def tab(n):
        answers[n] = refresh(url, user.refresh)

    tabs = [threading.Thread(target=tab, args=(n,)) for n in range(2)]
    for t in tabs:
        t.start()
    for t in tabs:
        t.join()
    report.check([a[0] for a in answers] == [200, 200], "two tabs that refresh at once are both served", [a[0] for a in answers])
    report.check(answers[0][1] == answers[1][1], "and get the same pair")
    third = refresh(url, user.refresh)
    report.check(third[1] == answers[0][1], "a repeat after a lost answer gets it, too")
    report.check(code(url, answers[0][1]["accessToken"])[0] == 200, "the pair works")
    report.check(refresh(url, phone.refresh)[0] == 200, "another device is still signed in")
    socket.send("ping")
    socket.expect("pong")
    guest = User(url, guest=True)
    first = refresh(url, guest.refresh)[1]
    refresh(url, guest.refresh)
    report.check(code(url, first["accessToken"])[0] == 200, "a guest is not locked out by a repeat")


def thief(url):
    user = User(url)
    bystander = another(user)
    second = refresh(url, user.refresh)[1]
    stolen = refresh(url, second["refreshToken"])[1]
    old, thiefs = user.socket(device="a"), Socket(url, stolen["accessToken"], device="b")
    closing = {}

    def watch(name, socket):
        closing[name] = seconds_until_closed(socket)

    watchers = [threading.Thread(target=watch, args=pair) for pair in (("A", old), ("thief", thiefs))]
    for w in watchers:
        w.start()
    status, _ = call(url, "POST", "/auth/logout", token=second["accessToken"])[:2]
    report.check(status == 200, "logout with a token of the middle answers 200", status)
    for w in watchers:
        w.join()
    for name, (took, close) in closing.items():
        report.check(took < WITHIN and close == 4002, f"the socket of {name} is closed within {WITHIN:g} s", f"{took:.3f} s, {close}")
    for name, token in (("A", user.token), ("B", second["accessToken"]), ("the thief", stolen["accessToken"])):
        report.check(code(url, token) == (401, "INVALID_TOKEN"), f"the access token of {name} is dead", code(url, token))
        try:
            Socket(url, token)
            report.check(False, f"no new socket for {name}")
        except Refused as refused:
            report.check(refused.status == 401, f"no new socket for {name}", refused.status)
    for name, token in (("A", user.refresh), ("B", second["refreshToken"]), ("the thief", stolen["refreshToken"])):
        report.check(refresh(url, token)[0] == 401, f"the refresh token of {name} is dead")
    report.check(code(url, bystander.token)[0] == 200, "the other session goes on")


def reuse(url):
    user = User(url)
    bystander = another(user)
    second = refresh(url, user.refresh)[1]
    third = refresh(url, second["refreshToken"])[1]
    report.check(refresh(url, user.refresh)[0] == 401, "a token two generations old is refused")
    time.sleep(WITHIN)
    report.check(code(url, third["accessToken"])[0] == 401, "and ends its session")
    report.check(code(url, bystander.token)[0] == 200, "and no other one")


def race(url):
    """A refresh under way while the session ends: the new pair is dead, too."""
    alive = 0
    for _ in range(20):
        user = User(url, guest=True)
        out = []
        threads = [threading.Thread(target=lambda: out.append(refresh(url, user.refresh))),
                   threading.Thread(target=lambda: call(url, "POST", "/auth/logout", token=user.token))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if out[0][0] == 200:
            pair = out[0][1]
            alive += code(url, pair["accessToken"])[0] == 200
            alive += refresh(url, pair["refreshToken"])[0] == 200
    report.check(alive == 0, "a refresh beside a logout leaves nothing alive", alive)


def self_defence(url):
    user = User(url)
    lost, other = another(user), another(user)
    status, answer = user.do("GET", "/sessions")
    sessions = answer["data"]["sessions"]
    report.check(len(sessions) == 3 and sum(s["current"] for s in sessions) == 1, "a user sees the sessions", len(sessions))
    mine = next(s["id"] for s in lost.do("GET", "/sessions")[1]["data"]["sessions"] if s["current"])
    socket = lost.socket()
    report.check(user.do("DELETE", f"/sessions/{mine}")[0] == 200, "one session is ended from another")
    took, close = seconds_until_closed(socket)
    report.check(took < WITHIN and close == 4002, f"its socket is closed within {WITHIN:g} s", f"{took:.3f} s, {close}")
    socket = other.socket()
    change = {"oldPassword": PASSWORD, "newPassword": "battery staple 7"}
    report.check(user.do("PUT", "/users/password", {**change, "oldPassword": "wrong one"})[0] == 401, "a password change asks for the old one")
    report.check(user.do("PUT", "/users/password", change)[0] == 200, "a password is changed")
    took, close = seconds_until_closed(socket)
    report.check(took < WITHIN and close == 4002, f"which ends the other sessions within {WITHIN:g} s", f"{took:.3f} s, {close}")
    report.check(code(url, user.token)[0] == 200, "and spares the one that asked")
    guest = User(url, guest=True)
    status, answer = guest.do("POST", "/auth/upgrade", {"username": "up" + guest.name[-8:], "password": PASSWORD})
    report.check(status == 200 and answer["data"]["user"]["id"] == guest.id, "a guest becomes an account and keeps the id", status)


def bound():
    """With room for 1,000 ended sessions every one of 1,010 logouts holds."""
    with Server("gateway.auth.max_revocations=1000", "gateway.rates.disabled=true") as server:
        tokens = [User(server.url, guest=True).token for _ in range(1_010)]
        statuses = {call(server.url, "POST", "/auth/logout", token=t)[0] for t in tokens}
        alive = sum(call(server.url, "GET", "/users/profile", token=t)[0] == 200 for t in tokens)
        report.check(alive == 0, "with room for 1,000 ends the 1,010th holds", f"{alive} of {len(tokens)} alive, logouts answered {statuses}")
        # Without room to name an end, everything issued up to its second has to be renewed: a token of that very second, too.
        deadline = time.monotonic() + 3 * WITHIN
        while (status := User(server.url, guest=True).do("GET", "/users/profile")[0]) != 200 and time.monotonic() < deadline:
            time.sleep(0.2)
        report.check(status == 200, "and new sessions work from the next second on", status)


with Server("gateway.rates.disabled=true") as server:
    for attack in (two_tabs, thief, reuse, race, self_defence):
        attack(server.url)
bound()
report.end()
