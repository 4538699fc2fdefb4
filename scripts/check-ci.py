# SPDX-License-Identifier: Apache-2.0
"""Runs examples/github-action and examples/ci by stand-ins of their runners: GitHub, GitLab, Jenkins and Woodpecker.

Usage: check-ci.py CREDFS, as root in a mount namespace of its own.
"""

import base64
import copy
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
import traceback
import uuid

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "Tests/Scripts"))
import read_variables  # noqa: E402  (the parser of GITHUB_ENV)

PROGRAM = sys.argv[1]
VALUE = "not-a-real-token"
LIMIT = 60
# What runners wait between one signal and the next, in seconds; theirs are 7.5 and 2.5.
GRACE = 0.3
ORDINARY = 4711
PLACE = pathlib.Path("/mnt/ci")
BIN = PLACE / "bin"
PATH = f"{BIN}:/usr/bin:/bin"

# What a job does with the path of its secret; `$OUT` is a directory of the test. None of them has the key in its environment.
CLEAN = '#!/bin/sh\nif env | grep -q CREDFS-KEY-1; then exit 99; fi\n'
GOOD = CLEAN + 'cat "$1" >"$OUT/value"; cat "$1"; echo; echo deployed\n'
BAD = GOOD + "exit 3\n"
OPEN = CLEAN + 'exec 3<"$1"; cat "$1" >"$OUT/value"; touch "$OUT/started"; sleep 600\n'
KILLED = GOOD + 'pid=$(credfs status --json | sed "s/.*\\"pid\\":\\([0-9]*\\).*/\\1/"); kill -9 "$pid"; exit 4\n'
WAITING = CLEAN + 'cat "$1" >/dev/null; touch "$OUT/started"; read line <"$OUT/go"; cat "$1" >"$OUT/value"\n'


def expect(is_true, message):
    if not is_true:
        print(f"check-ci: error: {message}", file=sys.stderr)
        traceback.print_stack(limit=6, file=sys.stderr)
        sys.stderr.flush()
        end_everything()
        os._exit(1)


def end_everything():
    """Kills what is in the mount namespace of this process: all of it was started here."""
    namespace, found = os.readlink("/proc/self/ns/mnt"), True
    while found:
        found = False
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{entry}/ns/mnt") == namespace and int(entry) != os.getpid():
                    os.kill(int(entry), signal.SIGKILL)
                    found = True
            except OSError:
                continue


def wait_for(what, condition):
    deadline = time.monotonic() + LIMIT
    while not condition():
        expect(time.monotonic() < deadline, f"{what} does not happen")
        time.sleep(0.01)


def do(words, **options):
    result = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT, **options)
    expect(result.returncode == 0, f"{' '.join(words)}: {result.returncode}\n{result.stdout}")
    return result.stdout


class Person:
    """Who a runner runs as, with a home and a store whose manifest is in a repository and whose key is not."""

    def __init__(self, uid):
        self.uid = uid
        self.directory = PLACE / f"user-{uid}"
        self.home = self.directory / "home"
        self.home.mkdir(parents=True)
        self.environment = {"PATH": PATH, "HOME": str(self.home), "LC_ALL": "C", "USER": "runner"}
        os.chown(self.home, uid, uid)
        self.home.chmod(0o700)
        do(self.words(["credfs", "init", "--quiet", "--empty"]), env=self.environment, cwd="/")
        do(self.words(["credfs", "set", "--quiet", "API_TOKEN"]), env=self.environment, cwd="/", input=VALUE)
        store = self.home / ".config/credfs"
        self.manifest = (store / "secrets.yaml").read_text()
        self.key = (store / "secrets.key").read_text().strip()
        shutil.rmtree(self.home / ".config")

    def words(self, words):
        if self.uid == 0:
            return words
        return ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups", *words]

    @property
    def runtime(self):
        """Where credfs keeps what it has to remember (XDG_RUNTIME_DIR is not set in CI)."""
        return pathlib.Path("/run/credfs" if self.uid == 0 else f"/tmp/credfs-{self.uid}")


