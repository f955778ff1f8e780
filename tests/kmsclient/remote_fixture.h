// A client of a KMS elsewhere in a world of the test's making: its environment, its files, its pauses.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/guarded.h"
#include "kmsclient/remote_caller.h"
#include "kmsclient/remote_kms.h"
#include "tests/kmsclient/scripted_server.h"
#include "tests/support/temporary_directory.h"

namespace kmsfs::test {

inline const std::string kKeyArn =
    "arn:aws:kms:eu-west-1:123456789012:key/12345678-1234-4234-8234-123456789abc";
inline const std::string kOtherArn =
    "arn:aws:kms:eu-west-1:123456789012:key/99999999-1234-4234-8234-123456789abc";
inline const std::string kSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

// The reply to GenerateDataKey and Decrypt: a key of 32 letters k.
inline std::string key_reply(const std::string& arn = kKeyArn,
                             const std::string& plain = std::string(32, 'k')) {
  return R"({"KeyId":")" + arn + R"(","CiphertextBlob":"AAECAw==","Plaintext":")" +
         to_base64(as_bytes(plain)) + R"(","EncryptionAlgorithm":"SYMMETRIC_DEFAULT"})";
}

class RemoteTest : public ::testing::Test {
 protected:
  using Variables = std::map<std::string, std::string>;

  RemoteTest() {
    variables_ = {{"HOME", home_.path().string()},
                  {"AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"},
                  {"AWS_SECRET_ACCESS_KEY", kSecret},
                  {"AWS_REGION", "eu-west-1"},
                  {"AWS_EC2_METADATA_DISABLED", "true"}};
    limits_.call_deadline =
        Milliseconds(30000);  // what a slow machine needs; a test of deadlines sets its own
    limits_.operation_deadline = Milliseconds(60000);
  }

  Environment environment() const {
    return Environment(
        [variables = std::make_shared<Variables>(variables_)](const char* name) -> const char* {
          const auto found = variables->find(name);
          return found == variables->end() ? nullptr : found->second.c_str();
        });
  }
  Result<std::unique_ptr<RemoteCaller>> make(const KmsAccess& access) {
    RemoteCaller::Options options;
    options.limits = limits_;
    options.environment = environment();
    options.pause = [this](Milliseconds pause) {
      pauses_.with([&](auto& pauses) { pauses.push_back(pause); });
    };
    return RemoteCaller::make(access, clock_, std::move(options));
  }
  std::unique_ptr<RemoteCaller> caller(const std::string& uri) {
    auto made = make({uri, {}, {}});
    EXPECT_TRUE(made) << (made ? "" : made.error().text);
    return made ? std::move(*made) : nullptr;
  }
  std::unique_ptr<RemoteKms> kms(const std::string& uri) { return std::make_unique<RemoteKms>(caller(uri)); }
  std::vector<Milliseconds> pauses() const {
    return pauses_.with([](const auto& pauses) { return pauses; });
  }

  kmsfs::testing::TemporaryDirectory home_;
  Variables variables_;
  SurvivalLimits limits_;
  ManualClock clock_;
  Guarded<std::vector<Milliseconds>> pauses_;
};

template <typename T>
std::string text_of(const Result<T>& result) {
  return result ? "" : result.error().text;
}

}  // namespace kmsfs::test
