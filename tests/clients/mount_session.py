"""Mounts of a test's own, with keys from a kmsd: whoever runs the test is several principals by their profiles.

Whatever becomes of the test, its mounts go: a process outside of it aborts their connections to the kernel when the test has
ended or has taken too long. So nothing that hangs in a mount outlives it.
"""

import contextlib
import json
import os
import subprocess
import time
import unittest

from kmsd_session import LIMIT_SECONDS, Session

OWNER, PARTNER = "111122223333", "444455556666"
USE = ["kms:DescribeKey", "kms:GenerateDataKey", "kms:Decrypt"]
WATCHDOG_SECONDS = 300
WATCHDOG = r"""
read -r -t "$2" word
tac /proc/mounts | cut -d' ' -f2 | while read -r mount; do
  case $mount in "$1"/*) umount -f "$mount"; umount -l "$mount";; esac
done
chattr -i "$1"/*
"""

needs_fuse = unittest.skipUnless(os.geteuid() == 0 and os.access("/dev/fuse", os.R_OK | os.W_OK), "needs root and /dev/fuse")


@contextlib.contextmanager
def watchdog(path):
    """Takes every mount below `path` away when this ends, when the test dies, or after WATCHDOG_SECONDS."""
    process = subprocess.Popen(["/bin/bash", "-c", WATCHDOG, "watchdog", str(path), str(WATCHDOG_SECONDS)], stdin=subprocess.PIPE,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        yield
    finally:
        process.stdin.close()
        process.wait(60)


class MountTest(unittest.TestCase):
    """A kmsd with an owner's account and a partner's, and one volume whose key belongs to the owner."""

    def setUp(self):
        session = self.session = self.enterContext(Session())
        self.enterContext(watchdog(session.path))
        admin = session.make_user(OWNER, "admin", [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}])
        self.alice = session.make_user(OWNER, "alice", [{"Effect": "Allow", "Action": USE, "Resource": "*"}])
        self.bob = session.make_user(PARTNER, "bob")
        self.admin_arn = admin.arn
        session.write_profiles(admin=admin, alice=self.alice, bob=self.bob)
        self.key = session.admin("--principal", admin.arn, "create-key", "--alias", "test-kms", "--admin", "user/admin",
                                 "--user", "user/alice", "--external-account", PARTNER)["KeyMetadata"]["Arn"]
        self.backing, self.mountpoint = str(session.path / "vault"), str(session.path / "plain")
        os.mkdir(self.mountpoint)
        self.addCleanup(self.kmsfs, "alice", "umount", "--unguard", self.mountpoint)
        self.addCleanup(subprocess.run, ["umount", "-l", self.mountpoint], stderr=subprocess.DEVNULL, check=False)

    def kmsfs(self, profile, *arguments, environment=None):
        environment = self.session.environment() | {"AWS_PROFILE": profile, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"} | (environment or {})
        return subprocess.run([os.environ["KMSFS"], *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=LIMIT_SECONDS, check=False, env=environment)

    def done(self, profile, *arguments, environment=None):
        result = self.kmsfs(profile, *arguments, environment=environment)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result

    def mount(self, profile, *options, at=None, environment=None):
        return self.done(profile, "mount", *options, self.backing, at or self.mountpoint, environment=environment)

    def unmount(self):
        self.done("alice", "umount", self.mountpoint)

    def let_bob(self, actions, **condition):
        statement = {"Effect": "Allow", "Action": actions, "Resource": self.key}
        if condition:
            statement["Condition"] = condition
        self.session.allow(PARTNER, "bob", [statement])

    def path(self, name, at=None):
        return os.path.join(at or self.mountpoint, name)

    def write(self, name, text, at=None):
        with open(self.path(name, at), "w", encoding="utf-8") as file:
            file.write(text)

    def read(self, name, at=None):
        with open(self.path(name, at), encoding="utf-8") as file:
            return file.read()

    def refuses(self, number, call, *arguments, **named):
        with self.assertRaises(OSError) as refused:
            call(*arguments, **named)
        self.assertEqual(refused.exception.errno, number, refused.exception)

    def status(self, at=None):
        return json.loads(self.done("alice", "status", "--json", at or self.mountpoint).stdout)

    def comes_true(self, condition, what):
        until = time.monotonic() + 60
        while not condition():
            self.assertLess(time.monotonic(), until, what)
            time.sleep(0.02)
