// What travels over /dev/fuse and Debian 12's <linux/fuse.h> (7.38) does not name yet.
// Threads: plain values.
#pragma once

#include <linux/fuse.h>
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>

namespace kmsfs::wire {

inline constexpr std::uint32_t kStatx = 52;            // 7.39
inline constexpr std::uint32_t kCopyFileRange64 = 53;  // 7.45
inline constexpr std::uint32_t kOpcodes = 64;          // more than there are

inline constexpr std::uint64_t kCreateSupplementaryGroup = 1ULL << 34;  // 7.38
inline constexpr std::uint64_t kDirectIoAllowMmap = 1ULL << 36;         // 7.39
inline constexpr std::uint64_t kNoExportSupport = 1ULL << 38;           // 7.39
inline constexpr std::uint64_t kOverIoUring = 1ULL << 41;               // 7.42

inline constexpr std::uint32_t kGroupsExtension =
    32;  // 7.38: a fuse_ext_header's type; a SupplementaryGroups follows

struct SupplementaryGroups {
  std::uint32_t count;
  // gid_t groups[count] follow
};

struct StatxIn {
  std::uint32_t getattr_flags;
  std::uint32_t reserved;
  std::uint64_t handle;
  std::uint32_t flags;
  std::uint32_t mask;
};

struct StatxOut {
  std::uint64_t valid_seconds;
  std::uint32_t valid_nanoseconds;
  std::uint32_t flags;
  std::uint64_t spare[2];
  struct statx attributes;  // the protocol's own structure has this layout
};

struct CopyFileRangeOut {
  std::uint64_t copied;
};

// 7.42: what kernel and server share for each request that comes over io_uring, and the commands of it.
struct RingState {
  std::uint64_t flags;
  std::uint64_t commit_id;
  std::uint32_t payload_size;
  std::uint32_t padding;
  std::uint64_t reserved;
};
struct RingHeaders {
  std::byte in_out[128];     // a fuse_in_header; a fuse_out_header in the reply
  std::byte operation[128];  // the fixed part of the request
  RingState state;
};
struct RingCommand {
  std::uint64_t flags;
  std::uint64_t commit_id;
  std::uint16_t queue;
  std::uint8_t padding[6];
};
inline constexpr std::uint32_t kRingRegister = 1;
inline constexpr std::uint32_t kRingCommitAndFetch = 2;

static_assert(sizeof(RingState) == 32 && sizeof(RingHeaders) == 288 && sizeof(RingCommand) == 24);
static_assert(sizeof(fuse_in_header) == 40 && sizeof(fuse_out_header) == 16 && sizeof(fuse_write_in) == 40);
static_assert(sizeof(fuse_init_in) == 64 && sizeof(fuse_init_out) == 64 && sizeof(fuse_setxattr_in) == 16);
static_assert(sizeof(StatxIn) == 24 && sizeof(struct statx) == 256 && sizeof(StatxOut) == 288);
static_assert(sizeof(fuse_entry_out) == 128 && sizeof(fuse_open_out) == 16);

}  // namespace kmsfs::wire
