// A store in a directory of its own, with a cheap seal, and what tests of the KMS need of it.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/log.h"
#include "kms/administration.h"
#include "kms/audit_log.h"
#include "kms/service.h"

namespace kmsfs::kms::test {

// Removed with everything in it when it dies.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "kmsfs-test-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline PassphraseSource passphrase(std::string text) {
  return [text = std::move(text)](PassphraseUse) { return Passphrase::copy_of(text); };
}

// Argon2id at its cheapest: its strength is not what these tests are about.
inline SealOptions cheap_passphrase_seal() {
  SealOptions seal;
  seal.memory_kib = 64;
  seal.passes = 1;
  seal.lanes = 1;
  return seal;
}
inline SealOptions key_file_seal() {
  SealOptions seal;
  seal.kind = SealKind::kKeyFile;
  return seal;
}

inline std::string read_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
inline void write_text(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

template <typename T>
std::string text_of(const Result<T>& result) {
  return result ? "ok" : std::string(to_string(result.error().kind)) + ": " + result.error().text;
}

// One store, one account with its first user (alice) and a customer-managed key of hers.
class KmsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = Service::create_store(store_path(), {key_file_seal(), "local-1"}, {});
    ASSERT_TRUE(made) << text_of(made);
    service_ = open();
    ASSERT_NE(service_, nullptr);
    auto user = service_->administration().ensure_user_of_uid(1000, "alice");
    ASSERT_TRUE(user) << text_of(user);
    alice_ = from(*user);
    account_ = user->substr(13, 12);
    auto key = service_->create_key(alice_, {.description = "a test key", .policy = {}});
    ASSERT_TRUE(key) << text_of(key);
    key_ = key->key.arn;
  }

  std::string store_path() const { return directory_ / "kms"; }
  std::unique_ptr<Service> open() {
    auto service = Service::open(store_path(), {}, clock_, make_null_logger());
    EXPECT_TRUE(service) << text_of(service);
    return service ? std::move(*service) : nullptr;
  }
  static Invocation from(std::string principal) {
    Invocation invocation;
    invocation.principal = std::move(principal);
    invocation.user_agent = "test";
    return invocation;
  }
  // A user who is allowed nothing yet, in an account that is new or given.
  Invocation new_user(const std::string& name, std::string account = {}) {
    if (account.empty()) account = *service_->administration().create_account();
    auto user = service_->administration().create_user(account, name);
    EXPECT_TRUE(user) << text_of(user);
    return from(*user);
  }
  static std::string account_of(const Invocation& invocation) { return invocation.principal.substr(13, 12); }

  Bytes encrypt(std::string_view text, const EncryptionContext& context = {}) {
    auto reply = service_->encrypt(alice_, {.key_id = key_, .plaintext = as_bytes(text), .context = context});
    EXPECT_TRUE(reply) << text_of(reply);
    return reply ? reply->ciphertext : Bytes();
  }
  Result<std::string> decrypt(ByteView blob, const EncryptionContext& context = {}, std::string key = {}) {
    return decrypt_as(alice_, blob, context, std::move(key));
  }
  Result<std::string> decrypt_as(const Invocation& who, ByteView blob, const EncryptionContext& context = {},
                                 std::string key = {}) {
    auto reply = service_->decrypt(who, {.key_id = std::move(key), .ciphertext = blob, .context = context});
    if (!reply) return std::move(reply).error();
    return std::string(as_text(reply->plaintext.reveal()));
  }
  std::vector<std::string> audit_lines() const {
    std::vector<std::string> lines;
    std::ifstream in(store_path() + "/audit.log");
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }

  TemporaryDirectory directory_;
  ManualClock clock_;
  std::unique_ptr<Service> service_;
  Invocation alice_;
  std::string account_;
  std::string key_;
};

}  // namespace kmsfs::kms::test
