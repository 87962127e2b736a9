"""A client is away while 1,000 changes happen, comes back, and has the same state of every message as one that stayed."""
import itertools
import random
import threading
import time

from device import Device, Messages

WRITERS = 10
EMOJI = ("👍", "🎉", "😀", "🔥", "👀")


class Writer(threading.Thread):
    """A member who writes, edits, reacts and recalls, one after the other, through the gateways in turn. The owner pins."""

    def __init__(self, user, urls, group, steps, seed):
        super().__init__(daemon=True)
        self.devices = [Device(user.at(url)) for url in dict.fromkeys(urls)]
        self.group, self.steps, self.random = group, steps, random.Random(seed)
        self.is_moderator, self.others, self.known = False, [], []
        self.own, self.acks, self.refused = [], [], []

    def run(self):
        until = len(self.acks) + self.steps
        for step in itertools.count():
            if len(self.acks) >= until:
                return
            device, dice = self.devices[step % len(self.devices)], self.random.random()
            # Recent messages and old ones, some of them again and again.
            if dice < 0.3 or len(self.own) < 3:
                ack = device.say(self.group, f"{device.user.name} says {step}", extra='{"step":%d}' % step if step % 3 else None)
                self.own.append(ack["messageId"])
                self.acks.append(ack)
            elif dice < 0.6:
                self.note(device.edit(self.group, self.random.choice(self.own), f"{device.user.name} means {step}"))
            elif dice < 0.85:
                more = {"remove": True} if self.random.random() < 0.3 else {}
                self.note(device.react(self.group, self.random.choice(self.own + self.known), self.random.choice(EMOJI), **more))
            elif dice < 0.9 and self.others:
                kind = self.random.choice(("pin-message", "pin-message", "unpin-message"))
                self.note(device.act(kind, conversationId=self.group, messageId=self.random.choice(self.own + self.known)))
            else:
                mine = not self.others or self.random.random() < 0.5
                chosen = self.random.choice(self.own if mine else self.others)
                if mine:
                    self.own.remove(chosen)
                else:
                    self.others.remove(chosen)
                self.note(device.recall(self.group, chosen))

    def note(self, answer):
        """A message that the moderator took back meanwhile can't be changed any more."""
        kind, data = answer
        (self.acks if kind == "change-ack" else self.refused).append(data)


