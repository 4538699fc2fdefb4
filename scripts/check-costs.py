# SPDX-License-Identifier: Apache-2.0
"""Counts what fixed tasks of a built program cost, and compares that with scripts/costs.txt.

Usage: check-costs.py [--print] [PROGRAM]

With --print the counts are printed as they belong into scripts/costs.txt, with the room that a count needs.
"""

import collections
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile

# How often these happen depends on who runs first.
TIMING = {"futex", "sched_yield", "ppoll", "poll", "restart_syscall", "rt_sigreturn", "madvise", "rt_sigtimedwait"}
DURABLE = {"fsync", "fdatasync", "sync_file_range", "syncfs"}
CYCLES = 200
# Runs of which the cheapest counts: a page fault or a thread more or less is the kernel's.
ROUNDS = 3
COSTS = pathlib.Path("scripts/costs.txt")


def main():
    arguments = [word for word in sys.argv[1:] if word != "--print"]
    program = os.path.realpath(arguments[0] if arguments else ".build/release/credfs")
    with tempfile.TemporaryDirectory(prefix="credfs-costs.") as directory:
        counts = Tasks(program, pathlib.Path(directory)).counts()
    if "--print" in sys.argv[1:]:
        for name, count in counts.items():
            print(f"{allowed(name, count):>8} {name}")
        return 0
    lines = [line.split(maxsplit=1) for line in COSTS.read_text().splitlines() if not line.startswith("#")]
    limits = {name: int(limit) for limit, name in lines}
    failed = [name for name in sorted(counts.keys() | limits.keys()) if not fits(name, counts, limits)]
    print(f"check-costs: {len(counts)} counts, {len(failed)} above their limits")
    return 1 if failed else 0


def allowed(name, count):
    """A limit: what is counted in hundreds has room for another kernel and C library, a count of few has none."""
    return count if count < 40 else count + count // (8 if "faults" in name else 25)


def fits(name, counts, limits):
    if name not in counts or name not in limits:
        print(f"check-costs: error: {name} is in one of program and {COSTS} only", file=sys.stderr)
        return False
    if counts[name] <= limits[name]:
        return True
    print(f"check-costs: error: {name}: {counts[name]}, at most {limits[name]}", file=sys.stderr)
    print("check-costs: hint: find the cause, or allow it: scripts/check-costs --print", file=sys.stderr)
    return False


class Tasks:
    """A store with ten secrets, and what is done with it."""

    def __init__(self, program, directory):
        self.program = program
        self.directory = directory
        runtime = directory / "runtime"
        runtime.mkdir(mode=0o700)
        self.environment = {
            "PATH": "/usr/bin:/bin", "HOME": str(directory), "XDG_RUNTIME_DIR": str(runtime),
            "CREDFS_STORE": str(directory / "store"),
        }
        self.credfs("init", "--empty", "--quiet")
        values = directory / "values.env"
        values.touch(mode=0o600)
        values.write_text("".join(f"S{number}={'x' * 64}\n" for number in range(10)))
        self.credfs("import", "--quiet", values)

    def counts(self):
        found = {}
        for name, words in {
            "run": ["run", "--", "true"],
            "set": ["set", "S0", "--value-file", self.value()],
            "show": ["show", "S0"],
            "verify": ["verify", "--quiet"],
        }.items():
            found |= {f"{name} {kind}": count for kind, count in self.command(words).items()}
        found |= self.served()
        found["relocations"] = self.relocations()
        return found

    def value(self):
        path = self.directory / "value"
        path.touch(mode=0o600)
        path.write_text("y" * 64)
        return str(path)

    def credfs(self, *words, **more):
        settings = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "text": True} | more
        return subprocess.run(
            [self.program, *map(str, words)], env=self.environment, check=True, **settings
        ).stdout

    def command(self, words):
        """System calls, executions, durable writes and page faults of a command."""
        best = collections.Counter()
        for _ in range(ROUNDS):
            before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt
            self.credfs(*words)
            faults = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt - before
            calls = self.traced([self.program, *words])
            counts = summed(calls) | {"page faults": faults}
            best = {kind: min(count, best.get(kind, count)) for kind, count in counts.items()}
        return best

    def traced(self, command):
        log = self.directory / "calls"
        subprocess.run(
            ["strace", "--follow-forks", "--summary-only", "--output", str(log), *command],
            env=self.environment, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )
        return table(log.read_text())

    def served(self):
        """What a server does for an open, a read and a close, and while nobody asks."""
        place = self.credfs("mount").strip()
        try:
            mounts = json.loads(self.credfs("status", "--json"))["mounts"]
            server = next(mount["pid"] for mount in mounts if mount["path"] == place)
            path = os.path.join(place, "S1")
            read(path, 20)
            idle = min(self.wakeups(server) for _ in range(ROUNDS))
            calls = min(self.calls_of_reads(server, path) for _ in range(ROUNDS))
            return {"calls of a read, in tenths": round(10 * calls / CYCLES), "wake-ups of an idle server": idle}
        finally:
            self.credfs("unmount", place)

    def calls_of_reads(self, server, path):
        log = self.directory / "calls"
        with subprocess.Popen(
            ["strace", "--follow-forks", "--summary-only", "--output", str(log), "--attach", str(server)],
            stderr=subprocess.PIPE, text=True,
        ) as tracer:
            # It says so of each thread.
            tracer.stderr.readline()
            read(path, CYCLES)
            tracer.send_signal(signal.SIGINT)
            tracer.communicate()
        text = log.read_text()
        # A worker that asks again, and finds nothing, does so as often as it has time.
        calls = table(text) - collections.Counter({"read": failures(text)["read"]})
        return sum(count for name, count in calls.items() if name not in TIMING)

    @staticmethod
    def wakeups(process):
        """Switches of all threads in half a second."""
        def switches():
            texts = [path.read_text() for path in pathlib.Path(f"/proc/{process}/task").glob("*/status")]
            return sum(int(count) for text in texts for count in re.findall(r"ctxt_switches:\t(\d+)", text))

        before = switches()
        subprocess.run(["sleep", "0.5"], check=True)
        return switches() - before

    def relocations(self):
        text = subprocess.run(["readelf", "--relocs", "--wide", self.program], check=True, capture_output=True, text=True)
        return sum(int(count) for count in re.findall(r"contains (\d+) entr", text.stdout))


def read(path, times):
    for _ in range(times):
        with open(path, "rb", buffering=0) as file:
            while file.read(4096):
                pass


def table(text):
    """Calls by name, as strace sums them up (strace(1), -c)."""
    calls = collections.Counter()
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= 5 and fields[3].isdigit() and fields[-1] != "total":
            calls[fields[-1]] += int(fields[3])
    return calls


def failures(text):
    """Failed calls by name: a column that is empty where there are none."""
    lines = [line.split() for line in text.splitlines()]
    return collections.Counter(
        {fields[-1]: int(fields[4]) for fields in lines if len(fields) == 6 and fields[4].isdigit()}
    )


def summed(calls):
    return {
        "system calls": sum(count for name, count in calls.items() if name not in TIMING),
        "executions": calls["execve"] + calls["execveat"],
        "processes and threads": calls["clone"] + calls["clone3"] + calls["fork"] + calls["vfork"],
        "durable writes": sum(calls[name] for name in DURABLE),
    }


if __name__ == "__main__":
    for tool in ("strace", "readelf"):
        if not shutil.which(tool):
            sys.exit(f"check-costs: error: {tool} is missing\ncheck-costs: hint: scripts/install-dependencies")
    sys.exit(main())
