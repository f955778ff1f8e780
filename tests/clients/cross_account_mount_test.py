"""One volume and two accounts, as an operator does it: account OWNER owns the key, a user of account PARTNER may use it.

Both mount the same backing directory with keys from a kmsd over HTTP and credentials from profiles: one after the other, and with
--shared at the same time.
"""

import errno
import json
import os
import shutil
import subprocess
import threading
import time
import unittest

from kmsd_session import LIMIT_SECONDS, Refused
from mount_session import PARTNER, USE, MountTest, needs_fuse


@needs_fuse
class OneVolumeAndTwoAccounts(MountTest):
    def setUp(self):
        super().setUp()
        self.done("alice", "init", "--kms", self.session.url, "--key", "alias/test-kms", self.backing)

    def test_each_reads_what_the_other_wrote_and_only_the_owner_manages(self):
        self.mount("alice")
        self.write("letter", "to bob")
        self.unmount()
        # Without permission in its own account, the refusal names principal, action and key, and `why` explains it.
        refused = self.kmsfs("bob", "mount", self.backing, self.mountpoint)
        for part in (self.bob.arn, "kms:Decrypt", self.key):
            self.assertIn(part, refused.stderr)
        self.assertFalse(os.path.ismount(self.mountpoint))
        self.assertIn("no identity policy of the caller allows it", self.why("kms:Decrypt"))
        self.let_bob(USE)
        self.mount("bob")
        self.assertEqual(self.read("letter"), "to bob")
        self.write("reply", "to alice")
        self.unmount()
        self.mount("alice")
        self.assertEqual(self.read("reply"), "to alice")
        self.unmount()
        for arguments in (("disable-key", "--key-id", self.key), ("schedule-key-deletion", "--key-id", self.key),
                          ("put-key-policy", "--key-id", self.key, "--policy-name", "default", "--policy", "{}"),
                          ("create-grant", "--key-id", self.key, "--grantee-principal", self.bob.arn, "--operations", "Decrypt")):
            with self.assertRaises(Refused) as managing:
                self.session.aws("bob", *arguments)
            self.assertEqual(managing.exception.code, "AccessDeniedException")
        # The audit log tells who used which key for which file.
        uses = [line for line in self.session.audit_lines() if line["eventName"] == "Decrypt" and not line.get("errorCode")
                and line["userIdentity"].get("arn") == self.bob.arn]
        self.assertTrue(any("kmsfs:file" in line["requestParameters"]["encryptionContext"] for line in uses))

    def test_plain_http_to_another_host_needs_to_be_insisted_on_and_the_profile_may_be_named(self):
        elsewhere = self.session.url.replace("127.0.0.1", "0.0.0.0")  # this host, but not by a name that says so
        vault = str(self.session.path / "insecure")
        words = ["--profile", "alice", "--kms", elsewhere]
        refused = self.kmsfs("nobody", "init", *words, "--key", self.key, vault)
        self.assertEqual(refused.returncode, 2, refused.stderr)
        self.assertIn("use https", refused.stderr)
        self.done("nobody", "init", *words, "--insecure-http", "--key", self.key, vault)
        refused = self.kmsfs("nobody", "mount", *words, vault, self.mountpoint)
        self.assertIn("use https", refused.stderr)
        self.assertFalse(os.path.ismount(self.mountpoint))
        self.done("nobody", "mount", "-o", "profile=alice,insecure_http", vault, self.mountpoint)
        self.write("letter", "over plain http")
        self.assertEqual(self.status()["principal"], self.alice.arn)
        self.unmount()

    def why(self, action):
        return subprocess.run([os.environ["KMSFS"], "kms", "--kms", f"local:{self.session.store}", "why", self.bob.arn, action, self.key],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False).stdout

    def test_who_may_only_decrypt_mounts_read_only_and_hears_why(self):
        self.mount("alice")
        self.write("letter", "to bob")
        self.unmount()
        self.let_bob(["kms:DescribeKey", "kms:Decrypt"])
        self.assertIn("may not make data keys", self.mount("bob").stderr)
        self.assertIn("kms:GenerateDataKey", self.done("bob", "status", self.mountpoint).stdout)
        self.assertEqual(self.read("letter"), "to bob")
        self.refuses(errno.EROFS, self.write, "reply", "to alice")
        self.refuses(errno.EROFS, self.write, "letter", "changed")

    def test_a_drop_box_takes_files_and_gives_none_back(self):
        # Whoever may Decrypt the volume's own key, and no file's, can put files in and read names, not contents.
        self.mount("alice")
        self.write("letter", "not to bob")
        self.unmount()
        self.session.allow(PARTNER, "bob", [
            {"Effect": "Allow", "Action": ["kms:DescribeKey", "kms:GenerateDataKey"], "Resource": self.key},
            {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": self.key,
             "Condition": {"Null": {"kms:EncryptionContext:kmsfs:file": "true"}}}])
        self.mount("bob")
        self.write("dropped", "to alice")
        self.refuses(errno.EACCES, self.read, "letter")
        self.unmount()
        self.mount("bob")
        self.refuses(errno.EACCES, self.read, "dropped")
        self.unmount()
        self.mount("alice")
        self.assertEqual(self.read("dropped"), "to alice")

    def test_carrying_ciphertext_about_opens_no_file(self):
        self.mount("alice")
        self.write("secret", "alice's")
        self.write("public", "everybody's")
        secret, public = (json.loads(self.done("alice", "info", "--json", self.path(name)).stdout)[0] for name in ("secret", "public"))
        self.unmount()
        # Bob may use the keys of the volume and of one file, and writes the store at will.
        self.session.allow(PARTNER, "bob", [
            {"Effect": "Allow", "Action": ["kms:DescribeKey", "kms:GenerateDataKey"], "Resource": self.key},
            {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": self.key,
             "Condition": {"StringEqualsIfExists": {"kms:EncryptionContext:kmsfs:file": public["file_id"]}}}])
        self.mount("bob")
        self.assertEqual(self.read("public"), "everybody's")
        self.refuses(errno.EACCES, self.read, "secret")
        os.rename(self.path("secret"), self.path("moved"))
        os.link(self.path("moved"), self.path("linked"))
        self.refuses(errno.EACCES, self.read, "moved")
        self.refuses(errno.EACCES, self.read, "linked")
        os.rename(self.path("moved"), self.path("secret"))
        self.unmount()
        shutil.copyfile(os.path.join(self.backing, secret["stored_name"]), os.path.join(self.backing, public["stored_name"]))
        self.mount("bob")
        self.refuses(errno.EACCES, self.read, "public")


