// Branch keys for files that are about to be made (docs/FORMAT.md, section "Branch keys").
//
// Each mount makes branch keys of its own, by its own GenerateDataKey: one for each directory below the root
// (the subtree) in which it makes files, and a new one after kEpoch or kFilesPerEpoch files. Always: one call
// to the KMS for a branch key, whoever waits for it, and all hear the same answer; a branch key that may not
// be used any more (refused, past its age) serves no new file; while the KMS cannot be reached the last one
// serves on as long as the key cache lets it. Threads: any, together. take() may ask the KMS: without a lock;
// its wait can be ended (core/waiting.h).
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "core/clock.h"
#include "fs/file_key.h"
#include "fs/new_file_keys.h"

namespace kmsfs {

class BranchKeys {
 public:
  // Shorter than the usual age of a cached key, so that none is renewed only to serve new files.
  static constexpr std::chrono::seconds kEpoch{180};
  static constexpr std::uint64_t kFilesPerEpoch = 4096;
  static constexpr std::size_t kMostSubtrees = 64;     // with a branch key of their own; the others share one
  static constexpr std::chrono::seconds kAskAgain{5};  // of a KMS that could not be reached

  using Subtree = std::uint64_t;  // not 0

  // All must outlive it.
  BranchKeys(const VolumeParameters& volume, KeyCache& keys, const Clock& clock);
  BranchKeys(const BranchKeys&) = delete;
  BranchKeys& operator=(const BranchKeys&) = delete;

  Result<NewFileKey> take(Subtree subtree);
  // Each second: lets go of branch keys that serve no new files.
  void maintain();

 private:
  struct Branch {
    BranchId id;
    KeyHandle handle;
    WrappedDataKey wrapped;
  };
  using BranchPtr = std::shared_ptr<const Branch>;  // of the subtree, and of who makes a file right now
  struct Making {
    std::optional<Result<BranchPtr>> outcome;
  };
  struct Place {
    BranchPtr branch;
    BootTime until{0};
    std::uint64_t files = 0;
    std::shared_ptr<Making> making;  // while the KMS is asked; of who asks, and who waits
  };

  Result<NewFileKey> make_file_key(const Branch& from, const DataKey& branch_key) const;
  Result<BranchPtr> branch_for(Subtree subtree);
  // Nothing: whoever asked the KMS has gone before the answer came, and somebody else has to ask.
  std::optional<Result<BranchPtr>> try_branch_for(Subtree subtree);
  Result<BranchPtr> make();
  Result<BranchPtr> settle(Place& place, Result<BranchPtr> made, BranchPtr& gone);
  Subtree with_place(Subtree subtree) const;

  const VolumeParameters& volume_;
  const Clock& clock_;
  NewFileKeys ahead_;  // branch keys that no subtree has yet, where the KMS is far away

  mutable std::mutex mutex_;
  std::condition_variable_any made_;
  std::unordered_map<Subtree, Place> places_;  // under mutex_
};

}  // namespace kmsfs
