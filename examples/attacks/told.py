"""Kills the server while groups are renamed: each acknowledged change stands in the timeline of its group, once and in order."""
import http.client
import json
import random
import threading
import time

from kit import Report, Server, User

GROUPS, KILLS = 4, 12
# Seconds; what a killed server left behind is sent by a sweep.
PATIENCE = 60


class Renamer:
    """Names its group anew for as long as it is let, and remembers what was acknowledged."""

    def __init__(self, owner, group):
        self.owner, self.group = owner, group
        self.acknowledged, self.unanswered, self.ended = [], [], False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        number = 0
        while not self.ended:
            number += 1
            try:
                status, _ = self.owner.once("PUT", f"/conversations/{self.group}", {"name": f"name {number}"})
            except (OSError, http.client.HTTPException):
                status = 0
            (self.acknowledged if status == 200 else self.unanswered).append(number)
            if status != 200:
                time.sleep(0.05)

    def end(self):
        self.ended = True
        self.thread.join()


def loud_group(owner, member):
    """A group that tells what happens to it."""
    settings = {"group_settings": {"system_messages": True}}
    status, answer = owner.do("POST", "/conversations", {"type": 2, "name": "name 0", "memberIds": [member.id], "settings": settings})
    assert status == 201, (status, answer)
    return answer["data"]["id"]


def told(reader, group):
    """Numbers of the names that the timeline of a group tells, in its order, and whether the numbers of its messages have no gap."""
    messages, after = [], 0
    while True:
        status, answer = reader.do("GET", f"/conversations/{group}/messages?after_seq={after}&limit=100")
        assert status == 200, (status, answer)
        page = answer["data"]
        messages += page["messages"]
        if not page["hasMore"]:
            break
        after = page["nextCursor"]
    contents = [json.loads(m["content"]) for m in messages if m["messageType"] == 4]
    names = [int(c["title"].split()[1]) for c in contents if c["kind"] == "renamed"]
    return names, [m["seqId"] for m in messages] == list(range(1, len(messages) + 1))


def main():
    report = Report()
    with Server("gateway.rates.disabled=true") as server:
        owner, member = User(server.url), User(server.url)
        renamers = [Renamer(owner, loud_group(owner, member)) for _ in range(GROUPS)]
        for _ in range(KILLS):
            time.sleep(random.uniform(0.2, 1.2))
            server.kill()
            server.start()
        time.sleep(1)
        for renamer in renamers:
            renamer.end()
        changes = sum(len(renamer.acknowledged) for renamer in renamers)
        report.check(changes > 10 * KILLS, "groups were renamed between the kills", f"{changes} times, {KILLS} kills")
        until = time.monotonic() + PATIENCE
        while True:
            found = [told(member, renamer.group) for renamer in renamers]
            lost = sum(len(set(r.acknowledged) - set(names)) for r, (names, _) in zip(renamers, found))
            if not lost or time.monotonic() > until:
                break
            time.sleep(1)
        report.check(not lost, "every acknowledged change is told", f"{lost} of {changes} are not")
        twice = sum(len(names) - len(set(names)) for names, _ in found)
        report.check(not twice, "none is told twice", twice or "")
        made_up = sum(len(set(names) - set(r.acknowledged) - set(r.unanswered)) for r, (names, _) in zip(renamers, found))
        report.check(not made_up, "none is told that nobody made", made_up or "")
        report.check(all(names == sorted(names) for names, _ in found), "in the order in which they were made")
        report.check(all(gapless for _, gapless in found), "the numbers of the messages have no gap")
    report.end()


if __name__ == "__main__":
    main()
