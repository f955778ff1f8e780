#include "kms/service.h"

#include <set>

#include "tests/kms/kms_fixture.h"
#include "tests/support/crypto_environment.h"

namespace kmsfs::kms::test {
namespace {

using ServiceTest = KmsTest;

TEST_F(ServiceTest, WhatWasEncryptedComesBackUnderTheSameContextOnly) {
  const EncryptionContext context = {{"kmsfs:volume", "v"}, {"kmsfs:file", "f"}};
  const Bytes blob = encrypt("hello", context);
  auto same = decrypt(blob, context);
  ASSERT_TRUE(same) << text_of(same);
  EXPECT_EQ(*same, "hello");

  for (const EncryptionContext& other :
       {EncryptionContext{}, EncryptionContext{{"kmsfs:volume", "v"}},
        EncryptionContext{{"kmsfs:volume", "v"}, {"kmsfs:file", "F"}},
        EncryptionContext{{"kmsfs:volume", "v"}, {"kmsfs:file", "f"}, {"x", ""}},
        EncryptionContext{{"kmsfs:volume", "f"}, {"kmsfs:file", "v"}}}) {
    auto wrong = decrypt(blob, other);
    ASSERT_FALSE(wrong);
    EXPECT_STREQ(wrong.error().code, "InvalidCiphertextException");
    EXPECT_EQ(wrong.error().kind, Kind::kCorrupt);
  }
}

TEST_F(ServiceTest, ContextsWhoseBytesConcatenateAlikeAreNotAlike) {
  const Bytes blob = encrypt("hello", {{"a", "bc"}});
  EXPECT_FALSE(decrypt(blob, {{"ab", "c"}}));
  EXPECT_FALSE(decrypt(blob, {{"abc", ""}}));
  EXPECT_FALSE(decrypt(encrypt("hello", {{"a", "b"}, {"c", "d"}}), {{"a", "bcd"}}));
  EXPECT_TRUE(decrypt(blob, {{"a", "bc"}}));
}

TEST_F(ServiceTest, AFlipOfAnyBitOfABlobIsInvalidCiphertext) {
  const Bytes blob = encrypt("0123456789abcdef0123456789abcdef");
  for (std::size_t at = 0; at < blob.size(); ++at) {
    for (const auto flip : {std::byte{0x01}, std::byte{0x80}}) {
      Bytes changed = blob;
      changed[at] ^= flip;
      auto opened = decrypt(changed, {}, key_);
      ASSERT_FALSE(opened) << at;
      EXPECT_STREQ(opened.error().code, "InvalidCiphertextException") << at;
      EXPECT_FALSE(decrypt(changed)) << at;
    }
  }
}

TEST_F(ServiceTest, ABlobCutOrExtendedAnywhereIsRefused) {
  const Bytes blob = encrypt("0123456789abcdef");
  for (std::size_t size = 0; size < blob.size(); ++size) {
    EXPECT_FALSE(decrypt(ByteView(blob).first(size), {}, key_)) << size;
  }
  Bytes longer = blob;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(decrypt(longer, {}, key_));
  longer.resize(6145);
  EXPECT_FALSE(decrypt(longer, {}, key_));
}

TEST_F(ServiceTest, ABlobOfAnotherKeyIsIncorrectKeyAlsoWithItsHeaderRewritten) {
  auto other = service_->create_key(alice_, {});
  ASSERT_TRUE(other) << text_of(other);
  const Bytes blob = encrypt("hello");
  auto refused = decrypt(blob, {}, other->key.arn);
  ASSERT_FALSE(refused);
  EXPECT_STREQ(refused.error().code, "IncorrectKeyException");
  EXPECT_EQ(refused.error().kind, Kind::kCorrupt);

  // The other key's id and material in the header, the rest as it was.
  auto theirs =
      service_->encrypt(alice_, {.key_id = other->key.arn, .plaintext = as_bytes("x"), .context = {}});
  ASSERT_TRUE(theirs);
  Bytes forged = blob;
  std::copy_n(theirs->ciphertext.begin() + 2, 32, forged.begin() + 2);
  auto opened = decrypt(forged, {}, other->key.arn);
  ASSERT_FALSE(opened);
  EXPECT_STREQ(opened.error().code, "InvalidCiphertextException");
  // Only the key id: that key never had this material.
  forged = blob;
  std::copy_n(theirs->ciphertext.begin() + 2, 16, forged.begin() + 2);
  EXPECT_FALSE(decrypt(forged, {}, other->key.arn));
}

TEST_F(ServiceTest, ABlobNeverHoldsTheAliasAndOpensByKeyId) {
  ASSERT_TRUE(service_->create_alias(alice_, {"alias/main", key_}));
  auto by_alias =
      service_->encrypt(alice_, {.key_id = "alias/main", .plaintext = as_bytes("hello"), .context = {}});
  ASSERT_TRUE(by_alias) << text_of(by_alias);
  EXPECT_EQ(by_alias->key_arn, key_);
  EXPECT_EQ(std::string(as_text(by_alias->ciphertext)).find("main"), std::string::npos);
  const std::string id = key_.substr(key_.size() - 36);
  const std::string alias_arn = "arn:aws:kms:local-1:" + account_ + ":alias/main";
  for (const std::string& name : {std::string(), id, key_, std::string("alias/main"), alias_arn}) {
    EXPECT_TRUE(decrypt(by_alias->ciphertext, {}, name)) << name;
  }
}

TEST_F(ServiceTest, GeneratedDataKeysComeBackByDecryptAndAreNeverTheSame) {
  const EncryptionContext context = {{"kmsfs:file", "1"}};
  auto first =
      service_->generate_data_key(alice_, {.key_id = key_, .context = context, .key_spec = "AES_256"});
  auto second =
      service_->generate_data_key(alice_, {.key_id = key_, .context = context, .key_spec = "AES_256"});
  ASSERT_TRUE(first) << text_of(first);
  ASSERT_TRUE(second);
  EXPECT_EQ(first->plaintext.size(), 32U);
  EXPECT_EQ(first->key_arn, key_);
  const std::string plain(as_text(first->plaintext.reveal()));
  EXPECT_NE(plain, as_text(second->plaintext.reveal()));
  EXPECT_EQ(*decrypt(first->ciphertext, context, key_), plain);

  auto blind = service_->generate_data_key_without_plaintext(
      alice_, {.key_id = key_, .context = context, .key_spec = "AES_256"});
  ASSERT_TRUE(blind);
  EXPECT_EQ(decrypt(blind->ciphertext, context)->size(), 32U);
}

TEST_F(ServiceTest, ReEncryptMovesABlobToAnotherKeyAndContext) {
  auto other = service_->create_key(alice_, {});
  ASSERT_TRUE(other);
  const Bytes blob = encrypt("hello", {{"a", "1"}});
  ReEncryptRequest request;
  request.ciphertext = blob;
  request.source_context = {{"a", "1"}};
  request.destination_key_id = other->key.arn;
  request.destination_context = {{"b", "2"}};
  auto moved = service_->re_encrypt(alice_, request);
  ASSERT_TRUE(moved) << text_of(moved);
  EXPECT_EQ(moved->source_key_arn, key_);
  EXPECT_EQ(moved->key_arn, other->key.arn);
  EXPECT_EQ(*decrypt(moved->ciphertext, {{"b", "2"}}, other->key.arn), "hello");
  EXPECT_FALSE(decrypt(moved->ciphertext, {{"a", "1"}}, other->key.arn));

  request.source_context = {};
  auto wrong = service_->re_encrypt(alice_, request);
  ASSERT_FALSE(wrong);
  EXPECT_STREQ(wrong.error().code, "InvalidCiphertextException");
}

TEST_F(ServiceTest, ADisabledKeyIsRefusedUntilItIsEnabledAgain) {
  const Bytes blob = encrypt("hello");
  ASSERT_TRUE(service_->disable_key(alice_, {key_}));
  auto refused = decrypt(blob, {}, key_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, Kind::kDisabled);
  EXPECT_STREQ(refused.error().code, "DisabledException");
  auto generated =
      service_->generate_data_key(alice_, {.key_id = key_, .context = {}, .key_spec = "AES_256"});
  ASSERT_FALSE(generated);
  EXPECT_EQ(generated.error().kind, Kind::kDisabled);
  EXPECT_FALSE(service_->encrypt(alice_, {.key_id = key_, .plaintext = as_bytes("x"), .context = {}}));
  auto described = service_->describe_key(alice_, {key_});
  ASSERT_TRUE(described);
  EXPECT_EQ(described->key.state, KeyState::kDisabled);

  ASSERT_TRUE(service_->enable_key(alice_, {key_}));
  EXPECT_EQ(*decrypt(blob, {}, key_), "hello");
}

TEST_F(ServiceTest, PlaintextsAndContextsOutsideTheLimitsAreRefused) {
  const std::string most(4096, 'x');
  EXPECT_EQ(*decrypt(encrypt(most)), most);
  const std::string too_long(4097, 'x');
  EXPECT_EQ(service_->encrypt(alice_, {.key_id = key_, .plaintext = as_bytes(too_long), .context = {}})
                .error()
                .kind,
            Kind::kInvalid);
  EXPECT_FALSE(service_->encrypt(alice_, {.key_id = key_, .plaintext = {}, .context = {}}));
  EXPECT_FALSE(service_->encrypt(
      alice_, {.key_id = key_, .plaintext = as_bytes("x"), .context = {{"a", std::string(8192, 'x')}}}));
  EXPECT_FALSE(service_->generate_data_key(alice_, {.key_id = key_, .context = {}, .number_of_bytes = 0}));
  EXPECT_FALSE(service_->generate_data_key(alice_, {.key_id = key_, .context = {}, .number_of_bytes = 1025}));
}

TEST_F(ServiceTest, KeysThatAreNotThereAreNotFoundAndForeignOnesAreDenied) {
  const std::string absent = "12345678-1234-1234-1234-123456789012";
  auto gone = service_->describe_key(alice_, {absent});
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().kind, Kind::kKeyGone);
  EXPECT_STREQ(gone.error().code, "NotFoundException");
  for (const char* wrong : {"", "x", "alias/none", "alias/", "arn:aws:kms", "arn:aws:kms:local-1:123:key/x",
                            "12345678-1234-1234-1234-12345678901Z"}) {
    EXPECT_EQ(service_->describe_key(alice_, {wrong}).error().kind, Kind::kKeyGone) << wrong;
  }
  std::string other_region = key_;
  other_region.replace(other_region.find("local-1"), 7, "local-2");
  EXPECT_EQ(service_->describe_key(alice_, {other_region}).error().kind, Kind::kKeyGone);

