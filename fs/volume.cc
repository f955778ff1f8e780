#include "fs/volume.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "core/siv.h"
#include "core/xaes.h"
#include "fs/volume_file.h"
#include "fs/volume_keys.h"

namespace kmsfs {

namespace {

constexpr std::string_view kUserPrefix = "user.";
constexpr std::string_view kStoredPrefix = "user.kmsfs.";  // of attributes
constexpr std::string_view kTargetContext = "kmsfs symbolic link";
constexpr std::size_t kMaxStoredTarget = 4095;  // PATH_MAX without its NUL
constexpr std::size_t kMaxStoredAttribute = 255;
constexpr std::size_t kOwnerSize = FileId::kSize;
constexpr std::size_t kIdMacSize = 24;  // with it an id's target fits into an inode of ext4
constexpr std::size_t kSealedIdSize = DirectoryId::kSize + kIdMacSize;

static_assert(base64url_size(kSealedIdSize) < 60);

static_assert(base64url_size(Volume::kMaxTarget + Xaes256Gcm::kOverhead) <= kMaxStoredTarget);
static_assert(base64url_size(Volume::kMaxTarget + 1 + Xaes256Gcm::kOverhead) > kMaxStoredTarget);
static_assert(kStoredPrefix.size() +
                  base64url_size(Volume::kMaxAttributeName - kUserPrefix.size() + AesSiv::kOverhead) <=
              kMaxStoredAttribute);
static_assert(kStoredPrefix.size() +
                  base64url_size(Volume::kMaxAttributeName + 1 - kUserPrefix.size() + AesSiv::kOverhead) >
              kMaxStoredAttribute);

Bytes target_context(const VolumeId& volume) {
  Bytes context;
  const ByteView text = as_bytes(kTargetContext);
  context.insert(context.end(), text.begin(), text.end());
  context.insert(context.end(), volume.bytes.begin(), volume.bytes.end());
  return context;
}

// The owner's size is fixed, so what follows it cannot be taken for part of it.
Bytes value_context(ByteView owner, std::string_view name) {
  Bytes context(owner.begin(), owner.end());
  const ByteView text = as_bytes(name);
  context.insert(context.end(), text.begin(), text.end());
  return context;
}

Result<AesSiv> make_siv(std::span<const std::byte, 32> volume_key, std::string_view label,
                        const VolumeParameters& parameters) {
  auto key = derive_from_volume_key<SivKey>(volume_key, label, parameters.suite, parameters.id);
  if (!key) return std::move(key).error();
  return AesSiv::make(*key);
}

Result<Xaes256Gcm> make_xaes(std::span<const std::byte, 32> volume_key, std::string_view label,
                             const VolumeParameters& parameters) {
  auto key = derive_from_volume_key<ContentKey>(volume_key, label, parameters.suite, parameters.id);
  if (!key) return std::move(key).error();
  return Xaes256Gcm::make(*key);
}

}  // namespace

struct Volume::State {
  VolumeParameters parameters;
  Geometry geometry;
  NameCipher names;
  MacKey directory_ids;
  Xaes256Gcm targets;
  AesSiv attribute_names;
  Xaes256Gcm attribute_values;
  Bytes target_context;
};

Volume::Volume(std::unique_ptr<State> state) : state_(std::move(state)) {}
Volume::~Volume() = default;

Result<std::unique_ptr<Volume>> Volume::make(VolumeParameters parameters,
                                             std::span<const std::byte, 32> volume_key) {
  auto name_key = derive_from_volume_key<SivKey>(volume_key, label::kNames, parameters.suite, parameters.id);
  if (!name_key) return std::move(name_key).error();
  auto names = NameCipher::make(*name_key);
  if (!names) return std::move(names).error();
  auto directory_ids =
      derive_from_volume_key<MacKey>(volume_key, label::kDirectoryIds, parameters.suite, parameters.id);
  if (!directory_ids) return std::move(directory_ids).error();
  auto targets = make_xaes(volume_key, label::kLinkTargets, parameters);
  if (!targets) return std::move(targets).error();
  auto attribute_names = make_siv(volume_key, label::kAttributeNames, parameters);
  if (!attribute_names) return std::move(attribute_names).error();
  auto attribute_values = make_xaes(volume_key, label::kAttributeValues, parameters);
  if (!attribute_values) return std::move(attribute_values).error();

  const Geometry geometry(parameters.header_size);
  Bytes context = target_context(parameters.id);
  return std::unique_ptr<Volume>(new Volume(std::make_unique<State>(State{
      std::move(parameters), geometry, std::move(*names), std::move(*directory_ids), std::move(*targets),
      std::move(*attribute_names), std::move(*attribute_values), std::move(context)})));
}

const VolumeParameters& Volume::parameters() const { return state_->parameters; }
const Geometry& Volume::geometry() const { return state_->geometry; }

bool Volume::allows(const std::string& key_arn) const {
  const auto& keys = state_->parameters.allowed_keys;
  return std::find(keys.begin(), keys.end(), key_arn) != keys.end();
}

Result<StoredName> Volume::encrypt_name(const DirectoryId& directory, std::string_view name) const {
  return state_->names.encrypt(directory, name);
}
Result<std::string> Volume::decrypt_name(const DirectoryId& directory, std::string_view entry,
                                         std::string_view side_target) const {
  return state_->names.decrypt(directory, entry, side_target);
}
bool Volume::is_long(std::string_view entry) { return is_long_entry(entry); }
std::string Volume::side_link_of(std::string_view long_entry) { return kmsfs::side_link_of(long_entry); }
bool Volume::is_internal(std::string_view entry) { return is_internal_entry(entry); }

std::string Volume::seal_directory_id(const DirectoryId& id) const {
  const Sha256 mac = hmac_sha256(state_->directory_ids, id.view());
  std::array<std::byte, kSealedIdSize> sealed;
  std::copy_n(mac.begin(), kIdMacSize, std::copy(id.bytes.begin(), id.bytes.end(), sealed.begin()));
  return to_base64url(sealed);
}

Result<DirectoryId> Volume::open_directory_id(std::string_view target) const {
  if (target.size() != base64url_size(kSealedIdSize))
    return error(Kind::kCorrupt, "the directory id is too short or too long");
  auto sealed = from_base64url(target);
  if (!sealed) return error(Kind::kCorrupt, "the directory id is not written as one");
  ByteReader in(*sealed);
  const DirectoryId id{in.take<DirectoryId::kSize>()};
  const auto mac = in.take<kIdMacSize>();
  const Sha256 expected = hmac_sha256(state_->directory_ids, id.view());
  if (!in.complete() || !equal_in_constant_time(mac, ByteView(expected).first(kIdMacSize))) {
    return error(Kind::kCorrupt, "the directory id does not authenticate");
  }
  return id;
}

Result<std::string> Volume::seal_target(std::string_view target) const {
  if (target.size() > kMaxTarget) return Error::from_errno(ENAMETOOLONG);
  if (target.empty() || target.find('\0') != std::string_view::npos) {
    return error(Kind::kInvalid, "not a target that a symbolic link can have");
  }
  std::array<std::byte, kMaxTarget + Xaes256Gcm::kOverhead> buffer;
  const ByteSpan sealed = std::span(buffer).first(target.size() + Xaes256Gcm::kOverhead);
  KMSFS_TRY(state_->targets.seal(state_->target_context, as_bytes(target), sealed));
  return to_base64url(sealed);
}

Result<std::string> Volume::open_target(std::string_view stored) const {
  const auto damaged = [] { return error(Kind::kCorrupt, "not the target of a link of this volume"); };
  if (stored.size() > kMaxStoredTarget) return damaged();
  auto sealed = from_base64url(stored);
  if (!sealed || sealed->size() <= Xaes256Gcm::kOverhead) return damaged();
  std::string target(sealed->size() - Xaes256Gcm::kOverhead, '\0');
  KMSFS_TRY(state_->targets.open(state_->target_context, *sealed, std::as_writable_bytes(std::span(target))));
  if (target.find('\0') != std::string::npos) return damaged();
  return target;
}

std::size_t Volume::plain_target_size(std::size_t stored_size) {
  const std::size_t sealed_size = stored_size * 3 / 4;
  return sealed_size > Xaes256Gcm::kOverhead ? sealed_size - Xaes256Gcm::kOverhead : 0;
}

Result<std::string> Volume::seal_xattr_name(ByteView owner, std::string_view name) const {
  assert(owner.size() == kOwnerSize && "attributes hang on a file id or a directory id");
  if (!name.starts_with(kUserPrefix) || name.size() == kUserPrefix.size() || name.find('\0') != name.npos) {
    return error(Kind::kInvalid, "not the name of a user attribute");
  }
  if (name.size() > kMaxAttributeName) return Error::from_errno(ERANGE);
  const std::string_view plain = name.substr(kUserPrefix.size());
  std::array<std::byte, kMaxAttributeName + AesSiv::kOverhead> buffer;
  const ByteSpan sealed = std::span(buffer).first(plain.size() + AesSiv::kOverhead);
  KMSFS_TRY(state_->attribute_names.seal(owner, as_bytes(plain), sealed));
  return std::string(kStoredPrefix) + to_base64url(sealed);
}

Result<std::string> Volume::open_xattr_name(ByteView owner, std::string_view stored) const {
  assert(owner.size() == kOwnerSize && "attributes hang on a file id or a directory id");
  if (!stored.starts_with(kStoredPrefix)) return error(Kind::kNotFound, "not an attribute of ours");
  const auto damaged = [] { return error(Kind::kCorrupt, "not the name of an attribute of this file"); };
  if (stored.size() > kMaxStoredAttribute) return damaged();
  auto sealed = from_base64url(stored.substr(kStoredPrefix.size()));
  if (!sealed || sealed->size() <= AesSiv::kOverhead) return damaged();
  std::string name(kUserPrefix.size() + sealed->size() - AesSiv::kOverhead, '\0');
  kUserPrefix.copy(name.data(), kUserPrefix.size());
  KMSFS_TRY(state_->attribute_names.open(
      owner, *sealed, std::as_writable_bytes(std::span(name).subspan(kUserPrefix.size()))));
  if (name.find('\0') != std::string::npos) return damaged();
  return name;
}

Result<Bytes> Volume::seal_xattr_value(ByteView owner, std::string_view name, ByteView value) const {
  assert(owner.size() == kOwnerSize && "attributes hang on a file id or a directory id");
  Bytes sealed(value.size() + Xaes256Gcm::kOverhead);
  KMSFS_TRY(state_->attribute_values.seal(value_context(owner, name), value, sealed));
  return sealed;
}

Result<Bytes> Volume::open_xattr_value(ByteView owner, std::string_view name, ByteView stored) const {
  assert(owner.size() == kOwnerSize && "attributes hang on a file id or a directory id");
  if (stored.size() < Xaes256Gcm::kOverhead) {
    return error(Kind::kCorrupt, "too short to be the value of an attribute of ours");
  }
  Bytes value(stored.size() - Xaes256Gcm::kOverhead);
  KMSFS_TRY(state_->attribute_values.open(value_context(owner, name), stored, value));
  return value;
}

}  // namespace kmsfs
