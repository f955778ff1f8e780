#include "fs/branch_keys.h"

#include <cerrno>
#include <utility>
#include <vector>

#include "core/waiting.h"

namespace kmsfs {

namespace {
constexpr BranchKeys::Subtree kShared = 0;  // of all subtrees beyond kMostSubtrees

bool is_interruption(const Error& error) { return error.system_errno == EINTR; }
}  // namespace

BranchKeys::BranchKeys(const VolumeParameters& volume, KeyCache& keys, const Clock& clock)
    : volume_(volume), clock_(clock), ahead_(volume, keys, clock, NewFileKeys::For::kBranches) {}

Result<NewFileKey> BranchKeys::take(Subtree subtree) {
  constexpr int kAttempts = 3;  // an age may end between the look at a branch key and its use
  Result<DataKey> branch_key = error(Kind::kInternal, "not asked for");
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto branch = branch_for(subtree);
    if (!branch) return std::move(branch).error();
    branch_key = (*branch)->handle.data_key();
    if (branch_key) return make_file_key(**branch, *branch_key);
  }
  return std::move(branch_key).error();
}

Result<NewFileKey> BranchKeys::make_file_key(const Branch& from, const DataKey& branch_key) const {
  auto data_key = DataKey::random();
  if (!data_key) return std::move(data_key).error();
  const SealedFor what{volume_.suite, volume_.id, FileId::random()};
  auto sealed = seal_data_key(branch_key, from.id, what, *data_key);
  if (!sealed) return std::move(sealed).error();
  return NewFileKey{what.file, FileKey(from.handle, *sealed, what), std::move(*data_key),
                    KeySection{from.wrapped.key_arn, from.wrapped.blob, *sealed}};
}

BranchKeys::Subtree BranchKeys::with_place(Subtree subtree) const {
  return places_.contains(subtree) || places_.size() < kMostSubtrees ? subtree : kShared;
}

Result<BranchKeys::BranchPtr> BranchKeys::branch_for(Subtree subtree) {
  constexpr int kAttempts = 16;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (auto found = try_branch_for(subtree)) return std::move(*found);
  }
  return error(Kind::kBusy, "programs that ask for a branch key are ended before it comes");
}

std::optional<Result<BranchKeys::BranchPtr>> BranchKeys::try_branch_for(Subtree subtree) {
  BranchPtr gone;  // declared first, so that its pin dies without the lock
  std::unique_lock lock(mutex_);
  subtree = with_place(subtree);
  Place& place = places_[subtree];  // stays: maintain() leaves it alone while `making` is set
  if (place.branch != nullptr && place.branch->handle.check()) {
    const bool over = clock_.boot_time() >= place.until || place.files >= kFilesPerEpoch;
    // At the end of an epoch one caller asks for the next branch key, and nobody waits for that.
    if (!over || place.making != nullptr) {
      ++place.files;
      return place.branch;
    }
  }
  if (const auto making = place.making) {
    lock.unlock();
    const LongWait wait;
    lock.lock();
    made_.wait(lock, wait.interruption(), [&] { return making->outcome.has_value(); });
    if (!making->outcome) return LongWait::interrupted();
    if (!*making->outcome && is_interruption(making->outcome->error())) return std::nullopt;
    return *making->outcome;
  }
  const auto making = std::make_shared<Making>();
  place.making = making;
  lock.unlock();
  auto made = make();
  lock.lock();
  making->outcome = settle(place, std::move(made), gone);
  place.making.reset();
  const Result<BranchPtr> outcome = *making->outcome;
  lock.unlock();
  made_.notify_all();
  return outcome;
}

Result<BranchKeys::BranchPtr> BranchKeys::make() {
  auto made = ahead_.take();
  if (!made) return std::move(made).error();
  KeyCache::Generated& key = made->data_key;
  return std::make_shared<const Branch>(
      Branch{BranchId{made->id.bytes}, std::move(key.handle), std::move(key.wrapped)});
}

Result<BranchKeys::BranchPtr> BranchKeys::settle(Place& place, Result<BranchPtr> made, BranchPtr& gone) {
  const BootTime now = clock_.boot_time();
  if (made) {
    gone = std::exchange(place.branch, *made);
    place.until = now + kEpoch;
    place.files = 1;
    return made;
  }
  if (is_interruption(made.error())) return made;  // that says nothing of the KMS
  if (place.branch != nullptr && is_outage(made.error().kind) && place.branch->handle.check()) {
    place.until = now + kAskAgain;
    place.files = 0;
    return place.branch;
  }
  gone = std::exchange(place.branch, nullptr);
  return made;
}

void BranchKeys::maintain() {
  ahead_.maintain();
  std::vector<BranchPtr> gone;  // declared first, as above
  std::lock_guard lock(mutex_);
  const BootTime now = clock_.boot_time();
  std::erase_if(places_, [&](const auto& item) {
    const Place& place = item.second;
    if (place.making != nullptr) return false;
    if (place.branch != nullptr && now < place.until && place.branch->handle.check()) return false;
    gone.push_back(place.branch);
    return true;
  });
}

}  // namespace kmsfs
