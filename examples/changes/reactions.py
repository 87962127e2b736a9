"""Reactions and pins: counts, whose they are, who is told, repeats, bounds, floods, refusals."""
import time
from urllib.parse import quote

from device import Device, Messages

THUMB, PARTY = "👍", "🎉"


def show(stage):
    a, b = stage.people(2)
    chat = a.single(b)
    own, other = Device(b), Device(b.at(stage.urls[-1]))
    peers = [Device(a.at(url)) for url in dict.fromkeys(stage.urls)]
    said = peers[0].say(chat, "vote")
    counted(stage, chat, a, b, said, own, [("the same user's other device", other), *(("the author at every gateway", peer) for peer in peers)])
    listed(stage, chat, a, b, said)
    flood(stage, chat, own, peers)
    refusals(stage, chat, a, b, said)
    pins(stage, a, b)
    in_groups(stage)


def counted(stage, chat, a, b, said, own, others):
    kind, ack = own.react(chat, said["messageId"], THUMB, client_id="r1")
    expected = {"client_msg_id": "r1", "conversationId": chat, "messageId": said["messageId"], "seqId": said["seqId"], "rev": said["rev"] + 1}
    stage.check((kind, ack) == ("change-ack", expected), "a reaction by socket is acknowledged with the next rev, and takes no seqId", ack.get("rev"))
    for label, device in others:
        told = device.told("message-changed", ack["rev"]) or {"message": {}}
        fits = (told.get("kind"), told.get("emoji"), told.get("operatorId"), told["message"].get("reactions"))
        stage.check(fits == ("reaction", THUMB, b.id, [{"emoji": THUMB, "count": 1}]), f"{label} is told of it, with the count", told.get("rev"))
    status, data = a.at(stage.urls[-1]).react(chat, said["messageId"], THUMB)
    stage.check((status, data.get("reactions")) == (200, [{"emoji": THUMB, "count": 2, "mine": True}]), "a reaction over HTTP answers the counts", data.get("reactions"))
    a.react(chat, said["messageId"], PARTY)
    for user, party in ((a, True), (b, False)):
        shown = user.shown(chat, said["seqId"])
        expected = [{"emoji": THUMB, "count": 2, "mine": True}, {"emoji": PARTY, "count": 1, "mine": party}]
        stage.check(shown.get("reactions") == expected, "history shows counts, and which are one's own", [r["count"] for r in shown.get("reactions", [])])
    again = own.react(chat, said["messageId"], THUMB, client_id="r1")[1].get("rev")
    twice = b.react(chat, said["messageId"], THUMB)[1]
    stage.check(again == ack["rev"] and twice["reactions"][0]["count"] == 2, "reacting again, under the same id or another, counts once", (again, twice["reactions"][0]))
    left = b.react(chat, said["messageId"], THUMB, remove=True)[1]
    gone = b.react(chat, said["messageId"], THUMB, remove=True)[1]
    one = {"emoji": THUMB, "count": 1, "mine": False}
    stage.check(left["reactions"][0] == one == gone["reactions"][0], "taking it back, also twice, counts once", left["reactions"][0])


def listed(stage, chat, a, b, said):
    for emoji in ("😀", THUMB):
        b.react(chat, said["messageId"], emoji)
    rest = f"/messages/{said['messageId']}/reactions"
    first = b.get(chat, f"{rest}?limit=3")
    last = b.get(chat, f"{rest}?limit=3&cursor={first['nextCursor']}")
    who = [(r["userId"], r["emoji"]) for r in first["reactions"] + last["reactions"]]
    expected = [(a.id, THUMB), (a.id, PARTY), (b.id, "😀"), (b.id, THUMB)]
    stage.check(who == expected and first["hasMore"] and not last["hasMore"], "who reacted is listed in order, in pages", f"{len(who)} reactions")
    only = b.get(chat, f"{rest}?emoji={quote(THUMB)}")["reactions"]
    stage.check([r["userId"] for r in only] == [a.id, b.id], "also of one emoji alone")


