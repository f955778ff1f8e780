// Random operations on a mount and on a native directory at once: every answer and every byte must be the
// same, also after the next mount. KMSFS_MODEL_STEPS and KMSFS_MODEL_SEED make a longer or another walk.
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "core/unique_fd.h"
#include "tests/mount/command_mount.h"

namespace kmsfs {
namespace {

constexpr off_t kFirstBlock = 3032, kBlock = 4056;

unsigned long setting(const char* name, unsigned long otherwise) {
  const char* value = ::getenv(name);
  return value != nullptr ? std::strtoul(value, nullptr, 10) : otherwise;
}

std::string result_of(ssize_t result) {
  return result < 0 ? ::strerrorname_np(errno) : std::to_string(result);
}

// One walk: the same random step in two directories, the answers compared.
class Walk {
 public:
  Walk(std::string mounted, std::string native, unsigned long seed)
      : sides_{std::move(mounted), std::move(native)}, random_(seed), seed_(seed) {
    for (const std::string& side : sides_) ::mkdir(side.c_str(), 0755);
  }

  // Empty if all answers were the same; otherwise what differed.
  std::string run(unsigned long steps) {
    for (unsigned long i = 0; i < steps; ++i) {
      step();
      if (!difference_.empty()) {
        return "seed " + std::to_string(seed_) + ", step " + std::to_string(i) + ": " + difference_ +
               "\nafter\n" + history();
      }
      if (i % 500 == 499) compare_trees();
    }
    handles_.clear();
    compare_trees();
    return difference_.empty()
               ? ""
               : "seed " + std::to_string(seed_) + ", at the end: " + difference_ + "\nafter\n" + history();
  }

  // What is there, told in one text: for comparing again after the next mount.
  static std::string describe(const std::string& top) {
    std::string out;
    describe_into(top, "", out);
    return out;
  }

 private:
  struct Handle {
    UniqueFd fd[2];
    std::string path;
  };

  unsigned long pick(unsigned long below) { return random_() % below; }

  // Offsets that matter: around the edges of blocks, and anywhere.
  off_t pick_offset() {
    switch (pick(6)) {
      case 0:
        return 0;
      case 1:
        return static_cast<off_t>(pick(300000));
      case 2:
        return static_cast<off_t>(pick(3) + kFirstBlock - 1);
      case 3:
        return static_cast<off_t>(kFirstBlock + kBlock * static_cast<off_t>(pick(20)) +
                                  static_cast<off_t>(pick(3)) - 1);
      case 4:
        return static_cast<off_t>(4096 * pick(40));
      default:
        return static_cast<off_t>(pick(20000));
    }
  }
  std::size_t pick_size() {
    switch (pick(5)) {
      case 0:
        return 1 + pick(10);
      case 1:
        return 4096;
      case 2:
        return static_cast<std::size_t>(kBlock);
      case 3:
        return 1 + pick(150000);
      default:
        return 1 + pick(9000);
    }
  }
  std::string pick_name() {
    static const std::string kLong(200, 'l');
    const unsigned long n = pick(12);
    return n == 11 ? kLong + std::to_string(pick(3)) : "n" + std::to_string(n);
  }
  std::string pick_path() {
    std::string path = "/" + pick_name();
    if (pick(3) == 0) path = "/d" + std::to_string(pick(3)) + path;
    return path;
  }
  std::string bytes(std::size_t size) {
    std::string out(size, '\0');
    const auto start = static_cast<unsigned char>(random_());
    for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>(start + i * 31 + i / 251);
    return out;
  }

  template <typename Deed>
  void both(const std::string& what, Deed deed) {
    std::string answers[2];
    for (int side = 0; side < 2; ++side) {
      errno = 0;
      answers[side] = deed(side);
    }
    note(what + " = " + answers[1].substr(0, 60));
    if (answers[0] != answers[1] && difference_.empty()) {
      difference_ = what + ": mounted " + answers[0].substr(0, 200) + ", native " + answers[1].substr(0, 200);
    }
  }
  template <typename Call>
  void on_path(const std::string& what, const std::string& path, Call call) {
    both(what + " " + path.substr(0, 30),
         [&](int side) { return result_of(call((sides_[side] + path).c_str())); });
  }
  template <typename Call>
  void on_handle(const std::string& what, Call call) {
    if (handles_.empty()) return;
    Handle& handle = handles_[pick(handles_.size())];
    both(what + " of " + handle.path.substr(0, 30), [&](int side) { return call(handle.fd[side].get()); });
  }

