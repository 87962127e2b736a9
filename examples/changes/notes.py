"""Notes about a group: its announcement with who has read it, and what messages said before they were edited."""
from device import Device


def show(stage):
    announcement(stage)
    reading(stage)
    former_texts(stage)


def announcement(stage):
    a, b, stranger = stage.people(3)
    group = a.group(b)
    there = stage.urls[-1]
    reader = Device(b.at(there))
    since = b.at(there).do("GET", "/conversations")[1]["data"]["syncTime"]
    version = detail(a, group)["version"]
    status, edited = announce(a, group, "Tea at five")
    shown = edited.get("announcement") or {}
    stage.check((status, shown.get("text"), shown.get("version"), edited.get("version")) == (200, "Tea at five", 1, version + 1), "the owner announces, as an edit of the group", shown)
    told = reader.wait(lambda f: f["type"] == "conversation-updated" and f["data"].get("updatedFields") == ["announcement"])
    pushed = ((told or {}).get("data") or {}).get("conversation", {}).get("announcement") or {}
    stage.check((pushed.get("text"), pushed.get("operatorId")) == ("Tea at five", a.id), "members hear of it with its text", pushed)
    delta = b.at(there).do("GET", f"/conversations?last_sync={since}")[1]["data"]["conversations"]
    found = [c.get("announcement", {}).get("text") for c in delta if c["id"] == group]
    stage.check(found == ["Tea at five"], "who was away finds it in the sync of the list", found)
    stage.refused("members don't announce", 403, "INSUFFICIENT_PERMISSION", announce(b, group, "mine"))
    stage.refused("strangers don't, either", 403, "NOT_CONVERSATION_MEMBER", announce(stranger, group, "mine"))
    stage.refused("an older version of the group is a conflict", 409, "VERSION_CONFLICT", announce(a, group, "late", version=version))
    stage.refused("a text has at most 2000 characters", 400, "INVALID_PARAMS", announce(a, group, "x" * 2001))
    announce(a, group, "")
    stage.check("announcement" not in detail(b, group), "the empty text removes it")


def reading(stage):
    a, b, c = stage.people(3)
    group = a.group(b, c)
    there = stage.urls[-1]
    for text in ("one", "two"):
        announce(a, group, text)
    phone = Device(b)
    old = read(b.at(there), group, 1)
    stage.check(old == (200, {"version": 1, "read": False}), "an older version counts for itself alone", old)
    newest = read(b.at(there), group, 2)
    stage.check(newest == (200, {"version": 2, "read": True}), "the newest one is read", newest)
    again = [read(b, group, version) for version in (1, 2)]
    stage.check(again == [newest, newest], "never backwards, and repeats change nothing", again)
    device = phone.wait(lambda f: f["type"] == "conversation-state" and f["data"].get("announcementRead") == 2)
    stage.check(device is not None, "the reader's other devices are told")
    seen = [reads(user, group) for user in (a, b.at(there), c)]
    stage.check(seen == [(True, 1), (True, 1), (False, 1)], "each sees whether it is read, and by how many", seen)
    stage.refused("there is no version three yet", 400, "INVALID_PARAMS", read(c, group, 3))
    read(c, group, 2)
    page = readers(a, group, "?limit=1")
    rest = readers(a.at(there), group, f"?limit=1&cursor={page.get('nextCursor')}")
    who = [u["userId"] for u in page["users"] + rest["users"]]
    stage.check((who, page["version"], rest["hasMore"]) == ([b.id, c.id], 2, False), "who has read it is paged, in the order of reading", who)
    announce(a, group, "three")
    seen = [reads(user, group) for user in (a, b, c)]
    stage.check(seen == [(True, 0), (False, 0), (False, 0)], "a new text is unread for all others", seen)
    stage.check(readers(b, group, "")["users"] == [], "and nobody has read it")


def former_texts(stage):
    a, b, admin = stage.people(3)
    group = a.group(b, admin)
    there = stage.urls[-1]
    a.do("PUT", f"/conversations/{group}/members/{admin.id}", {"role": 2})
    author = Device(b.at(there))
    message = author.say(group, "first")["messageId"]
    author.edit(group, message, "second")
    stage.check(former(a, group, message) == [], "nothing is kept unless the group says so")
    keep(a, group, True)
    for n, text in enumerate(("third", "fourth")):
        kind, ack = author.edit(group, message, text, client_id=f"{message}-{n}")
        repeat = author.edit(group, message, text, client_id=f"{message}-{n}")[1]
        stage.check((kind, repeat.get("rev")) == ("change-ack", ack.get("rev")), "an edit and its repeat are one", kind)
    rev = ack["rev"]
    kept = [former(user, group, message, rev) for user in (a, admin.at(there))]
    expected = [(1, "second"), (2, "third")]
    stage.check(kept == [expected, expected], "the owner and admins read what it said before", kept[0])
    stage.refused("members don't, not even of their own", 403, "INSUFFICIENT_PERMISSION", ask(b, group, message))
    keep(a, group, False)
    rev = author.edit(group, message, "fifth")[1]["rev"]
    stage.check(former(a, group, message, rev) == expected, "what was kept stays when the group keeps no more")
    keep(a, group, True)
    for n in range(6, 30):
        rev = author.edit(group, message, f"text {n}")[1]["rev"]
    numbers = [number for number, _ in former(a, group, message, rev)]
    stage.check(numbers == list(range(8, 28)), "a message keeps its newest twenty former texts", numbers)
    rev = author.recall(group, message)[1]["rev"]
    stage.check(former(a, group, message, rev) == [], "a recall leaves none of them")


def announce(user, group, text, **more):
    status, answer = user.do("PUT", f"/conversations/{group}", {"announcement": text, **more})
    return status, answer.get("data") or answer


def detail(user, group):
    return user.do("GET", f"/conversations/{group}")[1]["data"]


def read(user, group, version):
    status, answer = user.do("PUT", f"/conversations/{group}/announcement/read", {"version": version})
    return status, answer.get("data") or answer


def reads(user, group):
    shown = detail(user, group).get("announcement") or {}
    return shown.get("read"), shown.get("readCount")


def readers(user, group, query):
    return user.do("GET", f"/conversations/{group}/announcement/readers{query}")[1]["data"]


def keep(user, group, keeps):
    settings = {"group_settings": {"keep_former_texts": keeps}}
    user.do("PUT", f"/conversations/{group}", {"settings": settings})


def ask(user, group, message):
    return user.do("GET", f"/conversations/{group}/messages/{message}/former-texts")


def former(user, group, message, rev=0):
    """(number, text) of what is kept of a message, as of a change."""
    kept = user.get(group, f"/messages/{message}/former-texts?at_least={rev}")["formerTexts"]
    return [(text["editNo"], text["content"]) for text in kept]
