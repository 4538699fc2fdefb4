# SPDX-License-Identifier: Apache-2.0
"""What scripts/benchmark runs: measures, prints ratios, and says which goals are met. Times fail nothing."""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

SMALL = 64
LARGE = 1 << 20


def main():
    parser = argparse.ArgumentParser(prog="scripts/benchmark", description="Measures credfs against a minimal C peer.")
    parser.add_argument("--quick", action="store_true", help="few repetitions")
    parser.add_argument("--all", action="store_true", help="100 000 secrets, too")
    parser.add_argument("--gocryptfs", action="store_true", help="compare reads with gocryptfs, too")
    parser.add_argument("--against", metavar="PROGRAM", help="another build of credfs, measured beside this one")
    parser.add_argument("--realtime", action="store_true", help="root: keep other programs off the processors meanwhile")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write every table and goal to a file, too")
    parser.add_argument("--only", metavar="F1,F2,...", help="only these goals; A, the costs of policy and audit, only if it is named")
    parser.add_argument("--program", help=argparse.SUPPRESS)
    parser.add_argument("--tools", type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.gocryptfs and not shutil.which("gocryptfs"):
        sys.exit("benchmark: error: no gocryptfs in PATH\nbenchmark: hint: apt-get install gocryptfs")
    if options.realtime and options.gocryptfs:
        sys.exit("benchmark: error: --realtime and --gocryptfs exclude each other: its threads would wait for each other")
    if options.realtime:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    chosen = set((options.only or "F1,F2,F3,F4,F5").split(","))
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with (
        tempfile.TemporaryDirectory(prefix="credfs-benchmark.") as directory,
        tempfile.TemporaryDirectory(prefix="credfs-benchmark.", dir=memory) as runtime,
    ):
        bench = Bench(options, pathlib.Path(directory), pathlib.Path(runtime))
        bench.print_conditions("before")
        for name in ("F1", "F2", "F3", "F4", "F5", "A"):
            if name in chosen:
                getattr(bench, name.lower())()
        bench.print_conditions("after")
        bench.print_goals()
        if options.json:
            options.json.write_text(json.dumps(bench.report(), indent=2) + "\n")


class Bench:
    """One run: its places, its mounts, its results."""

    def __init__(self, options, directory, runtime):
        self.options = options
        self.program = options.program
        self.tools = options.tools
        self.directory = directory
        self.goals, self.tables, self.quiet = [], [], quiet_processors()
        # On tmpfs, as where systemd makes it.
        runtime = runtime / "runtime"
        runtime.mkdir(mode=0o700)
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "XDG_RUNTIME_DIR": str(runtime)}

    # What everything is made of.

    def call(self, *command, **more):
        words = [str(word) for word in command]
        settings = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "text": True} | more
        return subprocess.run(words, env=self.environment, check=True, **settings).stdout

    def credfs(self, *arguments, **more):
        return self.call(self.program, *arguments, **more)

    def store(self, name, count, size):
        """A store with a key file and secrets S0, S1 and so on; the values are filler."""
        store = self.directory / name
        self.credfs("init", "--quiet", "--empty", "--store", store)
        template = self.directory / "template.yaml"
        template.touch(mode=0o600)
        lines = (f"  S{number}:\n    value: {'x' * size}\n" for number in range(count))
        template.write_text("secrets:\n" + "".join(lines))
        self.credfs("encrypt", "--quiet", "--store", store, template, stderr=subprocess.DEVNULL)
        return store

    def place(self, name):
        place = self.directory / name
        place.mkdir(mode=0o700, exist_ok=True)
        return place

    @contextlib.contextmanager
    def mounted(self, name, store, program=None):
        """A mount of credfs: its directory and the id of the process that serves."""
        place = self.place(name)
        self.call(program or self.program, "mount", "--store", store, place)
        try:
            mounts = json.loads(self.credfs("status", "--json"))["mounts"]
            yield place, next(mount["pid"] for mount in mounts if mount["path"] == str(place))
        finally:
            self.credfs("unmount", place)

    @contextlib.contextmanager
    def peer(self, name, count, size, loop):
        place = self.place(name)
        command = [self.tools / "peer", "serve", place, str(count), str(size), loop]
        # A session of its own, as every server in the background has: where the kernel groups tasks by sessions, both
        # sides are to be treated alike.
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, env=self.environment, start_new_session=True
        ) as process:
            process.stdout.readline()
            try:
                yield place
            finally:
                process.send_signal(signal.SIGTERM)

    @contextlib.contextmanager
    def gocryptfs(self, count, size):
        cipher, place, secret = self.place("cipher"), self.place("gocryptfs"), self.directory / "gocryptfs.password"
        secret.write_text("not-a-real-password\n")
        # What goes on in the background must not hold the pipe that a call waits for.
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        command = ("gocryptfs", "-quiet", "-passfile", secret)
        self.call(*command, "-init", "-scryptn", "10", cipher, **quiet)
        self.call(*command, cipher, place, **quiet)
        try:
            for number in range(count):
                (place / f"S{number}").write_text("x" * size)
            self.call("fusermount3", "-u", place)
            self.call(*command, "-ro", cipher, place, **quiet)
            yield place
        finally:
            self.call("fusermount3", "-u", place)

    def places(self, stack, name, count, size):
        """What reads are compared on, mounted until the stack ends."""
        store = self.store(f"{name}-store", count, size)
        places = {
            "C peer": stack.enter_context(self.peer(f"{name}-single", count, size, "single")),
            "C peer, several threads": stack.enter_context(self.peer(f"{name}-multi", count, size, "multi")),
            "credfs": stack.enter_context(self.mounted(name, store))[0],
        }
        if self.options.against:
            other = self.mounted(f"{name}-other", store, self.options.against)
            places["credfs, the other build"] = stack.enter_context(other)[0]
        return places

    def read(self, threads, milliseconds, size, place, count):
        files = [place / f"S{number}" for number in range(count)]
        words = self.call(self.tools / "reader", threads, milliseconds, size, *files).split()
        cycles, seconds, p50, p99, most, fewest_cycles, most_cycles = map(float, words)
        return {
            "p50": p50 / 1e3,
            "p99": p99 / 1e3,
            "max": most / 1e3,
            "rate": cycles / seconds,
            "bandwidth": cycles * size / seconds / (1 << 20),
            "fairness": fewest_cycles / most_cycles,
        }

    def read_in_turn(self, places, rounds, threads, milliseconds, size, count):
        """For every place the results of its rounds; the order changes from round to round."""
        results = {name: [] for name in places}
        names = list(places)
        for number in range(rounds):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                results[name].append(self.read(threads, milliseconds, size, places[name], count))
        return results

    def rounds(self, usual, quick):
        return quick if self.options.quick else usual

    # What is printed.

    def print_conditions(self, when):
        load = pathlib.Path("/proc/loadavg").read_text().split()[:3]
        if when == "before":
            now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
            version = self.credfs("--version").strip()
            processors = len(os.sched_getaffinity(0))
            priority = ", real-time priority" if self.options.realtime else ""
            print(f"{now}, {version}, Linux {platform.release()}, {processors} processors{priority}")
        quiet = f", quiet processors: {self.quiet:.1f}" if when == "before" else ""
        print(f"load {when}: {' '.join(load)}{quiet}", flush=True)

    def report(self):
        """Every table and goal as data."""
        return {
            "processors": len(os.sched_getaffinity(0)),
            "quietProcessors": round(self.quiet, 2),
            "kernel": platform.release(),
            "tables": [{"title": title, "columns": columns, "rows": rows} for title, columns, rows in self.tables],
            "goals": [dict(zip(("goal", "measured", "wanted", "verdict"), goal)) for goal in self.goals],
        }

    def table(self, title, rows, columns):
        print(f"\n{title}\n")
        self.tables.append((title, columns, [[str(cell) for cell in row] for row in rows]))
        cells = [columns] + [[str(cell) for cell in row] for row in rows]
        widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
        for number, row in enumerate(cells):
            padded = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
            print("| " + " | ".join(padded) + " |")
            if number == 0:
                print("|" + "|".join(["-" * (widths[0] + 2)] + ["-" * (width + 1) + ":" for width in widths[1:]]) + "|")
        sys.stdout.flush()

    # What policy and audit of opens cost.

    def log_files(self, store):
        return list((store / "state").glob("audit.log*"))

    def log_size(self, store):
        return sum(file.stat().st_size for file in self.log_files(store))

    def logged_opens(self, store):
        """Entries of opens, and the opens that they stand for."""
        entries = [json.loads(line) for file in self.log_files(store) for line in file.read_text().splitlines()]
        opens = [entry for entry in entries if entry["operation"] == "open"]
        return len(opens), sum(entry.get("repeat", {"count": 1})["count"] for entry in opens)

    def a(self):
        guarded, plain = self.store("a-guarded", 1, SMALL), self.store("a-plain", 1, SMALL)
        programs = f"{self.tools / 'reader'},{self.tools / 'opener'}"
        self.credfs("policy", "set", "--quiet", "--store", guarded, "S0", "--allow-exe", programs, "--allow-uid", os.getuid())
        # A log whose key is gone takes no entry and is begun by nobody.
        (plain / "state/audit.key").unlink()
        rounds, milliseconds = self.rounds(41, 15), 400
        with contextlib.ExitStack() as stack:
            quiet = {"stderr": subprocess.DEVNULL}
            places = {}
            for name, store in (("neither", plain), ("policy and audit", guarded)):
                places[name] = self.place(f"a-{name.split()[0]}")
                self.call(self.program, "mount", "--store", store, places[name], **quiet)
                stack.callback(self.credfs, "unmount", places[name], "--store", store, **quiet)
            results = self.read_in_turn(places, rounds, 1, milliseconds, SMALL, 1)
            ratios = [a["p50"] / b["p50"] for a, b in zip(results["policy and audit"], results["neither"])]
            rows = [
                [name, f"{statistics.median(r['p50'] for r in found):.1f}", f"{statistics.median(r['p99'] for r in found):.1f}"]
                for name, found in results.items()
            ]
            self.table("A open, read, read, close of 64 bytes by one process", rows, ["", "p50 us", "p99 us"])
            self.goal("A", "policy and audit, against neither", statistics.median(ratios), 1.15)

            rows = []
            seconds = self.rounds(60, 5)
            place = places["policy and audit"] / "S0"
            for kind, other in (("one process", "one"), ("a process each", "distinct")):
                time.sleep(1.5)
                size, (entries, opens) = self.log_size(guarded), self.logged_opens(guarded)
                words = self.call(self.tools / "opener", 1000, seconds, other, place).split()
                count, passed, p50, p99, most, failures = map(float, words)
                time.sleep(2.5)
                grown = self.log_size(guarded) - size
                new_entries, new_opens = (now - before for now, before in zip(self.logged_opens(guarded), (entries, opens)))
                lost = count - failures - new_opens
                rows.append(
                    [kind, f"{count / passed:.0f}", f"{p50 / 1e3:.0f}", f"{p99 / 1e3:.0f}", f"{most / 1e3:.0f}", new_entries,
                     f"{grown / 1024:.0f}", f"{grown / new_entries:.0f}", f"{grown / count:.1f}", f"{lost:.0f}"]
                )
                self.goal("A", f"opens that the log lacks, {kind}", lost + failures, 0)
            columns = ["", "opens/s", "p50 us", "p99 us", "max us", "entries", "log KiB", "bytes/entry", "bytes/open", "lost"]
            self.table(f"A 1000 opens a second for {seconds} s", rows, columns)

    def goal(self, name, what, value, limit, unit="", at_least=False):
        met = value >= limit if at_least else value <= limit
        sign = ">=" if at_least else "<="
        self.goals.append([f"{name} {what}", f"{value:.4g}{unit}", f"{sign} {limit:g}{unit}", "met" if met else "missed"])

    def print_goals(self):
        self.table("Goals", self.goals, ["goal", "measured", "wanted", ""])

    # What is measured.

    def f1(self):
        """`run -- true`, from its start to its end."""
        place = self.place("run")
        store = self.store("run-store", 10, SMALL)
        run = ["run", "--store", store, "--", "true"]
        programs = {
            "plain fork and exec": ["true"],
            "C peer": [self.tools / "peer", "run", place, 10, SMALL, "true"],
            "credfs": [self.program, *run],
        }
        if self.options.against:
            programs["credfs, the other build"] = [self.options.against, *run]
        programs |= self.other_tools()
        words = []
        for command in programs.values():
            words += ["::"] * bool(words) + command
        lines = self.call(self.tools / "alternate", self.rounds(200, 30), *words).splitlines()
        samples = [[tuple(map(int, cell.split("/"))) for cell in line.split()] for line in lines]
        rows, ratios = [], {}
        for index, name in enumerate(programs):
            passed = [sample[index][0] / 1e6 for sample in samples]
            used = [sample[index][1] / 1e3 for sample in samples]
            # Round by round, so that load that comes and goes hits both sides.
            ratios[name] = statistics.median(sample[index][0] / sample[1][0] for sample in samples)
            used_ratio = statistics.median(sample[index][1] / max(sample[1][1], 1) for sample in samples)
            fastest = min(passed) / min(sample[1][0] / 1e6 for sample in samples)
            rows.append(
                [name, f"{statistics.median(passed):.2f}", f"{min(passed):.2f}", f"{statistics.median(used):.2f}"]
                + [f"{ratio:.2f}" for ratio in (ratios[name], fastest, used_ratio)]
            )
        columns = ["F1: run of true", "median ms", "fastest ms", "CPU ms", "ratio", "ratio of fastest", "ratio of CPU"]
        self.table(f"F1, {len(samples)} rounds", rows, columns)
        self.goal("F1", "run, against the C peer", ratios["credfs"], 3)
        self.goal("F1", "run, the further goal", ratios["credfs"], 2.2)

    def other_tools(self):
        """What others do for a job of one file or one value, where they are installed; each with a key of its own."""
        programs, here = {}, self.directory / "others"
        here.mkdir()
        if shutil.which("age") and shutil.which("age-keygen"):
            key, sealed = here / "age.key", here / "value.age"
            self.call("age-keygen", "-o", key, stderr=subprocess.DEVNULL)
            recipient = self.call("age-keygen", "-y", key).strip()
            self.call("age", "-r", recipient, "-o", sealed, stdin=None, input="x" * SMALL)
            programs["age -d of one file"] = ["age", "-d", "-i", key, "-o", "/dev/null", sealed]
            if shutil.which("sops"):
                plain, document = here / "plain.json", here / "sops.json"
                plain.write_text(json.dumps({f"S{number}": "x" * SMALL for number in range(10)}))
                sops = ["sops", "--disable-version-check"]
                document.write_text(self.call(*sops, "encrypt", "--age", recipient, plain))
                self.environment["SOPS_AGE_KEY_FILE"] = str(key)
                programs["sops exec-env"] = [*sops, "exec-env", document, "true"]
                programs["sops exec-file"] = [*sops, "exec-file", document, "true {}"]
        if shutil.which("systemd-creds") and pathlib.Path("/var/lib/systemd/credential.secret").exists():
            sealed = here / "value.cred"
            with contextlib.suppress(subprocess.CalledProcessError):
                words = ["systemd-creds", "encrypt", "--with-key=host", "--name=value", "-", sealed]
                self.call(*words, stdin=None, input="x" * SMALL)
                programs["systemd-creds decrypt"] = ["systemd-creds", "decrypt", "--name=value", sealed, "/dev/null"]
        return programs

    def f2(self):
        """Many short reads by one reader."""
        with contextlib.ExitStack() as stack:
            places = self.places(stack, "small", 10, SMALL)
            if self.options.gocryptfs:
                places["gocryptfs"] = stack.enter_context(self.gocryptfs(10, SMALL))
            for threads in (1, 2, 16):
                results = self.read_in_turn(places, self.rounds(20, 5), threads, 200, SMALL, 10)
                self.reads(f"F2, {SMALL} bytes, {threads} reader{'s' * (threads > 1)}", results, threads == 1)

    def reads(self, title, results, judged):
        rows = []
        for name, rounds in results.items():
            middle = {key: statistics.median(result[key] for result in rounds) for key in ("p50", "p99", "rate")}
            ratios = {}
            for key in ("p50", "p99"):
                pairs = zip(results["credfs"], rounds)
                ratios[key] = statistics.median(ours[key] / theirs[key] for ours, theirs in pairs)
            rows.append(
                [name, f"{middle['p50']:.0f}", f"{middle['p99']:.0f}", f"{middle['rate']:.0f}"]
                + ([f"{ratios['p50']:.2f}", f"{ratios['p99']:.2f}"] if name != "credfs" else ["", ""])
            )
            if judged and name in ("C peer", "gocryptfs"):
                limit = 0.6 if name != "C peer" else 0.4 if self.quiet > 1.8 else 0.9
                self.goal("F2", f"median, against {name}", ratios["p50"], limit)
                self.goal("F2", f"p99, against {name}", ratios["p99"], 1)
        columns = ["", "p50 us", "p99 us", "cycles/s", "credfs/it p50", "credfs/it p99"]
        self.table(f"{title}, {len(results['credfs'])} rounds", rows, columns)

    def f3(self):
        """Large stores."""
        rows, base = [], None
        counts = [10, 10_000] + [100_000] * self.options.all
        for count in counts:
            store = self.store(f"store-{count}", count, SMALL)
            sealed = self.sealed_byte_count(store)
            place, times, resident = self.place(f"mount-{count}"), [], []
            for _ in range(self.rounds(5, 2)):
                started = time.monotonic()
                self.credfs("mount", "--store", store, place)
                try:
                    (place / f"S{count - 1}").read_bytes()
                    times.append(time.monotonic() - started)
                    mounts = json.loads(self.credfs("status", "--json"))["mounts"]
                    pid = next(mount["pid"] for mount in mounts if mount["path"] == str(place))
                    resident.append(status(pid)["VmRSS"])
                finally:
                    self.credfs("unmount", place)
            if count == 10_000:
                self.changes(store, count)
            memory = statistics.median(resident)
            base = base or memory
            beyond = (memory - base) * 1024 / max(count - 10, 1) - sealed
            rows.append(
                [f"{count}", f"{statistics.median(times):.3f}", f"{min(times):.3f}", f"{memory / 1024:.1f}"]
                + ([f"{beyond:.0f}"] if count > 10 else [""])
            )
            if count > 10:
                limit = 0.2 if count == 10_000 else 2
                self.goal("F3", f"{count} secrets mounted and readable", statistics.median(times), limit, " s")
                self.goal("F3", f"{count} secrets, memory for each beyond its sealed text", beyond, 400, " bytes")
        self.table(
            f"F3, {self.rounds(5, 2)} rounds", rows, ["secrets", "median s", "fastest s", "resident MiB", "bytes beyond"]
        )

    def changes(self, store, count):
        """One value, and an edit that changes nothing, among many secrets."""
        for what, limit, words in (
            ("set of one", 0.25, ["set", "--quiet", "--store", store, "S7"]),
            ("edit that changes nothing", 0.6, ["edit", "--quiet", "--store", store]),
        ):
            self.environment["CREDFS_EDITOR"] = "true"
            times = []
            for _ in range(self.rounds(5, 2)):
                started = time.monotonic()
                self.credfs(*words, stdin=None, input="y" * SMALL)
                times.append(time.monotonic() - started)
            self.goal("F3", f"{what} in {count}", statistics.median(times), limit, " s")

    def sealed_byte_count(self, store):
        """The length of the sealed text of a secret; all are alike."""
        for line in (store / "secrets.yaml").open():
            if (start := line.find("ENC[")) >= 0 and line.lstrip().startswith("value:"):
                return len(line.rstrip()) - start
        raise RuntimeError("nothing is sealed")

    def f4(self):
        """Large reads, and many readers."""
        with contextlib.ExitStack() as stack:
            places = self.places(stack, "large", 1, LARGE)
            results = self.read_in_turn(places, self.rounds(20, 5), 1, 300, LARGE, 1)
            rows = []
            for name, rounds in results.items():
                middle = statistics.median(result["bandwidth"] for result in rounds)
                pairs = zip(results["credfs"], rounds)
                ratio = statistics.median(ours["bandwidth"] / theirs["bandwidth"] for ours, theirs in pairs)
                rows.append([name, f"{middle:.0f}", f"{ratio:.2f}" if name != "credfs" else ""])
                if name == "C peer":
                    self.goal("F4", "1 MiB, bandwidth against the C peer", ratio, 0.5, at_least=True)
            self.table(f"F4, 1 MiB, 1 reader, {len(results['credfs'])} rounds", rows, ["", "MiB/s", "credfs/it"])
        with contextlib.ExitStack() as stack:
            places = self.places(stack, "many", 10, SMALL)
            results = self.read_in_turn(places, self.rounds(10, 3), 64, 1000, SMALL, 10)
            alone = self.read_in_turn(places, self.rounds(10, 3), 1, 300, SMALL, 10)
            rows = []
            for name, rounds in results.items():
                middle = {key: statistics.median(result[key] for result in rounds) for key in ("p50", "p99", "max", "rate")}
                fairness = min(result["fairness"] for result in rounds)
                pairs = zip(results["credfs"], rounds)
                ratio = statistics.median(ours["rate"] / theirs["rate"] for ours, theirs in pairs)
                scale = middle["rate"] / statistics.median(result["rate"] for result in alone[name])
                rows.append(
                    [name, f"{middle['rate']:.0f}", f"{scale:.2f}", f"{middle['p50']:.0f}", f"{middle['p99']:.0f}"]
                    + [f"{middle['max'] / 1e3:.1f}", f"{fairness:.2f}", f"{ratio:.2f}" if name != "credfs" else ""]
                )
                if name == "credfs":
                    self.goal("F4", "64 readers, slowest/fastest reader in the worst round", fairness, 0.1, at_least=True)
            columns = ["", "cycles/s", "of 1 reader", "p50 us", "p99 us", "max ms", "slowest/fastest", "credfs/it"]
            self.table(f"F4, {SMALL} bytes, 64 readers, {len(results['credfs'])} rounds of 1 s", rows, columns)

    def f5(self):
        """What it costs to have a mount."""
        with self.mounted("mount-idle", self.store("idle", 10, SMALL)) as (place, pid):
            (place / "S0").read_bytes()
            # The open is in the log after a while, and a second later what the server needed is given back.
            time.sleep(8)
            before = switches(pid)
            time.sleep(5)
            wakeups, memory = switches(pid) - before, status(pid)
            threads = memory["Threads"]
        stripped = self.directory / "stripped"
        self.call("strip", "-o", stripped, self.program)
        size, small = (pathlib.Path(path).stat().st_size / (1 << 20) for path in (self.program, stripped))
        rows = [
            ["resident, MiB", f"{memory['VmRSS'] / 1024:.1f}"],
            ["of that anonymous, MiB", f"{memory['RssAnon'] / 1024:.1f}"],
            ["most since start, MiB", f"{memory['VmHWM'] / 1024:.1f}"],
            ["locked, MiB", f"{memory['VmLck'] / 1024:.2f}"],
            ["threads", threads],
            ["wake-ups in 5 s", wakeups],
            ["program, MiB", f"{size:.1f}"],
            ["program without symbols, MiB", f"{small:.1f}"],
        ]
        self.table("F5, 10 secrets, idle", rows, ["", "measured"])
        self.goal("F5", "resident", memory["VmRSS"] / 1024, 7, " MiB")
        self.goal("F5", "wake-ups in 5 s", wakeups, 0)


def fields(path):
    values = {}
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        if (words := value.split()) and words[0].isdigit():
            values[name] = int(words[0])
    return values


def status(pid):
    return fields(pathlib.Path(f"/proc/{pid}/status"))


def quiet_processors():
    """Processors that nobody else uses, by their idle time in a second (/proc/stat)."""

    def times():
        values = [int(word) for word in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return values[3] + values[4], sum(values)

    idle, total = times()
    time.sleep(1)
    later, sum_later = times()
    return len(os.sched_getaffinity(0)) * (later - idle) / max(sum_later - total, 1)


def switches(pid):
    """How often the threads of a process gave up a processor, which an idle one does once per wake-up."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        values = fields(task / "status")
        total += values["voluntary_ctxt_switches"] + values["nonvoluntary_ctxt_switches"]
    return total


main()
