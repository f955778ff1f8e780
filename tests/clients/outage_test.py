"""A KMS that stops, hangs, is slow, resets, talks rubbish, or whose certificate is over, below a live mount.

What is open goes on until its keys' age, then says EKEYEXPIRED; names, attributes and the unmount wait for nobody; and when the
KMS is back all goes on without a remount.
"""

import contextlib
import errno
import os
import shutil
import subprocess
import time
import unittest

from failing_proxy import FailingProxy
from mount_session import MountTest, needs_fuse

AGE_SECONDS = 2
WORDS = ["--key-age", str(AGE_SECONDS), "--probe-interval", "1"]
DEADLINE_SECONDS = 5  # of one operation at the KMS
SLACK_SECONDS = 25    # of a slow machine


@needs_fuse
class Outage(MountTest):
    def setUp(self):
        super().setUp()
        host, port = self.session.url.removeprefix("http://").split(":")
        self.proxy = self.enterContext(FailingProxy(self.session.path, (host, int(port))))
        self.trust = {"AWS_CA_BUNDLE": self.proxy.bundle}
        self.done("alice", "init", "--kms", self.proxy.url, "--key", self.key, self.backing, environment=self.trust)

    def mount_and_open(self, *options):
        self.mount("alice", *options, environment=self.trust)
        for name in ("open", "closed"):
            self.write(name, name)
        self.unmount()
        self.mount("alice", *options, environment=self.trust)  # nothing is cached from here on
        self.file = os.open(self.path("open"), os.O_RDWR)
        self.addCleanup(self.close_file)
        self.assertEqual(self.reading(), 0)

    def close_file(self):
        if self.file is not None:
            os.close(self.file)
            self.file = None

    def reading(self):
        try:
            return 0 if os.pread(self.file, 4, 0) == b"open" else -1
        except OSError as failed:
            return failed.errno

    def names_and_attributes_work(self):
        """In a process of its own, which may be killed when it hangs."""
        done = subprocess.run(["/bin/sh", "-ec", "ls -l; stat open closed; mkdir d; mv closed d/moved; mv d/moved closed; rmdir d; chmod 600 closed; df ."],
                              cwd=self.mountpoint, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SLACK_SECONDS, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def errno_of_opening(self, name, flags=os.O_RDONLY):
        try:
            os.close(os.open(self.path(name), flags, 0o600))
        except OSError as failed:
            return failed.errno
        return 0

    def open_fails(self):
        """At once, or when keys that were held are past their age; never later than an operation's deadline."""
        for name, flags in (("closed", os.O_RDONLY), ("new", os.O_WRONLY | os.O_CREAT)):
            self.comes_true(lambda name=name, flags=flags: self.errno_of_opening(name, flags) == errno.EKEYEXPIRED, f"{name} opens")
            began = time.monotonic()
            self.assertEqual(self.errno_of_opening(name, flags), errno.EKEYEXPIRED)
            self.assertLess(time.monotonic() - began, DEADLINE_SECONDS + SLACK_SECONDS)

    def mount_elsewhere_fails(self):
        other = self.session.path / "elsewhere"
        other.mkdir(exist_ok=True)
        copy = self.session.path / "copy"
        if not copy.exists():
            shutil.copytree(self.backing, copy, symlinks=True)
        began = time.monotonic()
        failed = self.kmsfs("alice", "mount", str(copy), str(other), environment=self.trust)
        self.assertEqual(failed.returncode, 7, failed.stderr)
        self.assertIn("GetCallerIdentity", failed.stderr)
        self.assertLess(time.monotonic() - began, 2 * DEADLINE_SECONDS + SLACK_SECONDS)
        return failed.stderr

    def survives(self, mode, says=None):
        """From an outage of this kind to its end."""
        with self.subTest(mode), contextlib.ExitStack() as at_end:
            at_end.callback(self.proxy.set_mode, "pass")
            self.comes_true(lambda: self.reading() == 0, "the file does not read before")
            self.proxy.set_mode(mode)
            began = time.monotonic()
            self.assertEqual(self.reading(), 0, "what is open must go on")
            self.names_and_attributes_work()
            self.comes_true(lambda: self.reading() == errno.EKEYEXPIRED, "the age of the keys is not over")
            expired = time.monotonic() - began
            self.assertEqual(self.status()["master_keys"][0]["state"], "unreachable")
            self.open_fails()
            self.names_and_attributes_work()
            if says:
                self.assertIn(says, self.mount_elsewhere_fails())
            self.proxy.set_mode("pass")
            back = time.monotonic()
            self.comes_true(lambda: self.reading() == 0, "it does not heal")
            self.assertEqual(self.read("closed"), "closed")
            print(f"{mode}: EKEYEXPIRED after {expired:.1f} s (age {AGE_SECONDS} s), healed in {time.monotonic() - back:.1f} s", flush=True)

    def test_open_files_go_on_until_their_age_and_all_heals(self):
        self.mount_and_open(*WORDS)
        self.survives("stopped", says="connect")
        self.survives("hang", says="in time")
        self.survives("reset")
        self.survives("rubbish")
        self.survives("expired certificate", says="certificate")
        self.proxy.set_mode("slow")
        self.assertEqual(self.read("closed"), "closed")
        self.write("new", "slowly")
        self.assertEqual(self.reading(), 0)
        self.proxy.set_mode("pass")
        self.close_file()
        self.unmount()

    def test_unmounting_does_not_wait_for_a_kms_that_hangs(self):
        self.mount_and_open(*WORDS)
        os.pwrite(self.file, b"OPEN", 0)
        self.proxy.set_mode("hang")
        self.close_file()
        began = time.monotonic()
        self.unmount()
        self.assertLess(time.monotonic() - began, 4 * DEADLINE_SECONDS + SLACK_SECONDS)
        self.proxy.set_mode("pass")
        self.mount("alice", environment=self.trust)
        self.assertEqual(self.read("open"), "OPEN")
        self.unmount()

    def test_in_the_outage_grace_open_files_go_on_and_a_refusal_ends_them_all_the_same(self):
        self.mount_and_open("--key-age", "1", "--probe-interval", "1", "--outage-grace", "3600")
        self.proxy.set_mode("stopped")
        began = time.monotonic()
        while time.monotonic() - began < 2.5:  # twice the age, and more
            self.assertEqual(self.reading(), 0, "what is open must go on in the grace")
            time.sleep(0.1)
        self.assertEqual(self.errno_of_opening("closed"), errno.EKEYEXPIRED)
        self.session.admin("--principal", self.admin_arn, "disable-key", "--key-id", self.key)
        self.assertEqual(self.reading(), 0, "nobody can know yet")
        self.proxy.set_mode("pass")
        self.comes_true(lambda: self.reading() == errno.EKEYREVOKED, "the refusal does not end the grace")
        self.proxy.set_mode("stopped")
        time.sleep(1.5)
        self.assertEqual(self.reading(), errno.EKEYREVOKED, "the grace came back after a refusal")
        self.proxy.set_mode("pass")
        self.session.admin("--principal", self.admin_arn, "enable-key", "--key-id", self.key)
        self.comes_true(lambda: self.reading() == 0, "it does not heal")
        self.close_file()
        self.unmount()


if __name__ == "__main__":
    unittest.main(verbosity=2)
