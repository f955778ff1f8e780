"""boto3: the life of a key, with the errors as its exceptions."""

import os

import boto3
from botocore.exceptions import ClientError

kms = boto3.client("kms", endpoint_url=os.environ["KMSD_URL"])


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400, error
        return
    raise AssertionError(f"{call} was not refused by {code}")


key = kms.create_key(Description="boto3", Tags=[{"TagKey": "a", "TagValue": "b"}])["KeyMetadata"]
assert key["KeyState"] == "Enabled" and key["CreationDate"].year > 2000, key
kms.create_alias(AliasName="alias/boto3", TargetKeyId=key["KeyId"])
context = {"ключ": "значение", "a": ""}
data_key = kms.generate_data_key(KeyId="alias/boto3", KeySpec="AES_256", EncryptionContext=context)
assert len(data_key["Plaintext"]) == 32 and data_key["KeyId"] == key["Arn"]
assert kms.decrypt(CiphertextBlob=data_key["CiphertextBlob"], EncryptionContext=context)["Plaintext"] == data_key["Plaintext"]
refused("InvalidCiphertextException", kms.decrypt, CiphertextBlob=data_key["CiphertextBlob"], EncryptionContext={"ключ": "значение"})
refused("InvalidCiphertextException", kms.decrypt, CiphertextBlob=data_key["CiphertextBlob"][:-1] + b"x", EncryptionContext=context)
largest = bytes(range(256)) * 16
sealed = kms.encrypt(KeyId=key["KeyId"], Plaintext=largest)["CiphertextBlob"]
assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == largest
refused("ValidationException", kms.encrypt, KeyId=key["KeyId"], Plaintext=largest + b"x")
assert len(kms.generate_random(NumberOfBytes=17)["Plaintext"]) == 17
without = kms.generate_data_key_without_plaintext(KeyId=key["KeyId"], NumberOfBytes=64)
assert "Plaintext" not in without and len(kms.decrypt(CiphertextBlob=without["CiphertextBlob"])["Plaintext"]) == 64

grant = kms.create_grant(KeyId=key["KeyId"], GranteePrincipal="arn:aws:iam::111122223333:user/developer", Operations=["Decrypt"], Name="g")
again = kms.create_grant(KeyId=key["KeyId"], GranteePrincipal="arn:aws:iam::111122223333:user/developer", Operations=["Decrypt"], Name="g")
assert grant["GrantId"] == again["GrantId"] and grant["GrantToken"] != again["GrantToken"]
refused("ValidationException", kms.create_grant, KeyId=key["KeyId"], GranteePrincipal="arn:aws:iam::111122223333:user/developer", Operations=["Sign"])
kms.revoke_grant(KeyId=key["KeyId"], GrantId=grant["GrantId"])

for index in range(12):
    kms.create_alias(AliasName=f"alias/page/{index}", TargetKeyId=key["KeyId"])
pages = list(kms.get_paginator("list_aliases").paginate(KeyId=key["KeyId"], PaginationConfig={"PageSize": 5}))
assert sum(len(page["Aliases"]) for page in pages) == 13 and len(pages) == 3, pages
assert kms.get_key_policy(KeyId=key["KeyId"], PolicyName="default")["Policy"].startswith("{")
assert kms.get_key_rotation_status(KeyId=key["KeyId"])["KeyRotationEnabled"] is False
kms.untag_resource(KeyId=key["KeyId"], TagKeys=["a"])
assert kms.list_resource_tags(KeyId=key["KeyId"])["Tags"] == []

kms.disable_key(KeyId=key["KeyId"])
refused("DisabledException", kms.decrypt, CiphertextBlob=sealed)
refused("DisabledException", kms.generate_data_key, KeyId=key["KeyId"], KeySpec="AES_256")
kms.enable_key(KeyId=key["KeyId"])
scheduled = kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
assert scheduled["KeyId"] == key["Arn"] and 6.9 < (scheduled["DeletionDate"] - key["CreationDate"]).total_seconds() / 86400 < 7.1
refused("KMSInvalidStateException", kms.generate_data_key, KeyId=key["KeyId"], KeySpec="AES_256")
refused("ValidationException", kms.schedule_key_deletion, KeyId=key["KeyId"], PendingWindowInDays=6)
identity = boto3.client("sts", endpoint_url=os.environ["KMSD_URL"]).get_caller_identity()
assert identity["Arn"] == "arn:aws:iam::111122223333:user/developer", identity
print("OK")
