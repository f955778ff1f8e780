// The store behind a server: open, or sealed.
//
// Always: while it is sealed the process has no root key. Sealing takes the store from requests to come at
// once; those under way finish with it, and the root key is wiped when the last of them has. Unsealing runs
// one at a time. Threads: any.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "core/guarded.h"
#include "kms/service.h"
#include "kms/wire/protocol.h"

namespace kmsfs::kms {

// Held by the gate, and by each request that is being handled.
struct OpenStore {
  OpenStore(std::unique_ptr<Service> opened, const Clock& clock, const Logger& logger)
      : service(std::move(opened)), protocol(*service, clock, logger) {}
  const std::unique_ptr<Service> service;
  Protocol protocol;
};

class StoreGate {
 public:
  // `clock` must outlive it.
  StoreGate(std::string directory, const Clock& clock, Logger logger)
      : directory_(std::move(directory)), clock_(clock), logger_(std::move(logger)) {}

  // Errors as Service::open; then it stays sealed. Open already: nothing happens.
  Result<void> unseal(const PassphraseSource& passphrase);
  void seal();

  std::shared_ptr<OpenStore> store() const;  // nullptr: sealed
  const std::string& directory() const { return directory_; }

 private:
  const std::string directory_;
  const Clock& clock_;
  const Logger logger_;
  std::mutex unsealing_;  // held before `store_`, never after
  Guarded<std::shared_ptr<OpenStore>> store_;
};

}  // namespace kmsfs::kms
