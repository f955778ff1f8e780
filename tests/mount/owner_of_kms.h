// The owner of a local KMS at work on it from another process than the mount's, as somebody at a second
// terminal would be: disables keys, takes permission away, and knows what the mount may know.
//
// Needs tests/support/crypto_environment.h. Threads: one test at a time.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "core/clock.h"
#include "core/log.h"
#include "kms/administration.h"
#include "kms/service.h"

namespace kmsfs::testing {

class OwnerOfKms {
 public:
  // Makes the store, sealed by a key file, with a user for this uid and a customer-managed key of his.
  explicit OwnerOfKms(const std::string& directory) {
    kms::SealOptions seal;
    seal.kind = kms::SealKind::kKeyFile;
    auto made = kms::Service::create_store(directory, {seal, "local-1"}, {});
    EXPECT_TRUE(made.ok()) << (made ? "" : made.error().text);
    auto opened = kms::Service::open(directory, {}, clock_, make_null_logger());
    EXPECT_TRUE(opened.ok()) << (opened ? "" : opened.error().text);
    if (!opened) return;
    service_ = std::move(*opened);
    auto user = service_->administration().ensure_user_of_uid(::geteuid(), "tester");
    EXPECT_TRUE(user.ok()) << (user ? "" : user.error().text);
    if (user) from_.principal = *user;
    from_.user_agent = "test";
    key_ = create_key();
  }

  std::string create_key() {
    auto made = service_->create_key(from_, {});
    EXPECT_TRUE(made.ok()) << (made ? "" : made.error().text);
    return made ? made->key.arn : std::string();
  }
  const std::string& key() const { return key_; }
  kms::Service& service() { return *service_; }
  const kms::Invocation& as_user() const { return from_; }

  void disable(const std::string& key) { EXPECT_TRUE(service_->disable_key(from_, {key}).ok()); }
  void enable(const std::string& key) { EXPECT_TRUE(service_->enable_key(from_, {key}).ok()); }
  void withdraw_permission() {
    put_policy(R"({"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"kms:*","Resource":"*"}]})");
  }
  void give_permission_back() { put_policy(""); }

 private:
  void put_policy(const std::string& document) {
    auto put = service_->administration().put_user_policy(from_.principal, "Withdrawn", document);
    EXPECT_TRUE(put.ok()) << (put ? "" : put.error().text);
  }

  SystemClock clock_;
  std::unique_ptr<kms::Service> service_;
  kms::Invocation from_;
  std::string key_;
};

}  // namespace kmsfs::testing