  void open_handle() {
    static const int kFlags[] = {O_RDWR,
                                 O_RDWR | O_CREAT,
                                 O_RDWR | O_CREAT | O_EXCL,
                                 O_RDWR | O_TRUNC,
                                 O_RDWR | O_APPEND | O_CREAT,
                                 O_RDONLY,
                                 O_WRONLY | O_CREAT | O_TRUNC};
    const int flags = kFlags[pick(std::size(kFlags))];
    Handle handle;
    handle.path = pick_path();
    both("open " + handle.path.substr(0, 30) + " flags " + std::to_string(flags), [&](int side) {
      handle.fd[side].reset(::open((sides_[side] + handle.path).c_str(), flags | O_CLOEXEC, 0640));
      return handle.fd[side] ? std::string("opened") : result_of(-1);
    });
    if (!handle.fd[0] || !handle.fd[1]) return;
    if (handles_.size() >= 12) handles_.erase(handles_.begin() + static_cast<long>(pick(handles_.size())));
    handles_.push_back(std::move(handle));
  }

  void write_through_mapping() {
    const std::string data = bytes(1 + pick(5000));
    const off_t at = pick_offset();
    on_handle("write through a mapping at " + std::to_string(at), [&](int fd) -> std::string {
      struct stat s {};
      if (::fstat(fd, &s) != 0 || s.st_size < at + static_cast<off_t>(data.size())) return "too short";
      const auto size = static_cast<std::size_t>(s.st_size);
      void* map = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
      if (map == MAP_FAILED) return result_of(-1);
      std::memcpy(static_cast<char*>(map) + at, data.data(), data.size());
      ::munmap(map, size);
      return "written";
    });
  }

  void read_back() {
    const off_t at = pick_offset();
    const std::size_t size = pick_size();
    on_handle("read " + std::to_string(size) + " at " + std::to_string(at), [&](int fd) {
      std::string buffer(size, '\0');
      const ssize_t got = ::pread(fd, buffer.data(), size, at);
      if (got < 0) return result_of(got);
      buffer.resize(static_cast<std::size_t>(got));
      return std::to_string(got) + ":" + std::to_string(std::hash<std::string>{}(buffer));
    });
  }

  void copy_range() {
    if (handles_.size() < 2) return;
    Handle& from = handles_[pick(handles_.size())];
    Handle& to = handles_[pick(handles_.size())];
    const off_t from_at = pick_offset(), to_at = pick_offset();
    const std::size_t size = pick_size();
    both("copy range of " + std::to_string(size), [&](int side) {
      off_t a = from_at, b = to_at;
      std::size_t left = size;
      while (left > 0) {  // how much one call copies is its own choice
        const ssize_t done = ::copy_file_range(from.fd[side].get(), &a, to.fd[side].get(), &b, left, 0);
        if (done < 0) return result_of(done);
        if (done == 0) break;
        left -= static_cast<std::size_t>(done);
      }
      return std::to_string(size - left);
    });
  }

