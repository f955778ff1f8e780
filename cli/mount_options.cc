#include "cli/mount_options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

#include "cli/kms_uri.h"

namespace kmsfs::cli {

namespace {

// Words for mount(8), fstab and systemd, which they do not always keep to themselves.
constexpr std::array kNotForUs = {"defaults", "auto",  "noauto", "_netdev",    "nofail", "user",
                                  "nouser",   "users", "owner",  "group",      "helper", "uhelper",
                                  "comment",  "loop",  "rw",     "nosymfollow"};

constexpr std::array kSecrets = {"passphrase", "password", "passwd",     "pass",      "key",
                                 "secret",     "token",    "access_key", "secret_key"};

std::vector<std::string> split(std::string_view words) {
  std::vector<std::string> out(1);
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == '\\' && i + 1 < words.size()) {
      out.back() += words[++i];
    } else if (words[i] == ',') {
      out.emplace_back();
    } else {
      out.back() += words[i];
    }
  }
  std::erase(out, "");
  return out;
}

template <std::size_t N>
bool contains(const std::array<const char*, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Error needs_value(const std::string& name) {
  return error(Kind::kInvalid, "option " + name + " needs a value: " + name + "=...");
}

constexpr int kDay = 24 * 60 * 60;

Result<std::chrono::seconds> parse_seconds(const char* what, std::string_view seconds, int least, int most) {
  int value = 0;
  const auto parsed = std::from_chars(seconds.data(), seconds.data() + seconds.size(), value);
  if (parsed.ec != std::errc{} || parsed.ptr != seconds.data() + seconds.size() || value < least ||
      value > most) {
    return error(Kind::kInvalid, std::string(what) + " is given in seconds, " + std::to_string(least) +
                                     " to " + std::to_string(most));
  }
  return std::chrono::seconds(value);
}

// Values that kmsfs itself takes; nullptr where the word is none of these.
std::string* text_option(std::string_view name, MountRequest& request) {
  if (name == "kms_user") return &request.kms_user;
  if (name == "profile") return &request.profile;
  if (name == "passphrase_file") return &request.passphrase_file;
  if (name == "fsname") return &request.mount.source;
  return nullptr;
}

struct SecondsOption {
  std::chrono::seconds* value = nullptr;
  Result<std::chrono::seconds> (*parse)(std::string_view) = nullptr;
};

SecondsOption seconds_option(std::string_view name, MountRequest& request) {
  if (name == "key_age") return {&request.key_age, &parse_key_age};
  if (name == "probe_interval") return {&request.probe_interval, &parse_probe_interval};
  if (name == "outage_grace") return {&request.outage_grace, &parse_outage_grace};
  return {};
}

Result<void> take_word(const std::string& word, MountRequest& request) {
  const auto equals = word.find('=');
  const std::string name = word.substr(0, equals);
  const std::string value = equals == std::string::npos ? std::string() : word.substr(equals + 1);

  if (contains(kSecrets, name)) {
    return error(Kind::kInvalid, "option " + name +
                                     " would show a secret to everybody who can list processes or mounts; "
                                     "use passphrase_file=FILE (mode 0600)");
  }
  if (std::string* text = text_option(name, request)) {
    if (value.empty()) return needs_value(name);
    *text = value;
    return {};
  }
  if (name == "kms") {
    if (value.empty()) return needs_value(name);
    auto uri = absolute_kms_uri(value);
    if (!uri) return std::move(uri).error();
    request.kms_uri = std::move(*uri);
    return {};
  }
  if (name == "backend") {
    auto backend = parse_backend(value);
    if (!backend) return std::move(backend).error();
    request.backend = *backend;
    return {};
  }
  if (const auto seconds = seconds_option(name, request); seconds.value != nullptr) {
    auto parsed = seconds.parse(value);
    if (!parsed) return std::move(parsed).error();
    *seconds.value = *parsed;
    return {};
  }
  if (word == "insecure_http") {
    request.insecure_http = true;
    return {};
  }
  if (word == "noguard" || word == "guard") {
    request.guard = word == "guard";
    return {};
  }
  auto taken = request.mount.take(word);
  if (!taken) return std::move(taken).error();
  if (*taken || name.rfind("x-", 0) == 0 || name.rfind("X-", 0) == 0 || contains(kNotForUs, name)) return {};
  return error(Kind::kInvalid, "unknown option " + name + "; see kmsfs-mount(1) for those there are");
}

}  // namespace

Result<void> take_options(std::string_view words, MountRequest& request) {
  for (const std::string& word : split(words)) KMSFS_TRY(take_word(word, request));
  return {};
}

Result<AeadBackend> parse_backend(std::string_view name) {
  if (name == "auto") return AeadBackend::kAutomatic;
  if (name == "ipsec-mb") return AeadBackend::kIpsecMb;
  if (name == "openssl") return AeadBackend::kOpenSsl;
  return error(Kind::kInvalid, "backend is auto, ipsec-mb or openssl");
}

Result<std::chrono::seconds> parse_key_age(std::string_view seconds) {
  return parse_seconds("the age of keys", seconds, 1, kDay);
}

Result<std::chrono::seconds> parse_probe_interval(std::string_view seconds) {
  return parse_seconds("the probe interval", seconds, 1, kDay);
}

Result<std::chrono::seconds> parse_outage_grace(std::string_view seconds) {
  return parse_seconds("the outage grace", seconds, 0, kDay);
}

}  // namespace kmsfs::cli
