"""A kmsd of a test's own, with accounts as an operator makes them, and clients that talk to it.

The programs under test are named by KMSFS and KMSD in the environment. Everything lives in a temporary directory; the
server is ended and the directory removed when the session ends, whatever became of the test. Every command has a limit.
"""

import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time

REGION = "ap-northeast-1"
LIMIT_SECONDS = 100  # for one command of one client, on a slow machine
AWS = "/usr/bin/aws"  # Debian's, whatever else PATH leads to


class Refused(Exception):
    """A client said no: `code` is the error's name."""

    def __init__(self, code, text):
        super().__init__(f"{code}: {text}")
        self.code = code


class Session(contextlib.AbstractContextManager):
    """A store, its server over HTTP on a loopback port, and the ways to it."""

    def __init__(self):
        self._directory = tempfile.TemporaryDirectory(prefix="kmsfs-clients-")
        self.path = pathlib.Path(self._directory.name)
        self.store = self.path / "store"
        self._server = None
        try:
            self.admin("init", "--seal", "keyfile", "--region", REGION)
            self._start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self._server is not None and self._server.poll() is None:
            self._server.send_signal(signal.SIGTERM)
            try:
                self._server.wait(10)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait(10)
        self._directory.cleanup()

    def _start(self):
        ready = self.path / "ready"
        log = open(self.path / "kmsd.log", "wb")
        with log:
            self._server = subprocess.Popen(
                [os.environ["KMSD"], "--store", str(self.store), "--listen", "127.0.0.1:0", "--ready-file", str(ready)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + 60
        while not (ready.exists() and "http://" in ready.read_text()):
            if self._server.poll() is not None or time.monotonic() > until:
                raise RuntimeError("kmsd did not start: " + (self.path / "kmsd.log").read_text())
            time.sleep(0.05)
        self.url = re.search(r"http://[0-9.:]+", ready.read_text())[0]

    # --- the operator at the host ---

    def admin(self, *arguments):
        """kmsfs kms at the store itself: what it prints, parsed."""
        done = subprocess.run([os.environ["KMSFS"], "kms", "--kms", f"local:{self.store}", *arguments],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
        if done.returncode != 0:
            raise Refused(_code(done.stderr), done.stderr)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def make_user(self, account, name, policy=None):
        """A user with an access key; `policy` is a list of statements. Its ARN and credentials."""
        accounts = [found["AccountId"] for found in self.admin("list-accounts")["Accounts"]]
        if account not in accounts:
            self.admin("create-account", "--account-id", account)
        user = self.admin("create-user", "--account-id", account, "--user-name", name)["User"]
        if policy is not None:
            self.allow(account, name, policy)
        key = self.admin("create-access-key", "--account-id", account, "--user-name", name)["AccessKey"]
        return User(user["Arn"], key["AccessKeyId"], key["SecretAccessKey"])

    def make_volume_owner(self):
        """Whoever runs the test, as `kmsfs init` makes them: a user of an account that has a service-managed key."""
        done = subprocess.run([os.environ["KMSFS"], "init", "--kms", f"local:{self.store}", str(self.path / "vault")],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        uids = self.admin("list-uids")["UidMappings"]
        arn = next(found["Arn"] for found in uids if found["Uid"] == os.geteuid())
        account, name = re.fullmatch(r"arn:aws:iam::(\d{12}):user/(.+)", arn).groups()
        key = self.admin("create-access-key", "--account-id", account, "--user-name", name)["AccessKey"]
        return User(arn, key["AccessKeyId"], key["SecretAccessKey"])

    def allow(self, account, name, statements):
        """Replaces the one identity policy of a user."""
        self.admin("put-user-policy", "--account-id", account, "--user-name", name, "--policy-name", "its-policy",
                   "--policy-document", json.dumps({"Version": "2012-10-17", "Statement": statements}))

    # --- clients ---

    def environment(self, user=None, token=None):
        """An environment in which AWS's tools find this user, and nothing of this machine's own configuration."""
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.path), "LANG": "C.UTF-8", "AWS_DEFAULT_REGION": REGION,
                       "AWS_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true", "AWS_PAGER": "", "AWS_MAX_ATTEMPTS": "2",
                       "KMSD_URL": self.url}
        if user is not None:
            environment |= {"AWS_ACCESS_KEY_ID": user.access_key_id, "AWS_SECRET_ACCESS_KEY": user.secret_access_key}
        if token is not None:
            environment["AWS_SESSION_TOKEN"] = token
        return environment

    def write_profiles(self, **users):
        """The two files of an operator with several profiles."""
        directory = self.path / ".aws"
        directory.mkdir(exist_ok=True)
        (directory / "config").write_text("".join(f"[profile {name}]\nregion = {REGION}\n" for name in users))
        (directory / "credentials").write_text("".join(
            f"[{name}]\naws_access_key_id = {user.access_key_id}\naws_secret_access_key = {user.secret_access_key}\n"
            for name, user in users.items()))

    def aws(self, profile, *arguments, service="kms"):
        """One command of Debian's `aws`; what it prints, parsed."""
        done = subprocess.run([AWS, "--endpoint-url", self.url, "--profile", profile, "--output", "json", service, *arguments],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False,
                              env=self.environment())
        if done.returncode != 0:
            raise Refused(_code(done.stderr), done.stderr)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def run(self, command, user):
        """Another client's script as that user: what it prints."""
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False,
                              env=self.environment(user))
        if done.returncode != 0:
            raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def audit_lines(self):
        return [json.loads(line) for line in (self.store / "audit.log").read_text().splitlines()]


class User:
    def __init__(self, arn, access_key_id, secret_access_key):
        self.arn = arn
        self.access_key_id = access_key_id
        self.secret_access_key = secret_access_key


def _code(text):
    """The error's name, as aws and kmsfs print it."""
    found = re.search(r"\b([A-Z][A-Za-z]+(?:Exception|Entity|Conflict|Exists|Exceeded|Document|Input))\b", text)
    return found[1] if found else "?"


EVERYTHING = [{"Effect": "Allow", "Action": ["kms:*", "sts:*"], "Resource": "*"}]
