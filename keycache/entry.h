// What the key cache knows of a master key and of a data key. Private to keycache/.
//
// A million entries are held, so an entry is small; what it takes to ask the KMS again (Request) is kept only
// while somebody pins it. Of all this only the key itself is secret, and it stands in its slot.
#pragma once

#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

#include "core/clock.h"
#include "core/guarded.h"
#include "core/kdf.h"
#include "keycache/key_cache.h"

namespace kmsfs::keycache {

// HMAC under a random key of this process, cut to 16 bytes: says nothing about what it stands for.
using EntryId = std::array<std::byte, 16>;

struct EntryIdHash {
  std::size_t operator()(const EntryId& id) const noexcept {
    std::size_t value = 0;  // the bytes are random already
    std::memcpy(&value, id.data(), sizeof value);
    return value;
  }
};

inline bool is_refusal(Kind kind) {
  return kind == Kind::kDenied || kind == Kind::kDisabled || kind == Kind::kKeyGone;
}

// All that an entry is for, in one piece of memory, with the length before each part so that no two requests
// look the same. The id is its HMAC; what the KMS is asked with is read out of it.
class Request {
 public:
  Request(std::string_view principal, std::string_view endpoint, std::string_view key_arn,
          std::uint16_t suite, ByteView wrapped, const EncryptionContext& context);
  ByteView bytes() const { return bytes_; }
  ByteView wrapped() const;
  EncryptionContext context() const;

 private:
  Bytes bytes_;
};

// One place out of the cache's capacity; given back when it dies.
class Room {
 public:
  explicit Room(std::atomic<std::size_t>& taken) : taken_(&taken) {}  // already counted in `taken`
  Room(Room&& other) noexcept : taken_(std::exchange(other.taken_, nullptr)) {}
  Room& operator=(Room&&) = delete;
  ~Room() {
    if (taken_ != nullptr) taken_->fetch_sub(1, std::memory_order_relaxed);
  }

 private:
  std::atomic<std::size_t>* taken_;
};

struct MasterKey {
  MasterKey(std::string key_arn, std::uint32_t key_number, const Clock& key_clock, std::uint64_t first_epoch)
      : arn(std::move(key_arn)), number(key_number), clock(key_clock), epoch(first_epoch) {}

  struct Standing {
    std::optional<Error> refused;
    WallTime since{0};                          // when that began
    std::optional<WallTime> unreachable_since;  // the KMS could not be asked, and has not answered yet
    BootTime ask_after{0};                      // while refused
    BootTime probe_at{0};                       // when the KMS should be asked whether it still says yes
    std::shared_ptr<const Request> proof;       // the last one that it said yes to: what a probe asks
  };

  const std::string arn;
  const std::uint32_t number;  // in the index
  const Clock& clock;
  // Taken from the cache's count of epochs at each revocation: what was fetched at another epoch is no good,
  // and neither is what was begun before.
  std::atomic<std::uint64_t> epoch;
  std::atomic<std::uint64_t> keys_held{0};
  std::atomic<std::uint64_t> pins{0};
  Guarded<Standing> standing;
};

struct Entry;

struct Links {
  Entry* previous = nullptr;
  Entry* next = nullptr;
};

// Everything is under the shard's lock, but for what check() reads.
// Always, between two uses of the lock: it holds a key, or is pinned, or both.
struct Entry {
  struct Held {
    DataKey key;
    Room room;
  };

  Entry(const EntryId& entry_id, MasterKey& master_key) : id(entry_id), master(master_key) {}

  bool current() const {
    return epoch.load(std::memory_order_acquire) == master.epoch.load(std::memory_order_acquire);
  }
  bool good(BootTime now) const {
    return current() && now.count() < good_until.load(std::memory_order_acquire);
  }
  Result<void> check() const {
    // In this order: when the cache is gone its clock may be, too.
    if (current() && good(master.clock.boot_time())) return {};
    return why_not();
  }
  Error why_not() const;

  const EntryId id;
  MasterKey& master;
  std::atomic<std::uint64_t> epoch{0};      // of the master key, when this was fetched; 0: no key held
  std::atomic<std::int64_t> good_until{0};  // boot time: the end of its age, or of the outage grace
  BootTime age_ends{0};
  BootTime unpinned_since{0};
  std::uint64_t uses = 0;  // handles given out since it was fetched
  std::uint32_t pins = 0;
  bool journaled = false;  // a change of it waits to be written to the index
  bool has_fingerprint = false;
  std::array<std::byte, 16>
      fingerprint{};  // of the key, so that another one is noticed after this one was wiped
  std::optional<Held> held;
  std::shared_ptr<const Request> request;  // while pinned
  Links by_age;                            // while it holds a key
  Links unpinned;                          // while nobody pins it
};

// A list through the entries themselves; owns nothing.
template <Links Entry::*kLinks>
class EntryList {
 public:
  Entry* front() const { return front_; }
  static Entry* next(const Entry& entry) { return (entry.*kLinks).next; }
  void push_back(Entry& entry) {
    (entry.*kLinks) = Links{back_, nullptr};
    (back_ != nullptr ? (back_->*kLinks).next : front_) = &entry;
    back_ = &entry;
  }
  void remove(Entry& entry) {
    const Links links = std::exchange(entry.*kLinks, Links{});
    (links.previous != nullptr ? (links.previous->*kLinks).next : front_) = links.next;
    (links.next != nullptr ? (links.next->*kLinks).previous : back_) = links.previous;
  }

 private:
  Entry* front_ = nullptr;
  Entry* back_ = nullptr;
};

}  // namespace kmsfs::keycache
