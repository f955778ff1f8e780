"""Debian's `aws` against kmsd: the life of a key, and the operator's walk through managing and using keys in two accounts."""

import base64
import json
import unittest

from kmsd_session import EVERYTHING, Refused, Session

OWNER, OTHER = "111122223333", "444455556666"
SECRET = base64.b64encode(b"a secret").decode()


class Client(unittest.TestCase):
    def setUp(self):
        self.session = self.enterContext(Session())

    def aws(self, profile, *arguments, **options):
        return self.session.aws(profile, *arguments, **options)

    def refuses(self, code, profile, *arguments, **options):
        with self.assertRaises(Refused) as refused:
            self.aws(profile, *arguments, **options)
        self.assertEqual(refused.exception.code, code, str(refused.exception))
        return str(refused.exception)

    def refuses_any(self, profile, *arguments):
        with self.assertRaises(Refused) as refused:
            self.aws(profile, *arguments)
        return refused.exception.code


class LifeOfAKey(Client):
    def setUp(self):
        super().setUp()
        self.session.write_profiles(admin=self.session.make_user(OWNER, "admin", EVERYTHING))
        self.key = self.aws("admin", "create-key", "--description", "first", "--tags", "TagKey=team,TagValue=red")["KeyMetadata"]

    def test_a_key_is_made_named_used_rotated_disabled_deleted_and_kept_after_all(self):
        aws, key = self.aws, self.key
        self.assertEqual((key["KeyState"], key["KeyManager"], key["Description"]), ("Enabled", "CUSTOMER", "first"))
        aws("admin", "create-alias", "--alias-name", "alias/first", "--target-key-id", key["KeyId"])
        self.assertEqual(aws("admin", "describe-key", "--key-id", "alias/first")["KeyMetadata"]["Arn"], key["Arn"])
        self.assertEqual(aws("admin", "list-resource-tags", "--key-id", key["KeyId"])["Tags"], [{"TagKey": "team", "TagValue": "red"}])

        context = ("--encryption-context", "purpose=test,file=1")
        sealed = aws("admin", "encrypt", "--key-id", "alias/first", "--plaintext", SECRET, *context)["CiphertextBlob"]
        generated = aws("admin", "generate-data-key", "--key-id", "alias/first", "--key-spec", "AES_256")
        self.assertEqual(len(base64.b64decode(generated["Plaintext"])), 32)
        opened = aws("admin", "decrypt", "--ciphertext-blob", generated["CiphertextBlob"])
        self.assertEqual((opened["Plaintext"], opened["KeyId"]), (generated["Plaintext"], key["Arn"]))
        self.refuses("InvalidCiphertextException", "admin", "decrypt", "--ciphertext-blob", sealed, "--encryption-context", "purpose=tes,tfile=1")

        aws("admin", "enable-key-rotation", "--key-id", key["KeyId"])
        self.assertTrue(aws("admin", "get-key-rotation-status", "--key-id", key["KeyId"])["KeyRotationEnabled"])
        self.session.admin("--principal", f"arn:aws:iam::{OWNER}:user/admin", "rotate-key-on-demand", "--key-id", key["KeyId"])
        self.assertEqual(aws("admin", "decrypt", "--ciphertext-blob", sealed, *context)["Plaintext"], SECRET)

        aws("admin", "disable-key", "--key-id", key["KeyId"])
        self.refuses("DisabledException", "admin", "decrypt", "--ciphertext-blob", sealed, *context)
        self.refuses("DisabledException", "admin", "encrypt", "--key-id", "alias/first", "--plaintext", SECRET)
        aws("admin", "schedule-key-deletion", "--key-id", key["KeyId"], "--pending-window-in-days", "7")
        self.refuses("KMSInvalidStateException", "admin", "enable-key", "--key-id", key["KeyId"])
        self.refuses("KMSInvalidStateException", "admin", "schedule-key-deletion", "--key-id", key["KeyId"])
        aws("admin", "cancel-key-deletion", "--key-id", key["KeyId"])
        self.assertEqual(aws("admin", "describe-key", "--key-id", key["KeyId"])["KeyMetadata"]["KeyState"], "Disabled")
        aws("admin", "enable-key", "--key-id", key["KeyId"])
        self.assertEqual(aws("admin", "decrypt", "--ciphertext-blob", sealed, *context)["Plaintext"], SECRET)

        second = aws("admin", "create-key")["KeyMetadata"]
        moved = aws("admin", "re-encrypt", "--ciphertext-blob", sealed, "--source-encryption-context", "purpose=test,file=1",
                    "--destination-key-id", second["KeyId"])
        self.assertEqual(aws("admin", "decrypt", "--ciphertext-blob", moved["CiphertextBlob"])["KeyId"], second["Arn"])
        self.refuses("IncorrectKeyException", "admin", "decrypt", "--ciphertext-blob", moved["CiphertextBlob"], "--key-id", key["KeyId"])
        aws("admin", "delete-alias", "--alias-name", "alias/first")
        self.refuses("NotFoundException", "admin", "describe-key", "--key-id", "alias/first")
        lines = self.session.audit_lines()
        self.assertNotIn(SECRET, json.dumps(lines))
        self.assertTrue(any(line["eventName"] == "Decrypt" and line.get("errorCode") == "DisabledException" for line in lines))

    def test_lists_come_in_pages_and_end(self):
        for _ in range(4):
            self.aws("admin", "create-key")
        # The command asks for page after page by itself.
        self.assertEqual(len(self.aws("admin", "list-keys", "--page-size", "2")["Keys"]), 5)
        page = self.aws("admin", "list-keys", "--limit", "2", "--no-paginate")
        self.assertTrue(page["Truncated"])
        self.refuses("InvalidMarkerException", "admin", "list-keys", "--marker", "nonsense", "--no-paginate")

    def test_errors_are_those_that_aws_documents(self):
        self.refuses("NotFoundException", "admin", "describe-key", "--key-id", "alias/absent")
        self.refuses("ValidationException", "admin", "create-alias", "--alias-name", "first", "--target-key-id", self.key["KeyId"])
        self.refuses("NotAuthorizedException", "admin", "create-alias", "--alias-name", "alias/aws/first", "--target-key-id", self.key["KeyId"])
        self.refuses("MalformedPolicyDocumentException", "admin", "put-key-policy", "--key-id", self.key["KeyId"], "--policy-name", "default",
                     "--policy", "{}")
        self.refuses("InvalidCiphertextException", "admin", "decrypt", "--ciphertext-blob", SECRET)

    def test_a_wrong_secret_and_a_key_that_was_taken_away_are_refused(self):
        user = self.session.make_user(OWNER, "guest", EVERYTHING)
        right = user.secret_access_key
        user.secret_access_key = right[:-1] + ("A" if right[-1] != "A" else "B")
        self.session.write_profiles(guest=user)
        self.refuses("InvalidSignatureException", "guest", "list-keys")
        user.secret_access_key = right
        self.session.write_profiles(guest=user)
        self.aws("guest", "list-keys")
        self.session.admin("update-access-key", "--account-id", OWNER, "--user-name", "guest", "--access-key-id", user.access_key_id,
                           "--status", "Inactive")
        self.refuses("UnrecognizedClientException", "guest", "list-keys")

    def test_a_role_is_assumed_and_its_session_ends_with_the_role(self):
        user = self.session.make_user(OWNER, "walker", [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}])
        self.session.write_profiles(walker=user)
        trust = {"Version": "2012-10-17",
                 "Statement": [{"Effect": "Allow", "Principal": {"AWS": user.arn}, "Action": "sts:AssumeRole"}]}
        self.session.admin("create-role", "--account-id", OWNER, "--role-name", "reader", "--assume-role-policy-document", json.dumps(trust))
        role = f"arn:aws:iam::{OWNER}:role/reader"
        self.session.admin("put-role-policy", "--account-id", OWNER, "--role-name", "reader", "--policy-name", "list", "--policy-document",
                           json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "kms:ListKeys", "Resource": "*"}]}))
        given = self.aws("walker", "assume-role", "--role-arn", role, "--role-session-name", "evening", service="sts")["Credentials"]
        directory = self.session.path / ".aws"
        (directory / "credentials").write_text(
            f"[evening]\naws_access_key_id = {given['AccessKeyId']}\naws_secret_access_key = {given['SecretAccessKey']}\n"
            f"aws_session_token = {given['SessionToken']}\n")
        (directory / "config").write_text("[profile evening]\nregion = ap-northeast-1\n")
        identity = self.aws("evening", "get-caller-identity", service="sts")
        self.assertEqual(identity["Arn"], f"arn:aws:sts::{OWNER}:assumed-role/reader/evening")
        self.assertEqual(len(self.aws("evening", "list-keys")["Keys"]), 1)
        self.refuses("AccessDeniedException", "evening", "create-key")
        self.session.admin("delete-role-policy", "--account-id", OWNER, "--role-name", "reader", "--policy-name", "list")
        self.refuses("AccessDeniedException", "evening", "list-keys")
        self.session.admin("delete-role", "--account-id", OWNER, "--role-name", "reader")
        self.assertIn(self.refuses_any("evening", "list-keys"), ("UnrecognizedClientException", "InvalidClientTokenIdException",
                                                                 "ExpiredTokenException", "AccessDeniedException"))


