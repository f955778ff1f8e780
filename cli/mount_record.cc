#include "cli/mount_record.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/random.h"
#include "kms/private_file.h"

namespace kmsfs::cli {

namespace {

constexpr const char* kSuffix = ".mount.json";

// When the mount of that record began; the epoch if the record was cut off while it was written, so that
// nothing of that mount is missed.
WallTime began(const std::string& path) {
  std::ifstream file(path);
  const auto json = nlohmann::json::parse(file, nullptr, false);
  if (json.is_discarded() || !json.is_object()) return WallTime(0);
  const auto member = json.find("began_ns");
  return member != json.end() && member->is_number_integer() ? WallTime(member->get<std::int64_t>())
                                                             : WallTime(0);
}

bool somebody_holds(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  return fd && ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

Result<void> sync_directory(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return Error::from_errno(errno, "making " + path + " durable");
  return {};
}

std::string random_suffix() {
  std::array<std::byte, 4> bytes{};
  random_bytes(bytes);
  return to_hex(bytes);
}

}  // namespace

Result<MountRecord> MountRecord::begin(const std::string& directory, const VolumeId& volume,
                                       const std::string& backing, const std::string& mountpoint,
                                       const Clock& clock) {
  MountRecord record;
  record.directory_ = directory;
  // One mount at a time: another must not take a record for left behind that is just being made.
  const UniqueFd turn(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!turn || ::flock(turn.get(), LOCK_EX) != 0) return Error::from_errno(errno, "locking " + directory);
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(directory, failed)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(volume.hex()) || !name.ends_with(kSuffix) || somebody_holds(entry.path())) continue;
    const WallTime since = began(entry.path());
    record.unclean_since_ = std::min(record.unclean_since_.value_or(since), since);
    record.unclean_.push_back(name);
  }
  if (failed) return error(Kind::kSystem, "listing " + directory + ": " + failed.message());

  record.name_ = volume.hex() + "-" + random_suffix() + kSuffix;
  const std::string path = directory + "/" + record.name_;
  record.lock_.reset(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!record.lock_ || ::flock(record.lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    return Error::from_errno(errno, "recording the mount in " + path);
  }
  const nlohmann::json content = {{"volume", volume.hex()},
                                  {"backing", backing},
                                  {"mountpoint", mountpoint},
                                  {"process", ::getpid()},
                                  {"began_ns", clock.wall_time().count()}};
  // Paths may hold any bytes; JSON may not.
  const std::string text = content.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  auto written = kms::write_all(record.lock_.get(), as_bytes(text));
  if (written && ::fsync(record.lock_.get()) != 0) written = Error::from_errno(errno, "fsync");
  if (written) written = sync_directory(directory);
  if (!written) {
    record.abandon();
    return std::move(written).error().during("recording the mount in " + path);
  }
  return record;
}

Result<void> MountRecord::end() {
  unclean_.push_back(name_);
  for (const std::string& name : unclean_) {
    if (::unlink((directory_ + "/" + name).c_str()) != 0 && errno != ENOENT) {
      return Error::from_errno(errno, "removing " + directory_ + "/" + name);
    }
  }
  lock_.reset();
  return sync_directory(directory_);
}

void MountRecord::abandon() {
  ::unlink((directory_ + "/" + name_).c_str());
  lock_.reset();
}

}  // namespace kmsfs::cli
