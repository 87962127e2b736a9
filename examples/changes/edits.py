"""Edits by socket and over HTTP: their answers, who is told, repeats, refusals."""
from device import Device


def show(stage):
    a, b = stage.people(2)
    chat = a.single(b)
    own, other = Device(a), Device(a.at(stage.urls[-1]))
    peers = [Device(b.at(url)) for url in dict.fromkeys(stage.urls)]
    by_socket(stage, chat, a, b, own, other, peers)
    over_http(stage, chat, a, own, other, peers)
    repeats(stage, chat, a, own, [other, *peers])
    refusals(stage)


def by_socket(stage, chat, a, b, own, other, peers):
    said = own.say(chat, "helo")
    kind, ack = own.edit(chat, said["messageId"], "hello", client_id="e1")
    expected = {"client_msg_id": "e1", "conversationId": chat, "messageId": said["messageId"], "seqId": 1, "rev": 2}
    stage.check((said["seqId"], said["rev"]) == (1, 1), "a message takes the next seqId and the next rev", (said["seqId"], said["rev"]))
    stage.check((kind, ack) == ("change-ack", expected), "an edit by socket is acknowledged with the next rev, and takes no seqId", ack.get("rev"))
    for label, device in [("the author's other device", other), *(("the peer at every gateway", peer) for peer in peers)]:
        told = device.told("message-changed", 2) or {"message": {}}
        message = told["message"]
        fits = (told.get("kind"), told.get("operatorId"), told.get("seqId"), message.get("content"), message.get("editCount"))
        stage.check(fits == ("edited", a.id, 1, "hello", 1), f"{label} is told of the edit, with the text", told.get("rev"))
    own.fence()
    stage.check(not own.of(chat, "message-changed"), "the device that edited is answered and not told")
    for user in (a, b):
        seen, entry = user.shown(chat, 1), user.listed(chat)
        fits = (seen["content"], seen["rev"], seen["editCount"], seen["messageType"]) == ("hello", 2, 1, 1) and seen["editedAt"] >= seen["createdAt"]
        stage.check(fits, "history shows the edited text, editedAt, editCount and rev")
        fits = (entry["lastMessage"]["content"], entry["lastSeqId"], entry["lastRev"], entry["unreadCount"])
        stage.check(fits == ("hello", 1, 2, int(user is b)), "the list shows it as well, and the edit is not unread", fits)


def over_http(stage, chat, a, own, other, peers):
    message = a.shown(chat, 1)["id"]
    status, data = a.edit(chat, message, "hello!", extra='{"k":1}')
    fits = (status, data.get("content"), data.get("extra"), data.get("rev"), data.get("editCount"))
    stage.check(fits == (200, "hello!", '{"k":1}', 3, 2), "an edit over HTTP answers the message as it is now", fits)
    told = [(device.told("message-changed", 3) or {}).get("message", {}).get("extra") for device in (own, other, *peers)]
    stage.check(told == ['{"k":1}'] * len(told), "every device of both is told of an edit over HTTP", told)
    status, data = a.edit(chat, message, "hello?")
    stage.check((status, data.get("extra")) == (200, None), "an edit without extra takes the old one away", data.get("extra"))


def repeats(stage, chat, a, own, others):
    said = own.say(chat, "first")
    message, elsewhere = said["messageId"], Device(a.at(stage.urls[-1]))
    for device in others:
        device.settle()
    rev = own.edit(chat, message, "second", client_id="once")[1]["rev"]
    answers = [own.edit(chat, message, "second", client_id="once")[1].get("rev"),
               elsewhere.edit(chat, message, "second", client_id="once", resend=True)[1].get("rev"),
               a.at(stage.urls[-1]).edit(chat, message, "second", client_msg_id="once", resend=True)[1].get("rev"),
               a.edit(chat, message, "something else", client_msg_id="once")[1].get("rev")]
    stage.check(answers == [rev] * 4, "an edit that is sent again, by socket, over HTTP, at every gateway, has the same rev", answers)
    seen = a.shown(chat, said["seqId"])
    stage.check((seen["content"], seen["editCount"]) == ("second", 1), "it had effect once", (seen["content"], seen["editCount"]))
    nxt = own.say(chat, "next")
    stage.check(nxt["rev"] == rev + 1, "repeats take no rev", nxt["rev"])
    for device in others:
        device.told("new-message", nxt["rev"])
        revs = [frame["data"]["rev"] for frame in device.of(chat, "new-message", "message-changed")]
        stage.check(revs[-2:] == [rev, rev + 1] and revs.count(rev) == 1, "other devices were told of it once, and of no repeat", revs)
    elsewhere.close()


def refusals(stage):
    owner, member, other = stage.people(3)
    group = owner.group(member, other)
    device = Device(member)
    mine, elsewhere = device.say(group, "mine")["messageId"], owner.say(owner.single(member), "elsewhere")["id"]
    refused = stage.refused
    refused("nobody edits another one's message, the owner neither", 403, "NOT_THE_AUTHOR", owner.edit(group, mine, "yours"))
    refused("strangers don't learn what there is", 403, "NOT_CONVERSATION_MEMBER", stage.stranger.user.edit(group, mine, "x"))
    refused("an edit isn't empty", 400, "MESSAGE_EMPTY", member.edit(group, mine, " "))
    refused("an edit is as long as a message at most", 400, "MESSAGE_TOO_LARGE", member.edit(group, mine, "x" * 5_001))
    refused("a message that isn't there", 404, "MESSAGE_NOT_FOUND", member.edit(group, "5", "x"))
    refused("a message of another conversation", 404, "MESSAGE_NOT_FOUND", owner.edit(group, elsewhere, "x"))
    refused("an edit is text", 400, "INVALID_PARAMS", member.do("PUT", f"/conversations/{group}/messages/{mine}", {"content": 5}))
    for fact, code, message, text in [("another one's", "NOT_THE_AUTHOR", owner.say(group, "his")["id"], "x"), ("blank", "MESSAGE_EMPTY", mine, " "),
                                      ("unknown", "MESSAGE_NOT_FOUND", "5", "x")]:
        kind, data = device.edit(group, message, text, client_id=f"no-{code}")
        got = (kind, data.get("code"), (data.get("details") or {}).get("client_msg_id"))
        stage.check(got == ("error", code, f"no-{code}"), f"the same by socket, with the client's id: {fact}", got[1])
    path = f"/conversations/{group}/members/{member.id}/mute"
    owner.do("PUT", path, {"until": 0})
    refused("who is muted doesn't edit", 403, "MEMBER_MUTED", member.edit(group, mine, "let me speak"))
    stage.check(member.recall(group, mine)[0] == 200, "who is muted takes back what was said")
    refused("a recalled message stays as it is", 409, "MESSAGE_RECALLED", (owner.do("PUT", path, {"until": None}), member.edit(group, mine, "back"))[1])
    chat = other.single(member)
    said = other.say(chat, "to you")["id"]
    member.do("POST", f"/friends/{other.id}/block")
    refused("who is blocked doesn't edit", 403, "FORBIDDEN", other.edit(chat, said, "still to you"))
    seen = member.shown(chat, 1)
    stage.check((seen["content"], seen["rev"]) == ("to you", 1), "what was refused left no trace", (seen["content"], seen["rev"]))
