#include "tests/crash/replay.h"

#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <map>

namespace kmsfs::crash {

namespace {

constexpr std::uint64_t kPage = 4096;

// The first operation that no sync has made durable, as far as metadata goes.
std::size_t durable_metadata(const std::vector<Operation>& operations, std::size_t end) {
  while (end > 0 && operations[end - 1].type != Operation::Type::kSync) --end;
  return end;
}

class Replayer {
 public:
  explicit Replayer(const std::string& directory) {
    for (const std::string& path : sorted_paths(directory)) {
      const std::string full = path.empty() ? directory : directory + "/" + path;
      objects_.emplace(objects_.size(), UniqueFd(::open(full.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC)));
    }
  }

  Result<void> apply(const Operation& operation) {
    errno = 0;
    if (call(operation) == 0) return {};
    return Error::from_errno(
        errno, "replaying " + std::to_string(static_cast<int>(operation.type)) + " of " + operation.name);
  }

  // A page of data, as far as the file reaches.
  Result<void> write_page(const Operation& operation, std::uint64_t from, std::uint64_t to) {
    if (!knows(operation.object)) return {};  // its creation did not arrive
    const UniqueFd fd(::open(path_of(operation.object).c_str(), O_RDWR | O_CLOEXEC));
    struct stat s {};
    if (!fd || ::fstat(fd.get(), &s) != 0) return Error::from_errno(errno, "opening a file to replay");
    if (!operation.extends) to = std::min(to, static_cast<std::uint64_t>(s.st_size));
    if (from >= to) return {};
    const ssize_t size = static_cast<ssize_t>(to - from);
    const auto* data = operation.data.data() + (from - operation.offset);
    if (::pwrite(fd.get(), data, to - from, static_cast<off_t>(from)) == size) return {};
    return Error::from_errno(errno, "replaying a page");
  }

 private:
  using Type = Operation::Type;

  bool knows(ObjectId id) const { return objects_.count(id) != 0; }
  int fd(ObjectId id) const {
    const auto found = objects_.find(id);
    return found == objects_.end() ? -1 : found->second.get();
  }
  std::string path_of(ObjectId id) const { return "/proc/self/fd/" + std::to_string(fd(id)); }
  int remember(const Operation& operation, int made) {
    if (made < 0) return -1;
    objects_[operation.object] = UniqueFd(made);
    return 0;
  }
  int remember_entry(const Operation& operation, int result) {
    if (result != 0) return -1;
    return remember(operation, ::openat(fd(operation.directory), operation.name.c_str(),
                                        O_PATH | O_NOFOLLOW | O_CLOEXEC));
  }

  int call(const Operation& o) {
    const char* name = o.name.c_str();
    switch (o.type) {
      case Type::kCreateFile:
        return remember(o, ::openat(fd(o.directory), name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, o.mode));
      case Type::kCreateUnnamed:
        return remember(o, ::openat(fd(o.directory), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, o.mode));
      case Type::kMakeDirectory:
        return remember_entry(o, ::mkdirat(fd(o.directory), name, o.mode));
      case Type::kMakeNode:
        return remember_entry(o, ::mknodat(fd(o.directory), name, o.mode, o.device));
      case Type::kSymlink:
        return remember_entry(o, ::symlinkat(o.new_name.c_str(), fd(o.directory), name));
      case Type::kLink:
        return ::linkat(AT_FDCWD, path_of(o.object).c_str(), fd(o.directory), name, AT_SYMLINK_FOLLOW);
      case Type::kUnlink:
        return ::unlinkat(fd(o.directory), name, o.flags);
      case Type::kRename:
        return ::renameat2(fd(o.directory), name, fd(o.new_directory), o.new_name.c_str(),
                           static_cast<unsigned>(o.flags));
      case Type::kResize:
        return ::truncate(path_of(o.object).c_str(), static_cast<off_t>(o.size));
      case Type::kAllocate: {
        const UniqueFd file(::open(path_of(o.object).c_str(), O_RDWR | O_CLOEXEC));
        return ::fallocate(file.get(), o.flags, static_cast<off_t>(o.offset), static_cast<off_t>(o.size));
      }
      case Type::kMode:
        return ::chmod(path_of(o.object).c_str(), o.mode);
      case Type::kOwner:
        return ::fchownat(fd(o.object), "", o.uid, o.gid, AT_EMPTY_PATH);
      case Type::kTimes:
        return ::utimensat(fd(o.object), "", o.times, AT_EMPTY_PATH);
      case Type::kSetAttribute:
        return ::setxattr(path_of(o.object).c_str(), o.new_name.c_str(), o.data.data(), o.data.size(), 0);
      case Type::kRemoveAttribute:
        return ::removexattr(path_of(o.object).c_str(), o.new_name.c_str());
      case Type::kWrite:
      case Type::kSync:
        return 0;
    }
    return 0;
  }

