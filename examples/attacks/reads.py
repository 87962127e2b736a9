"""Read your writes: 200 sends, each followed at once by history, list and unread count of the sender, and of the one who was pushed.
Then pages: a row before a page goes away between two requests, by number and by cursor, and nothing else may be skipped."""
import time

from kit import WITHIN, Report, Server, User

SENDS = 200


def entry(user, conversation):
    """The conversation's line in the user's list."""
    lines = user.do("GET", "/conversations?size=5")[1]["data"]["conversations"]
    return next((line for line in lines if line["id"] == conversation), {})


def missed(user, conversation, seq, unread):
    """Which reads of `user` don't hold message `seq`."""
    out = set()
    page = user.do("GET", f"/conversations/{conversation}/messages?limit=5")[1]["data"]
    if not page["messages"] or page["messages"][0]["seqId"] != seq:
        out.add("history")
    line = entry(user, conversation)
    if line.get("lastSeqId") != seq or line.get("lastMessage", {}).get("seqId") != seq:
        out.add("list")
    if line.get("unreadCount") != unread:
        out.add("unread")
    return out


report = Report()
with Server("gateway.rates.disabled=true") as server:
    began = time.monotonic()
    writer, reader = User(server.url), User(server.url)
    chat = writer.single(reader)
    socket = reader.socket()
    misses = {"writer": [], "reader": []}
    for n in range(1, SENDS + 1):
        assert writer.say(chat, f"message {n}")["seqId"] == n
        misses["writer"] += missed(writer, chat, n, 0)
        socket.expect("new-message", where=lambda data: data["seqId"] == n)
        misses["reader"] += missed(reader, chat, n, n)
    for who, found in misses.items():
        report.check(not found, f"{SENDS} messages, the {who}'s reads right after each", f"{len(found)} misses {sorted(set(found))}")
    reads = reader.do("PUT", f"/conversations/{chat}/read", {"seqId": SENDS})[1]["data"]
    report.check((reads["lastReadSeqId"], reads["unreadCount"]) == (SENDS, 0), "the pointer moves to what was pushed")
    began_behind = time.monotonic()
    page = writer.do("GET", f"/conversations/{chat}/messages?limit=1&at_least={SENDS + 5}")[1]["data"]
    waited = time.monotonic() - began_behind
    report.check(page.get("behind") is True and page["headSeqId"] == SENDS + 5 and waited < 2 + WITHIN, "a number that never comes is said, within bounds", f"{waited:.1f} s")

    people = [User(server.url) for _ in range(8)]
    group = writer.group(*people)
    groups = {writer.group() for _ in range(9)} | {group}
    for by in ("number", "cursor"):
        for path, rows, key, delete, wanted in (
            (f"/conversations/{group}/members?size=4", "members", "userId", f"/conversations/{group}/members/", {p.id for p in people} | {writer.id}),
            ("/conversations?type=2&size=4", "conversations", "id", "/conversations/", set(groups)),
        ):
            seen, gone, where = set(), None, "&page=1"
            for page in range(2, 100):
                data = writer.do("GET", path + where)[1]["data"]
                found = [row[key] for row in data[rows]]
                seen |= set(found)
                if gone is None:
                    gone = next(row for row in found if row not in (writer.id, group))
                    writer.do("DELETE", delete + gone)
                if not data["hasMore"]:
                    break
                where = f"&page={page}" if by == "number" else f"&cursor={data['nextCursor']}"
            wanted -= {gone}
            report.check(wanted <= seen, f"{rows} by {by}", f"{len(wanted - seen)} never shown")
            if rows == "members":
                people = [p for p in people if p.id != gone]
            groups -= {gone}
    report.check(time.monotonic() - began < 60 * WITHIN, f"within {60 * WITHIN:g} s", f"{time.monotonic() - began:.0f} s")
report.end()
