// How a volume comes to be and is opened: Volume::create, read_parameters and open.
#include <dirent.h>

#include <cerrno>
#include <optional>

#include "fs/volume.h"
#include "fs/volume_file.h"
#include "fs/volume_keys.h"

namespace kmsfs {

namespace {

constexpr int kNewFile = O_WRONLY | O_CREAT | O_EXCL;

struct DirectoryCloser {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

// Any entry of the directory; empty if there is none.
Result<std::string> some_entry(Disk& disk, int backing) {
  auto fd = disk.open_at(backing, ".", O_RDONLY | O_DIRECTORY);
  if (!fd) return std::move(fd).error().during("listing the backing directory");
  const std::unique_ptr<DIR, DirectoryCloser> directory(::fdopendir(fd->get()));
  if (!directory) return Error::from_errno(errno, "listing the backing directory");
  fd->release();
  errno = 0;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") return name;
  }
  if (errno != 0) return Error::from_errno(errno, "listing the backing directory");
  return std::string();
}

bool is_volume(Disk& disk, int backing) { return disk.stat_at(backing, kVolumeDirectory).ok(); }

Result<void> check_empty(Disk& disk, int backing) {
  if (is_volume(disk, backing))
    return error(Kind::kExists, "the backing directory is a kmsfs volume already");
  auto entry = some_entry(disk, backing);
  if (!entry) return std::move(entry).error();
  if (entry->empty()) return {};
  std::string text = "the backing directory is not empty (it holds " + *entry + ")";
  if (entry->starts_with(kTemporaryPrefix) || *entry == kDirectoryIdLink) {
    text += "; an init that was cut off may have left that behind";
  }
  return error(Kind::kInvalid, text + "; give an empty directory");
}

// Removes what was made unless told that it stays.
class Undo {
 public:
  Undo(Disk& disk, int directory, std::string name, int flags)
      : disk_(disk), directory_(directory), name_(std::move(name)), flags_(flags) {}
  Undo(const Undo&) = delete;
  Undo& operator=(const Undo&) = delete;
  ~Undo() {
    // A failure is being reported already; that the clean-up fails too would not help whoever reads it.
    if (!kept_) (void)disk_.unlink_at(directory_, name_, flags_);
  }
  void keep() { kept_ = true; }
  void is_now_named(std::string name) { name_ = std::move(name); }

