#include "fs/file_key.h"

#include <cassert>

#include "core/one_time_aead.h"

namespace kmsfs {

namespace {

constexpr std::string_view kLabel = "kmsfs branch";
using SealKey = Secret<32, struct SealKeyTag>;  // of one data key: HKDF of a branch key

// All that the sealed key means. It is the info of its KDF, and its additional data.
std::array<std::byte, kLabel.size() + 2 + 3 * 16> meaning_of(const BranchId& branch, const SealedFor& what) {
  std::array<std::byte, kLabel.size() + 2 + 3 * 16> meaning;
  ByteWriter out(meaning);
  out.bytes(as_bytes(kLabel));
  out.u16(what.suite);
  out.bytes(what.volume.view());
  out.bytes(branch.view());
  out.bytes(what.file.view());
  assert(out.ok() && out.written() == meaning.size());
  return meaning;
}

Result<SealKey> seal_key(const DataKey& branch_key, ByteView salt, ByteView meaning) {
  auto key = SealKey::make();
  if (key) hkdf_sha256(branch_key.reveal(), salt, meaning, key->fill());
  return key;
}

}  // namespace

Result<SealedDataKey> seal_data_key(const DataKey& branch_key, const BranchId& branch, const SealedFor& what,
                                    const DataKey& data_key) {
  static_assert(sizeof SealedDataKey::bytes == DataKey::kSize + kOneTimeOverhead);
  SealedDataKey sealed;
  sealed.branch = branch;
  random_bytes(sealed.salt);
  const auto meaning = meaning_of(branch, what);
  auto key = seal_key(branch_key, sealed.salt, meaning);
  if (!key) return std::move(key).error();
  KMSFS_TRY(seal_one_time(key->reveal(), meaning, data_key.reveal(), sealed.bytes));
  return sealed;
}

Result<DataKey> open_data_key(const DataKey& branch_key, const SealedDataKey& sealed, const SealedFor& what) {
  const auto meaning = meaning_of(sealed.branch, what);
  auto key = seal_key(branch_key, sealed.salt, meaning);
  if (!key) return std::move(key).error();
  auto data_key = DataKey::make();
  if (!data_key) return data_key;
  if (auto opened = open_one_time(key->reveal(), meaning, sealed.bytes, data_key->fill()); !opened) {
    return std::move(opened).error().during("opening the data key under its branch key");
  }
  return data_key;
}

Result<DataKey> FileKey::data_key() const {
  auto key = handle_.data_key();
  if (!key || !sealed_) return key;
  return open_data_key(*key, sealed_->key, sealed_->what);
}

namespace {

// What the cache is asked with for the key of that file, if the volume lets it be used.
Result<EncryptionContext> context_of(const Volume& volume, const FileHeader& header) {
  const VolumeParameters& parameters = volume.parameters();
  const KeySection& section = header.key_section;
  if (header.volume_id != parameters.id) return error(Kind::kCorrupt, "a file belongs to another volume");
  if (!volume.allows(section.key_arn)) {
    return error(Kind::kCorrupt,
                 "a file's data key is wrapped by a master key that the volume does not allow");
  }
  const auto& sealed = section.sealed_data_key;
  // Whoever chose per-file was promised that each key that is used is named for its file in the audit log.
  if (sealed && parameters.mode != KeyMode::kBranch) {
    return error(Kind::kCorrupt, "a file's data key is sealed by a branch key in a volume that has none");
  }
  return sealed ? branch_context(parameters.id, sealed->branch) : file_context(parameters.id, header.file_id);
}

KeyRequest request_for(const FileHeader& header, const EncryptionContext& context) {
  const KeySection& section = header.key_section;
  return KeyRequest{section.key_arn, header.suite, section.wrapped_key, context};
}

}  // namespace

Result<FileKey> unwrap_file_key(KeyCache& keys, const Volume& volume, const FileHeader& header) {
  auto context = context_of(volume, header);
  if (!context) return std::move(context).error();
  auto handle = keys.unwrap(request_for(header, *context));
  if (!handle) return std::move(handle).error();
  const auto& sealed = header.key_section.sealed_data_key;
  if (!sealed) return FileKey(std::move(*handle));
  return FileKey(std::move(*handle), *sealed, SealedFor{header.suite, header.volume_id, header.file_id});
}

KeyCache::Ahead ask_ahead_for_file(KeyCache& keys, const Volume& volume, const FileHeader& header) {
  auto context = context_of(volume, header);
  if (!context) return KeyCache::Ahead::kHeld;  // whoever opens it hears why
  return keys.ask_ahead(request_for(header, *context));
}

}  // namespace kmsfs