def flood(stage, chat, own, peers):
    """As many reactions as one user may make at once, to one message, in a chat whose devices are settled."""
    [peer.settle() for peer in peers]
    said = own.say(chat, "a flood comes")
    start, began, sent = said["rev"], time.monotonic(), 24
    for n in range(sent):
        own.socket.send("react", {"conversationId": chat, "messageId": said["messageId"], "emoji": THUMB, "remove": n % 2 == 1, "client_msg_id": f"{start}f{n}"})
        time.sleep(0.02)
    own.wait(lambda f: f["type"] == "change-ack" and f["data"]["client_msg_id"] == f"{start}f{sent - 1}")
    acks = [f["data"]["rev"] for f in own.of(chat, "change-ack") if f["data"]["rev"] > start]
    took = time.monotonic() - began
    for peer in peers:
        peer.wait(lambda f: f["type"] == "message-changed" and f["data"]["conversationId"] == chat and max(acks) in (f["data"].get("revs") or [f["data"]["rev"]]))
        frames = [f["data"] for f in peer.of(chat, "message-changed") if f["data"]["rev"] > start]
        told = [rev for f in frames for rev in (f.get("revs") or [f["rev"]])]
        stage.check(told == sorted(acks) and len(told) == sent, f"{sent} reactions in {took:.1f} s are all told to a peer, once and in order", f"{len(told)} in {len(frames)} frames")
        # Four windows a second, and the first one, which goes out at once.
        stage.check(len(frames) <= 4 * took + 3, "in a few frames a second", f"{len(frames) / took:.1f} a second")
        exact = all([r["count"] for r in f["message"]["reactions"]] == ([1] if (f["rev"] - start) % 2 else []) for f in frames)
        stage.check(exact, "with the counts as of the last of them")
    seen = own.user.shown(chat, said["seqId"])
    stage.check(not seen.get("reactions"), "and history agrees", seen.get("reactions") or "")


def refusals(stage, chat, a, b, said):
    refused = stage.refused
    for bad in ("two words", "A", THUMB * 2, "parrot"):
        refused(f"no reaction: {bad}", 400, "REACTION_NOT_ALLOWED", b.react(chat, said["messageId"], bad))
    b.react(chat, said["messageId"], "🔥")
    refused("a fourth reaction of one user", 409, "TOO_MANY_REACTIONS", b.react(chat, said["messageId"], "👀"))
    refused("strangers don't react", 403, "NOT_CONVERSATION_MEMBER", stage.stranger.user.react(chat, said["messageId"], THUMB))
    refused("a message that isn't there", 404, "MESSAGE_NOT_FOUND", b.react(chat, "5", THUMB))
    a.recall(chat, said["messageId"])
    refused("a recalled message", 409, "MESSAGE_RECALLED", b.react(chat, said["messageId"], THUMB))
    shown, who = b.shown(chat, said["seqId"]), b.get(chat, f"/messages/{said['messageId']}/reactions")["reactions"]
    stage.check(shown["deleted"] and not shown.get("reactions") and not who, "a recall erases all reactions")


def pins(stage, a, b):
    chat = a.single(b)
    writer, peer = Device(a), Device(b.at(stage.urls[-1]))
    said = [writer.say(chat, f"to pin {n}") for n in range(3)]
    for n in (0, 2, 1):
        status, data = (a, b)[n % 2].at(stage.urls[-1]).pin(chat, said[n]["messageId"])
        stage.check(status == 200 and data["seqId"] == said[n]["seqId"], "both sides of a single chat pin", data.get("rev"))
    order = [m["content"] for m in b.get(chat, "/pins")["pins"]]
    stage.check(order == ["to pin 1", "to pin 2", "to pin 0"], "pins are listed, the last one first", order)
    kind, ack = writer.act("pin-message", conversationId=chat, messageId=said[0]["messageId"])
    told = peer.told("message-changed", ack.get("rev")) or {"message": {}}
    stage.check((kind, told.get("kind"), told["message"].get("pinned")) == ("change-ack", "pinned", True), "a pin by socket is acknowledged and told", ack.get("rev"))
    order = [m["content"] for m in a.at(stage.urls[-1]).get(chat, f"/pins?at_least={ack['rev']}")["pins"]]
    stage.check(order[0] == "to pin 0" and len(order) == 3, "pinning again puts it on top", order)
    a.pin(chat, said[1]["messageId"], remove=True)
    a.recall(chat, said[2]["messageId"])
    left = [m["content"] for m in a.get(chat, "/pins")["pins"]]
    stage.check(left == ["to pin 0"] and a.listed(chat)["pinnedCount"] == 1, "taking off and recalling end a pin, and the list counts them", a.listed(chat).get("pinnedCount"))


def in_groups(stage):
    owner, member = stage.people(2)
    group = owner.group(member)
    said = member.say(group, "rules")
    stage.refused("plain members of a group don't pin", 403, "INSUFFICIENT_PERMISSION", member.pin(group, said["id"]))
    settings = owner.get(group, "")["settings"]
    settings["group_settings"].update(members_pin=True, reactions=["parrot", THUMB])
    owner.do("PUT", f"/conversations/{group}", {"settings": settings})
    stage.check(member.pin(group, said["id"])[0] == 200, "unless the group says that all may")
    stage.check(member.react(group, said["id"], "parrot")[0] == 200, "a group lists names that it has pictures for")
    stage.refused("and then nothing else counts", 400, "REACTION_NOT_ALLOWED", member.react(group, said["id"], PARTY))
