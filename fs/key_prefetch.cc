#include "fs/key_prefetch.h"

#include <pthread.h>

#include <algorithm>
#include <system_error>

namespace kmsfs {
namespace {

constexpr std::size_t kMostWaiting = 1024;  // opens that were not looked at yet; more are not looked at
constexpr auto kListAgainAfter = std::chrono::seconds(1);

}  // namespace

KeyPrefetch::KeyPrefetch(Source source, const Clock& clock) : source_(std::move(source)), clock_(clock) {}

void KeyPrefetch::answered_after(std::chrono::nanoseconds time) {
  if (time >= kSlow) on_.store(true, std::memory_order_relaxed);
}

void KeyPrefetch::opened(NodePtr directory, ino_t inode) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_ || opened_.size() >= kMostWaiting) return;
    if (!thread_.joinable()) {
      try {
        thread_ = std::thread([this] { run(); });
        ::pthread_setname_np(thread_.native_handle(), "kmsfs-prefetch");
      } catch (const std::system_error&) {
        return;  // as without this class
      }
    }
    opened_.push_back({std::move(directory), inode});
  }
  changed_.notify_all();
}

void KeyPrefetch::maintain() {
  {
    std::lock_guard lock(mutex_);
    forget_ = thread_.joinable();
  }
  changed_.notify_all();
}

void KeyPrefetch::stop() {
  std::thread thread;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    thread.swap(thread_);
  }
  changed_.notify_all();
  if (thread.joinable()) thread.join();
  opened_.clear();
  directories_.clear();
}

void KeyPrefetch::wait_until_idle() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stopping_ || (opened_.empty() && !busy_); });
}

void KeyPrefetch::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopping_ || forget_ || !opened_.empty(); });
    if (stopping_) return;
    std::deque<Open> opened;
    opened.swap(opened_);
    forget_ = false;
    busy_ = true;
    lock.unlock();
    for (const Open& open : opened) look_at(open);
    opened.clear();
    const BootTime now = clock_.boot_time();
    directories_.remove_if([&](const Directory& known) { return now - known.used >= kForgetAfter; });
    lock.lock();
    busy_ = false;
    changed_.notify_all();
  }
}

KeyPrefetch::Directory& KeyPrefetch::remembered(const NodePtr& node) {
  const auto known = std::find_if(directories_.begin(), directories_.end(),
                                  [&](const Directory& directory) { return directory.node == node; });
  if (known != directories_.end()) {
    directories_.splice(directories_.begin(), directories_, known);
  } else {
    if (directories_.size() == kDirectories) directories_.pop_back();
    directories_.emplace_front().node = node;
    list(directories_.front());
  }
  return directories_.front();
}

void KeyPrefetch::list(Directory& directory) {
  directory.files = source_.list(directory.node);
  if (directory.files.size() > kMostFiles) directory.files.resize(kMostFiles);
  directory.index.clear();
  for (std::size_t i = 0; i < directory.files.size(); ++i) directory.index[directory.files[i].inode] = i;
  directory.listed = clock_.boot_time();
  directory.listing = OpenPattern();
  directory.names.reset();
  directory.unexpected = 0;
  if (followed_ == Followed::kListing) directory.listing.trust(window_);
  if (followed_ != Followed::kNames) return;
  sort(directory);
  directory.names->pattern.trust(window_);
}

void KeyPrefetch::sort(Directory& directory) {
  Order& order = directory.names.emplace();
  order.files = source_.by_name(directory.node, directory.files);
  for (std::size_t i = 0; i < order.files.size(); ++i) order.at[order.files[i]] = i;
}

void KeyPrefetch::look_at(const Open& open) {
  Directory& directory = remembered(open.directory);
  directory.used = clock_.boot_time();
  auto found = directory.index.find(open.inode);
  if (found == directory.index.end()) {  // made, or moved here, since
    if (directory.used - directory.listed < kListAgainAfter) return;
    list(directory);
    found = directory.index.find(open.inode);
    if (found == directory.index.end()) return;
  }
  const std::size_t index = found->second;
  ask(directory, directory.listing, directory.listing.opened(index), [](std::size_t at) { return at; });
  if (directory.listing.follows()) {
    directory.unexpected = 0;
    followed_ = Followed::kListing;
    window_ = directory.listing.window();
    return;
  }
  ++directory.unexpected;
  if (!directory.names && directory.unexpected >= kTriesByListing) sort(directory);
  if (directory.names) look_in_names(directory, index);
  if (!directory.names && directory.unexpected >= OpenPattern::kSeveral) followed_ = Followed::kNothing;
}

void KeyPrefetch::look_in_names(Directory& directory, std::size_t index) {
  Order& names = *directory.names;
  const auto position = names.at.find(index);
  if (position == names.at.end()) return;
  ask(directory, names.pattern, names.pattern.opened(position->second),
      [&](std::size_t at) { return names.files[at]; });
  if (names.pattern.follows()) {
    followed_ = Followed::kNames;
    window_ = names.pattern.window();
  } else if (directory.unexpected >= 2 * kTriesByListing) {
    followed_ = Followed::kNothing;  // no order is followed any more
  }
}

template <typename FileAt>
void KeyPrefetch::ask(Directory& directory, OpenPattern& pattern, OpenPattern::Range range,
                      FileAt&& file_at) {
  range.end = std::min(range.end, directory.files.size());
  for (std::size_t at = range.first; at < range.end; ++at) {
    const std::size_t index = file_at(at);
    if (index >= directory.files.size()) continue;
    if (source_.ask_ahead(directory.node, directory.files[index]) != KeyCache::Ahead::kNotNow) continue;
    return pattern.stopped_at(at);
  }
}

}  // namespace kmsfs
