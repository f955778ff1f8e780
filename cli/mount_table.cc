#include "cli/mount_table.h"

#include <sys/sysmacros.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace kmsfs::cli {

namespace {

// Space, tab, newline and backslash stand as three octal digits after a backslash.
std::string unescaped(std::string_view text) {
  const auto is_octal = [](char c) { return c >= '0' && c <= '7'; };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) && is_octal(text[i + 2]) &&
        is_octal(text[i + 3])) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::optional<dev_t> parse_device(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  unsigned major_number = 0, minor_number = 0;
  const auto first = std::from_chars(text.data(), text.data() + colon, major_number);
  const auto second = std::from_chars(text.data() + colon + 1, text.data() + text.size(), minor_number);
  if (first.ec != std::errc{} || second.ec != std::errc{}) return std::nullopt;
  return makedev(major_number, minor_number);
}

std::optional<MountEntry> parse_line(const std::string& line) {
  std::istringstream in(line);
  MountEntry entry;
  std::string id, parent, device, root, mountpoint, word;
  in >> id >> parent >> device >> root >> mountpoint >> entry.options;
  while (in >> word && word != "-") {
  }
  std::string source;
  if (!(in >> entry.type >> source >> entry.super_options)) return std::nullopt;
  const auto number = parse_device(device);
  if (!number) return std::nullopt;
  entry.device = *number;
  entry.mountpoint = unescaped(mountpoint);
  entry.source = unescaped(source);
  return entry;
}

}  // namespace

uid_t MountEntry::owner() const {
  constexpr std::string_view kName = "user_id=";
  const auto at = super_options.find(kName);
  uid_t uid = 0;
  if (at != std::string::npos) {
    const char* digits = super_options.data() + at + kName.size();
    std::from_chars(digits, super_options.data() + super_options.size(), uid);
  }
  return uid;
}

std::vector<MountEntry> parse_mount_table(std::string_view text) {
  std::vector<MountEntry> table;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    if (auto entry = parse_line(line)) table.push_back(std::move(*entry));
  }
  return table;
}

Result<std::vector<MountEntry>> read_mount_table() {
  std::ifstream file("/proc/self/mountinfo");
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) return error(Kind::kSystem, "/proc/self/mountinfo cannot be read; is /proc mounted?");
  return parse_mount_table(text.str());
}

std::optional<MountEntry> find_mount(const std::vector<MountEntry>& table, const std::string& path) {
  namespace filesystem = std::filesystem;
  const auto visible_at = [&](const std::string& mountpoint) -> std::optional<MountEntry> {
    const auto found = std::find_if(table.rbegin(), table.rend(),
                                    [&](const MountEntry& entry) { return entry.mountpoint == mountpoint; });
    return found == table.rend() ? std::nullopt : std::optional(*found);
  };
  std::error_code failed;
  filesystem::path whole = filesystem::absolute(path, failed).lexically_normal();
  if (!whole.has_filename()) whole = whole.parent_path();
  // Links are resolved above the last component first, so that a mount that hangs is found without asking it.
  const filesystem::path parent = filesystem::canonical(whole.parent_path(), failed);
  if (!failed) {
    if (auto found = visible_at((parent / whole.filename()).string())) return found;
  }
  const filesystem::path resolved = filesystem::canonical(whole, failed);
  if (failed) return std::nullopt;
  return visible_at(resolved.string());
}

std::optional<MountEntry> find_mount(const std::vector<MountEntry>& table, dev_t device) {
  const auto found = std::find_if(table.rbegin(), table.rend(),
                                  [&](const MountEntry& entry) { return entry.device == device; });
  return found == table.rend() ? std::nullopt : std::optional(*found);
}

}  // namespace kmsfs::cli
