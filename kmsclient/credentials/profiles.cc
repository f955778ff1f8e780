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

// NAME of "WORD NAME"; empty: the section begins otherwise.
std::string_view name_after(std::string_view word, std::string_view section) {
  if (!section.starts_with(word) || section.size() <= word.size() || !is_space(section[word.size()]))
    return {};
  std::string_view name = trimmed(section.substr(word.size()));
  if (name.size() >= 2 && name.front() == '"' && name.back() == '"') name = name.substr(1, name.size() - 2);
  return name;
}

// What a section is about: a profile, endpoints of services, or (both empty) nothing that we know.
struct Section {
  std::string_view profile, services;
};
Section section_of(std::string_view section, bool is_config) {
  if (!is_config || section == "default") return {section, {}};
  return {name_after("profile", section), name_after("services", section)};
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
  Section section;
  std::string_view outer;  // the setting that nested ones belong to
  int line_number = 0;
  bool in_section = false;
  while (!rest.empty()) {
    const auto newline = rest.find('\n');
    const std::string_view line = rest.substr(0, newline);
    rest.remove_prefix(newline == std::string_view::npos ? rest.size() : newline + 1);
    ++line_number;
    const std::string_view text = trimmed(line);
    if (text.empty() || text.front() == '#' || text.front() == ';') continue;
    if (text.front() == '[') {
      const auto end = text.find(']');
      if (end == std::string_view::npos) {
        return error(Kind::kUnavailable,
                     file.path + " line " + std::to_string(line_number) + ": a section has no ]");
      }
      section = section_of(trimmed(text.substr(1, end - 1)), is_config);
      in_section = true;
      outer = {};
      if (!section.profile.empty()) file.settings.push_back({section.profile, {}, {}});
      continue;
    }
    const auto equals = text.find('=');
    const bool nested = in_section && is_space(line.front());
    if (nested && equals == std::string_view::npos) continue;  // the value goes on: none that we know
    if (equals == std::string_view::npos || !in_section) {
      return error(Kind::kUnavailable, file.path + " line " + std::to_string(line_number) +
                                           (in_section ? ": neither [section] nor name = value"
                                                       : ": a setting before the first [section]"));
    }
    const std::string_view name = trimmed(text.substr(0, equals));
    if (!nested) outer = name;
    if (section.profile.empty() && section.services.empty()) continue;
    file.settings.push_back({section.profile, name, without_comment(trimmed(text.substr(equals + 1))),
                             section.services, nested ? outer : std::string_view()});
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
      const bool of_profile = candidate.services.empty() && candidate.within.empty();
      if (of_profile && candidate.profile == profile && same_setting(candidate.name, setting))
        value = candidate.value;
    }
  }
  return value;
}

std::string Profiles::endpoint_url(std::string_view profile, std::string_view service) const {
  const std::string_view services = get(profile, "services");
  std::string_view url;
  for (const File& file : files_) {
    for (const Setting& candidate : file.settings) {
      if (!services.empty() && candidate.services == services && same_setting(candidate.within, service) &&
          same_setting(candidate.name, "endpoint_url"))
        url = candidate.value;
    }
  }
  return std::string(url.empty() ? get(profile, "endpoint_url") : url);
}

std::string profile_name(const std::string& given, const Environment& environment) {
  if (!given.empty()) return given;
  std::string name = environment.text("AWS_PROFILE");
  if (name.empty()) name = environment.text("AWS_DEFAULT_PROFILE");
  return name.empty() ? "default" : name;
}

}  // namespace kmsfs
