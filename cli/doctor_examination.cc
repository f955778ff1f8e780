#include "cli/doctor_examination.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <thread>

#include "cli/mount_table.h"
#include "cli/system_files.h"
#include "core/unique_fd.h"
#include "fs/disk.h"
#include "fs/leader_followers.h"

namespace kmsfs::cli {

namespace {

// Shared with a thread that may never end.
class SharedNotes final : public Notes {
 public:
  void begin(std::string step) override {
    const std::lock_guard lock(mutex_);
    step_ = std::move(step);
  }
  void add(Findings findings) override {
    const std::lock_guard lock(mutex_);
    for (Finding& finding : findings) findings_.push_back(std::move(finding));
  }
  void end() {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }
  Examined wait(std::chrono::milliseconds limit) {
    std::unique_lock lock(mutex_);
    Examined examined;
    examined.ended = changed_.wait_for(lock, limit, [this] { return ended_; });
    examined.findings = findings_;
    if (!examined.ended) {
      examined.findings.push_back(
          {Verdict::kFail, "time",
           step_ + ": no end within " +
               std::to_string(std::chrono::duration_cast<std::chrono::seconds>(limit).count()) + " s",
           "a disk, a network file system or a locked store does not answer", ExitCode::kFailure});
    }
    return examined;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string step_;
  Findings findings_;
  bool ended_ = false;
};

bool has_admin_capability() {
  constexpr std::string_view kName = "CapEff:";
  constexpr unsigned kSysAdmin = 21;  // capabilities(7)
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(kName)) continue;
    return (std::strtoull(line.c_str() + kName.size(), nullptr, 16) >> kSysAdmin & 1) != 0;
  }
  return true;  // not to be known
}

HostFacts::Helper find_helper() {
  auto found = HostFacts::Helper::kMissing;
  // Where mounting looks for it.
  for (const char* directory : {"/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"}) {
    struct stat status {};
    if (::stat((std::string(directory) + "/fusermount3").c_str(), &status) != 0) continue;
    if (status.st_uid == 0 && (status.st_mode & S_ISUID) != 0) return HostFacts::Helper::kUsable;
    found = HostFacts::Helper::kNotSetUid;
  }
  return found;
}

// The last mount on the way to `path`, which is absolute and without links.
std::optional<MountEntry> mount_around(const std::vector<MountEntry>& table, std::filesystem::path path) {
  for (;; path = path.parent_path()) {
    if (auto found = find_mount(table, path.string())) return found;
    if (!path.has_relative_path()) return std::nullopt;
  }
}

std::optional<bool> stable_pages(dev_t device) {
  const std::string of_device =
      "/sys/dev/block/" + std::to_string(major(device)) + ":" + std::to_string(minor(device));
  for (const char* queue : {"/queue", "/../queue"}) {  // a disk's; a partition's disk's
    const std::string said = first_line(of_device + queue + "/stable_writes");
    if (!said.empty()) return said == "1";
  }
  return std::nullopt;
}

// By a mount alone, or by those that share it. One that begins at this moment waits longer than we hold it.
bool is_locked(int backing) {
  const std::string path = std::string(kVolumeDirectory) + "/" + kVolumeFile;
  const UniqueFd file(::openat(backing, path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  return file && ::flock(file.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

}  // namespace

Examined examine_within(std::chrono::milliseconds limit, std::function<void(Notes&)> work) {
  auto notes = std::make_shared<SharedNotes>();
  std::thread thread([notes, work = std::move(work)] {
    work(*notes);
    notes->end();
  });
  Examined examined = notes->wait(limit);
  examined.ended ? thread.join() : thread.detach();
  return examined;
}

HostFacts look_at_host(std::optional<Error> not_secured) {
  HostFacts facts;
  facts.root = ::geteuid() == 0;
  facts.may_mount = has_admin_capability();
  const UniqueFd fuse(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  facts.fuse_errno = fuse ? 0 : errno;
  facts.helper = find_helper();
  facts.user_allow_other = has_line("/etc/fuse.conf", "user_allow_other");
  facts.uring = first_line("/sys/module/fuse/parameters/enable_uring");
  facts.device_is_quicker = LeaderFollowers::is_for_this_machine();
  facts.not_secured = std::move(not_secured);
  facts.dumpable = ::prctl(PR_GET_DUMPABLE) != 0;
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_max != RLIM_INFINITY) {
    facts.memlock = limit.rlim_max;
  }
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) facts.descriptors = limit.rlim_max;
  if (!facts.not_secured) {
    facts.memory_mode = LockedMemory::mode();
    facts.memory = LockedMemory::usage().capacity;
    facts.aead = to_string(aead_backend());
  }
  return facts;
}

VolumeFacts look_at_volume(const std::string& backing) {
  VolumeFacts facts;
  facts.path = backing;
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(backing.c_str(), nullptr), &std::free);
  const UniqueFd directory(real ? ::open(real.get(), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1);
  if (!directory) {
    // Whatever the reason: to a mount it is no volume.
    facts.error = error(Kind::kNotFound, Error::from_errno(errno, "opening it").text);
    return facts;
  }
  facts.path = real.get();
  RealDisk disk;
  auto parameters = Volume::read_parameters(disk, directory.get());
  if (!parameters) {
    facts.error = std::move(parameters).error();
    return facts;
  }
  facts.parameters = std::move(*parameters);
  facts.in_use = is_locked(directory.get());
  struct stat status {};
  if (::fstat(directory.get(), &status) == 0) facts.stable_pages = stable_pages(status.st_dev);
  struct statvfs space {};
  if (::fstatvfs(directory.get(), &space) == 0) {
    facts.read_only = (space.f_flag & ST_RDONLY) != 0;
    facts.block_size = space.f_bsize;
  }
  const auto table = read_mount_table();
  if (!table) return facts;
  if (const auto below = mount_around(*table, facts.path)) facts.file_system = below->type;
  for (const MountEntry& mount : *table) {
    // A source may be given any name; the lock says whether it can be this volume at all.
    if (facts.in_use && mount.type == kMountType && mount.source == facts.path) {
      facts.mountpoint = mount.mountpoint;
    }
  }
  return facts;
}

}  // namespace kmsfs::cli
