// The door to the JSON parser of this folder.
#include "fs/volume_file.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

namespace kmsfs {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kFormatName = "kmsfs volume";
constexpr const char* kWrongHeaderSize = "header_size is not a multiple of 512 from 1024 to 3584";
constexpr std::size_t kMaxAllowedKeys = 256;
constexpr std::size_t kMaxKeyArnSize = 512;
constexpr std::size_t kMaxKmsUriSize = 4096;
constexpr std::size_t kMaxWrappedKeySize = 6144;  // what a KMS may answer

Error damaged(std::string text) { return error(Kind::kCorrupt, std::move(text)); }
Error newer(const std::string& text) {
  return error(Kind::kUnsupported, text + "; a newer kmsfs may know it");
}

// The parser keeps the last of two members with one name; we want neither.
struct Document {
  Json value;
  bool has_duplicates = false;
};

Document parse_document(std::string_view text) {
  constexpr int kMaxDepth =
      3;  // more than the format has: what is deeper is dropped, and what held it refused
  Document document;
  std::array<std::set<std::string>, kMaxDepth + 2> seen;  // names of the open object at each depth
  const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > kMaxDepth) return false;
    const auto level = static_cast<std::size_t>(depth);
    if (event == Json::parse_event_t::object_start) seen[level + 1].clear();
    if (event == Json::parse_event_t::key && !seen[level].insert(parsed.get<std::string>()).second) {
      document.has_duplicates = true;
    }
    return true;
  };
  document.value = Json::parse(text.begin(), text.end(), watch, /*allow_exceptions=*/false);
  return document;
}

// Reads the members of one object; the first complaint stays.
class Members {
 public:
  explicit Members(const Json& object) : object_(object) {
    if (!object.is_object()) complain("what should be an object is none");
  }

  std::string text(const char* name, std::size_t max_size) {
    const Json* member = take(name);
    if (member == nullptr) return {};
    if (!member->is_string()) return complain(std::string(name) + " is no text"), std::string();
    auto value = member->get<std::string>();
    if (value.size() > max_size) return complain(std::string(name) + " is too long"), std::string();
    return value;
  }
  std::uint64_t number(const char* name) {
    const Json* member = take(name);
    if (member == nullptr) return 0;
    if (!member->is_number_unsigned()) return complain(std::string(name) + " is no whole number"), 0;
    return member->get<std::uint64_t>();
  }
  std::vector<std::string> texts(const char* name, std::size_t max_count, std::size_t max_size) {
    const Json* member = take(name);
    if (member == nullptr) return {};
    std::vector<std::string> values;
    bool good = member->is_array() && member->size() <= max_count;
    for (const Json& value : good ? *member : Json::array()) {
      good = good && value.is_string() && value.get_ref<const std::string&>().size() <= max_size;
      if (good) values.push_back(value.get<std::string>());
    }
    if (!good) complain(std::string(name) + " is no list of texts within bounds");
    return values;
  }
  const Json& object(const char* name) {
    const Json* member = take(name);
    return member == nullptr ? object_ : *member;
  }

  // The first complaint, or that there are members nobody asked for.
  std::optional<Error> finish() {
    if (complaint_.empty() && taken_ != object_.size())
      complaint_ = "it has members that do not belong there";
    if (complaint_.empty()) return std::nullopt;
    return damaged(complaint_);
  }

 private:
  const Json* take(const char* name) {
    if (!object_.is_object()) return nullptr;
    const auto found = object_.find(name);
    if (found == object_.end()) return complain(std::string(name) + " is missing"), nullptr;
    ++taken_;
    return &*found;
  }
  void complain(std::string text) {
    if (complaint_.empty()) complaint_ = std::move(text);
  }

  const Json& object_;
  std::size_t taken_ = 0;
  std::string complaint_;
};

Result<void> check_keys(const VolumeParameters& parameters) {
  const auto& keys = parameters.allowed_keys;
  if (keys.empty()) return damaged("allowed_keys is empty");
  if (std::set<std::string>(keys.begin(), keys.end()).size() != keys.size()) {
    return damaged("allowed_keys names a key twice");
  }
  const auto is_arn = [](const std::string& key) {
    return key.starts_with("arn:") && key.find('\0') == key.npos;
  };
  if (!std::all_of(keys.begin(), keys.end(), is_arn))
    return damaged("allowed_keys has an entry that is no key ARN");
  if (std::find(keys.begin(), keys.end(), parameters.volume_key.key_arn) == keys.end()) {
    return damaged("the volume key is wrapped by a master key that is not in allowed_keys");
  }
  return {};
}

Result<void> check(const VolumeParameters& parameters) {
  if (!Geometry::is_header_size(parameters.header_size)) return damaged(kWrongHeaderSize);
  if (all_zero(parameters.id.view())) return damaged("volume_id is zero");
  if (parameters.volume_key.blob.empty()) return damaged("volume_key.wrapped is empty");
  if (parameters.kms_uri.find('\0') != std::string::npos) return damaged("kms holds a NUL");
  return check_keys(parameters);
}

Result<void> parse_volume_key(const Json& object, WrappedDataKey& out) {
  Members members(object);
  out.key_arn = members.text("key_arn", kMaxKeyArnSize);
  const std::string wrapped = members.text("wrapped", (kMaxWrappedKeySize + 2) / 3 * 4);
  if (auto complaint = members.finish()) return std::move(*complaint).during("volume_key");
  auto blob = from_base64(wrapped);
  if (!blob) return damaged("volume_key.wrapped is not base64");
  out.blob = std::move(*blob);
  return {};
}

