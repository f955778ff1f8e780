// No key byte outside locked memory, looked for as an intruder would.
#include <sys/stat.h>

#include <fcntl.h>

#include "core/unique_fd.h"
#include "kms/engine.h"
#include "kms/private_file.h"
#include "tests/kms/kms_fixture.h"
#include "tests/support/memory_scan.h"

namespace kmsfs::kms::test {
namespace {

using testing::Needle;
using testing::occurrences_outside_locked_memory;

// Reading all that a sanitizer has mapped would fill its shadow memory, terabytes of it, with pages.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr bool kScans = false;
#else
constexpr bool kScans = true;
#endif

class SecretsTest : public KmsTest {
 protected:
  void SetUp() override {
    if (!kScans) GTEST_SKIP() << "no memory scan beside a sanitizer";
    KmsTest::SetUp();
  }
};

TEST_F(SecretsTest, TheScanFindsWhatLiesOnTheHeap) {
  auto generated =
      service_->generate_data_key(alice_, {.key_id = key_, .context = {}, .key_spec = "AES_256"});
  ASSERT_TRUE(generated);
  const Needle needle(generated->plaintext.reveal());
  EXPECT_EQ(occurrences_outside_locked_memory(needle), 0U);
  const Bytes leaked(generated->plaintext.reveal().begin(), generated->plaintext.reveal().end());
  EXPECT_GE(occurrences_outside_locked_memory(needle), 1U);
}

TEST_F(SecretsTest, DataKeysAreInLockedMemoryOnlyGeneratedDecryptedAndReEncrypted) {
  auto generated =
      service_->generate_data_key(alice_, {.key_id = key_, .context = {}, .key_spec = "AES_256"});
  ASSERT_TRUE(generated);
  const Needle needle(generated->plaintext.reveal());
  auto decrypted =
      service_->decrypt(alice_, {.key_id = key_, .ciphertext = generated->ciphertext, .context = {}});
  ASSERT_TRUE(decrypted);
  ReEncryptRequest request;
  request.ciphertext = generated->ciphertext;
  request.destination_key_id = key_;
  ASSERT_TRUE(service_->re_encrypt(alice_, request));
  EXPECT_FALSE(service_->decrypt(
      alice_, {.key_id = key_, .ciphertext = generated->ciphertext, .context = {{"a", "b"}}}));
  EXPECT_EQ(occurrences_outside_locked_memory(needle), 0U);
}

TEST_F(SecretsTest, KeyMaterialIsInLockedMemoryOnlyAndNotOnDisk) {
  auto engine = Engine::open(store_path(), {}, clock_, make_null_logger());
  ASSERT_TRUE(engine) << text_of(engine);
  auto transaction = (*engine)->read();
  ASSERT_TRUE(transaction);
  auto key = (*engine)->key(**transaction, *parse_key_id(key_.substr(key_.size() - 36)));
  ASSERT_TRUE(key && *key);
  auto material = (*engine)->material(**transaction, (*key)->record.id, (*key)->record.current_material().id);
  ASSERT_TRUE(material) << text_of(material);
  const Needle needle(material->reveal());
  encrypt("hello");
  EXPECT_EQ(occurrences_outside_locked_memory(needle), 0U);
  for (const auto& file : std::filesystem::directory_iterator(store_path())) {
    const std::string bytes = read_text(file.path());
    EXPECT_EQ(bytes.find(std::string(as_text(material->reveal()))), std::string::npos) << file.path();
  }
}

TEST(PassphraseSecrets, APassphraseIsInLockedMemoryOnlyAlsoAfterUnsealing) {
  if (!kScans) GTEST_SKIP() << "no memory scan beside a sanitizer";
  const TemporaryDirectory directory;
  const std::string file = directory / "passphrase";
  auto secret = Secret<24>::random();
  ASSERT_TRUE(secret);
  for (std::byte& b : secret->fill()) b = std::byte{'a'} | (b & std::byte{0x0f});  // no newline in it
  {
    const UniqueFd out(::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_TRUE(write_all(out.get(), secret->reveal()));
  }
  const Needle needle(secret->reveal());
  ASSERT_TRUE(Service::create_store(directory / "kms", {cheap_passphrase_seal(), "local-1"},
                                    passphrase_from_file(file)));
  const ManualClock clock;
  auto service = Service::open(directory / "kms", passphrase_from_file(file), clock, make_null_logger());
  ASSERT_TRUE(service) << text_of(service);
  EXPECT_EQ(occurrences_outside_locked_memory(needle), 0U);
}

}  // namespace
}  // namespace kmsfs::kms::test
