// What other local KMSs were found to get wrong.
#include <set>

#include "tests/kms/kms_fixture.h"

namespace kmsfs::kms::test {
namespace {

class LessonsTest : public KmsTest {
 protected:
  std::string uuid() const { return key_.substr(key_.size() - 36); }
};

TEST_F(LessonsTest, AssociatedDataIsNotJustNamesAndValuesOneAfterTheOther) {
  EXPECT_FALSE(decrypt(encrypt("x", {{"a", "bc"}}), {{"ab", "c"}}));
}

TEST_F(LessonsTest, ADisabledKeyNeitherEncryptsNorDecrypts) {
  const Bytes blob = encrypt("x");
  ASSERT_TRUE(service_->disable_key(alice_, {key_}));
  EXPECT_EQ(code_of(decrypt(blob)), "DisabledException");
  EXPECT_EQ(code_of(encrypt_as(alice_, key_)), "DisabledException");
}

TEST_F(LessonsTest, AKeyPendingDeletionGeneratesNoDataKeys) {
  ASSERT_TRUE(service_->schedule_key_deletion(alice_, {.key_id = key_}));
  EXPECT_EQ(
      code_of(service_->generate_data_key(alice_, {.key_id = key_, .context = {}, .key_spec = "AES_256"})),
      "KMSInvalidStateException");
}

TEST_F(LessonsTest, DeletionIsNotScheduledTwice) {
  ASSERT_TRUE(service_->schedule_key_deletion(alice_, {.key_id = key_, .pending_window_in_days = 30}));
  auto twice = service_->schedule_key_deletion(alice_, {.key_id = key_, .pending_window_in_days = 7});
  EXPECT_EQ(code_of(twice), "KMSInvalidStateException");
  EXPECT_EQ(service_->describe_key(alice_, {key_})->key.deletion_ms,
            1'700'000'000'000 + std::int64_t{30} * 86'400'000);
}

TEST_F(LessonsTest, AWrongKeyIdAtDecryptIsIncorrectKeyAndNotADenial) {
  EXPECT_EQ(code_of(decrypt(encrypt("x"), {}, new_key())), "IncorrectKeyException");
}

TEST_F(LessonsTest, AGrantToSignWithASymmetricKeyIsRefused) {
  for (const char* operation :
       {"Sign", "Verify", "GetPublicKey", "GenerateMac", "VerifyMac", "DeriveSharedSecret"}) {
    EXPECT_EQ(
        code_of(service_->create_grant(
            alice_, {.key_id = key_, .grantee_principal = alice_.principal, .operations = {operation}})),
        "ValidationException")
        << operation;
  }
}

TEST_F(LessonsTest, APolicyIsPutAndReadWithoutItsName) {
  const std::string policy = policy_of({allow("\"kms:*\"", root_of(alice_))});
  EXPECT_TRUE(service_->put_key_policy(alice_, {.key_id = key_, .policy = policy}));
  EXPECT_EQ(service_->get_key_policy(alice_, {key_})->policy_name, "default");
}

TEST_F(LessonsTest, RotationChangesKeyBytesAndTheBlobNamesItsMaterial) {
  const Bytes before = encrypt("x");
  ASSERT_TRUE(service_->rotate_key_on_demand(alice_, {key_}));
  const Bytes after = encrypt("x");
  EXPECT_FALSE(std::equal(before.begin() + 18, before.begin() + 34, after.begin() + 18));
  auto transaction = service_->administration().engine().read();
  auto key = service_->administration().engine().key(**transaction, *parse_key_id(uuid()));
  ASSERT_EQ((*key)->record.materials.size(), 2U);
  auto first = service_->administration().engine().material(**transaction, (*key)->record.id,
                                                            (*key)->record.materials[0].id);
  auto second = service_->administration().engine().material(**transaction, (*key)->record.id,
                                                             (*key)->record.materials[1].id);
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(std::ranges::equal(first->reveal(), second->reveal()));
}

TEST_F(LessonsTest, TheDescriptionOfAKeyNamesItsMaterialAndNoDeletionUnlessOneIsPending) {
  auto key = service_->describe_key(alice_, {key_})->key;
  EXPECT_EQ(key.key_material_id.size(), 64U);
  EXPECT_EQ(key.key_material_id.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_FALSE(key.deletion_ms);
  EXPECT_EQ(encrypt_as(alice_, key_)->key_material_id, key.key_material_id);
}

TEST_F(LessonsTest, PoliciesAndGrantsAreNotOnlyKeptButDecide) {
  const Bytes blob = encrypt("x");
  const Invocation bob = new_user("bob", account_);
  EXPECT_FALSE(decrypt_as(bob, blob));
  ASSERT_TRUE(service_->create_grant(
      alice_, {.key_id = key_, .grantee_principal = bob.principal, .operations = {"Decrypt"}}));
  EXPECT_TRUE(decrypt_as(bob, blob));
  ASSERT_TRUE(service_->put_key_policy(
      alice_,
      {.key_id = key_,
       .policy = policy_of({allow("\"kms:*\"", root_of(alice_)),
                            R"({"Effect":"Deny","Principal":"*","Action":"kms:Decrypt","Resource":"*"})"})}));
  EXPECT_FALSE(decrypt_as(bob, blob));
  EXPECT_FALSE(decrypt(blob));
}

TEST_F(LessonsTest, DecryptIsDecidedOnTheKeyInsideTheBlobAndNotOnTheRequest) {
  const Invocation bob = new_user("bob", account_);
  const std::string other = new_key();
  put_policy(bob, policy_of({R"({"Effect":"Allow","Action":"kms:Decrypt","Resource":")" + other + "\"}"}));
  const Bytes blob = encrypt("x");
  auto theirs = encrypt_as(alice_, other);
  ASSERT_TRUE(theirs);
  EXPECT_TRUE(decrypt_as(bob, theirs->ciphertext));  // no KeyId, and a policy on this one key
  EXPECT_FALSE(decrypt_as(bob, blob));
  EXPECT_EQ(code_of(decrypt_as(bob, blob, {}, other)), "IncorrectKeyException");
}

TEST_F(LessonsTest, ReEncryptTakesAnAliasAsDestinationAndAnswersWithTheKey) {
  const std::string other = new_key();
  ASSERT_TRUE(service_->create_alias(alice_, {"alias/other", other}));
  const Bytes blob = encrypt("x");
  ReEncryptRequest request;
  request.ciphertext = blob;
  request.destination_key_id = "alias/other";
  auto moved = service_->re_encrypt(alice_, request);
  ASSERT_TRUE(moved) << text_of(moved);
  EXPECT_EQ(moved->key_arn, other);
  EXPECT_EQ(moved->source_key_arn, key_);
  EXPECT_NE(moved->source_key_material_id, moved->destination_key_material_id);
  ASSERT_TRUE(service_->delete_alias(alice_, {"alias/other"}));
  EXPECT_TRUE(decrypt(moved->ciphertext));
}

TEST_F(LessonsTest, NoNameInAnEncryptionContextIsLeftOutOfTheAssociatedData) {
  const Bytes blob = encrypt("x", {{"aws-crypto-public-key", "AAAA"}, {"a", "b"}});
  EXPECT_FALSE(decrypt(blob, {{"aws-crypto-public-key", "BBBB"}, {"a", "b"}}));
  EXPECT_FALSE(decrypt(blob, {{"a", "b"}}));
  EXPECT_TRUE(decrypt(blob, {{"aws-crypto-public-key", "AAAA"}, {"a", "b"}}));
}

TEST_F(LessonsTest, TheRotationStatusHasKeyPeriodAndNextDate) {
  ASSERT_TRUE(service_->enable_key_rotation(alice_, {.key_id = key_, .rotation_period_in_days = 180}));
  auto status = service_->get_key_rotation_status(alice_, {key_});
  EXPECT_EQ(status->key_id, uuid());
  EXPECT_EQ(status->rotation_period_in_days, 180);
  EXPECT_TRUE(status->next_rotation_ms);
}

TEST_F(LessonsTest, EveryMalformedBlobGetsTheSameAnswer) {
  const Bytes blob = encrypt("0123456789abcdef");
  std::vector<Bytes> wrong;
  for (const std::size_t at : {0U, 1U, 2U, 17U, 18U, 33U, 34U, 50U, 82U}) {
    Bytes changed = blob;
    changed[at] ^= std::byte{0xff};
    wrong.push_back(std::move(changed));
  }
  for (const std::size_t size : {1U, 2U, 49U, 81U, 97U})
    wrong.emplace_back(blob.begin(), blob.begin() + size);
  wrong.emplace_back(6144, std::byte{0xff});
  std::set<std::string> answers;
  for (const Bytes& one : wrong) {
    auto opened = decrypt(one, {}, key_);
    ASSERT_FALSE(opened);
    answers.insert(code_of(opened) + opened.error().text);
  }
  EXPECT_EQ(answers.size(), 1U);
  EXPECT_TRUE(answers.begin()->starts_with("InvalidCiphertextException"));
}

TEST_F(LessonsTest, TheAccountAndRegionOfAnArnAreCheckedAndNotTrusted) {
  const std::string another = *service_->administration().create_account();
  std::string wrong = key_;
  wrong.replace(wrong.find(account_), 12, another);
  EXPECT_EQ(code_of(encrypt_as(alice_, wrong)), "AccessDeniedException");
  wrong = key_;
  wrong.replace(wrong.find("local-1"), 7, "local-2");
  auto region = encrypt_as(alice_, wrong);
  EXPECT_EQ(code_of(region), "NotFoundException");
  EXPECT_EQ(region.error().text, "Invalid arn local-2");
}

TEST_F(LessonsTest, IdsThatAreNoneAreNotFoundByName) {
  for (const std::string& wrong :
       {std::string("fake-key-id"), std::string("mrk-0123456789abcdef0123456789abcdef"), uuid() + "0",
        "x" + uuid(), std::string("alias/")}) {
    EXPECT_EQ(code_of(service_->describe_key(alice_, {wrong})), "NotFoundException") << wrong;
  }
  EXPECT_EQ(service_->describe_key(alice_, {"fake-key-id"}).error().text, "Invalid keyId 'fake-key-id'");
  const std::string absent = "00000000-0000-4000-8000-000000000000";
  EXPECT_EQ(service_->describe_key(alice_, {absent}).error().text,
            "Key 'arn:aws:kms:local-1:" + account_ + ":key/" + absent + "' does not exist");
  EXPECT_EQ(service_->describe_key(alice_, {"alias/none"}).error().text,
            "Alias arn:aws:kms:local-1:" + account_ + ":alias/none is not found.");
  ASSERT_TRUE(service_->create_alias(alice_, {"alias/x", key_}));
  EXPECT_EQ(code_of(service_->disable_key(alice_, {"alias/x"})), "NotFoundException");
}

TEST_F(LessonsTest, LimitsOfListsAreHeldAndAMarkerComesOnlyWithMore) {
  for (int i = 0; i < 2; ++i) new_key();
  ListRequest request;
  request.limit = 3;
  EXPECT_TRUE(service_->list_keys(alice_, request)->next_marker.empty());  // exactly all
  request.limit = 2;
  EXPECT_EQ(service_->list_keys(alice_, request)->keys.size(), 2U);
  EXPECT_FALSE(service_->list_keys(alice_, request)->next_marker.empty());
  for (const std::int64_t limit : {0, -1, 1001}) {
    request.limit = limit;
    EXPECT_EQ(code_of(service_->list_keys(alice_, request)), "ValidationException");
  }
}

TEST_F(LessonsTest, RetiringAndRevokingAreTwoRights) {
  const Invocation bob = new_user("bob", account_);
  auto made = service_->create_grant(
      alice_, {.key_id = key_, .grantee_principal = bob.principal, .operations = {"Decrypt", "RetireGrant"}});
  ASSERT_TRUE(made);
  EXPECT_EQ(code_of(service_->revoke_grant(bob, {.key_id = key_, .grant_id = made->grant_id})),
            "AccessDeniedException");
  EXPECT_EQ(code_of(service_->retire_grant(bob, {.key_id = key_, .grant_id = made->grant_id})), "ok");
}

TEST_F(LessonsTest, ForNonSymmetricKeysTheAnswerIsThatOfAws) {
  const auto make = [&](CreateKeyRequest request) { return code_of(service_->create_key(alice_, request)); };
  CreateKeyRequest request;
  request.key_spec = "RSA_2048";
  EXPECT_EQ(make(request), "UnsupportedOperationException");
  request.key_spec = "AES_256";
  EXPECT_EQ(make(request), "ValidationException");
  request.key_spec = "SYMMETRIC_DEFAULT";
  request.key_usage = "SIGN_VERIFY";
  EXPECT_EQ(make(request), "ValidationException");
  request.key_usage = "ENCRYPT_DECRYPT";
  EXPECT_EQ(make(request), "ok");
  request.origin = "EXTERNAL";
  EXPECT_EQ(make(request), "UnsupportedOperationException");
  const Bytes blob = encrypt("x");
  EXPECT_EQ(
      code_of(service_->decrypt(
          alice_,
          {.key_id = key_, .ciphertext = blob, .context = {}, .encryption_algorithm = "RSAES_OAEP_SHA_256"})),
      "InvalidKeyUsageException");
  EXPECT_EQ(
      code_of(service_->decrypt(
          alice_, {.key_id = key_, .ciphertext = blob, .context = {}, .encryption_algorithm = "ROT13"})),
      "ValidationException");
}

TEST_F(LessonsTest, ADryRunTellsThatItWouldHaveSucceededAfterAllElseWasChecked) {
  const Bytes blob = encrypt("x", {{"a", "b"}});
  const auto run = [&](const EncryptionContext& context, const Invocation& who) {
    return code_of(
        service_->decrypt(who, {.key_id = key_, .ciphertext = blob, .context = context, .dry_run = true}));
  };
  EXPECT_EQ(run({{"a", "b"}}, alice_), "DryRunOperationException");
  EXPECT_EQ(run({}, alice_), "InvalidCiphertextException");
  EXPECT_EQ(run({{"a", "b"}}, new_user("bob", account_)), "AccessDeniedException");
  EXPECT_EQ(code_of(service_->encrypt(
                alice_, {.key_id = key_, .plaintext = as_bytes("x"), .context = {}, .dry_run = true})),
            "DryRunOperationException");
  EXPECT_EQ(code_of(service_->generate_data_key(
                alice_, {.key_id = key_, .context = {}, .key_spec = "AES_256", .dry_run = true})),
            "DryRunOperationException");
  ASSERT_TRUE(service_->disable_key(alice_, {key_}));
  EXPECT_EQ(run({{"a", "b"}}, alice_), "DisabledException");
}

TEST_F(LessonsTest, RandomBytesAreGivenByIdentityPolicyInTheAmountAskedFor) {
  auto random = service_->generate_random(alice_, {.number_of_bytes = 1024});
  ASSERT_TRUE(random) << text_of(random);
  EXPECT_EQ(random->plaintext.size(), 1024U);
  auto nothing = service_->generate_random(alice_, {});
  EXPECT_EQ(code_of(nothing), "ValidationException");
  EXPECT_EQ(nothing.error().text, "NumberOfBytes is required.");
  auto zero = service_->generate_random(alice_, {.number_of_bytes = 0});
  EXPECT_EQ(zero.error().text,
            "1 validation error detected: Value '0' at 'numberOfBytes' failed to satisfy constraint: Member "
            "must have "
            "value greater than or equal to 1");
  EXPECT_EQ(code_of(service_->generate_random(new_user("bob", account_), {.number_of_bytes = 1})),
            "AccessDeniedException");
}

TEST_F(LessonsTest, ADescriptionIsReplacedWithinItsLimit) {
  ASSERT_TRUE(service_->update_key_description(alice_, {.key_id = key_, .description = "new"}));
  EXPECT_EQ(service_->describe_key(alice_, {key_})->key.description, "new");
  EXPECT_EQ(code_of(service_->update_key_description(
                alice_, {.key_id = key_, .description = std::string(8193, 'x')})),
            "ValidationException");
}

TEST_F(LessonsTest, EitherAKeySpecOrANumberOfBytesIsAskedForAndNotBoth) {
  const auto ask = [&](GenerateDataKeyRequest request) {
    request.key_id = key_;
    auto made = service_->generate_data_key(alice_, request);
    return made ? std::to_string(made->plaintext.size()) : made.error().text;
  };
  EXPECT_EQ(ask({.key_id = {}, .context = {}}), "Please specify either number of bytes or key spec.");
  EXPECT_EQ(ask({.key_id = {}, .context = {}, .key_spec = "AES_256", .number_of_bytes = 32}),
            "Please specify either number of bytes or key spec.");
  EXPECT_EQ(ask({.key_id = {}, .context = {}, .key_spec = "AES_128"}), "16");
  EXPECT_EQ(ask({.key_id = {}, .context = {}, .number_of_bytes = 1024}), "1024");
}

}  // namespace
}  // namespace kmsfs::kms::test
