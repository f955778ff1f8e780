#include "fs/fuse_init.h"

#include <array>
#include <utility>

namespace kmsfs {
namespace {

std::uint64_t both_words(std::uint32_t low, std::uint32_t high) {
  return (low & FUSE_INIT_EXT) != 0 ? low | std::uint64_t{high} << 32 : low;
}

constexpr auto kNames = std::to_array<std::pair<std::uint64_t, const char*>>({
    {FUSE_ASYNC_READ, "async_read"},
    {FUSE_ATOMIC_O_TRUNC, "atomic_o_trunc"},
    {FUSE_POSIX_LOCKS, "posix_locks"},
    {FUSE_FLOCK_LOCKS, "flock_locks"},
    {FUSE_AUTO_INVAL_DATA, "auto_inval_data"},
    {FUSE_BIG_WRITES, "big_writes"},
    {FUSE_DONT_MASK, "dont_mask"},
    {FUSE_DO_READDIRPLUS, "readdirplus"},
    {FUSE_READDIRPLUS_AUTO, "readdirplus_auto"},
    {FUSE_ASYNC_DIO, "async_dio"},
    {FUSE_WRITEBACK_CACHE, "writeback_cache"},
    {FUSE_PARALLEL_DIROPS, "parallel_dirops"},
    {FUSE_POSIX_ACL, "posix_acl"},
    {FUSE_MAX_PAGES, "max_pages"},
    {FUSE_CACHE_SYMLINKS, "cache_symlinks"},
    {FUSE_EXPLICIT_INVAL_DATA, "explicit_inval_data"},
    {FUSE_HANDLE_KILLPRIV_V2, "handle_killpriv_v2"},
    {FUSE_SETXATTR_EXT, "setxattr_ext"},
    {wire::kCreateSupplementaryGroup, "create_supp_group"},
    {FUSE_HAS_EXPIRE_ONLY, "expire_only"},
    {wire::kDirectIoAllowMmap, "direct_io_allow_mmap"},
    {wire::kNoExportSupport, "no_export_support"},
    {wire::kOverIoUring, "over_io_uring"},
});

}  // namespace

std::uint64_t chosen_flags(const fuse_init_in& offered, const InitChoices& choices) {
  std::uint64_t wanted =
      // Not FUSE_READDIRPLUS_AUTO: it asks for names alone once a program has not looked at the first ones,
      // and find, du, rm and git, which look at them after they have read all, then make a LOOKUP of each.
      FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_DONT_MASK | FUSE_DO_READDIRPLUS |
      FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES |
      // We clear set-id bits and capabilities ourselves; otherwise every write(2) costs a GETXATTR.
      FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT | wire::kCreateSupplementaryGroup | FUSE_HAS_EXPIRE_ONLY |
      // A node id means nothing once it is forgotten, so a file handle could not be resolved.
      wire::kNoExportSupport;
  // To the kernel this one means default_permissions, too.
  if (choices.access_lists && choices.check_permissions) wanted |= FUSE_POSIX_ACL;
  if (choices.shared) {
    wanted |= FUSE_READDIRPLUS_AUTO | FUSE_AUTO_INVAL_DATA | FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS |
              wire::kDirectIoAllowMmap;
  } else {
    // Nobody else changes the volume, so pages are dropped when we say so, not when a time stamp looks new.
    wanted |= FUSE_EXPLICIT_INVAL_DATA | FUSE_CACHE_SYMLINKS;
    // Not FUSE_POSIX_LOCKS, FUSE_FLOCK_LOCKS: the kernel's own locks are right for one mount.
    if (choices.writeback) wanted |= FUSE_WRITEBACK_CACHE;
  }
  if (choices.over_io_uring) wanted |= wire::kOverIoUring;
  return wanted & both_words(offered.flags, offered.flags2);
}

void amend_init(const fuse_init_in& offered, const InitChoices& choices, fuse_init_out& reply) {
  std::uint64_t flags = chosen_flags(offered, choices);
  if ((flags & FUSE_MAX_PAGES) == 0) reply.max_pages = 0;
  if (flags >> 32 != 0) flags |= FUSE_INIT_EXT;
  reply.flags = static_cast<std::uint32_t>(flags);
  reply.flags2 = static_cast<std::uint32_t>(flags >> 32);
  reply.max_background = choices.max_background;
  reply.congestion_threshold = static_cast<std::uint16_t>(choices.max_background / 4 * 3);
  reply.time_gran = 1;
}

std::vector<std::string> names_of_init_flags(std::uint64_t flags) {
  std::vector<std::string> names;
  for (const auto& [flag, name] : kNames) {
    if ((flags & flag) != 0) names.emplace_back(name);
  }
  return names;
}

}  // namespace kmsfs
