"""A Place is one peer mounted over a fresh directory; gone, with its daemon, when the `with` block ends."""
import contextlib
import os
import pathlib
import shutil
import signal

import peers
import processes
from processes import Failed

CONNECTIONS = pathlib.Path("/sys/fs/fuse/connections")


def _read(path):
    try:
        return pathlib.Path(path).read_bytes()
    except OSError:
        return b""


def _device_of_mount(mountpoint):
    """The minor number of the device that is mounted there; None if nothing is. Never asks the mounted file system."""
    for line in _read("/proc/self/mountinfo").decode().splitlines():
        fields = line.split()
        if fields[4] == mountpoint:
            return int(fields[2].split(":")[1])
    return None


def _daemon_of(mountpoint):
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        if mountpoint.encode() not in _read(process / "cmdline").split(b"\0"):
            continue
        try:
            if any(os.readlink(fd) == "/dev/fuse" for fd in (process / "fd").iterdir()):
                return int(process.name)
        except OSError:
            continue
    return None


def _has_ended(process, seconds):
    return processes.wait_until(lambda: not os.path.exists(f"/proc/{process}"), seconds)


class Place:
    def __init__(self, peer, parent, drops_caches):
        self.peer = peer
        self.top = pathlib.Path(parent) / peer.name.replace("/", "_")
        self.backing, self.state = self.top / "backing", self.top / "state"
        self.directory = self.backing if peer.mount is None else self.top / "mountpoint"
        self.daemon = None
        self._drops_caches = drops_caches

    def __enter__(self):
        for directory in (self.backing, self.state, self.directory):
            directory.mkdir(parents=True, exist_ok=True)
        (self.state / "password").write_text(peers.PASSWORD + "\n")
        try:
            if self.peer.make:
                processes.command(self._filled(self.peer.make))
            self._mount()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            self._unmount()
        except Failed:
            self.abort()
            with contextlib.suppress(Failed):
                self._unmount()
        shutil.rmtree(self.top, ignore_errors=True)

    def make_cold(self):
        """Nothing of what was read or written is in memory any more, as far as a user can see to that."""
        self._unmount()
        if self._drops_caches:
            os.sync()
            pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
        self._mount()

    def abort(self):
        """Whatever waits for the file system gets an error now."""
        self._abort(_device_of_mount(str(self.directory)))

    def forget_peak(self):
        if self.daemon:
            try:
                pathlib.Path(f"/proc/{self.daemon}/clear_refs").write_text("5")
            except OSError:
                pass

    def memory_kib(self):
        """Resident memory of the daemon: now, and at most since forget_peak()."""
        sizes = {}
        for line in _read(f"/proc/{self.daemon}/status").decode().splitlines():
            name, _, value = line.partition(":")
            if name in ("VmRSS", "VmHWM"):
                sizes[name] = int(value.split()[0])
        return sizes.get("VmRSS"), sizes.get("VmHWM")

    def processor_seconds(self):
        fields = _read(f"/proc/{self.daemon}/stat").rpartition(b")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0

    def _filled(self, arguments):
        places = {"backing": self.backing, "mountpoint": self.directory, "state": self.state}
        return [argument.format(**places) for argument in arguments]

    def _mount(self):
        if self.peer.mount is None:
            return
        answers = self.top / "answers"
        answers.write_text(self.peer.stdin)
        with open(answers, encoding="utf-8") as stdin:
            processes.start_daemon(self._filled(self.peer.mount), self.top / "log", stdin=stdin,
                                   seconds=240, env={**os.environ, **self.peer.environment})  # cryfs thinks long about a password
        if not processes.wait_until(lambda: _device_of_mount(str(self.directory)) is not None, 20):
            raise Failed(f"{self.peer.name} is not mounted after 20 s")
        self.daemon = _daemon_of(str(self.directory))

    def _unmount(self):
        if self.peer.mount is None:
            return
        daemon, self.daemon = self.daemon, None
        device = _device_of_mount(str(self.directory))
        if device is None:
            return
        with contextlib.suppress(Failed):  # whether it can be unmounted is what counts
            processes.command(["sync", "-f", str(self.directory)], 60)
        for left in range(20, -1, -1):  # a program that was killed may need a while to let go
            try:
                processes.command(["umount", *([] if left else ["-l"]), str(self.directory)], 60)
                break
            except Failed:
                processes.wait_until(lambda: False, 0.25)
        if not daemon or _has_ended(daemon, 10):
            return
        self._abort(device)  # another mount namespace has a copy of the mount
        if not _has_ended(daemon, 20):
            os.kill(daemon, signal.SIGKILL)
            _has_ended(daemon, 10)

    @staticmethod
    def _abort(device):
        if device is not None and (CONNECTIONS / str(device) / "abort").exists():
            (CONNECTIONS / str(device) / "abort").write_text("1")