  std::map<ObjectId, UniqueFd> objects_;
};

}  // namespace

std::string CrashState::to_string() const {
  return "after " + std::to_string(end) + " operations, metadata of the first " + std::to_string(metadata) +
         ", " + std::to_string(arrival_percent) + "% of the pages not synced (seed " + std::to_string(seed) +
         ")";
}

std::vector<CrashState> states_after(const std::vector<Operation>& operations, std::size_t end,
                                     std::size_t samples, std::mt19937_64& random) {
  const std::size_t durable = durable_metadata(operations, end);
  std::vector<CrashState> states = {
      {end, end, 100, 0}, {end, end, 0, 0}, {end, durable, 0, 0}, {end, durable, 100, 0}};
  for (std::size_t i = 0; i < samples; ++i) {
    states.push_back(
        {end, durable + random() % (end - durable + 1), static_cast<unsigned>(random() % 101), random()});
  }
  return states;
}

// For each page of each object, how many of the writes to it that were not synced arrived: a page holds what
// was written to it up to some moment.
using ArrivedWrites = std::map<std::pair<ObjectId, std::uint64_t>, std::size_t>;

template <typename Visit>
void for_each_page(const Operation& write, Visit visit) {
  const std::uint64_t end = write.offset + write.data.size();
  for (std::uint64_t from = write.offset; from < end;) {
    const std::uint64_t to = std::min(end, (from / kPage + 1) * kPage);
    visit(from, to);
    from = to;
  }
}

Result<void> replay(const std::vector<Operation>& operations, const CrashState& state,
                    const std::string& directory) {
  std::map<ObjectId, std::size_t> last_sync;  // data of an object before its last sync is durable
  for (std::size_t i = 0; i < state.end; ++i) {
    if (operations[i].type == Operation::Type::kSync) last_sync[operations[i].object] = i;
  }
  const auto is_durable = [&](std::size_t i) {
    const auto synced = last_sync.find(operations[i].object);
    return synced != last_sync.end() && i < synced->second;
  };
  ArrivedWrites arrived;
  for (std::size_t i = 0; i < state.end; ++i) {
    if (operations[i].type != Operation::Type::kWrite || is_durable(i)) continue;
    for_each_page(operations[i], [&](std::uint64_t from, std::uint64_t) {
      ++arrived[{operations[i].object, from / kPage}];
    });
  }
  std::mt19937_64 random(state.seed);
  for (auto& [page, writes] : arrived) {
    if (random() % 100 >= state.arrival_percent) writes = 0;
    if (writes > 0 && state.arrival_percent < 100) writes = 1 + random() % writes;
  }

  Replayer replayer(directory);
  for (std::size_t i = 0; i < state.end; ++i) {
    const Operation& operation = operations[i];
    if (operation.is_metadata() && i < state.metadata) KMSFS_TRY(replayer.apply(operation));
    if (operation.type != Operation::Type::kWrite) continue;
    Result<void> outcome;
    for_each_page(operation, [&](std::uint64_t from, std::uint64_t to) {
      if (!outcome) return;
      if (!is_durable(i)) {
        std::size_t& left = arrived[{operation.object, from / kPage}];
        if (left == 0) return;
        --left;
      }
      outcome = replayer.write_page(operation, from, to);
    });
    KMSFS_TRY(std::move(outcome));
  }
  return {};
}

}  // namespace kmsfs::crash
