"""One volume and two accounts, as an operator does it: account OWNER owns the key, a user of account PARTNER may use it.

Both mount the same backing directory, one after the other, with keys from a kmsd over HTTP and credentials from profiles.
"""

import errno
import json
import os
import shutil
import subprocess
import unittest

from kmsd_session import LIMIT_SECONDS, Refused, Session

OWNER, PARTNER = "111122223333", "444455556666"
USE = ["kms:DescribeKey", "kms:GenerateDataKey", "kms:Decrypt"]


@unittest.skipUnless(os.geteuid() == 0 and os.access("/dev/fuse", os.R_OK | os.W_OK), "needs root and /dev/fuse")
class OneVolumeAndTwoAccounts(unittest.TestCase):
    def setUp(self):
        session = self.session = self.enterContext(Session())
        admin = session.make_user(OWNER, "admin", [{"Effect": "Allow", "Action": "kms:*", "Resource": "*"}])
        alice = session.make_user(OWNER, "alice", [{"Effect": "Allow", "Action": USE, "Resource": "*"}])
        self.bob = session.make_user(PARTNER, "bob")
        session.write_profiles(admin=admin, alice=alice, bob=self.bob)
        self.key = session.admin("--principal", admin.arn, "create-key", "--alias", "test-kms", "--admin", "user/admin",
                                 "--user", "user/alice", "--external-account", PARTNER)["KeyMetadata"]["Arn"]
        self.backing, self.mountpoint = str(session.path / "vault"), str(session.path / "plain")
        os.mkdir(self.mountpoint)
        self.addCleanup(self.kmsfs, "alice", "umount", "--unguard", self.mountpoint)
        self.addCleanup(subprocess.run, ["umount", "-l", self.mountpoint], stderr=subprocess.DEVNULL, check=False)
        self.done("alice", "init", "--kms", session.url, "--key", "alias/test-kms", self.backing)

    def kmsfs(self, profile, *arguments):
        environment = self.session.environment() | {"AWS_PROFILE": profile, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        return subprocess.run([os.environ["KMSFS"], *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=LIMIT_SECONDS, check=False, env=environment)

    def done(self, profile, *arguments):
        result = self.kmsfs(profile, *arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result

    def mount(self, profile, *options):
        return self.done(profile, "mount", *options, self.backing, self.mountpoint)

    def unmount(self):
        self.done("alice", "umount", self.mountpoint)

    def let_bob(self, actions, **condition):
        statement = {"Effect": "Allow", "Action": actions, "Resource": self.key}
        if condition:
            statement["Condition"] = condition
        self.session.allow(PARTNER, "bob", [statement])

    def path(self, name):
        return os.path.join(self.mountpoint, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def refuses(self, number, call, *arguments):
        with self.assertRaises(OSError) as refused:
            call(*arguments)
        self.assertEqual(refused.exception.errno, number)

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


if __name__ == "__main__":
    unittest.main(verbosity=2)
