"""Pages of changes, and reads that hold what one was told of: right after an ack, after a push, through another gateway."""
from device import Device, Messages

ROUNDS = 20


def show(stage):
    a, b = stage.people(2)
    chat = a.single(b)
    author, reader = Device(a), Device(b.at(stage.urls[-1]))
    rev = own_writes(stage, chat, author, reader)
    pages(stage, chat, a, author, rev)
    moving(stage, chat, a, author)


def changes_hold(user, chat, seq, rev, text, at_least=""):
    seen = user.get(chat, f"/changes?after_rev={rev - 1}{at_least}")
    found = [(m["seqId"], m["content"], m["rev"]) for m in seen["messages"]]
    return found == [(seq, text, rev)] and seen["completeTo"] >= rev and not seen.get("behind")


def history_holds(user, chat, seq, rev, text, at_least=""):
    seen = user.shown(chat, seq, at_least)
    return (seen["content"], seen["rev"]) == (text, rev)


def list_holds(user, chat, seq, rev, text):
    entry = user.listed(chat)
    return (entry["lastMessage"]["content"], entry["lastSeqId"], entry["lastRev"]) == (text, seq, rev)


def detail_holds(user, chat, seq, rev, text):
    return user.get(chat, "")["lastRev"] == rev


READS = [("changes", changes_hold), ("history", history_holds), ("list", list_holds), ("detail", detail_holds)]


def own_writes(stage, chat, author, reader):
    """Every second edit goes over HTTP. Each kind of read comes first in its turn: it may have to wait for the row, and then
    the others need not."""
    a, b = author.user, reader.user
    missed = dict.fromkeys([(who, what) for who in ("author", "peer") for what, _ in READS] + [("author", f"{what} elsewhere") for what in ("changes", "history")], 0)
    for n in range(ROUNDS):
        said, text = author.say(chat, "draft"), f"version {n}"
        rev = (a if n % 3 == 0 else author).edit(chat, said["messageId"], text)[1]["rev"]
        place = (chat, said["seqId"], rev, text)
        turn = READS[n % len(READS):] + READS[:n % len(READS)]
        moved = a.at(stage.urls[-1])
        if n % 5 == 0:
            missed["author", "changes elsewhere"] += not changes_hold(moved, *place, f"&at_least={rev}")
        elif n % 5 == 1:
            missed["author", "history elsewhere"] += not history_holds(moved, *place, f"&at_least_rev={rev}")
        for what, holds in turn:
            missed["author", what] += not holds(a, *place)
        author.edit(chat, said["messageId"], text := f"final {n}")
        place = (chat, said["seqId"], rev + 1, text)
        reader.told("message-changed", rev + 1)
        for what, holds in turn:
            missed["peer", what] += not holds(b, *place)
    rev += 1
    for (who, what), times in missed.items():
        when = "after the push" if who == "peer" else "with at_least" if "elsewhere" in what else "after the ack"
        stage.check(times == 0, f"{ROUNDS} edits, {what} of the {who} right {when}", f"{times} misses")
    ahead = a.get(chat, f"/changes?after_rev=0&at_least={rev + 5}", may_be_behind=True)
    stage.check(ahead.get("behind") is True, "a rev that never comes is said to be missing")
    return rev


def pages(stage, chat, a, author, head):
    """The chat holds 20 messages that were edited, and head changes in all."""
    for limit in (1, 7, 200, 5_000):
        copy, after, revs = Messages(), 0, []
        while True:
            page = a.get(chat, f"/changes?after_rev={after}&limit={limit}")
            revs += [message["rev"] for message in page["messages"]]
            [copy.take(message) for message in page["messages"]]
            is_sound = len(page["messages"]) <= min(limit, 200) and page["headRev"] == head and (page["hasMore"] or page["completeTo"] == head)
            if not is_sound or not page["hasMore"] or page["completeTo"] <= after:
                break
            after = page["completeTo"]
        sound = is_sound and revs == sorted(set(revs)) and len(revs) == len(copy.states) == ROUNDS and not copy.differences(a.history(chat))
        stage.check(sound, f"pages of {limit}: every message once, as it is now, by ascending rev", f"{len(revs)} of {ROUNDS}")
    page = a.get(chat, f"/changes?after_rev={head}")
    stage.check((page["messages"], page["completeTo"], page["hasMore"]) == ([], head, False), "behind the newest rev there is nothing")
    page = a.get(chat, f"/changes?after_rev={head + 50}")
    stage.check((page["messages"], page["completeTo"]) == ([], head + 50), "who is ahead of the server isn't taken back")
    for label, query in [("no after_rev", ""), ("a negative one", "?after_rev=-1"), ("text", "?after_rev=x"), ("a limit of 0", "?after_rev=0&limit=0")]:
        status, answer = a.do("GET", f"/conversations/{chat}/changes{query}")
        stage.check((status, answer.get("code")) == (400, "INVALID_PARAMS"), f"refused: {label}", answer.get("code", status))
    status, answer = stage.stranger.user.do("GET", f"/conversations/{chat}/changes?after_rev=0")
    stage.check((status, answer.get("code")) == (403, "NOT_CONVERSATION_MEMBER"), "strangers don't read changes", answer.get("code", status))


def moving(stage, chat, a, author):
    """Between any two pages, the message that was told first changes again."""
    copy, after, requests = Messages(), 0, 0
    while True:
        page = a.get(chat, f"/changes?after_rev={after}&limit=5")
        requests, after = requests + 1, page["completeTo"]
        [copy.take(message) for message in page["messages"]]
        if not page["hasMore"]:
            break
        if requests <= 10:
            author.edit(chat, page["messages"][0]["id"], f"moved {requests}")
    lost = copy.differences(a.history(chat))
    stage.check(not lost and requests > ROUNDS // 5, "who pages while messages change ends with the newest state of each", f"{requests} pages, {len(lost)} differ")