@needs_fuse
class TwoPrincipalsOnOneHost(MountTest):
    """Both have the same files open at the same time; what the KMS says to one is no answer to the other."""

    def setUp(self):
        super().setUp()
        self.done("alice", "init", "--kms", self.session.url, "--key", "alias/test-kms", self.backing)
        self.let_bob(USE)
        self.at_bob = str(self.session.path / "plain-bob")
        os.mkdir(self.at_bob)
        self.addCleanup(self.kmsfs, "bob", "umount", "--unguard", self.at_bob)
        self.addCleanup(subprocess.run, ["umount", "-l", self.at_bob], stderr=subprocess.DEVNULL, check=False)
        self.mount("alice", "--shared", "--probe-interval", "1")
        self.mount("bob", "--shared", "--probe-interval", "1", at=self.at_bob)

    def decrypts(self, arn):
        """The file ids for which that principal has asked, as the audit log tells."""
        return [line["requestParameters"]["encryptionContext"].get("kmsfs:file") for line in self.session.audit_lines()
                if line["eventName"] == "Decrypt" and not line.get("errorCode") and line["userIdentity"].get("arn") == arn]

    def file_id(self, name):
        return json.loads(self.done("alice", "info", "--json", self.path(name)).stdout)[0]["file_id"]

    def test_each_asks_the_kms_for_itself_and_each_reads_what_the_other_closed(self):
        self.write("letter", "to bob")
        self.assertEqual(self.read("letter", self.at_bob), "to bob")
        self.write("reply", "to alice", self.at_bob)
        self.assertEqual(self.read("reply"), "to alice")
        letter, reply = self.file_id("letter"), self.file_id("reply")
        # Alice made the key of the letter and holds it: that spared Bob nothing, and the reverse.
        self.assertIn(letter, self.decrypts(self.bob.arn))
        self.assertIn(reply, self.decrypts(self.alice.arn))
        processes = {self.status()["process"], self.status(self.at_bob)["process"]}
        self.assertEqual(len(processes), 2, "one process serves both")
        self.assertEqual(self.status()["principal"], self.alice.arn)
        self.assertEqual(self.status(self.at_bob)["principal"], self.bob.arn)

    def test_permission_taken_from_one_leaves_the_other_at_work_on_the_same_open_file(self):
        self.write("both", "of both")
        with open(self.path("both"), "rb", buffering=0) as hers, open(self.path("both", self.at_bob), "rb", buffering=0) as his:
            failures, stop = [], threading.Event()

            def read_on():
                while not stop.is_set():
                    try:
                        if os.pread(hers.fileno(), 7, 0) != b"of both":
                            failures.append("other bytes")
                    except OSError as failed:
                        failures.append(failed)
                    time.sleep(0.005)

            reader = threading.Thread(target=read_on, daemon=True)
            reader.start()
            try:
                self.assertEqual(os.pread(his.fileno(), 7, 0), b"of both")
                self.let_bob(["kms:DescribeKey"])
                self.comes_true(lambda: self.errno_of_reading(his) == errno.EACCES, "Bob reads on")
                self.refuses(errno.EACCES, self.read, "both", self.at_bob)
                states = [self.status(at)["master_keys"][0]["state"] for at in (self.mountpoint, self.at_bob)]
                self.assertEqual(states, ["usable", "denied"])
                self.write("later", "by alice")
                self.refuses(errno.EACCES, self.read, "later", self.at_bob)
                self.let_bob(USE)
                self.comes_true(lambda: self.errno_of_reading(his) == 0, "Bob's mount does not heal")
                self.assertEqual(self.read("later", self.at_bob), "by alice")
            finally:
                stop.set()
                reader.join(30)
            self.assertEqual(failures, [])

    @staticmethod
    def errno_of_reading(file):
        try:
            os.pread(file.fileno(), 7, 0)
        except OSError as failed:
            return failed.errno
        return 0


if __name__ == "__main__":
    unittest.main(verbosity=2)