class Group:
    """Ten writers, one of them the owner, who recalls messages of others as well."""

    def __init__(self, stage, seed, changes):
        people = stage.people(WRITERS)
        self.owner, self.traveller = people[0], people[1]
        self.id = self.owner.group(*people[1:])
        per_writer = -(-changes // WRITERS)
        self.writers = [Writer(user, stage.urls, self.id, per_writer, f"{seed} {n}") for n, user in enumerate(people)]
        # Messages of before: two each, one of which the owner may take back.
        for writer in self.writers:
            for n in range(2):
                ack = writer.devices[0].say(self.id, f"before {n}")
                writer.own.append(ack["messageId"])
                writer.acks.append(ack)
        self.writers[0].others = [writer.own[0] for writer in self.writers[1:]]
        for writer in self.writers:
            writer.known = [message for other in self.writers if other is not writer for message in other.own]

    def work(self):
        [writer.start() for writer in self.writers]
        [writer.join() for writer in self.writers]

    def acks(self):
        return [ack for writer in self.writers for ack in writer.acks]

    def refused(self):
        return [refusal.get("code", "no answer") for writer in self.writers for refusal in writer.refused]


def catch_up(user, group, copy, after):
    """Pages through what changed: (requests, messages told, the rev everything is there up to)."""
    requests, told = 0, 0
    while True:
        page = user.get(group, f"/changes?after_rev={after}&limit=200")
        requests, told, after = requests + 1, told + len(page["messages"]), page["completeTo"]
        [copy.take(message) for message in page["messages"]]
        if not page["hasMore"]:
            return requests, told, after


def numbers(stage, acks, head):
    """Every rev and every seqId was given once."""
    revs, seqs = sorted(ack["rev"] for ack in acks), sorted(ack["seqId"] for ack in acks if "createdAt" in ack)
    stage.check(revs == list(range(1, head + 1)), "the revs of all acks are 1, 2, 3 … without a gap, messages and changes together", len(revs))
    stage.check(seqs == list(range(1, len(seqs) + 1)), "so are the seqIds of the messages alone", len(seqs))


def show(stage, seed, changes, within):
    group = Group(stage, seed, changes)
    owner, traveller = group.owner, group.traveller
    left = Messages()
    phone = Device(traveller)
    _, _, complete_to = catch_up(traveller, group.id, left, 0)
    phone.close()
    stayed, live = Device(owner), Messages()
    stayed.settle()
    before = catch_up(owner, group.id, live, 0)[2]
    began = time.monotonic()
    group.work()
    took, acks, refused = time.monotonic() - began, group.acks(), group.refused()
    head = max(ack["rev"] for ack in acks)
    said = sum("createdAt" in ack for ack in acks)
    print(f"      {said} messages, {len(acks) - said} changes of them by {WRITERS} members, {changes} of them while one client was away, "
          f"in {took:.1f} s; {len(refused)} refused (seed {seed})")
    stage.check(set(refused) <= {"MESSAGE_RECALLED", "TOO_MANY_REACTIONS"}, "nothing else is refused than changes of what was taken back, and a fourth reaction", sorted(set(refused)) or "")
    numbers(stage, acks, head)
    came_back(stage, group, left, (complete_to, head), within)
    stayed_there(stage, group, stayed, live, (before, head))
    truth, elsewhere = owner.history(group.id), traveller.at(stage.urls[-1]).history(group.id)
    stage.check(not truth.differences(elsewhere) and len(truth.states) == said + 1, "history is the same for everybody", f"{len(truth.states)} messages")
    for label, copy in (("came back", left), ("stayed", live)):
        wrong = copy.differences(truth)
        stage.check(not wrong, f"the client that {label} has the state of history of every message", f"{len(wrong)} of {len(truth.states)} differ")
    wrong = left.differences(live)
    stage.check(not wrong, "the client that came back and the one that stayed are identical", f"{len(wrong)} differ")


def came_back(stage, group, left, between, within):
    """Connects at another gateway than before, asks once for what changed, and is measured."""
    complete_to, head = between
    user = group.traveller.at(stage.urls[0])
    # What is measured is catching up, and not how long the last row takes to be written.
    user.get(group.id, f"/changes?after_rev={head - 1}&at_least={head}")
    began = time.monotonic()
    phone = Device(user)
    behind = user.listed(group.id)["lastRev"]
    requests, told, complete_to = catch_up(user, group.id, left, complete_to)
    took = time.monotonic() - began
    stage.check(behind == head == complete_to, "the list says that there is news, and catching up reaches it", (behind, complete_to))
    stage.check(took < within, f"{told} messages that changed were caught up within {within:g} s of the return", f"{took * 1000:.0f} ms")
    stage.check(requests <= max(-(-told // 100), 1), "with one request per 100 changed messages at most", f"{requests} requests")
    last = group.writers[0].devices[0].say(group.id, "welcome back")
    pushed = phone.told("new-message", last["rev"])
    stage.check(pushed and last["rev"] == complete_to + 1, "the next push goes on where catching up ended", last["rev"])
    group.writers[0].acks.append(last)
    for frame in phone.of(group.id):
        left.take_frame(frame)


def stayed_there(stage, group, device, live, between):
    """The copy of a client that listened, and asks for what changed when a push skips a rev."""
    before, head = between
    device.told("new-message", head + 1)
    frames = [f for f in device.of(group.id, "new-message", "message-changed") if f["data"]["rev"] > before]
    [live.take_frame(frame) for frame in frames]
    seqs = [frame["data"]["seqId"] for frame in frames if frame["type"] == "new-message"]
    stage.check(seqs == sorted(set(seqs)), "a device that stayed was pushed messages by ascending seqId", len(seqs))
    missing = set(range(before + 1, head + 2)) - {rev for frame in frames for rev in frame["data"].get("revs") or [frame["data"]["rev"]]}
    if missing:
        catch_up(group.owner, group.id, live, min(missing) - 1)
    print(f"      it was pushed {len(frames)} of {head + 1 - before} messages and changes, and " + ("asked for the others" if missing else "had to ask for nothing"))