  // Whether another account's key exists is not told.
  const Invocation mallory = new_user("mallory");
  auto existing = service_->describe_key(mallory, {key_});
  auto missing = service_->describe_key(mallory, {"arn:aws:kms:local-1:" + account_ + ":key/" + absent});
  EXPECT_EQ(existing.error().kind, Kind::kDenied);
  EXPECT_EQ(missing.error().kind, Kind::kDenied);
}

TEST_F(ServiceTest, AUserNobodyAllowedAnythingIsDenied) {
  const Bytes blob = encrypt("hello");
  const Invocation bob = new_user("bob", account_);
  EXPECT_EQ(decrypt_as(bob, blob, {}, key_).error().kind, Kind::kDenied);
  EXPECT_STREQ(decrypt_as(bob, blob, {}, key_).error().code, "AccessDeniedException");
  EXPECT_EQ(service_->create_key(bob, {}).error().kind, Kind::kDenied);
  EXPECT_EQ(service_->list_keys(bob, {}).error().kind, Kind::kDenied);
  EXPECT_EQ(service_->disable_key(bob, {key_}).error().kind, Kind::kDenied);
  EXPECT_EQ(service_->create_alias(bob, {"alias/x", key_}).error().kind, Kind::kDenied);
  EXPECT_EQ(service_->get_key_policy(bob, {key_}).error().kind, Kind::kDenied);
  EXPECT_EQ(decrypt_as(from("arn:aws:iam::" + account_ + ":user/nobody"), blob).error().kind, Kind::kDenied);

  // His own policy, under a key policy that leaves it to the account's.
  ASSERT_TRUE(service_->administration().put_user_policy(bob.principal, "use",
                                                         R"({"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"kms:Decrypt","Resource":")" +
                                                             key_ + R"("}]})"));
  EXPECT_TRUE(decrypt_as(bob, blob, {}, key_));
  EXPECT_FALSE(service_->encrypt(bob, {.key_id = key_, .plaintext = as_bytes("x"), .context = {}}));
  ASSERT_TRUE(service_->administration().put_user_policy(bob.principal, "use", ""));
  EXPECT_FALSE(decrypt_as(bob, blob, {}, key_));
}

