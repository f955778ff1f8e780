// A KMS for the targets that call one: a store in memory, a user who may do everything, one key.
//
// The store is made anew after some thousands of inputs, so that a long run does not fill the memory.
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

#include "core/clock.h"
#include "core/log.h"
#include "kms/administration.h"
#include "kms/service.h"
#include "tests/fuzz/fuzz.h"

namespace kmsfs::fuzz {

class KmsStore {
 public:
  KmsStore() {
    start_cryptography();
    // Changes are synced, and a disk would make that slow.
    std::string name =
        ::access("/dev/shm", W_OK) == 0 ? "/dev/shm/kmsfs-fuzz-XXXXXX" : "/tmp/kmsfs-fuzz-XXXXXX";
    require(::mkdtemp(name.data()) != nullptr, "a directory for the store");
    directory_ = name;
    kms::SealOptions seal;
    seal.kind = kms::SealKind::kKeyFile;
    const std::string store = directory_ + "/kms";
    require(kms::Service::create_store(store, {seal, "local-1"}, {}).ok(), "a store is made");
    auto service = kms::Service::open(store, {}, clock_, make_null_logger());
    require(service.ok(), "the store opens");
    service_ = std::move(*service);
    auto user = service_->administration().ensure_user_of_uid(1000, "fuzz");
    require(user.ok(), "a user is made");
    user_.principal = *user;
    require(service_->create_key(user_, {.description = {}, .policy = {}}).ok(), "a key is made");
    auto keys = service_->list_keys(user_, {.limit = {}, .marker = {}, .key_id = {}});
    require(keys.ok() && !keys->keys.empty(), "the key is listed");
    key_id_ = keys->keys.front().key_id;
    require(service_->create_alias(user_, {"alias/fuzz", key_id_}).ok(), "an alias is made");
  }
  ~KmsStore() {
    service_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
  KmsStore(const KmsStore&) = delete;
  KmsStore& operator=(const KmsStore&) = delete;

  static KmsStore& fresh_enough() {
    constexpr int kInputs = 5000;
    // Begun here, not at its declaration: it must end before what it stands on does.
    static auto store = std::make_unique<KmsStore>();
    static int used = 0;
    if (++used > kInputs) {
      store.reset();  // the old one is closed and removed first
      store = std::make_unique<KmsStore>();
      used = 0;
    }
    return *store;
  }

  kms::Service& service() { return *service_; }
  const kms::Invocation& user() const { return user_; }
  const Clock& clock() const { return clock_; }

 private:
  std::string directory_;
  ManualClock clock_;
  std::unique_ptr<kms::Service> service_;
  kms::Invocation user_;
  std::string key_id_;
};

}  // namespace kmsfs::fuzz