  void step() {
    const off_t at = pick_offset();
    switch (pick(24)) {
      case 0:
      case 1:
      case 2:
        return open_handle();
      case 3:
      case 4:
      case 5:
      case 6: {
        const std::string data = bytes(pick_size());
        return on_handle("write " + std::to_string(data.size()) + " at " + std::to_string(at),
                         [&](int fd) { return result_of(::pwrite(fd, data.data(), data.size(), at)); });
      }
      case 7:
      case 8:
      case 9:
        return read_back();
      case 10:
        return on_handle("truncate to " + std::to_string(at),
                         [&](int fd) { return result_of(::ftruncate(fd, at)); });
      case 11: {
        const std::string path = pick_path();
        return on_path("truncate to " + std::to_string(at), path,
                       [&](const char* p) { return ::truncate(p, at); });
      }
      case 12: {
        static const int kModes[] = {0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                     FALLOC_FL_ZERO_RANGE};
        const int mode = kModes[pick(4)];
        const auto size = static_cast<off_t>(pick_size());
        return on_handle("fallocate mode " + std::to_string(mode) + " at " + std::to_string(at) + " size " +
                             std::to_string(size),
                         [&](int fd) { return result_of(::fallocate(fd, mode, at, size)); });
      }
      case 13:
        return on_handle("fsync",
                         [&](int fd) { return result_of(pick(1) == 0 ? ::fsync(fd) : ::fdatasync(fd)); });
      case 14:
        if (!handles_.empty()) handles_.erase(handles_.begin() + static_cast<long>(pick(handles_.size())));
        return note("close");
      case 15:
        return write_through_mapping();
      case 16:
        return copy_range();
      case 17:
      case 18: {
        const std::string from = pick_path(), to = pick_path();
        const unsigned flags = pick(4) == 0   ? static_cast<unsigned>(RENAME_EXCHANGE)
                               : pick(4) == 0 ? static_cast<unsigned>(RENAME_NOREPLACE)
                                              : 0;
        return both(
            "rename " + from.substr(0, 30) + " to " + to.substr(0, 30) + " flags " + std::to_string(flags),
            [&](int side) {
              return result_of(::renameat2(AT_FDCWD, (sides_[side] + from).c_str(), AT_FDCWD,
                                           (sides_[side] + to).c_str(), flags));
            });
      }
      case 19:
        return on_path("unlink", pick_path(), [](const char* p) { return ::unlink(p); });
      case 20: {
        const std::string from = pick_path(), to = pick_path();
        return both("link " + from.substr(0, 30) + " to " + to.substr(0, 30), [&](int side) {
          return result_of(::link((sides_[side] + from).c_str(), (sides_[side] + to).c_str()));
        });
      }
      case 21: {
        const std::string path = "/d" + std::to_string(pick(3));
        return pick(3) == 0 ? on_path("rmdir", path, [](const char* p) { return ::rmdir(p); })
                            : on_path("mkdir", path, [](const char* p) { return ::mkdir(p, 0755); });
      }
      case 22: {
        const std::string value = bytes(pick(200));
        const std::string name = "user.x" + std::to_string(pick(3));
        return on_path("setxattr " + name, pick_path(), [&](const char* p) {
          return ::setxattr(p, name.c_str(), value.data(), value.size(), 0);
        });
      }
      default: {
        const auto mode = static_cast<mode_t>(0600 | pick(0200));
        if (pick(2) == 0)
          return on_path("symlink", pick_path(), [&](const char* p) { return ::symlink("some/where", p); });
        return on_path("chmod", pick_path(), [&](const char* p) { return ::chmod(p, mode); });
      }
    }
  }

  static void describe_into(const std::string& top, const std::string& below, std::string& out) {
    DIR* directory = ::opendir((top + below).c_str());
    if (directory == nullptr) return;
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(directory)) names.emplace_back(entry->d_name);
    ::closedir(directory);
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      if (name == "." || name == "..") continue;
      const std::string path = below + "/" + name;
      struct stat s {};
      ::lstat((top + path).c_str(), &s);
      out +=
          path.substr(0, 40) + " mode " + std::to_string(s.st_mode) + " links " + std::to_string(s.st_nlink);
      if (!S_ISDIR(s.st_mode)) out += " size " + std::to_string(s.st_size);
      if (S_ISREG(s.st_mode)) out += " sum " + sum_of(top + path);
      for (const char* attribute : {"user.x0", "user.x1", "user.x2"}) {
        char value[256];
        const ssize_t size = ::lgetxattr((top + path).c_str(), attribute, value, sizeof value);
        if (size >= 0)
          out += " " + std::to_string(std::hash<std::string_view>{}({value, static_cast<std::size_t>(size)}));
      }
      out += "\n";
      if (S_ISDIR(s.st_mode)) describe_into(top, path, out);
    }
  }
  static std::string sum_of(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::string content;
    char buffer[65536];
    ssize_t got = 0;
    while ((got = ::read(fd.get(), buffer, sizeof buffer)) > 0)
      content.append(buffer, static_cast<std::size_t>(got));
    return got < 0 ? result_of(got) : std::to_string(std::hash<std::string>{}(content));
  }

