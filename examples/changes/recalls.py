"""Recalls by the author and by moderators: frames, erased texts, repeats, refusals."""
import time

from device import Device


def show(stage):
    owner, author, reader, gone = stage.people(4)
    group = owner.group(author, reader, gone)
    by, own = Device(owner.at(stage.urls[-1])), Device(author)
    others = [Device(user.at(url)) for user in (author, reader) for url in dict.fromkeys(stage.urls)]
    outside = Device(gone)
    owner.do("DELETE", f"/conversations/{group}/members/{gone.id}")
    by_author(stage, group, own, author, [by, *others])
    by_moderator(stage, group, own, owner, author, [own, *others])
    refusals(stage, group, owner, author, reader, own)
    hidden(stage, owner)
    last = own.say(group, "the end of it")
    for device in (by, *others):
        device.told("new-message", last["rev"])
    fence = Device(owner).say(owner.single(gone), "you are out")
    outside.wait(lambda frame: (frame.get("data") or {}).get("id") == fence["messageId"])
    heard = [frame["type"] for frame in outside.of(group, "new-message", "message-changed", "message-recalled")]
    stage.check(not heard, "a removed member is told of nothing any more", heard or "")


def told_of(stage, device, rev, operator, message):
    """Whether the device got both frames of a recall, and no text."""
    new, old = device.told("message-changed", rev), device.told("message-recalled", rev)
    if not (new and old):
        return False
    shown = new["message"]
    return ((new["kind"], new["operatorId"], new["messageId"], shown["deleted"], shown.get("content") or "", shown.get("extra") or "")
            == ("recalled", operator.id, message, True, "", "") and (old["messageId"], old["seqId"]) == (message, new["seqId"]))


def erased(stage, group, user, said, secret):
    """Whether reads hold the place of the message and nothing of its text."""
    seen = user.shown(group, said["seqId"])
    page = user.get(group, f"/changes?after_rev={seen['rev'] - 1}")["messages"]
    texts = str([seen, page, user.get(group, "/messages"), user.listed(group)])
    return seen["deleted"] and page[0]["id"] == seen["id"] and page[0]["deleted"] and secret not in texts


def by_author(stage, group, own, author, others):
    said = own.say(group, "a secret slip", extra='{"also":"a secret slip"}')
    kind, ack = own.recall(group, said["messageId"], client_id="r1")
    expected = {"client_msg_id": "r1", "conversationId": group, "messageId": said["messageId"], "seqId": said["seqId"], "rev": said["rev"] + 1}
    stage.check((kind, ack) == ("change-ack", expected), "a recall by socket is acknowledged like an edit", ack.get("rev"))
    told = [told_of(stage, device, ack["rev"], author, said["messageId"]) for device in others]
    stage.check(all(told), "everybody is told of a recall by both frames, the text in neither", f"{sum(told)} of {len(told)} devices")
    own.fence()
    stage.check(not own.of(group, "message-changed", "message-recalled"), "the device that recalled is answered and not told")
    reads = [erased(stage, group, device.user, said, "a secret slip") for device in (own, *others)]
    stage.check(all(reads), "text and extra are erased in history, list and changes; the number stays taken", f"{sum(reads)} of {len(reads)} devices")
    again = [own.recall(group, said["messageId"], client_id="r1")[1].get("rev"),
             author.at(stage.urls[-1]).recall(group, said["messageId"], "?client_msg_id=r1&resend=true")[1].get("rev")]
    stage.check(again == [ack["rev"]] * 2, "a recall that is sent again, at every gateway, has the same rev", again)


def by_moderator(stage, group, own, owner, author, others):
    said = own.say(group, "off topic")
    edited = own.edit(group, said["messageId"], "far off topic")[1]
    status, data = owner.recall(group, said["messageId"])
    expected = {"messageId": said["messageId"], "seqId": said["seqId"], "rev": edited["rev"] + 1}
    stage.check((status, data) == (200, expected), "the owner recalls another one's message over HTTP", data.get("rev"))
    told = [told_of(stage, device, data.get("rev"), owner, said["messageId"]) for device in others]
    stage.check(all(told), "the author and all others are told who recalled it", f"{sum(told)} of {len(told)} devices")
    reads = [erased(stage, group, user, said, "off topic") for user in (owner, author)]
    stage.check(all(reads), "what an edited message said is gone as well")


def hidden(stage, owner):
    """A group whose members don't read what was said before they joined."""
    old, new = stage.people(2)
    group = owner.group(old)
    said = old.say(group, "early")
    settings = owner.get(group, "")["settings"]
    settings["group_settings"]["allow_member_view_history"] = False
    status, answer = owner.do("PUT", f"/conversations/{group}", {"settings": settings})
    assert status == 200, (status, answer)
    # Joined in a later second than the message: that is how exactly it is known.
    time.sleep(1.5)
    owner.do("POST", f"/conversations/{group}/members", {"members": [new.id]})
    device = Device(new)
    rev = old.edit(group, said["id"], "early and secret")[1]["rev"]
    told = device.told("message-changed", rev) or {"message": {"content": "no frame"}}
    page = new.get(group, "/changes?after_rev=0")
    shown = [m["id"] for m in page["messages"]]
    stage.check(not told["message"].get("content") and said["id"] not in shown and page["completeTo"] >= rev,
                "an edit of what was said before one joined isn't read where the group hides that", told["message"].get("content") or "")
    stage.check("early and secret" in str(old.get(group, "/changes?after_rev=0")), "who was there reads it")


def refusals(stage, group, owner, author, reader, own):
    said = own.say(group, "stays")
    recalled = own.say(group, "goes")
    own.recall(group, recalled["messageId"])
    refused = stage.refused
    refused("members don't recall each other's messages", 403, "INSUFFICIENT_PERMISSION", reader.recall(group, said["messageId"]))
    refused("strangers don't recall", 403, "NOT_CONVERSATION_MEMBER", stage.stranger.user.recall(group, said["messageId"]))
    refused("a second recall is refused", 409, "MESSAGE_RECALLED", owner.recall(group, recalled["messageId"]))
    refused("a message that isn't there", 404, "MESSAGE_NOT_FOUND", owner.recall(group, "5"))
    kind, data = own.recall(group, recalled["messageId"], client_id="r2")
    got = (kind, data.get("code"), data.get("details", {}).get("client_msg_id"))
    stage.check(got == ("error", "MESSAGE_RECALLED", "r2"), "the same by socket, with the client's id", got[1])
    seen = reader.shown(group, said["seqId"])
    stage.check((seen["content"], seen["rev"]) == ("stays", said["rev"]), "what was refused left no trace", (seen["content"], seen["rev"]))
