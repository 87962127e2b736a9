"""What a user deletes for themselves: messages one by one, and whole conversations up to a place."""
from device import Device


def show(stage):
    one_by_one(stage)
    cleared(stage)


def hide(user, chat, message):
    status, answer = user.do("DELETE", f"/conversations/{chat}/messages/{message}?for=me")
    return status, answer.get("data") or answer


def clear(user, chat, query=""):
    status, answer = user.do("DELETE", f"/conversations/{chat}/history{query}")
    return status, answer.get("data") or answer


def state_told(device, chat, version):
    frame = device.wait(lambda f: f["type"] == "conversation-state" and f["data"]["conversationId"] == chat and f["data"]["my"]["version"] == version)
    return (frame or {}).get("data") or {}


def one_by_one(stage):
    a, b = stage.people(2)
    chat = a.single(b)
    author, peer, phone = Device(a), Device(b), Device(b.at(stage.urls[-1]))
    slip = author.say(chat, "a slip")
    peer.say(chat, "what was that?", replyTo=slip["messageId"])
    there = b.at(stage.urls[-1])
    status, gone = hide(b, chat, slip["messageId"])
    stage.check((status, gone.get("messageId"), gone.get("rev")) == (200, slip["messageId"], slip["rev"]), "a message is deleted for oneself; its rev stays")
    told = state_told(phone, chat, 1)
    stage.check(told.get("hidden") == {"messageId": slip["messageId"], "seqId": slip["seqId"]}, "the own devices are told which", told.get("hidden"))
    shown = there.shown(chat, slip["seqId"])
    stage.check((shown.get("content"), shown.get("hidden"), shown.get("seqId")) == ("", True, slip["seqId"]), "it keeps its place and says nothing, at any gateway")
    quote = there.shown(chat, slip["seqId"] + 1).get("replyTo", {})
    stage.check(quote.get("messageId") == slip["messageId"] and "excerpt" not in quote, "nor does a quote of it")
    _, edit = author.edit(chat, slip["messageId"], "no slip")
    peer.told("message-changed", edit["rev"])
    page = b.get(chat, f"/changes?after_rev=0&at_least={edit['rev']}")["messages"]
    again = next((m for m in page if m["seqId"] == slip["seqId"]), {})
    stage.check((again.get("content"), again.get("hidden")) == ("", True), "a later edit brings nothing back")
    stage.check(a.shown(chat, slip["seqId"])["content"] == "no slip", "the other one keeps it")
    stage.check(hide(b, chat, slip["messageId"]) == (200, {**gone, "rev": edit["rev"]}), "deleting it again changes nothing")
    missed = b.get(chat, "/hidden?after_version=0")["messages"]
    stage.check(missed == [{"messageId": slip["messageId"], "seqId": slip["seqId"], "version": 1}], "a device that was away asks for what went", missed)
    stage.check(not author.of(chat, "conversation-state"), "the other one hears nothing of it")
    stage.refused("strangers have nothing to delete", 403, "NOT_CONVERSATION_MEMBER", hide(stage.stranger.user, chat, slip["messageId"]))
    stage.refused("what isn't there isn't deleted", 404, "MESSAGE_NOT_FOUND", hide(b, chat, "12345"))


def cleared(stage):
    a, b = stage.people(2)
    chat = a.single(b)
    author, phone = Device(a), Device(b.at(stage.urls[-1]))
    sent = [author.say(chat, f"message {n}") for n in range(6)]
    hide(b, chat, sent[1]["messageId"])
    status, my = clear(b, chat, "?up_to_seq=4")
    stage.check((status, my.get("clearedUpTo"), my.get("hiddenCount")) == (200, 4, None), "a conversation is cleared up to a place", my)
    stage.check(state_told(phone, chat, my.get("version")).get("my") == my, "the own devices are told")
    there = b.at(stage.urls[-1])
    seqs = [[m["seqId"] for m in there.get(chat, f"/messages?{query}")["messages"]] for query in ("after_seq=0", "around_seq=1&limit=2", "cursor=5")]
    stage.check(seqs == [[5, 6], [5, 6], []], "it begins behind that place, from every side", seqs)
    listed = there.listed(chat)
    stage.check((listed.get("unreadCount"), listed.get("my")) == (2, my), "what went is read", listed.get("unreadCount"))
    stage.check(clear(b, chat, "?up_to_seq=2") == (200, my), "clearing less brings nothing back")
    newest = author.say(chat, "the newest")
    status, my = clear(b, chat)
    stage.check((status, my.get("clearedUpTo")) == (200, newest["seqId"]), "without a place everything goes that was acknowledged", my.get("clearedUpTo"))
    listed = there.listed(chat)
    stage.check("lastMessage" not in listed and listed.get("unreadCount") == 0, "the list shows the conversation, and no message")
    stage.check(len(a.history(chat).states) == 7, "the other one keeps everything")
    after = author.say(chat, "anew")
    phone.told("new-message", after["rev"])
    stage.check([m["seqId"] for m in there.get(chat, "/messages?after_seq=0")["messages"]] == [after["seqId"]], "it goes on with the next message")
