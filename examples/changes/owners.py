"""What was decided before a process was killed holds after it, whoever decides then, asked through another gateway."""
import subprocess
import time

from device import Device

CHATS = 6


def show(stage, command):
    author = stage.person()
    own, elsewhere = Device(author), Device(author.at(stage.urls[-1]))
    chats = [before(stage, author, own) for _ in range(CHATS)]
    struck = subprocess.run(command, shell=True, check=False)
    stage.check(struck.returncode == 0, f"ran: {command}")
    began, right = time.monotonic(), 0
    for chat, edited, recalled, peer in chats:
        answers = [elsewhere.edit(chat, edited, "first", client_id="e", resend=True)[1].get("rev"),
                   elsewhere.recall(chat, recalled, client_id="r", resend=True)[1].get("rev"),
                   elsewhere.edit(chat, recalled, "back", client_id="late")[1].get("code"),
                   elsewhere.edit(chat, edited, "second", client_id="e2")[1].get("rev")]
        told = peer.told("message-changed", 5) or {"message": {}}
        right += answers == [3, 4, "MESSAGE_RECALLED", 5] and told["message"].get("content") == "second"
    took = time.monotonic() - began
    stage.check(right == CHATS, "afterwards repeats have their revs, a recalled message isn't edited, the next change has the next rev", f"{right} of {CHATS} chats, {took:.1f} s")


def before(stage, author, own):
    """A chat with an edited message, rev 3, and a recalled one, rev 4."""
    peer = stage.person(stage.urls[-1])
    chat, socket = author.single(peer), Device(peer)
    edited, recalled = own.say(chat, "one")["messageId"], own.say(chat, "two")["messageId"]
    own.edit(chat, edited, "first", client_id="e")
    own.recall(chat, recalled, client_id="r")
    return chat, edited, recalled, socket
