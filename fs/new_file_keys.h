// Keys for files that are about to be made, asked for ahead where the KMS is far away: data keys, or branch
// keys where those seal data keys.
//
// A KMS that answers slowly (kSlow) would delay each create(). So, while files are being made, keys are asked
// for ahead: the more often a create() had to wait, the more; none when nobody makes files. Who waits for a
// key waits for the next one that comes, and not for an answer of his own: the wait can be ended
// (core/waiting.h). Always: a key serves one file or none, with the file id that its wrap is bound to; a key
// that may not be used any more (revoked, past its age) or that was kept for kKeptFor is let go. A key that
// serves none stands in the KMS's audit log all the same. A KMS in the process is not slow, but a question
// takes half as long right after another: while files follow each other within milliseconds it is asked for
// kTogether keys at a time. Threads: any, together; never call take() with a lock held.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/clock.h"
#include "core/log.h"
#include "fs/volume.h"
#include "keycache/key_cache.h"

namespace kmsfs {

class NewFileKeys {
 public:
  static constexpr std::chrono::milliseconds kSlow{2};
  static constexpr std::chrono::seconds kKeptFor{30};
  static constexpr std::size_t kMost = 512;  // keys asked for ahead
  static constexpr std::size_t kMostBranches = 16;
  static constexpr std::size_t kFirstBranches = 4;
  static constexpr std::size_t kTogether = 8;  // from a KMS in the process
  static constexpr std::chrono::milliseconds kSoon{10};
  static constexpr std::size_t kAskers = 64;  // questions under way: 3,200 keys a second from 20 ms away

  enum class For { kFiles, kBranches };
  struct Key {
    FileId id;  // of the file, or of the branch; the wrap is bound to it
    KeyCache::Generated data_key;
  };

  // All must outlive it.
  NewFileKeys(const VolumeParameters& volume, KeyCache& keys, const Clock& clock, For purpose = For::kFiles);
  ~NewFileKeys();  // waits for the questions that are under way
  NewFileKeys(const NewFileKeys&) = delete;
  NewFileKeys& operator=(const NewFileKeys&) = delete;

  Result<Key> take();
  // Each second: lets go what is not needed.
  void maintain();
  // For tests.
  std::size_t questions_under_way();
  void stop();

 private:
  struct Kept {
    Key key;
    BootTime since;
  };

  Result<Key> ask();
  Result<Key> ask_near();
  bool soon_again();
  std::optional<Key> take_kept();
  Result<Key> take_next();
  bool find_askers(std::size_t count);  // under mutex_
  void want_more();                     // under mutex_
  void ask_ahead();
  // A failure answers who waits for it, too.
  bool enough() const { return kept_.size() + failures_.size() + asked_for_ >= wanted_ + waiting_; }

  const VolumeParameters& volume_;
  KeyCache& keys_;
  const Clock& clock_;
  const For for_;

  std::mutex mutex_;
  std::condition_variable changed_;   // for askers
  std::condition_variable_any come_;  // for those who wait for a key
  std::deque<Kept> kept_;
  std::deque<Error> failures_;  // each for one who waits
  std::size_t waiting_ = 0;
  std::size_t wanted_ = 0;     // kept and asked for, together, beyond those that are waited for
  std::size_t asked_for_ = 0;  // questions under way
  std::size_t taken_ = 0;      // since the last maintain()
  BootTime asked_near_{};      // when a KMS in the process was asked last
  bool stopping_ = false;
  std::vector<std::thread> askers_;
};

}  // namespace kmsfs
