"""The walk through two accounts and two mounts of docs/REMOTE-KMS.md, command by command as it stands there."""

import os
import pathlib
import signal
import subprocess
import tempfile
import unittest

from mount_session import needs_fuse, watchdog

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "REMOTE-KMS.md"
LIMIT_SECONDS = 150
REFUSED = "# refused"


def script():
    """The page's blocks of shell that begin with their number, one after the other; a line that ends in REFUSED must fail."""
    lines, inside = ["set -eu"], False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line == "```sh":
            inside = True
        elif line == "```":
            inside = False
        elif inside and line.endswith(REFUSED):
            command = line.removesuffix(REFUSED).rstrip()
            lines.append(f"if {command}; then echo 'not refused:' {line.split()[0]}; exit 99; fi")
        elif inside:
            lines.append(line)
    return "\n".join(lines) + "\n"


@needs_fuse
class WalkThrough(unittest.TestCase):
    def test_every_command_does_what_the_page_says(self):
        with tempfile.TemporaryDirectory(prefix="kmsfs-walk-") as directory, watchdog(directory):
            programs = {os.path.dirname(os.environ[name]) for name in ("KMSFS", "KMSD")}
            environment = {"PATH": ":".join([*programs, "/usr/sbin:/usr/bin:/sbin:/bin"]), "HOME": directory, "LANG": "C.UTF-8",
                           "AWS_EC2_METADATA_DISABLED": "true"}
            shell = subprocess.Popen(["/bin/sh", "-c", script()], cwd=directory, env=environment, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
            try:
                output, _ = shell.communicate(timeout=LIMIT_SECONDS)
            finally:
                # kmsd is of its group; the mounts' processes are not, and end with their mounts.
                try:
                    os.killpg(shell.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                shell.wait(30)
                for name in ("alice", "bob"):
                    mountpoint = os.path.join(directory, name)
                    subprocess.run(["umount", "-l", mountpoint], stderr=subprocess.DEVNULL, check=False, timeout=60)
                    subprocess.run([os.environ["KMSFS"], "umount", "--unguard", mountpoint], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, env=environment, timeout=60)
            self.assertEqual(shell.returncode, 0, output)
            for said in ("to bob", "to alice", "may not make data keys", "no identity policy of the caller allows it", "denied since"):
                self.assertIn(said, output)


if __name__ == "__main__":
    unittest.main(verbosity=2)