class Workspace:
    """A check-out with the manifest and a script, and what a job writes for the test."""

    def __init__(self, person, script):
        self.person = person
        self.directory = person.directory / str(uuid.uuid4())
        self.repository, self.out, self.temporary = (self.directory / name for name in ("repository", "out", "temporary"))
        for directory in self.repository, self.out, self.temporary:
            directory.mkdir(parents=True)
            os.chown(directory, person.uid, person.uid)
        (self.repository / "secrets.yaml").write_text(person.manifest)
        (self.repository / "deploy.sh").write_text(script)
        (self.repository / "deploy.sh").chmod(0o755)
        shutil.copytree(ROOT / "examples/github-action", self.repository / "examples/github-action")
        for path in self.repository.rglob("*"):
            os.chown(path, person.uid, person.uid)
        os.mkfifo(self.out / "go")
        os.chown(self.out / "go", person.uid, person.uid)
        self.environment = {**person.environment, "OUT": str(self.out)}

    def has(self, name):
        return lambda: (self.out / name).exists()

    def read(self, name):
        return (self.out / name).read_text()

    def go(self):
        """Lets a script go on that waits, or is about to."""
        wait_for("somebody who waits", self.went)

    def went(self):
        try:
            descriptor = os.open(self.out / "go", os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return False
        os.write(descriptor, b"\n")
        os.close(descriptor)
        return True


class Step:
    """A process of a runner: its output line by line, and an end by signals."""

    def __init__(self, person, words, environment, directory, **options):
        self.lines = []
        self.process = subprocess.Popen(
            person.words(words), env=environment, cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, **options,
        )
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout), daemon=True)
        self.reader.start()

    def cancel(self, *signals, kill=None):
        kill = kill or self.process.send_signal
        for each in signals:
            try:
                kill(each)
            except ProcessLookupError:
                return
            try:
                self.process.wait(GRACE)
                return
            except subprocess.TimeoutExpired:
                continue

    def end(self):
        """Waits for the process, not for others that have its output."""
        status = self.process.wait(LIMIT)
        self.reader.join(GRACE)
        return status


class Cancellation:
    """A cancelled job: at a condition, while a step runs, by signals."""

    def __init__(self, condition, *signals):
        self.condition, self.signals = condition, signals