class ManagingAndUsingInTwoAccounts(Client):
    """What an operator does, in order, with two profiles and more."""

    def setUp(self):
        super().setUp()
        session = self.session
        administrator = session.make_user(OWNER, "administrator", [
            {"Effect": "Allow", "Action": ["kms:CreateKey", "kms:CreateAlias", "kms:List*", "kms:GetKeyPolicy", "kms:TagResource"], "Resource": "*"}])
        alice = session.make_user(OWNER, "alice")
        partner = session.make_user(OTHER, "partner")
        session.write_profiles(administrator=administrator, alice=alice, partner=partner)
        manage = ["kms:Describe*", "kms:Enable*", "kms:List*", "kms:Put*", "kms:Disable*", "kms:Get*", "kms:Create*", "kms:Update*",
                  "kms:Revoke*", "kms:ScheduleKeyDeletion", "kms:CancelKeyDeletion"]
        use = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
        attach = {"Sid": "Attachment", "Effect": "Allow", "Principal": {"AWS": [alice.arn]}, "Resource": "*",
                  "Action": ["kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"],
                  "Condition": {"Bool": {"kms:GrantIsForAWSResource": "true"}}}
        self.policy = {"Version": "2012-10-17", "Statement": [
            {"Sid": "Administrators", "Effect": "Allow", "Principal": {"AWS": administrator.arn}, "Action": manage, "Resource": "*"},
            {"Sid": "Use", "Effect": "Allow", "Principal": {"AWS": [alice.arn]}, "Action": use, "Resource": "*"},
            attach]}
        made = self.aws("administrator", "create-key", "--policy", json.dumps(self.policy))["KeyMetadata"]
        self.key = made["Arn"]
        self.aws("administrator", "create-alias", "--alias-name", "alias/test-kms", "--target-key-id", made["KeyId"])

    def put_policy(self):
        self.aws("administrator", "put-key-policy", "--key-id", self.key, "--policy-name", "default", "--policy", json.dumps(self.policy))

    def let_the_other_account_in(self):
        for statement in self.policy["Statement"][1:]:
            statement["Principal"]["AWS"].append(f"arn:aws:iam::{OTHER}:root")
        self.put_policy()

    def let_the_partner_use(self):
        self.session.allow(OTHER, "partner", [{"Effect": "Allow", "Resource": self.key,
                                               "Action": ["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey"]}])

    def test_the_administrator_manages_and_cannot_use(self):
        self.assertTrue(self.key.startswith("arn:aws:kms:ap-northeast-1:"))
        self.assertEqual([key["KeyArn"] for key in self.aws("administrator", "list-keys")["Keys"]], [self.key])
        self.assertEqual([alias["AliasName"] for alias in self.aws("administrator", "list-aliases")["Aliases"]], ["alias/test-kms"])
        shown = self.aws("administrator", "get-key-policy", "--key-id", self.key, "--policy-name", "default")["Policy"]
        self.assertEqual(json.loads(shown), self.policy)
        sealed = self.aws("alice", "encrypt", "--key-id", "alias/test-kms", "--plaintext", SECRET)["CiphertextBlob"]
        self.refuses("AccessDeniedException", "administrator", "decrypt", "--ciphertext-blob", sealed)
        self.refuses("AccessDeniedException", "administrator", "encrypt", "--key-id", "alias/test-kms", "--plaintext", SECRET)
        self.aws("administrator", "disable-key", "--key-id", self.key)
        self.refuses("DisabledException", "alice", "decrypt", "--ciphertext-blob", sealed)
        self.aws("administrator", "enable-key", "--key-id", self.key)
        self.assertEqual(self.aws("alice", "decrypt", "--ciphertext-blob", sealed)["Plaintext"], SECRET)

    def test_the_user_uses_and_cannot_manage(self):
        for arguments in (("put-key-policy", "--key-id", self.key, "--policy-name", "default", "--policy", json.dumps(self.policy)),
                          ("disable-key", "--key-id", self.key), ("schedule-key-deletion", "--key-id", self.key),
                          ("get-key-policy", "--key-id", self.key, "--policy-name", "default"),
                          ("create-grant", "--key-id", self.key, "--grantee-principal", f"arn:aws:iam::{OTHER}:root", "--operations", "Decrypt")):
            self.assertIn("alice", self.refuses("AccessDeniedException", "alice", *arguments))

    def test_another_account_gets_in_by_both_sides_and_loses_it_by_either(self):
        use = ("encrypt", "--key-id", self.key, "--plaintext", SECRET)
        self.refuses("AccessDeniedException", "partner", *use)
        self.let_the_partner_use()
        self.refuses("AccessDeniedException", "partner", *use)  # its own side alone
        self.session.allow(OTHER, "partner", [{"Effect": "Allow", "Action": "kms:ListKeys", "Resource": "*"}])
        self.let_the_other_account_in()
        self.refuses("AccessDeniedException", "partner", *use)  # the key's side alone
        self.let_the_partner_use()
        sealed = self.aws("partner", *use)["CiphertextBlob"]
        self.assertEqual(self.aws("partner", "decrypt", "--ciphertext-blob", sealed, "--key-id", self.key)["Plaintext"], SECRET)
        self.assertEqual(self.aws("alice", "decrypt", "--ciphertext-blob", sealed)["Plaintext"], SECRET)
        # A name without an account is one of the caller's own account.
        self.refuses("NotFoundException", "partner", "encrypt", "--key-id", "alias/test-kms", "--plaintext", SECRET)
        for arguments in (("disable-key", "--key-id", self.key), ("schedule-key-deletion", "--key-id", self.key),
                          ("put-key-policy", "--key-id", self.key, "--policy-name", "default", "--policy", json.dumps(self.policy))):
            self.refuses("AccessDeniedException", "partner", *arguments)
        for statement in self.policy["Statement"][1:]:
            statement["Principal"]["AWS"].pop()
        self.put_policy()
        self.refuses("AccessDeniedException", "partner", *use)
        self.refuses("AccessDeniedException", "partner", "decrypt", "--ciphertext-blob", sealed)
        recorded = [line for line in self.session.audit_lines() if line["userIdentity"].get("accountId") == OTHER]
        self.assertTrue(any(line.get("errorCode") == "AccessDeniedException" for line in recorded))
        self.assertEqual({line["recipientAccountId"] for line in recorded if self.key in json.dumps(line["resources"])}, {OWNER, OTHER})

    def test_a_grant_opens_the_key_for_its_context_and_no_longer_than_it_lasts(self):
        self.policy["Statement"].append({"Sid": "Grants", "Effect": "Allow", "Action": ["kms:CreateGrant", "kms:RevokeGrant", "kms:ListGrants"],
                                         "Principal": {"AWS": f"arn:aws:iam::{OWNER}:user/alice"}, "Resource": "*"})
        self.put_policy()
        partner = f"arn:aws:iam::{OTHER}:user/partner"
        sealed = self.aws("alice", "encrypt", "--key-id", self.key, "--plaintext", SECRET, "--encryption-context", "team=red")["CiphertextBlob"]
        opening = ("decrypt", "--ciphertext-blob", sealed, "--encryption-context", "team=red")
        self.refuses("AccessDeniedException", "partner", *opening)
        grant = self.aws("alice", "create-grant", "--key-id", self.key, "--grantee-principal", partner, "--operations", "Decrypt", "Encrypt",
                         "--constraints", "EncryptionContextSubset={team=red}")
        self.assertEqual(self.aws("partner", *opening)["Plaintext"], SECRET)
        self.refuses("AccessDeniedException", "partner", "encrypt", "--key-id", self.key, "--plaintext", SECRET)
        self.refuses("AccessDeniedException", "partner", "encrypt", "--key-id", self.key, "--plaintext", SECRET, "--encryption-context", "team=blue")
        listed = self.aws("alice", "list-grants", "--key-id", self.key)["Grants"]
        self.assertEqual([found["GrantId"] for found in listed], [grant["GrantId"]])
        self.aws("alice", "revoke-grant", "--key-id", self.key, "--grant-id", grant["GrantId"])
        self.refuses("AccessDeniedException", "partner", *opening)
        self.assertNotIn(grant["GrantToken"], json.dumps(self.session.audit_lines()))

    def test_a_service_managed_key_refuses_the_other_account_always(self):
        owner = self.session.make_volume_owner()
        self.session.write_profiles(owner=owner, partner=self.session.make_user(OTHER, "eager", EVERYTHING))
        managed = self.aws("owner", "describe-key", "--key-id", "alias/aws/kmsfs")["KeyMetadata"]
        self.assertEqual(managed["KeyManager"], "AWS")
        key = managed["Arn"]
        sealed = self.aws("owner", "encrypt", "--key-id", key, "--plaintext", SECRET)["CiphertextBlob"]
        self.refuses("AccessDeniedException", "partner", "encrypt", "--key-id", key, "--plaintext", SECRET)
        self.refuses("AccessDeniedException", "partner", "decrypt", "--ciphertext-blob", sealed)
        # Nor can its owner let anybody in, by policy or by grant.
        open_to_all = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}]}
        for arguments in (("put-key-policy", "--key-id", key, "--policy-name", "default", "--policy", json.dumps(open_to_all)),
                          ("create-grant", "--key-id", key, "--grantee-principal", f"arn:aws:iam::{OTHER}:root", "--operations", "Decrypt")):
            self.assertIn(self.refuses_any("owner", *arguments), ("AccessDeniedException", "NotAuthorizedException"))
        self.refuses("AccessDeniedException", "partner", "decrypt", "--ciphertext-blob", sealed)


if __name__ == "__main__":
    unittest.main(verbosity=2)