TEST_F(ServiceTest, AKeyPolicyLetsAnotherAccountInAndOutAgain) {
  const Invocation carol = new_user("carol");
  ASSERT_TRUE(service_->administration().put_user_policy(carol.principal, "all",
                                                         R"({"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"kms:*","Resource":"*"}]})"));
  const Bytes blob = encrypt("hello");
  EXPECT_EQ(decrypt_as(carol, blob, {}, key_).error().kind, Kind::kDenied);
  const std::string original = service_->get_key_policy(alice_, {key_})->policy;
  const auto statement = [](const std::string& account, const char* action) {
    return R"({"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::)" + account + R"(:root"},"Action":")" +
           action + R"(","Resource":"*"})";
  };
  auto put = service_->administration().put_key_policy(
      key_, R"({"Version":"2012-10-17","Statement":[)" + statement(account_, "kms:*") + "," +
                statement(account_of(carol), "kms:Decrypt") + "]}");
  ASSERT_TRUE(put) << text_of(put);
  auto opened = decrypt_as(carol, blob, {}, key_);
  ASSERT_TRUE(opened) << text_of(opened);
  EXPECT_FALSE(service_->encrypt(carol, {.key_id = key_, .plaintext = as_bytes("x"), .context = {}}));
  ASSERT_TRUE(service_->administration().put_key_policy(key_, original));
  EXPECT_EQ(decrypt_as(carol, blob, {}, key_).error().kind, Kind::kDenied);
}

