#include "kmsclient/credentials/profiles.h"

#include <strings.h>

#include <algorithm>

#include "core/bytes.h"
#include "kmsclient/credentials/secret_input.h"

namespace kmsfs {

namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// A comment at the end of a value begins with a space.
std::string_view without_comment(std::string_view value) {
  for (std::size_t i = 1; i < value.size(); ++i) {
    if ((value[i] == '#' || value[i] == ';') && is_space(value[i - 1])) return trimmed(value.substr(0, i));
  }
  return value;
}

// The profile that a section is about; empty: about none.
std::string_view profile_of_section(std::string_view section, bool is_config) {
  if (!is_config || section == "default") return section;
  constexpr std::string_view kWord = "profile";
  if (!section.starts_with(kWord) || section.size() <= kWord.size() || !is_space(section[kWord.size()]))
    return {};
  std::string_view name = trimmed(section.substr(kWord.size()));
  if (name.size() >= 2 && name.front() == '"' && name.back() == '"') name = name.substr(1, name.size() - 2);
  return name;
}

std::string path_of(const Environment& environment, const char* variable, const char* name) {
  std::string path = environment.text(variable);
  if (path.empty()) return environment.home() + "/.aws/" + name;
  if (path.starts_with("~/")) path.replace(0, 1, environment.home());
  return path;
}

bool same_setting(std::string_view a, std::string_view b) {
  return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

Result<Profiles> Profiles::load(const Environment& environment) {
  Profiles profiles;
  profiles.files_.resize(2);
  profiles.files_[0].path = path_of(environment, "AWS_CONFIG_FILE", "config");
  profiles.files_[1].path = path_of(environment, "AWS_SHARED_CREDENTIALS_FILE", "credentials");
  KMSFS_TRY(profiles.load(profiles.files_[0], true));
  KMSFS_TRY(profiles.load(profiles.files_[1], false));
  return profiles;
}

Result<void> Profiles::load(File& file, bool is_config) const {
  auto content = read_secret_file(file.path, false);
  if (!content) {
    if (content.error().kind == Kind::kNotFound) return {};
    return std::move(content).error();
  }
  file.content = std::move(*content);
  std::string_view rest = as_text(file.content->reveal());
  std::string_view profile;
  int line_number = 0;
  bool in_section = false;
  while (!rest.empty()) {
    const auto newline = rest.find('\n');
    const std::string_view line = rest.substr(0, newline);
    rest.remove_prefix(newline == std::string_view::npos ? rest.size() : newline + 1);
    ++line_number;
    const std::string_view text = trimmed(line);
    if (text.empty() || text.front() == '#' || text.front() == ';') continue;
    if (is_space(line.front()) && in_section) continue;  // a nested setting: none that we know
    if (text.front() == '[') {
      const auto end = text.find(']');
      if (end == std::string_view::npos) {
        return error(Kind::kUnavailable,
                     file.path + " line " + std::to_string(line_number) + ": a section has no ]");
      }
      profile = profile_of_section(trimmed(text.substr(1, end - 1)), is_config);
      in_section = true;
      if (!profile.empty()) file.settings.push_back({profile, {}, {}});
      continue;
    }
    const auto equals = text.find('=');
    if (equals == std::string_view::npos || !in_section) {
      return error(Kind::kUnavailable, file.path + " line " + std::to_string(line_number) +
                                           (in_section ? ": neither [section] nor name = value"
                                                       : ": a setting before the first [section]"));
    }
    if (profile.empty()) continue;
    file.settings.push_back(
        {profile, trimmed(text.substr(0, equals)), without_comment(trimmed(text.substr(equals + 1)))});
  }
  return {};
}

bool Profiles::has(std::string_view profile) const {
  return std::any_of(files_.begin(), files_.end(), [&](const File& file) {
    return std::any_of(file.settings.begin(), file.settings.end(),
                       [&](const Setting& setting) { return setting.profile == profile; });
  });
}

std::string_view Profiles::get(std::string_view profile, std::string_view setting) const {
  std::string_view value;
  for (const File& file : files_) {
    for (const Setting& candidate : file.settings) {
      if (candidate.profile == profile && same_setting(candidate.name, setting)) value = candidate.value;
    }
  }
  return value;
}

std::string profile_name(const std::string& given, const Environment& environment) {
  if (!given.empty()) return given;
  std::string name = environment.text("AWS_PROFILE");
  if (name.empty()) name = environment.text("AWS_DEFAULT_PROFILE");
  return name.empty() ? "default" : name;
}

}  // namespace kmsfs
