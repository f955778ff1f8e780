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

// Values that kmsfs itself takes; nullptr where the word is none of these.
std::string* text_option(std::string_view name, MountRequest& request) {
  if (name == "kms_user") return &request.kms_user;
  if (name == "passphrase_file") return &request.passphrase_file;
  if (name == "fsname") return &request.mount.source;
  return nullptr;
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
  if (name == "key_age") {
    auto age = parse_key_age(value);
    if (!age) return std::move(age).error();
    request.key_age = *age;
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
  constexpr int kLongest = 24 * 60 * 60;
  int value = 0;
  const auto parsed = std::from_chars(seconds.data(), seconds.data() + seconds.size(), value);
  if (parsed.ec != std::errc{} || parsed.ptr != seconds.data() + seconds.size() || value < 1 ||
      value > kLongest) {
    return error(Kind::kInvalid, "the age of keys is given in seconds, 1 to " + std::to_string(kLongest));
  }
  return std::chrono::seconds(value);
}

}  // namespace kmsfs::cli