// What tells whether the rest can be understood at all comes first: a newer format may have other members.
Result<void> check_version(const Json& document) {
  const auto name = document.find("format");
  if (name == document.end() || *name != kFormatName)
    return damaged("it does not say \"format\": \"kmsfs volume\"");
  const auto version = document.find("format_version");
  if (version == document.end() || !version->is_number_unsigned())
    return damaged("it does not say its format_version");
  if (*version == 0) return damaged("format_version is zero");
  if (*version > kFormatVersion) return newer("format version " + version->dump() + " is not known");
  return {};
}

Result<VolumeFile> parse_members(const Json& document) {
  VolumeFile file;
  VolumeParameters& parameters = file.parameters;
  Members members(document);
  members.text("format", kFormatName.size());
  parameters.format_version = static_cast<std::uint16_t>(members.number("format_version"));
  const std::string id = members.text("volume_id", 2 * VolumeId::kSize);
  const std::uint64_t suite = members.number("suite");
  const std::uint64_t header_size = members.number("header_size");
  const std::string mode = members.text("mode", 64);
  parameters.allowed_keys = members.texts("allowed_keys", kMaxAllowedKeys, kMaxKeyArnSize);
  parameters.kms_uri = members.text("kms", kMaxKmsUriSize);
  const Json& volume_key = members.object("volume_key");
  const std::string mac = members.text("mac", 2 * file.mac.size());
  if (auto complaint = members.finish()) return std::move(*complaint);

  if (suite != kSuiteXaes256Gcm) return newer("suite " + std::to_string(suite) + " is not known");
  const auto known_mode = parse_key_mode(mode);
  if (!known_mode) return newer("mode \"" + mode + "\" is not known");
  parameters.mode = *known_mode;
  if (header_size > kMaxHeaderSize) return damaged(kWrongHeaderSize);
  parameters.header_size = static_cast<std::uint32_t>(header_size);
  KMSFS_TRY(parse_volume_key(volume_key, parameters.volume_key));
  auto volume_id = VolumeId::parse_hex(id);
  if (!volume_id) return damaged("volume_id is not 32 hexadecimal digits");
  parameters.id = *volume_id;
  auto mac_bytes = from_hex(mac);
  if (!mac_bytes || mac_bytes->size() != file.mac.size()) return damaged("mac is not 64 hexadecimal digits");
  std::copy(mac_bytes->begin(), mac_bytes->end(), file.mac.begin());
  KMSFS_TRY(check(parameters));
  return file;
}

class MacMessage {
 public:
  void number(std::uint32_t value) {
    std::array<std::byte, 4> bytes{};
    store_be32(bytes.data(), value);
    message_.insert(message_.end(), bytes.begin(), bytes.end());
  }
  void text(std::string_view value) { bytes(as_bytes(value)); }
  void bytes(ByteView value) {
    number(static_cast<std::uint32_t>(value.size()));
    message_.insert(message_.end(), value.begin(), value.end());
  }
  ByteView view() const { return message_; }

 private:
  Bytes message_;
};

}  // namespace

std::string_view to_string(KeyMode mode) { return mode == KeyMode::kBranch ? "branch" : "per-file"; }

std::optional<KeyMode> parse_key_mode(std::string_view text) {
  for (const KeyMode mode : {KeyMode::kPerFile, KeyMode::kBranch}) {
    if (text == to_string(mode)) return mode;
  }
  return std::nullopt;
}

Result<std::string> write_volume_file(const VolumeFile& file) {
  const VolumeParameters& parameters = file.parameters;
  if (auto good = check(parameters); !good) return error(Kind::kInvalid, good.error().text);
  const Json document = {
      {"format", kFormatName},
      {"format_version", parameters.format_version},
      {"volume_id", parameters.id.hex()},
      {"suite", parameters.suite},
      {"header_size", parameters.header_size},
      {"mode", to_string(parameters.mode)},
      {"allowed_keys", parameters.allowed_keys},
      {"kms", parameters.kms_uri},
      {"volume_key",
       {{"key_arn", parameters.volume_key.key_arn}, {"wrapped", to_base64(parameters.volume_key.blob)}}},
      {"mac", to_hex(file.mac)},
  };
  try {
    std::string text = document.dump(2) + "\n";
    // What we write we must be able to read: the bounds are checked where they are known.
    if (auto again = parse_volume_file(text); !again) return error(Kind::kInvalid, again.error().text);
    return text;
  } catch (const Json::exception&) {
    return error(Kind::kInvalid, "the KMS URI or a key ARN is not UTF-8");
  }
}

Result<VolumeFile> parse_volume_file(std::string_view text) {
  if (text.size() > kMaxVolumeFile) return damaged("it is too large");
  const Document document = parse_document(text);
  if (!document.value.is_object()) return damaged("it is not a JSON object");
  if (document.has_duplicates) return damaged("it has two members of one name");
  KMSFS_TRY(check_version(document.value));
  return parse_members(document.value);
}

Sha256 volume_file_mac(const MacKey& key, const VolumeParameters& parameters) {
  MacMessage message;
  message.text(kFormatName);
  message.number(parameters.format_version);
  message.bytes(parameters.id.view());
  message.number(parameters.suite);
  message.number(parameters.header_size);
  message.text(to_string(parameters.mode));
  message.number(static_cast<std::uint32_t>(parameters.allowed_keys.size()));
  for (const std::string& arn : parameters.allowed_keys) message.text(arn);
  message.text(parameters.kms_uri);
  message.text(parameters.volume_key.key_arn);
  return hmac_sha256(key, message.view());
}

}  // namespace kmsfs
