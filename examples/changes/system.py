"""What happens to a group stands in its timeline: each change once, in order, for those who are there and those who were away."""
import json
import time
import uuid

from device import Device


def show(stage):
    a, b, c, d = stage.people(4)
    far = stage.urls[-1]
    watcher, group = Device(b.at(far)), loud(a, b)
    members, at = f"/conversations/{group}/members", f"/conversations/{group}"
    began = time.time()
    act(a, "POST", members, {"members": [c.id]})
    act(a, "PUT", at, {"name": "Hikers"})
    act(a, "PUT", at, {"settings": {"group_settings": {"announcement": "At noon", "slow_mode": 1}}})
    act(a, "PUT", f"{members}/{c.id}", {"role": 2})
    until = int(began) + 3_600
    act(c.at(far), "PUT", f"{members}/{b.id}/mute", {"until": until})
    act(a, "PUT", f"{members}/{b.id}/mute", {"until": None})
    code = act(a, "POST", f"{at}/invitations", {})["code"]
    act(d.at(far), "POST", f"/invitations/{code}/accept", {})
    act(d, "DELETE", f"{members}/{d.id}")
    act(a, "DELETE", f"{members}/{c.id}")
    act(a, "PUT", f"{members}/{b.id}", {"role": 3})
    expected = [
        (a.id, {"kind": "created", "title": "Tea", "users": [b.id], "count": 1}),
        (a.id, {"kind": "joined", "users": [c.id], "count": 1, "how": "added"}),
        (a.id, {"kind": "renamed", "title": "Hikers"}),
        (a.id, {"kind": "announcement"}),
        (a.id, {"kind": "settings", "changed": ["slow_mode"]}),
        (a.id, {"kind": "role", "user": c.id, "role": "admin"}),
        (c.id, {"kind": "muted", "user": b.id, "until": until}),
        (a.id, {"kind": "unmuted", "user": b.id}),
        (d.id, {"kind": "joined", "users": [d.id], "count": 1, "how": "link"}),
        (d.id, {"kind": "left"}),
        (a.id, {"kind": "removed", "users": [c.id], "count": 1}),
        (a.id, {"kind": "owner", "user": b.id}),
    ]
    seen = history(a, group, len(expected))
    stage.check(seen == expected, "each change of a group stands in its timeline once, in order, by who made it", differs(seen, expected))
    seen = history(b.at(far), group, len(expected))
    stage.check(seen == expected, "every member reads the same", differs(seen, expected))
    is_last = lambda f: f["type"] == "new-message" and f["data"].get("conversationId") == group and f["data"].get("seqId") == len(expected)
    stage.check(watcher.wait(is_last) is not None, "who is connected is told")
    pushed = sorted({(f["data"]["seqId"], f["data"]["content"]) for f in watcher.of(group, "new-message")})
    stage.check([json.loads(text) for _, text in pushed] == [what for _, what in expected][-len(pushed):], "in the same words", f"{len(pushed)} pushes")
    repeats(stage, a, b, group, len(expected))
    forgeries(stage, a, b, group)
    pins(stage, a, b.at(far))


def pins(stage, a, b):
    group = loud(a, b)
    said = a.say(group, "At noon")
    pinned = f"/conversations/{group}/pins/{said['id']}"
    news = {"kind": "pinned", "messageId": said["id"], "seqId": said["seqId"]}
    for _ in range(2):
        act(a, "PUT", pinned)
    kind, _ = Device(a).act("pin-message", conversationId=group, messageId=said["id"])
    stage.check(kind == "change-ack", "what is pinned is put on top again, also by socket", kind)
    act(a, "DELETE", pinned)
    act(a, "PUT", pinned)
    told = [(who, what) for who, what in history(b, group, 4)][2:]
    stage.check(told == [(a.id, news)] * 2, "a pin is told, and a repeat of it or its end isn't", told)


def repeats(stage, a, b, group, count):
    at = f"/conversations/{group}"
    for _ in range(2):
        act(b, "PUT", at, {"name": "Hikers"})
        act(b, "PUT", f"{at}/members/{a.id}/mute", {"until": 0})
    act(b, "PUT", f"{at}/members/{a.id}/mute", {"until": None})
    seen = [what["kind"] for _, what in history(b, group, count + 2)[count:]]
    stage.check(seen == ["muted", "unmuted"], "a change that changes nothing tells nothing", seen)
    act(b, "PUT", at, {"settings": {"group_settings": {"system_messages": False}}})
    act(b, "PUT", at, {"name": "Quiet"})
    seq = b.say(group, "and so on")["seqId"]
    stage.check(seq == count + 3, "a group that is set to be quiet tells nothing", seq)


def forgeries(stage, a, b, group):
    content, messages = '{"kind":"renamed","title":"Mine"}', f"/conversations/{group}/messages"
    forge = lambda user, **more: user.do("POST", messages, {"content": content, "client_msg_id": str(uuid.uuid4()), **more})
    stage.refused("nobody writes a system message", 400, "UNSUPPORTED_MESSAGE_TYPE", forge(b, messageType=4))
    kind, error = Device(b).act("send-message", conversationId=group, content=content, messageType=4)
    stage.check((kind, error.get("code")) == ("error", "UNSUPPORTED_MESSAGE_TYPE"), "nor by socket", error.get("code"))
    stage.refused("nor takes the client id of one", 400, "INVALID_PARAMS", forge(b, messageType=1, client_msg_id="system:1-1700000000000"))
    told = a.shown(group, 1)["id"]
    code = (400, "UNSUPPORTED_MESSAGE_TYPE")
    stage.refused("nobody edits one", *code, b.do("PUT", f"{messages}/{told}", {"content": "x"}))
    stage.refused("nobody takes one back", *code, b.do("DELETE", f"{messages}/{told}"))
    stage.refused("nobody reacts to one", *code, b.do("PUT", f"{messages}/{told}/reactions/%F0%9F%91%8D", {}))
    stage.refused("nobody pins one", *code, b.do("PUT", f"/conversations/{group}/pins/{told}", {}))


def loud(user, *others):
    settings = {"group_settings": {"system_messages": True}}
    return act(user, "POST", "/conversations", {"type": 2, "name": "Tea", "memberIds": [o.id for o in others], "settings": settings})["id"]


def act(user, method, path, body=None):
    status, answer = user.do(method, path, body)
    assert status < 300, (method, path, status, answer)
    return answer.get("data") or {}


def history(user, group, count):
    """Authors and contents of a group that is known to tell so much."""
    until = time.monotonic() + 30
    while True:
        page = user.get(group, "/messages?after_seq=0&limit=100")["messages"]
        if len(page) >= count or time.monotonic() > until:
            return [(m["senderId"], json.loads(m["content"]) if m["messageType"] == 4 else m["content"]) for m in page]
        time.sleep(0.05)


def differs(seen, expected):
    """What to look at when the two differ."""
    return f"{len(seen)} of {len(expected)}" if seen == expected else [pair for pair in zip(seen, expected) if pair[0] != pair[1]][:1] or len(seen)
