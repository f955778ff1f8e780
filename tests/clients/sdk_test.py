"""The SDKs of AWS for Python, Ruby and JavaScript, and curl's own signing, against kmsd: the life of a key in each.

Each client's script is a program of its own beside this file; it says OK at its end, or what it found wrong. The
JavaScript SDK is where KMSFS_JAVASCRIPT_SDK says (see CMakeLists.txt).
"""

import os
import pathlib
import shutil
import unittest

from kmsd_session import EVERYTHING, Session

HERE = pathlib.Path(__file__).parent


class Sdk(unittest.TestCase):
    def setUp(self):
        self.session = self.enterContext(Session())
        self.user = self.session.make_user("111122223333", "developer", EVERYTHING)

    def passes(self, *command):
        self.assertTrue(self.session.run(list(command), self.user).endswith("OK\n"))
        used = {line["eventName"] for line in self.session.audit_lines() if line["userIdentity"].get("userName") == "developer"}
        self.assertLessEqual({"CreateKey", "GenerateDataKey", "Decrypt", "DisableKey", "ScheduleKeyDeletion"}, used)

    def test_boto3_lives_the_life_of_a_key(self):
        self.passes("/usr/bin/python3", str(HERE / "boto3_life.py"))

    def test_ruby_lives_the_life_of_a_key(self):
        self.passes("/usr/bin/ruby", str(HERE / "ruby_life.rb"))

    def test_javascript_lives_the_life_of_a_key(self):
        sdk = pathlib.Path(os.environ["KMSFS_JAVASCRIPT_SDK"])
        shutil.copy(HERE / "javascript_life.mjs", sdk)
        self.passes(shutil.which("node") or "node", str(sdk / "javascript_life.mjs"))

    def test_curls_own_signing_is_accepted_and_no_signature_is_not(self):
        self.passes("/bin/bash", str(HERE / "curl_life.sh"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
