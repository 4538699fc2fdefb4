# SPDX-License-Identifier: Apache-2.0
"""Runs a command with a limit of time, and ends everything it started.

Usage: run-tests.py SECONDS LOG COMMAND...

What the command writes is shown and kept in LOG. It fails like the command, and where
- the limit is over: the tests that had begun and not ended are named;
- a test process does not wait for a child that has ended: the exit-test monitor of Swift Testing spins on such a child for ever;
- a process is left when the command has ended.
Processes are found as descendants of this one, never by name.
"""

import ctypes
import os
import pathlib
import re
import selectors
import signal
import subprocess
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
# A test looks for the end of its children every few milliseconds, but hundreds of others may have their turn in between.
ZOMBIE_SECONDS = float(os.environ.get("CREDFS_TEST_ZOMBIE_SECONDS", "600"))
GRACE_SECONDS = 5
MAXIMUM_NAMED = 30


def processes():
    """Process id to name, state and parent, as proc(5) has them."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            line = pathlib.Path("/proc", entry, "stat").read_text(errors="replace")
        except OSError:
            continue
        name = line[line.index("(") + 1:line.rindex(")")]
        state, parent = line[line.rindex(")") + 2:].split()[:2]
        found[int(entry)] = (name, state, int(parent))
    return found


def descendants(table):
    """Those of this process; what lost its parent became our child (prctl(2), PR_SET_CHILD_SUBREAPER)."""
    mine, added = {os.getpid()}, True
    while added:
        new = {process for process, (_, _, parent) in table.items() if parent in mine} - mine
        mine |= new
        added = bool(new)
    return mine - {os.getpid()}


def described(table, ids):
    return ", ".join(f"{process} ({table[process][0]}, {table[process][1]})" for process in sorted(ids))


def reap(known):
    """Takes away children that ended, but for the command itself."""
    table = processes()
    for process, (_, state, parent) in table.items():
        if parent == os.getpid() and state == "Z" and process != known:
            try:
                os.waitpid(process, os.WNOHANG)
            except ChildProcessError:
                pass


def end_all(command):
    """Kills until nothing is left; a process that the kernel waits for is waited for a while."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        table = processes()
        left = {process for process in descendants(table) if table[process][1] != "Z"}
        for process in left:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        command.poll()
        reap(command.pid)
        if not left:
            return
        time.sleep(0.05)
    table = processes()
    print(f"test: error: cannot be ended: {described(table, descendants(table))}", file=sys.stderr)


def running_tests(log):
    """Tests that began and did not end, by the lines of Swift Testing."""
    running = {}
    for line in log.read_text(errors="replace").splitlines():
        found = re.search(r"\bTest (?!run\b|case\b)(.+?) started\.", line)
        if found:
            running[found.group(1)] = running.get(found.group(1), 0) + 1
            continue
        found = re.search(r"\bTest (?!run\b|case\b)(.+?) (?:with \d+ test cases? )?(?:passed|failed|skipped|was cancelled)\b", line)
        if found and running.get(found.group(1)):
            running[found.group(1)] -= 1
    return [name for name, count in running.items() if count]


def main():
    limit, log, words = float(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:]
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    log.parent.mkdir(parents=True, exist_ok=True)
    command = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def interrupted(number, _):
        end_all(command)
        sys.exit(128 + number)

    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)

    problem, zombies = None, {}
    deadline = time.monotonic() + limit
    looked = time.monotonic()
    with selectors.DefaultSelector() as selector, open(log, "wb") as kept:
        selector.register(command.stdout, selectors.EVENT_READ)
        while command.poll() is None and problem is None:
            if selector.select(0.5):
                piece = os.read(command.stdout.fileno(), 1 << 16)
                if piece:
                    sys.stdout.buffer.write(piece)
                    sys.stdout.buffer.flush()
                    kept.write(piece)
                    kept.flush()
                else:
                    time.sleep(0.05)
            now = time.monotonic()
            if now > deadline:
                problem = f"the limit of {limit:g} s is over"
            if now - looked < 1 and problem is None:
                continue
            looked = now
            reap(command.pid)
            table = processes()
            mine = descendants(table)
            ended = {
                process for process in mine
                if table[process][1] == "Z" and table.get(table[process][2], ("",))[0].startswith(("swiftpm-testing", "credfsPackageT"))
            }
            zombies = {process: zombies.get(process, now) for process in ended}
            lost = {process for process, since in zombies.items() if now - since > ZOMBIE_SECONDS}
            if lost and problem is None:
                problem = f"a test process does not wait for its child: {described(table, lost)}"
        if problem is None:
            # What still writes into the pipe is left behind, and found below.
            os.set_blocking(command.stdout.fileno(), False)
            while True:
                try:
                    piece = os.read(command.stdout.fileno(), 1 << 16)
                except BlockingIOError:
                    break
                if not piece:
                    break
                sys.stdout.buffer.write(piece)
                kept.write(piece)
            sys.stdout.buffer.flush()
            grace = time.monotonic() + GRACE_SECONDS
            while True:
                reap(command.pid)
                table = processes()
                left = descendants(table)
                if not left or time.monotonic() > grace:
                    break
                time.sleep(0.05)
            if left:
                problem = f"processes are left behind: {described(table, left)}"
    if problem is None:
        sys.exit(command.returncode if command.returncode >= 0 else 128 - command.returncode)
    print(f"test: error: {problem}", file=sys.stderr)
    running = running_tests(log)
    for name in running[:MAXIMUM_NAMED]:
        print(f"test: error: had begun and not ended: {name}", file=sys.stderr)
    if len(running) > MAXIMUM_NAMED:
        print(f"test: error: and {len(running) - MAXIMUM_NAMED} more", file=sys.stderr)
    end_all(command)
    sys.exit(1)


main()