 private:
  Disk& disk_;
  int directory_;
  std::string name_;
  int flags_;
  bool kept_ = false;
};

Result<void> write_durably(Disk& disk, int file, ByteView content) {
  KMSFS_TRY(disk.write_at(file, 0, content));
  return disk.sync(file);
}

// .kmsfs appears whole, by the rename, and last: a directory that has it is a volume.
Result<void> write_volume(Disk& disk, int backing, std::string_view volume_file,
                          const std::string& root_directory_id) {
  const std::string temporary = kTemporaryPrefix + Id<struct TemporaryTag>::random().hex();
  KMSFS_TRY(disk.make_directory_at(backing, temporary, 0755));
  Undo undo_directory(disk, backing, temporary, AT_REMOVEDIR);
  auto directory = disk.open_at(backing, temporary, O_RDONLY | O_DIRECTORY);
  if (!directory) return std::move(directory).error();
  auto file = disk.open_at(directory->get(), kVolumeFile, kNewFile, 0644);
  if (!file) return std::move(file).error();
  Undo undo_volume_file(disk, directory->get(), kVolumeFile, 0);
  KMSFS_TRY(write_durably(disk, file->get(), as_bytes(volume_file)));
  KMSFS_TRY(disk.sync(directory->get()));

  KMSFS_TRY(disk.symlink_at(root_directory_id, backing, kDirectoryIdLink));
  Undo undo_id(disk, backing, kDirectoryIdLink, 0);
  KMSFS_TRY(disk.sync(backing));

  KMSFS_TRY(disk.rename_at(backing, temporary, backing, kVolumeDirectory, RENAME_NOREPLACE));
  undo_directory.is_now_named(kVolumeDirectory);
  KMSFS_TRY(disk.sync(backing));
  undo_directory.keep();
  undo_volume_file.keep();
  undo_id.keep();
  return {};
}

Result<std::string> read_volume_file(Disk& disk, int backing) {
  const auto no_volume = [] {
    return error(Kind::kNotFound,
                 "the directory is not a kmsfs volume: it has no .kmsfs/volume (kmsfs init makes one)");
  };
  auto directory = disk.open_at(backing, kVolumeDirectory, O_RDONLY | O_DIRECTORY);
  if (!directory && directory.error().kind == Kind::kNotFound) return no_volume();
  if (!directory) return std::move(directory).error();
  auto file = disk.open_at(directory->get(), kVolumeFile, O_RDONLY);
  if (!file && file.error().kind == Kind::kNotFound) return no_volume();
  if (!file) return std::move(file).error();
  auto attributes = disk.stat(file->get());
  if (!attributes) return std::move(attributes).error();
  if (!S_ISREG(attributes->st_mode)) return error(Kind::kCorrupt, "it is not a regular file");
  std::string text(kMaxVolumeFile + 1, '\0');
  auto size = disk.read_at(file->get(), 0, std::as_writable_bytes(std::span(text)));
  if (!size) return std::move(size).error();
  text.resize(*size);
  return text;
}

Result<VolumeFile> load(Disk& disk, int backing) {
  auto text = read_volume_file(disk, backing);
  if (!text && text.error().kind == Kind::kNotFound) return std::move(text).error();
  if (!text) return std::move(text).error().during("reading .kmsfs/volume");
  auto file = parse_volume_file(*text);
  if (!file) return std::move(file).error().during("reading .kmsfs/volume");
  return file;
}

Result<Sha256> mac_of(const VolumeParameters& parameters, std::span<const std::byte, 32> volume_key) {
  auto key = derive_from_volume_key<MacKey>(volume_key, label::kVolumeFile, parameters.suite, parameters.id);
  if (!key) return std::move(key).error();
  return volume_file_mac(*key, parameters);
}

}  // namespace

EncryptionContext volume_context(const VolumeId& volume) { return {{"kmsfs:volume", volume.hex()}}; }
EncryptionContext file_context(const VolumeId& volume, const FileId& file) {
  return {{"kmsfs:volume", volume.hex()}, {"kmsfs:file", file.hex()}};
}
EncryptionContext branch_context(const VolumeId& volume, const BranchId& branch) {
  return {{"kmsfs:volume", volume.hex()}, {"kmsfs:branch", branch.hex()}};
}
EncryptionContext new_file_context(const VolumeParameters& volume) {
  return volume.mode == KeyMode::kBranch ? branch_context(volume.id, BranchId::random())
                                         : file_context(volume.id, FileId::random());
}

Result<std::unique_ptr<Volume>> Volume::create(Disk& disk, int backing, Kms& kms, const std::string& key,
                                               const std::string& kms_uri, KeyMode mode) {
  KMSFS_TRY(check_empty(disk, backing));
  VolumeFile file;
  VolumeParameters& parameters = file.parameters;
  parameters.id = VolumeId::random();
  parameters.mode = mode;
  auto generated = kms.generate_data_key(key, volume_context(parameters.id));
  if (!generated) return std::move(generated).error().during("making the volume key");
  parameters.allowed_keys = {generated->wrapped.key_arn};
  parameters.kms_uri = kms_uri;
  parameters.volume_key = std::move(generated->wrapped);

  auto mac = mac_of(parameters, generated->key.reveal());
  if (!mac) return std::move(mac).error();
  file.mac = *mac;
  auto text = write_volume_file(file);
  if (!text) return std::move(text).error();
  auto volume = make(std::move(parameters), generated->key.reveal());
  if (!volume) return volume;
  const std::string root_directory_id = (*volume)->seal_directory_id(DirectoryId::random());
  if (auto written = write_volume(disk, backing, *text, root_directory_id); !written) {
    return std::move(written).error().during("writing the volume");
  }
  return volume;
}

Result<VolumeParameters> Volume::read_parameters(Disk& disk, int backing) {
  auto file = load(disk, backing);
  if (!file) return std::move(file).error();
  return std::move(file->parameters);
}

Result<std::unique_ptr<Volume>> Volume::open(Disk& disk, int backing, Kms& kms) {
  auto file = load(disk, backing);
  if (!file) return std::move(file).error();
  const WrappedDataKey& wrapped = file->parameters.volume_key;
  auto volume_key = kms.decrypt(wrapped.key_arn, wrapped.blob, volume_context(file->parameters.id));
  if (!volume_key) return std::move(volume_key).error().during("opening the volume key");
  auto mac = mac_of(file->parameters, volume_key->reveal());
  if (!mac) return std::move(mac).error();
  if (!equal_in_constant_time(*mac, file->mac)) {
    return error(Kind::kCorrupt,
                 ".kmsfs/volume does not authenticate: it was changed, or is that of another volume");
  }
  return make(std::move(file->parameters), volume_key->reveal());
}

}  // namespace kmsfs
