// Reading, writing, mapping, sizes, holes and space.
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/statvfs.h>
#include <sys/uio.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>

#include "tests/posix/probe.h"

namespace kmsfs::probe {

namespace {

// A short name for all the bytes of a file: FNV-1a.
void sum(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  std::uint64_t hash = 0xcbf29ce484222325, size = 0;
  unsigned char buffer[65536];
  for (ssize_t got = 0; (got = ::read(fd, buffer, sizeof buffer)) > 0;
       size += static_cast<std::uint64_t>(got)) {
    for (ssize_t i = 0; i < got; ++i) hash = (hash ^ buffer[i]) * 0x100000001b3;
  }
  ::close(fd);
  std::printf("%s: %llu bytes, sum %016llx\n", path.c_str(), static_cast<unsigned long long>(size),
              static_cast<unsigned long long>(hash));
}

std::string pattern(std::size_t size) {
  std::string out(size, '\0');
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>('a' + i * 7 % 26);
  return out;
}

}  // namespace

void probe_content() {
  section("content: edges");
  const std::string data = pattern(20000);
  for (const long at :
       {0L, 1L, 3031L, 3032L, 3033L, 4055L, 4056L, 4095L, 4096L, 4097L, 7087L, 7088L, 7089L, 8192L, 11144L}) {
    for (const std::size_t size : {std::size_t{1}, std::size_t{4056}, std::size_t{4096}, std::size_t{5000}}) {
      const int fd = ::open("file", O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0644);
      ASK(pwrite(fd, data.data(), size, at));
      ASK(pwrite(fd, "overwritten", 11, at / 2));
      ASK(ftruncate(fd, at + 100));
      ASK(ftruncate(fd, at + 9000));
      ASK(ftruncate(fd, at / 2 + 5));
      ASK(ftruncate(fd, at + 50));
      ::close(fd);
      sum("file");
    }
  }

  section("content: calls");
  int fd = ::open("file", O_CREAT | O_RDWR | O_CLOEXEC, 0644);
  char buffer[64] = {};
  ASK(write(fd, nullptr, 0));
  const void* forbidden = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASK(write(fd, forbidden, 5));
  ASK(pread(fd, buffer, 5, -1));
  ASK(pread(fd, buffer, 5, 100));
  ASK(lseek(fd, -1, SEEK_SET));
  ASK(lseek(fd, 1L << 40, SEEK_SET));
  ASK(read(fd, buffer, 5));
  ASK(ftruncate(fd, -1));
  ASK(truncate("file", -1));
  ASK(truncate(".", 0));
  ASK(truncate("absent", 0));
  ASK(ftruncate(fd, std::numeric_limits<off_t>::max()));
  const int far = ::open("far", O_CREAT | O_RDWR | O_CLOEXEC, 0644);
  ASK(pwrite(far, "x", 1, std::numeric_limits<off_t>::max() - 1));
  ::close(far);
  iovec parts[2] = {{const_cast<char*>("gather"), 6}, {const_cast<char*>("ed"), 2}};
  ASK(pwritev(fd, parts, 2, 3));
  tell("file", content_of("file").substr(3));
  ASK(fsync(fd));
  ASK(fdatasync(fd));
  ASK(sync_file_range(fd, 0, 0, 0));
  ASK(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
  ::close(fd);
  fd = ::open("file", O_RDONLY | O_CLOEXEC);
  ASK(write(fd, "x", 1));
  ASK(ftruncate(fd, 1));
  ASK(fallocate(fd, 0, 0, 10));
  ::close(fd);
  fd = ::open("file", O_WRONLY | O_CLOEXEC);
  ASK(read(fd, buffer, 1));
  ::close(fd);
  fd = ::open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASK(read(fd, buffer, 1));
  ASK(fsync(fd));
  ::close(fd);
  make_file("log", 0644, "start");
  fd = ::open("log", O_WRONLY | O_APPEND | O_CLOEXEC);
  const int other = ::open("log", O_WRONLY | O_APPEND | O_CLOEXEC);
  ASK(write(fd, "+a", 2));
  ASK(write(other, "+b", 2));
  ASK(pwrite(fd, "+c", 2, 0));
  ASK(truncate("log", 3));
  ASK(write(fd, "+d", 2));
  tell("log", content_of("log"));
  ::close(fd);
  ::close(other);

  section("content: limits");
  limited([] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{10000, 10000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const int out = ::open("limited", O_CREAT | O_RDWR, 0644);
    ASK(pwrite(out, std::string(8000, 'x').data(), 8000, 5000));
    ASK(pwrite(out, "x", 1, 10000));
    ASK(ftruncate(out, 10001));
    ASK(ftruncate(out, 10000));
    look("limited");
  });

  section("content: direct");
  fd = ::open("file", O_CREAT | O_RDWR | O_DIRECT | O_CLOEXEC, 0644);
  void* aligned = ::mmap(nullptr, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  std::memcpy(aligned, data.data(), 16384);
  ASK(pwrite(fd, aligned, 16384, 0));
  ASK(pwrite(fd, aligned, 4096, 32768));
  ASK(pread(fd, aligned, 16384, 4096));
  ::close(fd);
  sum("file");

  section("content: mapping");
  make_file("mapped", 0644, data);
  fd = ::open("mapped", O_RDWR | O_CLOEXEC);
  auto* shared = static_cast<char*>(::mmap(nullptr, 20000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  auto* own = static_cast<char*>(::mmap(nullptr, 20000, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
  std::memcpy(shared + 4090, "through a mapping", 17);
  std::memcpy(own + 10000, "private", 7);
  ASK(msync(shared, 20000, MS_SYNC));
  ASK(pwrite(fd, "by write", 8, 15000));
  tell("seen through the mapping", std::string(shared + 15000, 8));
  tell("seen through the private one", std::string(own + 4090, 17));
  ASK(munmap(shared, 20000));
  ASK(munmap(own, 20000));
  ::close(fd);
  sum("mapped");
  limited([] {
    std::signal(SIGBUS, [](int) {
      std::printf("beyond the end: SIGBUS\n");
      std::fflush(stdout);
      ::_exit(0);
    });
    const int in = ::open("mapped", O_RDONLY);
    const auto* map = static_cast<const volatile char*>(::mmap(nullptr, 65536, PROT_READ, MAP_SHARED, in, 0));
    std::printf("in the last page: %d\n", map[20001]);
    std::printf("beyond: %d\n", map[40000]);
  });

  section("content: copies");
  make_file("from", 0644, data);
  const int from = ::open("from", O_RDONLY | O_CLOEXEC);
  const int to = ::open("to", O_CREAT | O_RDWR | O_CLOEXEC, 0644);
  off_t from_at = 100, to_at = 5000;
  ASK(copy_file_range(from, &from_at, to, &to_at, 9000, 0));
  tell("offsets", std::to_string(from_at) + " " + std::to_string(to_at));
  ASK(copy_file_range(from, &from_at, to, &to_at, 100000, 0));
  ASK(copy_file_range(from, &from_at, to, &to_at, 100, 0));
  off_t inside = 0, over = 50;
  ASK(copy_file_range(to, &inside, to, &over, 100, 0));
  off_t apart = 10000;
  inside = 0;
  ASK(copy_file_range(to, &inside, to, &apart, 5000, 0));
  sum("to");
  off_t start = 0;
  ASK(sendfile(to, from, &start, 7777));
  sum("to");
  ::close(from);
  ::close(to);

  section("content: file system");
  struct statvfs fs {};
  ASK(statvfs(".", &fs));
  tell("longest name", std::to_string(fs.f_namemax));
  tell("has room", fs.f_bavail > 0 && fs.f_blocks >= fs.f_bfree && fs.f_bsize > 0 ? "yes" : "no");
}

void probe_allocation() {
  section("allocation");
  const std::string data = pattern(30000);
  struct Case {
    const char* name;
    int mode;
  };
  for (const Case& c :
       {Case{"allocate", 0}, Case{"keep size", FALLOC_FL_KEEP_SIZE},
        Case{"punch", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE}, Case{"zero", FALLOC_FL_ZERO_RANGE},
        Case{"zero and keep size", FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE},
        Case{"punch without keep size", FALLOC_FL_PUNCH_HOLE}, Case{"unknown", 0x4000}}) {
    for (const auto& [at, size] : {std::pair{0L, 1L},
                                   {0L, 30000L},
                                   {3000L, 100L},
                                   {3032L, 4056L},
                                   {5000L, 20000L},
                                   {29000L, 5000L},
                                   {40000L, 3000L},
                                   {100L, 0L},
                                   {-1L, 5L},
                                   {5L, -1L}}) {
      make_file("file", 0644, data);
      const int fd = ::open("file", O_RDWR | O_CLOEXEC);
      tell(c.name, std::to_string(at) + " " + std::to_string(size));
      ASK(fallocate(fd, c.mode, at, size));
      ::close(fd);
      sum("file");
    }
  }
  section("allocation: other modes");
  make_file("file", 0644, data);
  int fd = ::open("file", O_RDWR | O_CLOEXEC);
  ASK(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096));
  ASK(fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, 4096));
  ASK(fallocate(fd, FALLOC_FL_UNSHARE_RANGE, 0, 4096));
  ::close(fd);
  section("allocation: holes that are written");
  fd = ::open("file", O_CREAT | O_RDWR | O_CLOEXEC, 0644);
  ASK(ftruncate(fd, 10 << 20));
  for (const off_t at : {1L << 20, 3000L, 5000000L, (10L << 20) - 1}) {
    ASK(pwrite(fd, "x", 1, at));
    tell("found before it is synced", ::lseek(fd, at, SEEK_DATA) == at ? "yes" : "no");
    tell("not passed over", ::lseek(fd, 0, SEEK_DATA) <= at ? "yes" : "no");
  }
  ASK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 10 << 20));
  ASK(pwrite(fd, "x", 1, 77777));
  tell("found after a hole was punched", ::lseek(fd, 77777, SEEK_DATA) == 77777 ? "yes" : "no");
  ::close(fd);
  section("allocation: sparse");
  fd = ::open("sparse", O_CREAT | O_RDWR | O_CLOEXEC, 0644);
  ASK(ftruncate(fd, 1L << 40));
  look("sparse");
  char buffer[16] = {};
  ASK(pread(fd, buffer, 16, 1L << 39));
  ASK(pwrite(fd, "in the middle", 13, 1L << 39));
  ASK(pread(fd, buffer, 13, 1L << 39));
  tell("there", std::string(buffer, 13));
  ASK(lseek(fd, (1L << 39) + 5, SEEK_DATA) == (1L << 39) + 5);
  ASK(lseek(fd, 1L << 40, SEEK_DATA));
  ASK(lseek(fd, 1L << 40, SEEK_HOLE));
  struct stat s {};
  ::fstat(fd, &s);
  tell("takes little space", s.st_blocks < 10000 ? "yes" : "no");
  ASK(ftruncate(fd, (5L << 30) + 1));
  ASK(pwrite(fd, "end", 3, 5L << 30));
  ASK(ftruncate(fd, (5L << 30) - 1));
  ASK(ftruncate(fd, (5L << 30) + 10));
  ASK(pread(fd, buffer, 16, (5L << 30) - 5));
  tell("zeros", std::string(buffer, 15) == std::string(15, '\0') ? "yes" : "no");
  ::close(fd);
  fd = ::open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASK(fallocate(fd, 0, 0, 10));
  ::close(fd);
}

}  // namespace kmsfs::probe
