#include "kms/server/store_gate.h"

#include <utility>

namespace kmsfs::kms {

Result<void> StoreGate::unseal(const PassphraseSource& passphrase) {
  std::lock_guard lock(unsealing_);
  if (store() != nullptr) return {};
  auto service = Service::open(directory_, passphrase, clock_, logger_);
  if (!service) return std::move(service).error();
  auto opened = std::make_shared<OpenStore>(std::move(*service), clock_, logger_);
  store_.with([&](auto& store) { store = std::move(opened); });
  return {};
}

void StoreGate::seal() {
  std::lock_guard lock(unsealing_);
  // Dies outside the lock, unless requests still use it.
  const auto sealed = store_.with([](auto& store) { return std::exchange(store, nullptr); });
}

std::shared_ptr<OpenStore> StoreGate::store() const {
  return store_.with([](const auto& store) { return store; });
}

}  // namespace kmsfs::kms
