// make_golden DIRECTORY MODE: makes the golden volume of the current format in an empty directory, and beside
// it DIRECTORY.attributes, for version control keeps no extended attributes. Run once for a format, before
// its release.
#include <fcntl.h>
#include <sys/stat.h>

#include <cstdio>
#include <fstream>

#include "core/locked_memory.h"
#include "fs/encrypted_file.h"
#include "fs/file_key.h"
#include "fs/volume.h"
#include "tests/golden/golden.h"

namespace kmsfs::golden {
namespace {

class Maker {
 public:
  Maker(std::string path, KeyMode mode) : path_(std::move(path)), mode_(mode) { add_golden_key(server_); }

  Result<void> make() {
    const UniqueFd root(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root) return Error::from_errno(errno, path_);
    auto volume = Volume::create(disk_, root.get(), kms_, kKeyArn, "local:/golden", mode_);
    if (!volume) return std::move(volume).error();
    volume_ = std::move(*volume);
    auto branch_key = kms_.generate_data_key(kKeyArn, branch_context(volume_->parameters().id, branch_));
    if (!branch_key) return std::move(branch_key).error();
    branch_key_.emplace(std::move(*branch_key));
    auto root_id = read_directory_id(root.get());
    if (!root_id) return std::move(root_id).error();

    attributes_.open(path_ + ".attributes");
    for (const File& file : files()) KMSFS_TRY(make_file(root.get(), *root_id, file));
    KMSFS_TRY(make_directory(root.get(), *root_id));
    auto link = volume_->encrypt_name(*root_id, kLinkName);
    if (!link) return std::move(link).error();
    auto target = volume_->seal_target(kLinkTarget);
    if (!target) return std::move(target).error();
    return disk_.symlink_at(*target, root.get(), link->entry);
  }

 private:
  Result<DirectoryId> read_directory_id(int directory) {
    auto target = disk_.read_link_at(directory, kDirectoryIdLink);
    if (!target) return std::move(target).error();
    return volume_->open_directory_id(*target);
  }

  Result<void> make_file(int directory, const DirectoryId& directory_id, const File& file) {
    auto stored = volume_->encrypt_name(directory_id, file.name);
    if (!stored) return std::move(stored).error();
    if (!stored->side_link.empty()) {
      KMSFS_TRY(disk_.symlink_at(stored->side_target, directory, stored->side_link));
    }
    const FileId id = FileId::random();
    auto key = kms_.generate_data_key(kKeyArn, file_context(volume_->parameters().id, id));
    if (!key) return std::move(key).error();
    KeySection section{key->wrapped.key_arn, key->wrapped.blob};
    if (mode_ == KeyMode::kBranch) {
      const SealedFor what{kSuiteXaes256Gcm, volume_->parameters().id, id};
      auto sealed = seal_data_key(branch_key_->key, branch_, what, key->key);
      if (!sealed) return std::move(sealed).error();
      section = {branch_key_->wrapped.key_arn, branch_key_->wrapped.blob, *sealed};
    }
    auto fd = disk_.open_at(directory, stored->entry, O_RDWR | O_CREAT | O_EXCL, 0644);
    if (!fd) return std::move(fd).error();
    auto made = EncryptedFile::create(disk_, std::move(*fd), volume_->geometry(), volume_->parameters().id,
                                      id, key->key.reveal(), section);
    if (!made) return std::move(made).error();
    KMSFS_TRY((*made)->write_at(0, content_of(file)));
    if (file.name == "sparse") KMSFS_TRY((*made)->punch(kHoleAt, kHoleSize));
    KMSFS_TRY((*made)->sync(false));
    return note_attribute(stored->entry, id);
  }

  Result<void> note_attribute(const std::string& entry, const FileId& owner) {
    auto name = volume_->seal_xattr_name(owner.view(), kAttributeName);
    if (!name) return std::move(name).error();
    auto value = volume_->seal_xattr_value(owner.view(), kAttributeName, as_bytes(kAttributeValue));
    if (!value) return std::move(value).error();
    attributes_ << entry << ' ' << *name << ' ' << to_hex(*value) << '\n';
    return {};
  }

  Result<void> make_directory(int parent, const DirectoryId& parent_id) {
    auto stored = volume_->encrypt_name(parent_id, kDirectoryName);
    if (!stored) return std::move(stored).error();
    KMSFS_TRY(disk_.make_directory_at(parent, stored->entry, 0755));
    auto directory = disk_.open_at(parent, stored->entry, O_RDONLY | O_DIRECTORY, 0);
    if (!directory) return std::move(directory).error();
    const DirectoryId id = DirectoryId::random();
    KMSFS_TRY(disk_.symlink_at(volume_->seal_directory_id(id), directory->get(), kDirectoryIdLink));
    return make_file(directory->get(), id, inner_file());
  }

  const std::string path_;
  const KeyMode mode_;
  const BranchId branch_ = BranchId::random();
  std::optional<GeneratedDataKey> branch_key_;
  std::ofstream attributes_;
  testing::FakeKmsServer server_;
  testing::FakeKms kms_{server_};
  RealDisk disk_;
  std::unique_ptr<Volume> volume_;
};

Result<void> run(const char* path, KeyMode mode) {
  LockedMemory::Options memory;
  memory.allow_unlocked = true;
  KMSFS_TRY(LockedMemory::start(memory));
  KMSFS_TRY(start_crypto());
  return Maker(path, mode).make();
}

}  // namespace
}  // namespace kmsfs::golden

int main(int argc, char** argv) {
  const auto mode = argc == 3 ? kmsfs::parse_key_mode(argv[2]) : std::nullopt;
  if (!mode) {
    std::fputs("make_golden DIRECTORY per-file|branch\n", stderr);
    return 2;
  }
  const auto made = kmsfs::golden::run(argv[1], *mode);
  if (!made) std::fprintf(stderr, "make_golden: %s\n", made.error().text.c_str());
  return made.ok() ? 0 : 1;
}
