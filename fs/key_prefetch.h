// Data keys of files that will be opened next, asked for ahead where the KMS is far away.
//
// Who opens several files of a directory in the order in which it lists them, or in that of their names,
// finds the keys of the next ones asked for already: by a bounded number of questions at once
// (KeyCache::ask_ahead), without waiting for any. Always: only opens cause it, never a listing or a look at
// attributes; nothing is asked for ahead of a KMS that answers at once, nor while it refuses or fails. A key
// that nobody comes for stands in the KMS's audit log all the same, and is let go at the end of its age like
// every other. Threads: any, together; the work is done by one of its own, which opened() never waits for.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "core/clock.h"
#include "fs/node_table.h"
#include "fs/open_pattern.h"
#include "keycache/key_cache.h"

namespace kmsfs {

class KeyPrefetch {
 public:
  // An answer that took so long comes from far away.
  static constexpr std::chrono::milliseconds kSlow{2};
  static constexpr std::size_t kDirectories = 8;      // remembered
  static constexpr std::size_t kMostFiles = 1 << 17;  // of a directory; more are not looked at
  static constexpr std::chrono::seconds kForgetAfter{30};
  static constexpr std::size_t kTriesByListing = 6;  // opens that follow no listing, before names are sorted

  struct File {
    std::string stored_name;
    ino_t inode = 0;
  };
  // How it looks at the backing directory; called by its own thread alone.
  struct Source {
    // The regular files, in the order of the backing directory.
    std::function<std::vector<File>(const NodePtr& directory)> list;
    // The same files by name: their indices in the list.
    std::function<std::vector<std::size_t>(const NodePtr& directory, const std::vector<File>& files)> by_name;
    std::function<KeyCache::Ahead(const NodePtr& directory, const File& file)> ask_ahead;
  };

  KeyPrefetch(Source source, const Clock& clock);  // the clock must outlive it
  ~KeyPrefetch() { stop(); }
  KeyPrefetch(const KeyPrefetch&) = delete;
  KeyPrefetch& operator=(const KeyPrefetch&) = delete;

  // From the first slow answer on there is something to gain. Cheap until then.
  bool is_on() const { return on_.load(std::memory_order_relaxed); }
  void answered_after(std::chrono::nanoseconds time);
  // A file of that directory is being opened.
  void opened(NodePtr directory, ino_t inode);
  // Each second: forgets directories in which nothing was opened for kForgetAfter.
  void maintain();
  void stop();
  // For tests: until it has looked at everything that was opened.
  void wait_until_idle();

 private:
  struct Open {
    NodePtr directory;
    ino_t inode = 0;
  };
  // In one of the orders: which file stands where, and what that makes of the opens.
  struct Order {
    std::vector<std::size_t> files;                   // indices, by position
    std::unordered_map<std::size_t, std::size_t> at;  // position, by index
    OpenPattern pattern;
  };
  struct Directory {
    NodePtr node;
    std::vector<File> files;
    std::unordered_map<ino_t, std::size_t> index;
    BootTime listed{0}, used{0};
    OpenPattern listing;
    std::size_t unexpected = 0;  // opens in a row that follow no listing
    std::optional<Order> names;
  };

  void run();
  void look_at(const Open& open);
  Directory& remembered(const NodePtr& node);
  void list(Directory& directory);
  void sort(Directory& directory);
  void look_in_names(Directory& directory, std::size_t index);
  // The files at these positions of an order; false: not all of them could be asked for now.
  template <typename FileAt>
  void ask(Directory& directory, OpenPattern& pattern, OpenPattern::Range range, FileAt&& file_at);

  const Source source_;
  const Clock& clock_;
  std::atomic<bool> on_{false};

  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::deque<Open> opened_;
  bool busy_ = false, stopping_ = false, forget_ = false;
  std::thread thread_;

  // The thread's own.
  std::list<Directory> directories_;  // the last used first
  // How the last stream went on, for whoever goes from directory to directory.
  enum class Followed { kNothing, kListing, kNames };
  Followed followed_ = Followed::kNothing;
  std::size_t window_ = 0;
};

}  // namespace kmsfs
