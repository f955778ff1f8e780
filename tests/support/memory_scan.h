// Looks at memory the way an intruder would: every readable mapping of this process, core files' rules, freed
// slots.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/locked_memory.h"
#include "core/unique_fd.h"

namespace kmsfs::testing {

struct Mapping {
  std::uintptr_t begin = 0, end = 0;
  std::string permissions, name;
  std::string flags;  // VmFlags of smaps

  bool has(std::string_view flag) const {
    return (" " + flags + " ").find(" " + std::string(flag) + " ") != std::string::npos;
  }
  // The arena: locked, and not for core files.
  bool is_locked_memory() const {
    return name.find("secretmem") != std::string::npos || (has("lo") && has("dd"));
  }
};

// Of this process, or of another one.
inline std::vector<Mapping> mappings(const std::string& process = "self") {
  std::vector<Mapping> out;
  std::ifstream smaps("/proc/" + process + "/smaps");
  for (std::string line; std::getline(smaps, line);) {
    std::istringstream in(line);
    std::string first;
    in >> first;
    if (first.rfind("VmFlags:", 0) == 0) {
      if (!out.empty()) std::getline(in, out.back().flags);
    } else if (const auto dash = first.find('-'); dash != std::string::npos && first.back() != ':') {
      Mapping mapping;
      mapping.begin = std::stoull(first.substr(0, dash), nullptr, 16);
      mapping.end = std::stoull(first.substr(dash + 1), nullptr, 16);
      std::string offset, device, inode;
      in >> mapping.permissions >> offset >> device >> inode >> mapping.name;
      out.push_back(std::move(mapping));
    }
  }
  return out;
}

inline Mapping mapping_of(const void* memory) {
  const auto at = reinterpret_cast<std::uintptr_t>(memory);
  for (const Mapping& mapping : mappings()) {
    if (at >= mapping.begin && at < mapping.end) return mapping;
  }
  return {};
}

// Kept masked, so that the needle itself is not found.
class Needle {
 public:
  explicit Needle(ByteView bytes) : masked_(bytes.begin(), bytes.end()) {
    for (std::byte& b : masked_) b ^= kMask;
  }
  std::size_t size() const { return masked_.size(); }
  bool stands_at(const std::byte* at) const {
    for (std::size_t i = 0; i < masked_.size(); ++i) {
      if ((at[i] ^ kMask) != masked_[i]) return false;
    }
    return true;
  }
  std::byte first() const { return masked_[0] ^ kMask; }

 private:
  static constexpr std::byte kMask{0xa5};
  Bytes masked_;
};

// How often the needle stands in readable, writable memory outside LockedMemory. Read through /proc/self/mem,
// as an intruder of the same user would.
inline std::size_t occurrences_outside_locked_memory(const Needle& needle) {
  std::size_t found = 0;
  const UniqueFd memory(::open("/proc/self/mem", O_RDONLY | O_CLOEXEC));
  static std::vector<std::byte> window(std::size_t{1} << 20);
  for (const Mapping& mapping : mappings()) {
    if (mapping.permissions.substr(0, 2) != "rw") continue;
    if (LockedMemory::contains(reinterpret_cast<const void*>(mapping.begin))) continue;
    for (std::uintptr_t at = mapping.begin; at < mapping.end; at += window.size() - needle.size()) {
      const auto window_begin = reinterpret_cast<std::uintptr_t>(window.data());
      const std::size_t size = std::min<std::size_t>(window.size(), mapping.end - at);
      const ssize_t got = ::pread(memory.get(), window.data(), size, static_cast<off_t>(at));
      for (std::size_t i = 0; got > 0 && i + needle.size() <= static_cast<std::size_t>(got); ++i) {
        if (window[i] != needle.first() || !needle.stands_at(window.data() + i)) continue;
        // The copy that the window itself holds is of our making.
        if (at + i < window_begin || at + i >= window_begin + window.size()) ++found;
      }
    }
  }
  std::fill(window.begin(), window.end(), std::byte{0});
  return found;
}

// Reads locked memory that may have been released: on purpose, and therefore past the sanitizer.
__attribute__((no_sanitize("address", "thread"), noinline)) inline bool raw_memory_is_zero(const void* memory,
                                                                                           std::size_t size) {
  const auto* at = static_cast<const volatile unsigned char*>(memory);
  unsigned char seen = 0;
  for (std::size_t i = 0; i < size; ++i) seen = static_cast<unsigned char>(seen | at[i]);
  return seen == 0;
}

}  // namespace kmsfs::testing
