# SPDX-License-Identifier: Apache-2.0
"""Runs examples/kubernetes by a stand-in of a kubelet: podman, with the volumes as a kubelet makes them.

Usage: check-pods.py CREDFS DIRECTORY PODMAN... as root in a mount namespace of its own, where the images app and credfs are there.
A secret volume is a tmpfs with `key -> ..data/key`, a ConfigMap the same on a disk, an emptyDir everybody's; what a manifest says and
this script does not know is an error.
"""

import atexit
import os
import pathlib
import shutil
import subprocess
import sys
import time
import uuid

import yaml

PROGRAM, DIRECTORY, *PODMAN = sys.argv[1:]
DIRECTORY = pathlib.Path(DIRECTORY)
EXAMPLES = pathlib.Path(__file__).resolve().parent.parent / "examples/kubernetes"
VALUE, NEW_VALUE = "not-a-real-token", "another-unreal-token"
STORE = DIRECTORY / "pods-store"
# What a manifest calls a path of the node is below this one.
NODE = pathlib.Path("/run/node")
# What the machine, not the manifest, makes necessary. A container with the processes of the node has to have a control group, without a
# limit, since the controllers may not be there.
GROUP = pathlib.Path("/sys/fs/cgroup/credfs-check-pods")
LIMITS = ["--network", "none", "--ulimit", "nofile=512:512", "--ulimit", "nproc=512:512"]
OWN_PROCESSES = ["--cgroups", "disabled"]
HOST_PROCESSES = ["--pid", "host", "--cgroups", "no-conmon", "--cgroup-parent", f"/{GROUP.name}", "--pids-limit", "-1"]


def expect(is_true, message):
    if not is_true:
        sys.exit(f"check-pods: error: {message}")


def run(words, **options):
    return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, **options)


def do(words, **options):
    result = run(words, **options)
    expect(result.returncode == 0, f"{' '.join(map(str, words))}: {result.returncode}\n{result.stdout}")
    return result.stdout


def wait_for(what, condition):
    deadline = time.monotonic() + 60
    while not condition():
        expect(time.monotonic() < deadline, f"{what} does not happen")
        time.sleep(0.05)


def take(members, name, default=None):
    """Removes a member of a manifest, so that what is left is what nobody looked at."""
    return members.pop(name, default) if members else default


def finish(what, members):
    expect(not members, f"{what}: not known here: {members}")


class Volume:
    """A volume of a pod, as a directory of the node."""

    def __init__(self, volume, group):
        self.name = take(volume, "name")
        self.directory = DIRECTORY / f"volume-{self.name}-{uuid.uuid4()}"
        self.group = group
        self.is_shared = False
        if secret := take(volume, "secret"):
            expect(take(secret, "secretName") == "credfs-key", "another secret")
            self.project({"key": STORE / "secrets.key"}, take(secret, "defaultMode", 0o644), "tmpfs")
            finish("secret", secret)
        elif config := take(volume, "configMap"):
            expect(take(config, "name") == "credfs-manifest", "another ConfigMap")
            self.project({"secrets.yaml": STORE / "secrets.yaml"}, take(config, "defaultMode", 0o644), None)
            finish("configMap", config)
        elif empty := take(volume, "emptyDir"):
            expect(take(empty, "medium") == "Memory" and take(empty, "sizeLimit"), "an emptyDir on a disk")
            self.make("tmpfs")
            self.directory.chmod(0o2777 if group else 0o777)
            finish("emptyDir", empty)
        else:
            host = take(volume, "hostPath")
            self.directory = NODE / take(host, "path").removeprefix("/")
            if take(host, "type") == "DirectoryOrCreate":
                self.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
            expect(self.directory.is_dir(), f"the node has no {self.directory}")
            finish("hostPath", host)
        finish("volume", volume)

    def make(self, kind):
        self.directory.mkdir()
        if kind:
            do(["mount", "-t", kind, kind, self.directory])
            atexit.register(lambda: run(["umount", "--lazy", self.directory]))
        self.directory.chmod(0o2755 if self.group else 0o755)
        if self.group:
            os.chown(self.directory, 0, self.group)

    def project(self, files, mode, kind):
        """Files in a directory of a time, which a link of a link names (AtomicWriter of Kubernetes)."""
        if not self.directory.exists():
            self.make(kind)
        timed = self.directory / f"..{uuid.uuid4()}"
        timed.mkdir()
        for name, source in files.items():
            shutil.copyfile(source, timed / name)
            os.chmod(timed / name, mode | (0o440 if self.group else 0))
            if self.group:
                os.chown(timed / name, 0, self.group)
            if not (self.directory / name).is_symlink():
                (self.directory / name).symlink_to(f"..data/{name}")
        (self.directory / "..data_tmp").symlink_to(timed.name)
        (self.directory / "..data_tmp").rename(self.directory / "..data")


