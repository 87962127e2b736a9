"""What messages refer to: answers with what they quote, users they name, messages that are passed on."""
from device import Device


def show(stage):
    replies(stage)
    mentions(stage)
    forwards(stage)


def replies(stage):
    a, b = stage.people(2)
    chat = a.single(b)
    author, peer = Device(a), Device(b.at(stage.urls[-1]))
    said = author.say(chat, "where shall we meet?")
    a.shown(chat, said["seqId"])
    answer = peer.say(chat, "at the harbour", replyTo=said["messageId"])
    quote = {"messageId": said["messageId"], "seqId": said["seqId"], "senderId": a.id, "messageType": 1, "excerpt": "where shall we meet?", "state": "normal"}
    pushed = author.told("new-message", answer["rev"]) or {}
    stage.check(pushed.get("replyTo") == quote, "an answer is pushed with what it quotes", (pushed.get("replyTo") or {}).get("excerpt"))
    shown = a.shown(chat, answer["seqId"])
    stage.check(shown.get("replyTo") == quote, "history shows it, too")
    author.edit(chat, said["messageId"], "where do we meet?")
    shown = b.at(stage.urls[-1]).shown(chat, answer["seqId"]).get("replyTo", {})
    stage.check((shown.get("excerpt"), shown.get("state")) == ("where do we meet?", "edited"), "a quote says what its message says now", shown.get("state"))
    around = b.get(chat, f"/messages?around_seq={quote['seqId']}&limit=2")["messages"]
    stage.check(any(m["id"] == quote["messageId"] for m in around), "a quote leads to its message: history around its seqId")
    author.recall(chat, said["messageId"])
    shown = b.shown(chat, answer["seqId"]).get("replyTo", {})
    stage.check((shown.get("excerpt"), shown.get("state")) == (None, "recalled"), "of a message that was taken back nothing is quoted", shown.get("state"))
    kind, error = peer.act("send-message", conversationId=chat, content="x", messageType=1, replyTo="12345")
    stage.check((kind, error.get("code")) == ("error", "MESSAGE_NOT_FOUND"), "a message that isn't there is not answered", error.get("code"))
    peer.recall(chat, answer["messageId"])
    stage.check("replyTo" not in a.shown(chat, answer["seqId"]), "an answer that was taken back refers to nothing")


def mentions(stage):
    a, b, c, stranger = stage.people(4)
    group = a.group(b, c)
    there = stage.urls[-1]
    reader, other = Device(b.at(there)), Device(c.at(there))

    def counts(user, kind, rev):
        """Unread messages and mentions of a user, whose device was told of this."""
        (reader if user is b else other).told(kind, rev)
        listed = user.at(there).listed(group)
        return listed.get("unreadCount"), listed.get("unreadMentions")
    status, sent = send(a, group, content="look, b", messageType=1, mentions=[b.id, stranger.id])
    stage.check((status, sent.get("mentions")) == (201, [b.id]), "members are named, others are left out", sent.get("mentions"))
    pushed = reader.told("new-message", sent.get("rev")) or {}
    stage.check(pushed.get("mentions") == [b.id], "who is named stands in the push")
    plain = send(a, group, content="plain", messageType=1)[1]["rev"]
    both = [counts(user, "new-message", plain) for user in (b, c)]
    stage.check(both == [(2, 1), (2, 0)], "unread mentions are counted beside unread messages", both)
    stage.refused("members don't name everybody", 403, "INSUFFICIENT_PERMISSION", send(b, group, content="all", messageType=1, mentionAll=True))
    status, everybody = send(a, group, content="all", messageType=1, mentionAll=True, mentions=[b.id])
    all_of_them = [counts(user, "new-message", everybody["rev"])[1] for user in (b, c)] + [a.listed(group).get("unreadMentions")]
    stage.check((status, all_of_them) == (201, [2, 1, 0]), "the owner does; each message counts once, one's own never", all_of_them)
    recalled = a.recall(group, everybody["id"])[1]["rev"]
    left = [counts(user, "message-changed", recalled)[1] for user in (b, c)]
    stage.check(left == [1, 0], "what is taken back names nobody", left)
    b.at(there).do("PUT", f"/conversations/{group}/read", {})
    none = counts(b, "message-changed", recalled)
    stage.check(none == (0, 0), "reading ends it", none)


def forwards(stage):
    a, b, c = stage.people(3)
    group, chat, last = a.group(b), b.single(c), c.single(a)
    _, source = send(a, group, content='{"url":"x"}', messageType=2, extra='{"w":1}')
    place = {"conversationId": group, "messageId": source["id"]}
    reader = Device(c.at(stage.urls[-1]))
    status, passed = send(b.at(stage.urls[-1]), chat, forwardedFrom=place)
    origin = {**place, "senderId": a.id, "senderName": a.name}
    parts = lambda m: (m.get("messageType"), m.get("content"), m.get("extra"), m.get("forwardedFrom"))
    expected = (2, '{"url":"x"}', '{"w":1}', origin)
    stage.check((status, parts(passed)) == (201, expected), "a message is passed on with its type, content, extra and origin", status)
    stage.check(parts(reader.told("new-message", passed.get("rev")) or {}) == expected == parts(c.shown(chat, 1)), "push and history say the same")
    kind, ack = reader.act("send-message", conversationId=last, forwardedFrom={"conversationId": chat, "messageId": passed["id"]})
    second = a.shown(last, 1).get("forwardedFrom")
    first = {"messageId": passed["id"], "senderId": a.id, "senderName": a.name}
    stage.check((kind, second) == ("message-ack", first), "passed on again, by socket, it names the first author, and no single chat", kind)
    stage.refused("nobody passes on what one can't read", 403, "NOT_CONVERSATION_MEMBER", send(c, last, forwardedFrom=place))
    a.recall(group, source["id"])
    stage.refused("what was taken back isn't passed on", 409, "MESSAGE_RECALLED", send(b, chat, forwardedFrom=place))


def send(user, chat, **body):
    """(status, data or refusal) of a message over HTTP."""
    status, answer = user.do("POST", f"/conversations/{chat}/messages", body)
    return status, answer.get("data") or answer
