#include "fs/new_file_keys.h"

#include <algorithm>
#include <optional>
#include <system_error>
#include <utility>

#include "core/waiting.h"

namespace kmsfs {

NewFileKeys::NewFileKeys(const VolumeParameters& volume, KeyCache& keys, const Clock& clock, For purpose)
    : volume_(volume), keys_(keys), clock_(clock), for_(purpose) {}

NewFileKeys::~NewFileKeys() { stop(); }

void NewFileKeys::stop() {
  std::vector<std::thread> askers;
  std::deque<Kept> kept;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    askers.swap(askers_);
    kept.swap(kept_);
  }
  changed_.notify_all();
  for (auto& asker : askers) asker.join();
}

Result<NewFileKeys::Key> NewFileKeys::take() {
  for (;;) {
    if (auto kept = take_kept()) return std::move(*kept);
    if (keys_.kms_is_near()) return ask_near();
    const BootTime began = clock_.boot_time();
    auto key = take_next();
    if (!key) return key;
    if (clock_.boot_time() - began >= kSlow) {
      std::lock_guard lock(mutex_);
      want_more();
    }
    if (key->data_key.handle.check()) return key;
  }
}

// Some together, while files follow each other: each costs half as much as one by itself.
Result<NewFileKeys::Key> NewFileKeys::ask_near() {
  auto key = ask();
  if (!key || for_ != For::kFiles || !soon_again()) return key;
  for (std::size_t i = 1; i < kTogether; ++i) {
    auto more = ask();
    if (!more) break;  // whoever needs it will hear of it
    std::lock_guard lock(mutex_);
    if (!stopping_) kept_.push_back({std::move(*more), clock_.boot_time()});
  }
  return key;
}

bool NewFileKeys::soon_again() {
  const BootTime now = clock_.boot_time();
  std::lock_guard lock(mutex_);
  return now - std::exchange(asked_near_, now) < kSoon;
}

// Waits for the next answer, whoever asked the question.
Result<NewFileKeys::Key> NewFileKeys::take_next() {
  const LongWait wait;
  std::unique_lock lock(mutex_);
  if (stopping_ || !find_askers(1)) {
    lock.unlock();
    return ask();
  }
  ++waiting_;
  changed_.notify_one();
  come_.wait(lock, wait.interruption(), [this] { return stopping_ || !kept_.empty() || !failures_.empty(); });
  --waiting_;
  if (!kept_.empty()) {
    Key next = std::move(kept_.front().key);
    kept_.pop_front();
    ++taken_;
    return next;
  }
  if (failures_.empty()) {
    come_.notify_one();  // it may have been called for another
    return LongWait::interrupted();
  }
  Error failure = std::move(failures_.front());
  failures_.pop_front();
  return failure;
}

Result<NewFileKeys::Key> NewFileKeys::ask() {
  const FileId id = FileId::random();
  const EncryptionContext context =
      for_ == For::kBranches ? branch_context(volume_.id, BranchId{id.bytes}) : file_context(volume_.id, id);
  auto key = keys_.generate(volume_.allowed_keys.front(), volume_.suite, context);
  if (!key) return std::move(key).error();
  return Key{id, std::move(*key)};
}

std::optional<NewFileKeys::Key> NewFileKeys::take_kept() {
  for (;;) {
    std::optional<Kept> next;  // dies without the lock
    {
      std::lock_guard lock(mutex_);
      if (kept_.empty()) return std::nullopt;
      next.emplace(std::move(kept_.front()));
      kept_.pop_front();
      ++taken_;
    }
    changed_.notify_one();
    const bool fresh = clock_.boot_time() - next->since < kKeptFor;
    if (fresh && next->key.data_key.handle.check()) return std::move(next->key);
  }
}

std::size_t NewFileKeys::questions_under_way() {
  std::lock_guard lock(mutex_);
  return asked_for_;
}

// A create() had to wait: twice as many ahead.
void NewFileKeys::want_more() {
  if (stopping_) return;
  const bool branches = for_ == For::kBranches;
  wanted_ =
      std::min(std::max(wanted_ * 2, branches ? kFirstBranches : kAskers), branches ? kMostBranches : kMost);
  (void)find_askers(branches ? kFirstBranches : kAskers);
  changed_.notify_all();
}

// False: there is none. With fewer than `count` it goes slower.
bool NewFileKeys::find_askers(std::size_t count) {
  count = std::min(std::max(count, waiting_ + 1), kAskers);
  try {
    while (askers_.size() < count) askers_.emplace_back([this] { ask_ahead(); });
  } catch (const std::system_error&) {
  }
  return !askers_.empty();
}

void NewFileKeys::ask_ahead() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || !enough(); });
    if (stopping_) return;
    ++asked_for_;
    lock.unlock();
    auto key = ask();
    lock.lock();
    --asked_for_;
    if (!key) {
      wanted_ = 0;
      if (failures_.size() < waiting_) failures_.push_back(std::move(key).error());
    } else if (!stopping_ && kept_.size() < wanted_ + waiting_) {
      kept_.push_back({std::move(*key), clock_.boot_time()});
    }
    come_.notify_one();
  }
}

void NewFileKeys::maintain() {
  std::deque<Kept> gone;  // declared first, so that it dies without the lock
  std::lock_guard lock(mutex_);
  if (std::exchange(taken_, 0) == 0) wanted_ /= 2;
  const BootTime now = clock_.boot_time();
  while (!kept_.empty() && (kept_.size() > wanted_ || now - kept_.front().since >= kKeptFor)) {
    gone.push_back(std::move(kept_.front()));
    kept_.pop_front();
  }
}

}  // namespace kmsfs