class Pod:
    """The container of a pod, as arguments of podman."""

    def __init__(self, file):
        document = yaml.safe_load((EXAMPLES / file).read_text())
        self.name = document["metadata"]["name"]
        spec = document["spec"]
        if document["kind"] == "DaemonSet":
            expect(spec["updateStrategy"] == {"type": "OnDelete"}, "another strategy")
            spec = spec["template"]["spec"]
        pod = take(spec, "securityContext", {})
        expect(take(spec, "automountServiceAccountToken") is False, "the pod has a token of the API")
        self.options = list(HOST_PROCESSES if take(spec, "hostPID") else OWN_PROCESSES)
        take(spec, "terminationGracePeriodSeconds")
        group = take(pod, "fsGroup")
        self.volumes = {volume.name: volume for volume in (Volume(each, group) for each in take(spec, "volumes"))}
        (container,) = take(spec, "containers")
        finish("pod", spec)
        self.image = take(container, "image").removeprefix("registry.example/").removesuffix(":1")
        command, self.arguments = take(container, "command"), take(container, "args", [])
        self.options += ["--entrypoint", "[" + ",".join(f'"{word}"' for word in command) + "]"]
        for variable in take(container, "env", []):
            self.options += ["--env", f"{variable['name']}={variable['value']}"]
        for mount in take(container, "volumeMounts"):
            propagation = {None: "", "Bidirectional": ",rshared", "HostToContainer": ",rslave"}[take(mount, "mountPropagation")]
            access = "ro" if take(mount, "readOnly") else "rw"
            volume = self.volumes[take(mount, "name")]
            self.options += ["--volume", f"{volume.directory}:{take(mount, 'mountPath')}:{access}{propagation}"]
            finish("volumeMount", mount)
        self.secure(pod, take(container, "securityContext"), group)
        for resource in take(take(container, "resources"), "limits", {}):
            expect(resource == "squat.ai/fuse", "another device")
            self.options += ["--device", "/dev/fuse"]
        self.probe = take(container, "readinessProbe", {}).get("exec", {}).get("command")
        finish("container", {name: value for name, value in container.items() if name not in ("name", "resources")})

    def secure(self, pod, container, group):
        profile = take(pod, "seccompProfile", {}).get("type")
        expect(profile in (None, "RuntimeDefault", "Localhost"), "another seccomp profile")
        user = take(pod, "runAsUser")
        if user is not None:
            expect(take(pod, "runAsNonRoot") and user > 0, "root")
            self.options += ["--user", f"{user}:{take(pod, 'runAsGroup')}"]
        if group:
            self.options += ["--group-add", str(group)]
        finish("securityContext of the pod", pod)
        if take(container, "privileged"):
            self.options += ["--privileged"]
        if take(container, "readOnlyRootFilesystem"):
            self.options += ["--read-only", "--read-only-tmpfs=false"]
        if take(container, "allowPrivilegeEscalation") is False:
            self.options += ["--security-opt", "no-new-privileges"]
        for capability in take(container, "capabilities", {}).get("drop", []):
            self.options += ["--cap-drop", capability.lower()]
        finish("securityContext", container)

    def run(self, *arguments):
        return run([*PODMAN, "run", "--rm", *LIMITS, *self.options, self.image, *(arguments or self.arguments)])

    def start(self):
        do([*PODMAN, "run", "--detach", "--name", self.name, *LIMITS, *self.options, self.image, *self.arguments])
        wait_for(
            f"readiness of {self.name}\n{run([*PODMAN, 'logs', self.name]).stdout}",
            lambda: run([*PODMAN, "exec", self.name, *self.probe]).returncode == 0,
        )

    def end(self, *how):
        do([*PODMAN, *how, self.name])
        do([*PODMAN, "rm", "--force", self.name])


def credfs(*words, value=None):
    plain = {"PATH": "/usr/bin:/bin", "HOME": str(DIRECTORY)}
    do([PROGRAM, *words, "--quiet", "--store", STORE], input=value, env=plain)


def remove_containers():
    """Removes what an error left, and its control groups, from the innermost."""
    run([*PODMAN, "rm", "--all", "--force", "--time", "0"])
    processes = GROUP.rglob("cgroup.procs")
    wait_for("the end of the containers", lambda: not any(file.read_text() for file in processes))
    for directory in sorted(GROUP.rglob("*"), key=lambda path: -len(path.parts)) if GROUP.exists() else []:
        if directory.is_dir():
            directory.rmdir()
    if GROUP.exists():
        GROUP.rmdir()


def mounted():
    return [line for line in open("/proc/self/mountinfo") if f" {NODE}/run/credfs-app " in line]


atexit.register(remove_containers)
credfs("init", "--empty")
credfs("set", "API_TOKEN", value=VALUE)
for file in "pod.yaml", "pod-fuse.yaml":
    result = Pod(file).run()
    expect(result.returncode == 0 and result.stdout.endswith(VALUE), f"{file}: {result.returncode}\n{result.stdout}")

# What a container mounts reaches the node only where both are shared.
do(["mount", "--make-rshared", "/run"])
daemon = Pod("daemonset.yaml")
daemon.start()
reader = Pod("reader.yaml")
result = reader.run()
expect(result.stdout == VALUE, f"the reader: {result.returncode}\n{result.stdout}")
# A new manifest reaches readers without a new pod, as a kubelet brings it.
credfs("set", "API_TOKEN", value=NEW_VALUE)
daemon.volumes["manifest"].project({"secrets.yaml": STORE / "secrets.yaml"}, 0o644, None)
wait_for("the new value", lambda: reader.run().stdout == NEW_VALUE)
# Killed with its container, it leaves errors, and its successor the mount.
daemon.end("kill")
result = reader.run()
expect(result.returncode != 0, f"a reader without a server: {result.stdout}")
daemon.start()
expect(reader.run().stdout == NEW_VALUE, "the successor of a killed container shows nothing")
expect(len(mounted()) == 1, f"mounts are left over each other: {mounted()}")
daemon.end("stop")
expect(not mounted(), f"a mount is left: {mounted()}")
print("check-pods: two pods, a daemon set and its reader")