TEST_F(ServiceTest, AServiceManagedKeyServesItsAccountAndNoOther) {
  auto key = service_->administration().ensure_service_key(account_, "alias/aws/kmsfs");
  ASSERT_TRUE(key) << text_of(key);
  EXPECT_EQ(key->manager, KeyManager::kService);
  EXPECT_EQ(service_->administration().ensure_service_key(account_, "alias/aws/kmsfs")->arn, key->arn);

  const Invocation bob = new_user("bob", account_);
  auto generated =
      service_->generate_data_key(bob, {.key_id = "alias/aws/kmsfs", .context = {}, .key_spec = "AES_256"});
  ASSERT_TRUE(generated) << text_of(generated);
  EXPECT_EQ(generated->key_arn, key->arn);
  EXPECT_TRUE(decrypt_as(bob, generated->ciphertext, {}, key->arn));

  const Invocation carol = new_user("carol");
  ASSERT_TRUE(service_->administration().put_user_policy(carol.principal, "all",
                                                         R"({"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"kms:*","Resource":"*"}]})"));
  EXPECT_EQ(decrypt_as(carol, generated->ciphertext, {}, key->arn).error().kind, Kind::kDenied);
  EXPECT_EQ(decrypt_as(carol, generated->ciphertext).error().kind, Kind::kDenied);
  EXPECT_EQ(service_->describe_key(carol, {key->arn}).error().kind, Kind::kDenied);
  // Nor can it be opened up.
  EXPECT_EQ(service_->administration().put_key_policy(key->arn, default_key_policy(account_)).error().kind,
            Kind::kDenied);
  EXPECT_EQ(service_->create_alias(alice_, {"alias/aws/mine", key_}).error().kind, Kind::kDenied);
}

TEST_F(ServiceTest, AKeyPolicyThatLocksItsMakerOutIsRefusedAndLeavesNoKey) {
  const auto keys = [&] { return service_->list_keys(alice_, {})->keys.size(); };
  const std::size_t before = keys();
  const std::string policy = R"({"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":
      {"AWS":")" + alice_.principal +
                             R"("},"Action":"kms:Encrypt","Resource":"*"}]})";
  auto locked_out = service_->create_key(alice_, {.description = "", .policy = policy});
  ASSERT_FALSE(locked_out);
  EXPECT_STREQ(locked_out.error().code, "MalformedPolicyDocumentException");
  EXPECT_FALSE(service_->create_key(alice_, {.description = "", .policy = "{"}));
  EXPECT_EQ(keys(), before);
  EXPECT_TRUE(service_->create_key(
      alice_, {.description = "", .policy = policy, .bypass_policy_lockout_safety_check = true}));
  EXPECT_EQ(keys(), before + 1);
}

