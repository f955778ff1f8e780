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
#include "kms/identities/administration_call.h"
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

// The AWS code of a refusal; "ok" if there was none.
template <typename T>
std::string code_of(const Result<T>& result) {
  if (result) return "ok";
  return result.error().code != nullptr ? result.error().code : std::string(to_string(result.error().kind));
}

// A policy of one statement after the other, each as JSON.
inline std::string policy_of(const std::vector<std::string>& statements) {
  std::string text = R"({"Version":"2012-10-17","Statement":[)";
  for (const std::string& statement : statements) text += (text.back() == '[' ? "" : ",") + statement;
  return text + "]}";
}
// `actions` as JSON: "\"kms:*\"" or a list. Without a principal it is a statement of an identity policy.
inline std::string allow(const std::string& actions, const std::string& principal = {},
                         const std::string& condition = {}) {
  std::string text = R"({"Effect":"Allow","Action":)" + actions + R"(,"Resource":"*")";
  if (!principal.empty()) text += R"(,"Principal":{"AWS":")" + principal + "\"}";
  if (!condition.empty()) text += R"(,"Condition":)" + condition;
  return text + "}";
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
  // The same, who may do everything that keys' policies leave to the account.
  Invocation new_administrator(const std::string& name, std::string account = {}) {
    Invocation user = new_user(name, std::move(account));
    put_policy(user, policy_of({allow("\"kms:*\"")}));
    return user;
  }
  void put_policy(const Invocation& user, const std::string& policy) {
    auto put = service_->administration().put_user_policy(user.principal, "policy", policy);
    EXPECT_TRUE(put) << text_of(put);
  }
  // In alice's account, if `json` does not say otherwise.
  void administer(std::string_view operation, std::string json) {
    if (json.find("AccountId") == std::string::npos) {
      json.insert(1, R"("AccountId":")" + account_ + (json == "{}" ? "\"" : "\","));
    }
    auto done = administration_call(service_->administration(), operation, json);
    EXPECT_TRUE(done) << text_of(done);
  }
  std::string new_key(CreateKeyRequest request = {}) {
    auto key = service_->create_key(alice_, request);
    EXPECT_TRUE(key) << text_of(key);
    return key ? key->key.arn : std::string();
  }
  static std::string root_of(const Invocation& invocation) {
    return "arn:aws:iam::" + account_of(invocation) + ":root";
  }
  Result<CiphertextReply> encrypt_as(const Invocation& who, const std::string& key,
                                     const EncryptionContext& context = {}) {
    return service_->encrypt(who, {.key_id = key, .plaintext = as_bytes("hello"), .context = context});
  }
  KeyState state_of(const std::string& key) {
    auto described = service_->describe_key(alice_, {key});
    EXPECT_TRUE(described) << text_of(described);
    return described ? described->key.state : KeyState::kEnabled;
  }
  void expect_sound_log() const {
    auto verdict = verify_audit_log(store_path());
    ASSERT_TRUE(verdict) << text_of(verdict);
    EXPECT_EQ(verdict->problem, std::nullopt) << *verdict->problem;
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
