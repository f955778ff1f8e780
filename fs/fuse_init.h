// INIT: what kernel and kmsfs agree upon when a mount begins.
//
// libfuse's reply stays as it is in its sizes and its minor version (7.31); everything newer is agreed upon
// by flags, and these we choose ourselves. Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fs/fuse_wire.h"

namespace kmsfs {

struct InitChoices {
  bool writeback = true;
  bool shared = false;  // others change the volume too: no writeback, pages are checked against time and size
  std::uint16_t max_background = 128;  // the kernel's 12 starve read-ahead and let releases pile up
  // The kernel checks permissions (to it, default_permissions): otherwise root alone may enter, and requests
  // of others are refused.
  bool check_permissions = true;
  bool access_lists = true;    // POSIX ACLs, which the kernel reads as extended attributes
  bool busy_wait = true;       // of the workers (the kernel is not told): look for requests where that helps
  bool over_io_uring = false;  // requests shall come over rings; the kernel waits until they are there
};

inline constexpr std::uint32_t kMaxWrite = 1 << 20;

// What we want of what the kernel offers.
std::uint64_t chosen_flags(const fuse_init_in& offered, const InitChoices& choices);
void amend_init(const fuse_init_in& offered, const InitChoices& choices, fuse_init_out& reply);

std::vector<std::string> names_of_init_flags(std::uint64_t flags);

}  // namespace kmsfs