TEST_F(ServiceTest, ListsComeInPagesThatLoseNothing) {
  for (int i = 0; i < 7; ++i) {
    auto key = service_->create_key(alice_, {});
    ASSERT_TRUE(key);
    ASSERT_TRUE(
        service_->create_alias(alice_, {"alias/a" + std::to_string(i), i % 2 == 0 ? key_ : key->key.key_id}));
  }
  std::vector<std::string> ids;
  ListRequest request;
  request.limit = 3;
  for (int pages = 0; pages < 10; ++pages) {
    auto page = service_->list_keys(alice_, request);
    ASSERT_TRUE(page) << text_of(page);
    for (const auto& key : page->keys) ids.push_back(key.key_id);
    if (page->next_marker.empty()) break;
    request.marker = page->next_marker;
  }
  EXPECT_EQ(ids.size(), 8U);
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 8U);

  EXPECT_EQ(service_->list_aliases(alice_, {})->aliases.size(), 7U);
  ListRequest of_one;
  of_one.key_id = key_;
  auto four = service_->list_aliases(alice_, of_one);
  ASSERT_TRUE(four) << text_of(four);
  EXPECT_EQ(four->aliases.size(), 4U);
  EXPECT_EQ(four->aliases[0].name, "alias/a0");
  EXPECT_EQ(key_.substr(key_.size() - 36), four->aliases[0].target_key_id);

  ListRequest bad;
  bad.marker = "!!";
  EXPECT_STREQ(service_->list_keys(alice_, bad).error().code, "InvalidMarkerException");
  bad = {};
  bad.limit = 1001;
  EXPECT_FALSE(service_->list_keys(alice_, bad));
  // Another account sees its own only.
  EXPECT_TRUE(service_->list_keys(from("arn:aws:iam::" + account_ + ":root"), {})->keys.size() == 8);
  const Invocation carol = new_user("carol");
  EXPECT_TRUE(service_->list_keys(from("arn:aws:iam::" + account_of(carol) + ":root"), {})->keys.empty());
}

TEST_F(ServiceTest, AliasesAreUniqueWellFormedAndLimited) {
  ASSERT_TRUE(service_->create_alias(alice_, {"alias/a", key_}));
  EXPECT_STREQ(service_->create_alias(alice_, {"alias/a", key_}).error().code, "AlreadyExistsException");
  EXPECT_TRUE(service_->create_alias(alice_, {"alias/A", key_}));  // case counts
  for (const std::string& wrong : {std::string("a"), std::string("alias/"), std::string("alias/a b"),
                                   std::string("alias/a:b"), "alias/" + std::string(300, 'x')}) {
    EXPECT_EQ(service_->create_alias(alice_, {wrong, key_}).error().kind, Kind::kInvalid) << wrong;
  }
  EXPECT_FALSE(service_->create_alias(alice_, {"alias/b", "alias/a"}));
  EXPECT_FALSE(service_->describe_key(alice_, {"alias/b"}));
  // The policy is read by key, never by alias.
  EXPECT_FALSE(service_->get_key_policy(alice_, {"alias/a"}));
  for (int i = 2; i < 50; ++i)
    ASSERT_TRUE(service_->create_alias(alice_, {"alias/n" + std::to_string(i), key_}));
  EXPECT_STREQ(service_->create_alias(alice_, {"alias/one-more", key_}).error().code,
               "LimitExceededException");
}

TEST_F(ServiceTest, ReopeningKeepsEverything) {
  const Bytes blob = encrypt("hello", {{"a", "b"}});
  ASSERT_TRUE(service_->create_alias(alice_, {"alias/a", key_}));
  ASSERT_TRUE(service_->disable_key(alice_, {key_}));
  service_.reset();
  service_ = open();
  ASSERT_NE(service_, nullptr);
  EXPECT_EQ(service_->describe_key(alice_, {"alias/a"})->key.state, KeyState::kDisabled);
  ASSERT_TRUE(service_->enable_key(alice_, {key_}));
  EXPECT_EQ(*decrypt(blob, {{"a", "b"}}), "hello");
  EXPECT_EQ(**service_->administration().user_of_uid(1000), alice_.principal);
}

}  // namespace
}  // namespace kmsfs::kms::test