  void compare_trees() {
    const std::string mounted = describe(sides_[0]), native = describe(sides_[1]);
    if (mounted != native && difference_.empty())
      difference_ = "the trees differ; mounted:\n" + mounted + "native:\n" + native;
  }
  void note(const std::string& line) {
    history_.push_back(line);
    if (history_.size() > 40) history_.erase(history_.begin());
  }
  std::string history() const {
    std::string out;
    for (const std::string& line : history_) out += "  " + line + "\n";
    return out;
  }

  const std::string sides_[2];  // mounted, native
  std::mt19937_64 random_;
  const unsigned long seed_;
  std::vector<Handle> handles_;
  std::vector<std::string> history_;
  std::string difference_;
};

class Model : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(volume_.init());
    ASSERT_TRUE(volume_.mount());
    ASSERT_EQ(testing::run_script("mkdir " + volume_.top() + "/native").status, 0);
  }
  std::string mounted(int i) const { return volume_.mountpoint() + "/walk" + std::to_string(i); }
  std::string native(int i) const { return volume_.top() + "/native/walk" + std::to_string(i); }

  testing::CommandMount volume_;
  const unsigned long steps_ = setting("KMSFS_MODEL_STEPS", 6000);
  const unsigned long seed_ = setting("KMSFS_MODEL_SEED", 20261124);
};

TEST_F(Model, RandomOperationsEndAsInANativeDirectory) {
  for (int i = 0; i < 3; ++i) {
    Walk walk(mounted(i), native(i), seed_ + static_cast<unsigned long>(i));
    EXPECT_EQ(walk.run(steps_), "");
  }
  ASSERT_TRUE(volume_.remount());
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(Walk::describe(mounted(i)), Walk::describe(native(i))) << "after the next mount";
}

TEST_F(Model, ThreadsThatWalkAtTheSameTimeDoNotDisturbEachOther) {
  std::vector<std::thread> threads;
  std::vector<std::string> outcome(6);
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] {
      Walk walk(mounted(i), native(i), seed_ + 100 + static_cast<unsigned long>(i));
      outcome[static_cast<std::size_t>(i)] = walk.run(steps_ / 3);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& difference : outcome) EXPECT_EQ(difference, "");
  ASSERT_TRUE(volume_.remount());
  for (int i = 0; i < 6; ++i)
    EXPECT_EQ(Walk::describe(mounted(i)), Walk::describe(native(i))) << "after the next mount";
}

// Each thread owns every eighth record; all share the blocks that the records stand in.
TEST_F(Model, ThreadsThatWriteIntoTheSameBlocksLoseNoWrite) {
  constexpr int kThreads = 8, kRecord = 97, kRecords = 4000;
  const std::string path = volume_.mountpoint() + "/shared";
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const UniqueFd fd(::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644));
      for (int pass = 0; pass < 3; ++pass) {
        for (int i = t; i < kRecords; i += kThreads) {
          const std::string record(kRecord, static_cast<char>('A' + (i + pass) % 26));
          failures += ::pwrite(fd.get(), record.data(), kRecord, static_cast<off_t>(i) * kRecord) != kRecord;
          std::string back(kRecord, '\0');
          failures += ::pread(fd.get(), back.data(), kRecord, static_cast<off_t>(i) * kRecord) != kRecord ||
                      back != record;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  ASSERT_TRUE(volume_.remount());
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  for (int i = 0; i < kRecords; ++i) {
    std::string back(kRecord, '\0');
    ASSERT_EQ(::pread(fd.get(), back.data(), kRecord, static_cast<off_t>(i) * kRecord), kRecord);
    ASSERT_EQ(back, std::string(kRecord, static_cast<char>('A' + (i + 2) % 26))) << "record " << i;
  }
}

}  // namespace
}  // namespace kmsfs
