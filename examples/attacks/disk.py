"""A disk that fills up: messages are refused retryably, reading goes on, the server starts on the full disk, and goes on by itself
once there is room. Nothing acknowledged may be missing.

Needs root for a small tmpfs; without it the script says so and passes.
"""
import contextlib
import os
import subprocess
import tempfile
import time

from kit import Report, Server, User, call

SIZE_MIB = 24


def mount(folder):
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "tmpfs", folder], stderr=subprocess.DEVNULL)
    return done.returncode == 0


def free(folder):
    stat = os.statvfs(folder)
    return stat.f_bavail * stat.f_frsize


def fill(folder, leave):
    """Another program takes the room but for `leave` bytes."""
    with open(os.path.join(folder, "filler"), "ab", buffering=0) as file:
        with contextlib.suppress(OSError):
            while free(folder) > leave:
                file.write(b"x" * min(65536, max(4096, free(folder) - leave)))


def say(server, user, text):
    return call(server.url, "POST", "/conversations/world/messages", {"messageType": 1, "content": text}, token=user.token)[:2]


def history(server, user):
    """Numbers of the newest messages, and the status."""
    status, answer, _ = call(server.url, "GET", "/conversations/world/messages?limit=100", token=user.token)
    return status, [message["seqId"] for message in answer.get("data", {}).get("messages", [])]


def sends_again(server, user):
    """The number of the first message that is taken within 20 s; 0 without one."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        status, answer = say(server, user, "there is room again")
        if status == 201:
            return answer["data"]["seqId"]
        time.sleep(0.3)
    return 0


def attack(report, server, data):
    with server:
        user = User(server.url)
        fill(data, 9 << 20)
        acked, status, answer = 0, 201, {}
        for n in range(4000):
            status, answer = say(server, user, f"{n} " + "x" * 4900)
            if status != 201:
                break
            acked = answer["data"]["seqId"]
        report.check(status == 503, f"after {acked} messages a full disk refuses the next one retryably", status)
        report.check("disk" in str(answer), "the refusal names the disk", answer.get("message", answer))
        report.check(server.process.poll() is None, "the process lives")
        status, answer, _ = call(server.url, "GET", "/health")
        report.check((status, answer.get("status")) == (200, "read_only"), "health says so", answer.get("status"))
        # The log frees segments whose records nobody needs any more, and takes messages again: that room is taken, too.
        for attempt in range(50):
            fill(data, 700 << 10)
            time.sleep(0.1)
            said = say(server, user, "one more")[0]
            account = {"username": f"late{os.getpid()}x{attempt}", "password": "correct horse 9"}
            registered = call(server.url, "POST", "/auth/register", account)[0]
            if (said, registered) == (503, 503):
                break
        report.check(said == 503, "messages are still refused", said)
        report.check(registered == 503, "registration is refused retryably", registered)
        status, found = history(server, user)
        report.check(status == 200 and found, "history can be read", status)
        again = User.__new__(User)
        again.url, again.source, again.name = server.url, None, user.name
        again.login()
        report.check(True, "signing in works")

        os.remove(os.path.join(data, "filler"))
        taken = sends_again(server, user)
        report.check(taken > acked, "with room again messages are taken without a restart", taken)
        acked = max(acked, taken)

        fill(data, 0)
        server.kill()
        fill(data, 0)
        server.start()
        status, found = history(server, again)
        report.check(status == 200 and found, "the server starts on a disk without a free byte, and can be read", f"{status}, {free(data)} bytes free")
        server.stop()
        server.start()
        status, found = history(server, again)
        report.check(status == 200 and found, "also after an orderly stop", f"{status}, {free(data)} bytes free")

        os.remove(os.path.join(data, "filler"))
        taken = sends_again(server, again)
        report.check(taken > acked, "and goes on by itself once there is room", taken)
        until = time.monotonic() + 20
        while time.monotonic() < until and taken not in history(server, again)[1]:
            time.sleep(0.3)
        newest = history(server, again)[1]
        expected = list(range(taken, taken - len(newest), -1))
        report.check(newest == expected, "numbers have no gap")
        status, answer, _ = call(server.url, "GET", "/conversations/world", token=again.token)
        report.check(answer["data"]["lastSeqId"] >= acked, f"all {acked} acknowledged messages are stored", answer["data"]["lastSeqId"])


def main():
    report = Report()
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "data")
        os.mkdir(data)
        if os.geteuid() != 0 or not mount(data):
            print("skip  a small tmpfs can't be mounted here: run as root")
            report.end()
        try:
            attack(report, Server("gateway.rates.disabled=true", folder=folder), data)
        finally:
            subprocess.run(["umount", "-l", data])
    report.end()


if __name__ == "__main__":
    main()
