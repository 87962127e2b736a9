"""Power cuts: the server is killed in the middle of load and loses what it had not synced, also in part and out of order, in the
log, in SQLite and in every other file of the data folder (power.c). Nothing acknowledged may be missing.

Then the same with the log's syncs left out, which must be noticed. Needs a C compiler; without one the script says so and passes.
`POWER_CUTS` is the number of cuts (20), `POWER_SEED` where the random numbers begin.
"""
import json
import os
import shutil
import subprocess
import tempfile

from kit import Report, program

CUTS = os.environ.get("POWER_CUTS", "20")
SEED = os.environ.get("POWER_SEED", "1")


def check(layer, cuts, **env):
    """Runs the checker with a disk that loses power. Returns its exit status and its line, None without one."""
    command = [program(), "check", "--spawn", "--kills", cuts, "--seed", SEED]
    env = {**os.environ, "LD_PRELOAD": layer, "POWER_SEED": SEED, **env}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return done.returncode, json.loads(lines[-1]) if lines else None, done.stderr.strip().splitlines()[-1:]


def main():
    report = Report()
    compiler = shutil.which("cc")
    if compiler is None:
        print("skip  no C compiler")
        report.end()
    with tempfile.TemporaryDirectory() as folder:
        layer = os.path.join(folder, "power.so")
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "power.c")
        subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", layer, source, "-ldl", "-lpthread"], check=True)
        status, line, said = check(layer, CUTS)
        found = line and {key: line[key] for key in ("acknowledged", "violations", "faults")}
        report.check(status == 0 and line["violations"] == 0, f"nothing acknowledged is lost by {CUTS} power cuts", found or said)
        status, line, said = check(layer, "5", POWER_NO_SYNC=".log")
        found = (line and line["first"]) or said
        report.check(status != 0, "and with the log's syncs left out that is noticed", found)
    report.end()


if __name__ == "__main__":
    main()
