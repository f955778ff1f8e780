"""A volume of mode branch and two accounts: each principal opens branch keys by its own Decrypt, and the audit log names branches."""

import errno
import os
import unittest

from mount_session import USE, MountTest, needs_fuse

FILES = 40


@needs_fuse
class OneBranchAndTwoAccounts(MountTest):
    def setUp(self):
        super().setUp()
        self.done("alice", "init", "--mode", "branch", "--kms", self.session.url, "--key", "alias/test-kms", self.backing)

    def calls(self, name, arn):
        """The branches that this principal has named in such calls, in their order."""
        contexts = [line["requestParameters"]["encryptionContext"] for line in self.session.audit_lines()
                    if line["eventName"] == name and not line.get("errorCode") and line["userIdentity"].get("arn") == arn]
        self.assertFalse(any("kmsfs:file" in context for context in contexts))
        return [context["kmsfs:branch"] for context in contexts if "kmsfs:branch" in context]

    def test_each_reads_the_files_of_the_other_by_its_own_decrypt_and_none_without_permission(self):
        self.mount("alice")
        os.mkdir(self.path("letters"))
        for number in range(FILES):
            self.write(f"letters/{number}", f"letter {number} to bob")
        self.assertIn("branch", self.status()["mode"])
        self.unmount()
        made = self.calls("GenerateDataKey", self.alice.arn)
        self.assertLess(len(made), FILES, "a call for each file")

        self.let_bob(USE)
        self.mount("bob")
        for number in range(FILES):
            self.assertEqual(self.read(f"letters/{number}"), f"letter {number} to bob")
        opened = self.calls("Decrypt", self.bob.arn)
        self.assertEqual(len(set(opened)), 1)
        self.assertIn(opened[0], made)
        self.write("reply", "to alice")

        # What Alice made and what Bob made fail for him together, once he may not use the master key.
        with open(self.path("letters/0"), "rb", buffering=0) as hers, open(self.path("reply"), "rb", buffering=0) as his:
            self.let_bob(["kms:DescribeKey"])
            self.done("bob", "revoke", self.mountpoint)
            self.comes_true(lambda: self.errno_of_reading(hers) == errno.EACCES, "Bob reads on in Alice's file")
            self.comes_true(lambda: self.errno_of_reading(his) == errno.EACCES, "Bob reads on in his own")
        self.refuses(errno.EACCES, self.read, "letters/1")
        self.refuses(errno.EACCES, self.write, "new", "text")
        self.unmount()

        self.mount("alice")
        self.assertEqual(self.read("reply"), "to alice")
        self.assertFalse(set(self.calls("GenerateDataKey", self.bob.arn)) & set(self.calls("GenerateDataKey", self.alice.arn)))
        self.unmount()

    @staticmethod
    def errno_of_reading(file):
        try:
            os.pread(file.fileno(), 1, 0)
            return 0
        except OSError as failed:
            return failed.errno


if __name__ == "__main__":
    unittest.main()