class GitHub:
    """What actions/runner does with a job: file commands, workflow commands, secrets, cancellation, post steps, orphans."""

    def __init__(self, workspace, secrets, changes=None, cancellation=None, before_orphans=lambda: None):
        workflow = yaml.safe_load((ROOT / "examples/ci/github-workflow.yml").read_text())
        self.workspace, self.secrets, self.cancellation = workspace, secrets, cancellation
        self.steps = copy.deepcopy(workflow["jobs"]["deploy"]["steps"])
        expect(self.steps[0]["uses"].startswith("actions/checkout@"), "the workflow begins with another step")
        for name, value in (changes or {}).items():
            self.steps[1]["with"][name] = value
        self.environment, self.log, self.masks = {}, [], set(filter(None, secrets.values()))
        self.tracking = f"github_{uuid.uuid4()}"
        self.conclusion, self.post, self.outputs = "success", [], {}
        for step in self.steps[1:]:
            if self.conclusion == "success":
                self.action(step) if "uses" in step else self.script(step)
        for post in reversed(self.post):
            post()
        before_orphans()
        self.end_orphans()

    def evaluate(self, text):
        return re.sub(r"\$\{\{ secrets\.(\w+) \}\}", lambda found: self.secrets.get(found[1], ""), text)

    def process(self, words, extra, step):
        """Runs one process with files of its own, and takes what it wrote there and said."""
        files = {}
        for name in "ENV", "STATE", "OUTPUT", "PATH", "STEP_SUMMARY":
            path = self.workspace.temporary / f"{name.lower()}_{uuid.uuid4()}"
            path.touch()
            os.chown(path, self.workspace.person.uid, self.workspace.person.uid)
            files[name] = path
        environment = {
            **self.workspace.environment, **self.environment, **extra, "CI": "true", "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(self.workspace.repository), "RUNNER_TEMP": str(self.workspace.temporary),
            "GITHUB_REPOSITORY": "acme/shop", "GITHUB_JOB": "deploy", "RUNNER_TRACKING_ID": self.tracking,
            **{f"GITHUB_{name}": str(path) for name, path in files.items()},
        }
        running = Step(self.workspace.person, words, environment, self.workspace.repository)
        wanted = self.cancellation
        if wanted and step and self.conclusion == "success":
            wait_for("the step to cancel", lambda: wanted.condition() or running.process.poll() is not None)
            if wanted.condition():
                self.conclusion = "cancelled"
                running.cancel(*wanted.signals)
        status = running.end()
        for line in running.lines:
            command = re.fullmatch(r"::add-mask::(.*)\n", line)
            if command:
                self.masks.add(command[1].replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%"))
            else:
                for mask in self.masks:
                    line = line.replace(mask, "***")
                self.log.append(line)
        written = {}
        for name in "ENV", "STATE", "OUTPUT":
            expect(self.workspace.person.key not in files[name].read_text(), f"the key is in GITHUB_{name}")
            expect(VALUE not in files[name].read_text(), f"a value is in GITHUB_{name}")
            written[name] = {key: value.decode() for key, value in read_variables.github(files[name], []).items()}
            files[name].unlink()
        for name in "PATH", "STEP_SUMMARY":
            files[name].unlink()
        expect("NODE_OPTIONS" not in written["ENV"], "the runner refuses NODE_OPTIONS")
        self.environment.update(written["ENV"])
        if status != 0 and self.conclusion == "success":
            self.conclusion = "failure"
        return status, written

    def script(self, step):
        file = self.workspace.temporary / "step.sh"
        file.write_text(step["run"])
        file.chmod(0o644)
        self.process(["bash", "-e", str(file)], {}, step)
        file.unlink()

    def action(self, step):
        directory = self.workspace.repository / step["uses"]
        definition = yaml.safe_load((directory / "action.yml").read_text())
        expect(definition["runs"]["using"] in ("node20", "node24"), "another runtime")
        expect(set(step["with"]) <= set(definition["inputs"]), "an input that the action does not have")
        inputs = {name: each.get("default", "") for name, each in definition["inputs"].items()}
        inputs.update({name: self.evaluate(value) for name, value in step["with"].items()})
        expect(all(isinstance(value, str) for value in inputs.values()), "inputs are text")
        extra = {f"INPUT_{name.replace(' ', '_').upper()}": value for name, value in inputs.items()}
        state = {}
        expect(definition["runs"]["post-if"] == "always()", "the end is not for every job")

        def post():
            words = ["node", str(directory / definition["runs"]["post"])]
            status, _ = self.process(words, {**extra, **{f"STATE_{name}": value for name, value in state.items()}}, None)
            expect(status == 0, f"the end of the action failed with {status}\n{''.join(self.log)}")

        # Before it begins: the runner ends also what it had to kill.
        self.post.append(post)
        _, written = self.process(["node", str(directory / definition["runs"]["main"])], extra, step)
        state.update(written["STATE"])
        self.outputs = written["OUTPUT"]

    def end_orphans(self):
        """Kills what is left of the job; the environment of a process that is not dumpable cannot be read by its user."""
        kill_by_environment(self.workspace.person, f"RUNNER_TRACKING_ID={self.tracking}", signal.SIGKILL)


def kill_by_environment(person, assignment, number):
    script = (
        "import os, sys\n"
        "for entry in filter(str.isdigit, os.listdir('/proc')):\n"
        "    try:\n"
        "        words = open(f'/proc/{entry}/environ').read().split('\\0')\n"
        "        if int(entry) != os.getpid() and sys.argv[1] in words: os.kill(int(entry), int(sys.argv[2]))\n"
        "    except OSError: continue\n"
    )
    do(person.words(["/usr/bin/python3", "-c", script, assignment, str(int(number))]))


def gitlab(workspace, key, cancellation=None):
    """What a shell executor of gitlab-runner does: one shell for before_script and script, another for after_script, always."""
    document = yaml.safe_load((ROOT / "examples/ci/gitlab-ci.yml").read_text())
    job = {**document[".credfs"], **document["deploy"]}
    expect(job.pop("extends") == ".credfs", "the job extends another")
    known = {"CI_PROJECT_DIR": str(workspace.repository), "CI_JOB_ID": str(uuid.uuid4().int % 10**9)}
    variables = {
        name: re.sub(r"\$(\w+)", lambda found: known[found[1]], value) for name, value in job["variables"].items()
    }
    environment = {
        **workspace.environment, **known, **variables, "CREDFS_KEY": key, "CI": "true", "GITLAB_CI": "true",
    }

    def shell(commands):
        script = "set -eo pipefail\nset +o noclobber\n" + "\n".join(commands) + "\n"
        return Step(
            workspace.person, ["bash", "-c", 'eval "$1"', "bash", script], environment, workspace.repository,
            start_new_session=True,
        )

    step = shell(job["before_script"] + job["script"])
    if cancellation:
        wait_for("the job to cancel", lambda: cancellation.condition() or step.process.poll() is not None)
        step.cancel(*cancellation.signals, kill=lambda number: os.killpg(step.process.pid, number))
    status = step.end()
    after = shell(job["after_script"])
    expect(after.end() == 0, f"after_script failed\n{''.join(after.lines)}")
    expect(not pathlib.Path(variables["CREDFS_MOUNT"]).exists(), "the directory of the mount is left")
    return status, "".join(step.lines)


def jenkins(workspace, key, is_aborted=None):
    """What an agent does with `sh` in withCredentials: a file of its own for the secret, and an end by the cookie of the build."""
    text = (ROOT / "examples/ci/Jenkinsfile").read_text()
    credential = re.search(r"withCredentials\(\[file\(credentialsId: '([^']+)', variable: '(\w+)'\)\]\)", text)
    script = re.search(r"^ *sh '((?:[^'\\]|\\.)*)'$", text, re.MULTILINE)[1]
    script = re.sub(r"\\(.)", r"\1", script)
    expect(credential[1] == "credfs-key", "another credential")
    secrets = workspace.temporary / "secretFiles"
    secrets.mkdir(mode=0o700)
    file = secrets / "secrets.key"
    file.write_text(key + "\n")
    file.chmod(0o400)
    for path in secrets, file:
        os.chown(path, workspace.person.uid, workspace.person.uid)
    cookie = str(uuid.uuid4())
    environment = {
        **workspace.environment, credential[2]: str(file), "JENKINS_URL": "http://localhost/", "BUILD_ID": "7",
        "JENKINS_NODE_COOKIE": cookie,
    }
    step = Step(workspace.person, ["sh", "-xe", "-c", script], environment, workspace.repository, start_new_session=True)
    if is_aborted:
        wait_for("the build to abort", lambda: is_aborted() or step.process.poll() is not None)
        kill_by_environment(workspace.person, f"JENKINS_NODE_COOKIE={cookie}", signal.SIGTERM)
    status = step.end()
    shutil.rmtree(secrets)
    return status, "".join(step.lines)


def woodpecker(workspace, key, is_killed=None):
    """What the docker backend does: a container without rights whose process 1 is a shell, killed where the pipeline is cancelled."""
    step = yaml.safe_load((ROOT / "examples/ci/woodpecker.yaml").read_text())["steps"][0]
    expect(step["environment"] == {"CREDFS_KEY": {"from_secret": "credfs_key"}}, "another environment")
    lines = ["unset CI_SCRIPT", f"cd {workspace.repository}"]
    for command in step["commands"]:
        quoted = command.replace("'", "'\\''")
        lines += [f"echo + '{quoted}'", command]
    environment = {
        **workspace.environment, "CREDFS_KEY": key, "CI": "woodpecker",
        "CI_SCRIPT": base64.b64encode("\n".join(lines).encode()).decode(),
    }
    # The capabilities of a container of docker, no device, and a /dev/shm of its own.
    prepare = (
        "mount -t tmpfs -o mode=1777 tmpfs /dev/shm; mount -t tmpfs -o mode=1777 tmpfs /tmp; "
        "mount -t tmpfs -o mode=0755 tmpfs /run; mount --bind /dev/null /dev/fuse; "
        'exec setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin "$@"'
    )
    words = ["sh", "-c", prepare, "sh", *workspace.person.words(["/bin/sh", "-c", "echo $CI_SCRIPT | base64 -d | /bin/sh -e"])]
    # As root in any case: the engine of the runner makes the container.
    root = copy.copy(workspace.person)
    root.uid = 0
    container = Step(
        root, ["unshare", "--mount", "--pid", "--fork", "--mount-proc", *words], environment, "/"
    )
    if is_killed:
        wait_for("the pipeline to cancel", lambda: is_killed() or container.process.poll() is not None)
        first = pathlib.Path(f"/proc/{container.process.pid}/task/{container.process.pid}/children").read_text()
        container.cancel(signal.SIGKILL, kill=lambda number: os.kill(int(first), number))
    return container.end(), "".join(container.lines)


def servers(person):
    """The processes of the program, by its file and their user: others of the machine may run one of the same name."""
    program, found = os.stat(PROGRAM), []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            user = re.search(r"^Uid:\t(\d+)", pathlib.Path(f"/proc/{entry}/status").read_text(), re.MULTILINE)[1]
            if int(user) == person.uid and os.path.samestat(os.stat(f"/proc/{entry}/exe"), program):
                found.append(int(entry))
        except OSError:
            continue
    return found


def expect_nothing_left(workspace, log):
    """No process, mount, directory, key or value."""
    wait_for("the end of the last process of credfs", lambda: not servers(workspace.person))
    mounts = re.findall(rf".* {workspace.person.directory}/.* - fuse.*", pathlib.Path("/proc/self/mountinfo").read_text())
    expect(not mounts, f"a mount is left: {mounts}")
    expect(list(workspace.temporary.iterdir()) == [], f"left: {list(workspace.temporary.iterdir())}")
    runtime = workspace.person.runtime
    left = list(runtime.rglob("*")) if runtime.exists() else []
    expect(left == [], f"left in the runtime directory: {left}")
    expect(workspace.person.key not in log, f"the key is in the log\n{log}")
    for path in workspace.person.directory.rglob("*"):
        if stat.S_ISREG(path.lstat().st_mode) and path.parent != workspace.out:
            content = path.read_bytes()
            for what in VALUE, workspace.person.key:
                expect(what.encode() not in content, f"{path} holds a value or the key")
    shutil.rmtree(workspace.directory)


def check_github(person):
    secrets = {"CREDFS_KEY": person.key}

    def job(script, expected, secrets=secrets, **options):
        workspace = Workspace(person, script)
        run = GitHub(workspace, secrets, **{name: make(workspace) for name, make in options.items()})
        log = "".join(run.log)
        expect(run.conclusion == expected, f"the job is a {run.conclusion}, expected {expected}\n{log}")
        expect(VALUE not in log, f"a value is in the log\n{log}")
        return workspace, run, log

    workspace, run, log = job(GOOD, "success")
    expect(workspace.read("value") == VALUE, "the job read something else")
    expect("***\ndeployed\n" in log, f"the log has no masked value\n{log}")
    expect(run.outputs == {"directory": run.environment["CREDENTIALS_DIRECTORY"]}, f"outputs: {run.outputs}")
    expect_nothing_left(workspace, log)

    workspace, _, log = job(BAD, "failure")
    expect(workspace.read("value") == VALUE, "the job read something else")
    expect_nothing_left(workspace, log)

    # The process that has a secret open is an orphan of the step when the action ends.
    workspace, _, log = job(
        OPEN, "cancelled", cancellation=lambda workspace: Cancellation(workspace.has("started"), signal.SIGINT, signal.SIGTERM)
    )
    expect(workspace.read("value") == VALUE, "the job read something else")
    expect_nothing_left(workspace, log)

    # The server is killed; the end of the job is none the less clean.
    workspace, _, log = job(KILLED, "failure")
    expect_nothing_left(workspace, log)

    workspace, _, log = job(GOOD, "failure", secrets={"CREDFS_KEY": "CREDFS-KEY-1:" + "A" * 43})
    expect("credfs mount ended with 15" in log and not workspace.has("value")(), f"a wrong key\n{log}")
    expect_nothing_left(workspace, log)

    # As in a pull request from a fork.
    workspace, _, log = job(GOOD, "failure", secrets={})
    expect("credfs mount ended with 15" in log, f"no key\n{log}")
    expect_nothing_left(workspace, log)

    for changes in {"mask": "maybe"}, {"credfs": "no-such-program"}, {"password": "as well"}, {"only": "NO_SUCH"}:
        workspace, _, log = job(GOOD, "failure", changes=lambda workspace, changes=changes: changes)
        expect("::error::credfs: " in log and not workspace.has("value")(), f"{changes}\n{log}")
        expect_nothing_left(workspace, log)

    workspace, _, log = job(
        CLEAN + 'cat "$X_PATH" >"$OUT/value"\n', "success",
        changes=lambda workspace: {"only": "API_TOKEN", "file-var": "API_TOKEN=X_PATH"},
    )
    expect(workspace.read("value") == VALUE, "the job read something else")
    expect_nothing_left(workspace, log)

    # Cancelled while the program is being started, by signals and by SIGKILL. What outlives it mounts nothing afterwards.
    def slow(workspace):
        path, out = workspace.out / "slow", workspace.out
        path.write_text(
            '#!/bin/sh\n[ "$1" = mount ] || exec credfs "$@"\n'
            f"key=$(cat <&3); touch {out}/started; read line <{out}/go\n"
            f'printf %s "$key" | credfs "$@" 3<&0 2>{out}/said; echo $? >{out}/status\n'
        )
        path.chmod(0o755)
        return {"credfs": str(path)}

    workspace, _, log = job(
        GOOD, "cancelled", changes=slow,
        cancellation=lambda workspace: Cancellation(workspace.has("started"), signal.SIGINT, signal.SIGTERM),
    )
    expect_nothing_left(workspace, log)

    def late_mount(workspace):
        def go():
            workspace.go()
            wait_for("the late mount", lambda: workspace.has("status")() and workspace.read("status").endswith("\n"))

        return go

    workspace, _, log = job(
        GOOD, "cancelled", changes=slow, before_orphans=late_mount,
        cancellation=lambda workspace: Cancellation(workspace.has("started"), signal.SIGKILL),
    )
    expect(workspace.read("status") == "10\n", f"a late mount ended with {workspace.read('status')}{workspace.read('said')}")
    expect_nothing_left(workspace, log)


def check_two_at_once(person):
    """The end of one job is not that of another's mount."""
    workspace = Workspace(person, WAITING)
    runs = []
    first = threading.Thread(target=lambda: runs.append(GitHub(workspace, {"CREDFS_KEY": person.key})))
    first.start()
    wait_for("the first job", workspace.has("started"))
    other = GitHub(Workspace(person, GOOD), {"CREDFS_KEY": person.key})
    expect(other.conclusion == "success", "".join(other.log))
    workspace.go()
    first.join(LIMIT)
    expect(runs[0].conclusion == "success" and workspace.read("value") == VALUE, "".join(runs[0].log))
    shutil.rmtree(other.workspace.directory)
    expect_nothing_left(workspace, "".join(runs[0].log))


def check_gitlab(person):
    def job(script, key=person.key, cancellation=None):
        workspace = Workspace(person, script)
        status, log = gitlab(workspace, key, cancellation and cancellation(workspace))
        return workspace, status, log

    workspace, status, log = job(GOOD)
    expect(status == 0 and workspace.read("value") == VALUE, f"GitLab: {status}\n{log}")
    expect_nothing_left(workspace, log)
    workspace, status, log = job(BAD)
    expect(status == 3, f"GitLab: a failed job ended with {status}\n{log}")
    expect_nothing_left(workspace, log)
    workspace, status, log = job(KILLED)
    expect(status == 4, f"GitLab: {status}\n{log}")
    expect_nothing_left(workspace, log)
    workspace, status, log = job("", key="CREDFS-KEY-1:" + "A" * 43)
    expect(status == 15, f"GitLab: a wrong key ended with {status}\n{log}")
    expect_nothing_left(workspace, log)
    workspace, status, log = job(
        OPEN, cancellation=lambda workspace: Cancellation(workspace.has("started"), signal.SIGTERM, signal.SIGKILL)
    )
    expect(status < 0, f"GitLab: a cancelled job ended with {status}\n{log}")
    expect_nothing_left(workspace, log)


def check_wrapping(name, stand_in, person, aborted):
    """A system whose job is one of `credfs run`."""
    for script, expected in (GOOD, 0), (BAD, 3):
        workspace = Workspace(person, script)
        status, log = stand_in(workspace, person.key)
        expect(status == expected and workspace.read("value") == VALUE, f"{name}: {status}\n{log}")
        expect_nothing_left(workspace, log)
    workspace = Workspace(person, OPEN)
    status, log = stand_in(workspace, person.key, workspace.has("started"))
    expect(status in aborted, f"{name}: an aborted job ended with {status}\n{log}")
    expect_nothing_left(workspace, log)
    workspace = Workspace(person, GOOD)
    status, log = stand_in(workspace, "CREDFS-KEY-1:" + "A" * 43)
    expect(status == 125 and not workspace.has("value")(), f"{name}: a wrong key ended with {status}\n{log}")
    expect_nothing_left(workspace, log)


def prepare():
    """A place in memory for everything, and a device that everybody may open, as on most systems."""
    do(["mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/mnt"])
    BIN.mkdir(parents=True)
    # The tree may be below /tmp, which is another one soon.
    global PROGRAM, ROOT
    shutil.copyfile(PROGRAM, BIN / "credfs")
    os.chmod(BIN / "credfs", 0o755)
    PROGRAM = str(BIN / "credfs")
    os.mkdir("/mnt/tree")
    do(["mount", "--bind", str(ROOT), "/mnt/tree"])
    ROOT = pathlib.Path("/mnt/tree")
    os.mknod("/mnt/fuse", 0o666 | stat.S_IFCHR, os.stat("/dev/fuse").st_rdev)
    os.chmod("/mnt/fuse", 0o666)
    users = [line for line in open("/etc/passwd") if line.split(":")[2] != str(ORDINARY)]
    pathlib.Path("/mnt/passwd").write_text("".join(users) + f"runner:x:{ORDINARY}:{ORDINARY}::/:/bin/sh\n")
    for source, target in [("/mnt/fuse", "/dev/fuse"), ("/mnt/passwd", "/etc/passwd")]:
        do(["mount", "--bind", source, target])
    for target, mode in [("/run", "0755"), ("/tmp", "1777")]:
        do(["mount", "-t", "tmpfs", "-o", f"mode={mode}", "tmpfs", target])


def check(person):
    check_github(person)
    check_gitlab(person)
    check_wrapping("Jenkins", jenkins, person, {143, -signal.SIGTERM})
    # 1 is what unshare(1) makes of a process 1 that was killed.
    check_wrapping("Woodpecker", woodpecker, person, {1})
    if person.uid != 0:
        check_two_at_once(person)
    ended.append(person)


ended = []
prepare()
# What one of them waits for the other uses; an error ends both.
threads = [threading.Thread(target=check, args=[person]) for person in (Person(0), Person(ORDINARY))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
expect(len(ended) == len(threads), "a check ended by an exception")
print("check-ci: GitHub, GitLab, Jenkins and Woodpecker, as root and as an ordinary user")
