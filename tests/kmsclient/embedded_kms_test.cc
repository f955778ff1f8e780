#include "kmsclient/embedded_kms.h"

#include "tests/kms/kms_fixture.h"
#include "tests/support/crypto_environment.h"

namespace kmsfs {
namespace {

using kms::test::text_of;

class EmbeddedKmsTest : public kms::test::KmsTest {
 protected:
  void SetUp() override {
    KmsTest::SetUp();
    embedded_ = std::make_unique<EmbeddedKms>(open(), "local:" + store_path(), alice_.principal);
  }
  const EncryptionContext context_ = {{"kmsfs:volume", "v"}, {"kmsfs:file", "f"}};
  std::unique_ptr<EmbeddedKms> embedded_;
};

TEST_F(EmbeddedKmsTest, ADataKeyComesBackAsItWasGenerated) {
  auto generated = embedded_->generate_data_key(key_, context_);
  ASSERT_TRUE(generated) << text_of(generated);
  EXPECT_EQ(generated->wrapped.key_arn, key_);
  EXPECT_LE(generated->wrapped.blob.size(), 6144U);
  auto opened = embedded_->decrypt(key_, generated->wrapped.blob, context_);
  ASSERT_TRUE(opened) << text_of(opened);
  EXPECT_EQ(as_text(opened->reveal()), as_text(generated->key.reveal()));
  EXPECT_EQ(*embedded_->principal(), alice_.principal);
  EXPECT_EQ(embedded_->endpoint(), "local:" + store_path());
  EXPECT_EQ(embedded_->describe_key(key_)->arn, key_);
}

TEST_F(EmbeddedKmsTest, AnAliasServesToGenerateAndTheReplyNamesTheKey) {
  ASSERT_TRUE(service_->create_alias(alice_, {"alias/main", key_}));
  auto generated = embedded_->generate_data_key("alias/main", context_);
  ASSERT_TRUE(generated) << text_of(generated);
  EXPECT_EQ(generated->wrapped.key_arn, key_);
  auto blind = embedded_->generate_data_key_without_plaintext("alias/main", context_);
  ASSERT_TRUE(blind);
  EXPECT_TRUE(embedded_->decrypt(key_, blind->blob, context_));
}

TEST_F(EmbeddedKmsTest, AWrapOfAnotherKeyOrContextIsCorruptAndNeverAnotherKind) {
  auto other = service_->create_key(alice_, {});
  ASSERT_TRUE(other);
  auto generated = embedded_->generate_data_key(key_, context_);
  ASSERT_TRUE(generated);
  EXPECT_EQ(embedded_->decrypt(other->key.arn, generated->wrapped.blob, context_).error().kind,
            Kind::kCorrupt);
  EXPECT_EQ(embedded_->decrypt(key_, generated->wrapped.blob, {}).error().kind, Kind::kCorrupt);
  EXPECT_EQ(embedded_->decrypt("", generated->wrapped.blob, context_).error().kind, Kind::kInvalid);
  Bytes cut = generated->wrapped.blob;
  cut.pop_back();
  EXPECT_EQ(embedded_->decrypt(key_, cut, context_).error().kind, Kind::kCorrupt);
}

TEST_F(EmbeddedKmsTest, AWrapThatHoldsNoDataKeyIsCorrupt) {
  const Bytes blob = encrypt("thirty-one bytes are not a key!", context_);
  EXPECT_EQ(embedded_->decrypt(key_, blob, context_).error().kind, Kind::kCorrupt);
}

TEST_F(EmbeddedKmsTest, DeniedDisabledAndGoneAreToldApart) {
  auto generated = embedded_->generate_data_key(key_, context_);
  ASSERT_TRUE(generated);
  ASSERT_TRUE(service_->disable_key(alice_, {key_}));  // through another service, as another mount would
  EXPECT_EQ(embedded_->decrypt(key_, generated->wrapped.blob, context_).error().kind, Kind::kDisabled);
  ASSERT_TRUE(service_->enable_key(alice_, {key_}));
  EXPECT_TRUE(embedded_->decrypt(key_, generated->wrapped.blob, context_));
  ASSERT_TRUE(service_->administration().put_user_policy(alice_.principal, "KmsFullAccess", ""));
  EXPECT_EQ(embedded_->decrypt(key_, generated->wrapped.blob, context_).error().kind, Kind::kDenied);
  const std::string absent = key_.substr(0, key_.size() - 36) + "12345678-1234-4234-8234-123456789abc";
  EXPECT_EQ(embedded_->decrypt(absent, generated->wrapped.blob, context_).error().kind, Kind::kKeyGone);
}

TEST_F(EmbeddedKmsTest, ReEncryptRewrapsTheSameDataKey) {
  auto other = service_->create_key(alice_, {});
  ASSERT_TRUE(other);
  auto generated = embedded_->generate_data_key(key_, context_);
  ASSERT_TRUE(generated);
  auto moved = embedded_->re_encrypt(generated->wrapped.blob, key_, context_, other->key.arn, context_);
  ASSERT_TRUE(moved) << text_of(moved);
  EXPECT_EQ(moved->key_arn, other->key.arn);
  auto opened = embedded_->decrypt(other->key.arn, moved->blob, context_);
  ASSERT_TRUE(opened);
  EXPECT_EQ(as_text(opened->reveal()), as_text(generated->key.reveal()));
  EXPECT_FALSE(embedded_->re_encrypt(generated->wrapped.blob, "", context_, other->key.arn, context_));
}

}  // namespace
}  // namespace kmsfs
