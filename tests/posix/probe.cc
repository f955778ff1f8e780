#include "tests/posix/probe.h"

#include <grp.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace kmsfs::probe {

namespace {

void child(const std::function<void()>& become, const std::function<void()>& deeds) {
  std::fflush(stdout);
  const pid_t pid = ::fork();
  if (pid == 0) {
    become();
    deeds();
    std::fflush(stdout);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (status != 0) std::printf("  child ended with %d\n", status);
}

const char* type_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return "file";
    case S_IFDIR:
      return "directory";
    case S_IFLNK:
      return "link";
    case S_IFIFO:
      return "fifo";
    case S_IFSOCK:
      return "socket";
    case S_IFCHR:
      return "character device";
    case S_IFBLK:
      return "block device";
    default:
      return "?";
  }
}

}  // namespace

void section(const std::string& name) {
  static const int top = ::open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  std::printf("== %s\n", name.c_str());
  if (::fchdir(top) != 0 || ::mkdir(name.c_str(), 0777) != 0 || ::chmod(name.c_str(), 0777) != 0 ||
      ::chdir(name.c_str()) != 0) {
    std::perror("entering a section");
    std::exit(1);
  }
}

void answer(const std::string& question, long result) {
  const int number = errno;
  if (result == -1) {
    std::printf("%s: %s\n", question.c_str(), ::strerrorname_np(number));
  } else {
    const bool is_descriptor = question.find("open(") == 0 || question.find("openat(") == 0;
    std::printf("%s: %ld\n", question.c_str(), is_descriptor ? 0 : result);
  }
  errno = 0;
}

void tell(const std::string& what, const std::string& fact) {
  std::printf("%s: %s\n", what.c_str(), fact.c_str());
}

void look(const std::string& path) {
  struct stat s {};
  if (::lstat(path.c_str(), &s) != 0) {
    answer("lstat " + path, -1);
    return;
  }
  std::printf("%.40s: %s %o, %lu links, owner %u:%u", path.c_str(), type_of(s.st_mode), s.st_mode & 07777,
              static_cast<unsigned long>(s.st_nlink), s.st_uid, s.st_gid);
  if (!S_ISDIR(s.st_mode)) std::printf(", %lld bytes", static_cast<long long>(s.st_size));
  if (S_ISCHR(s.st_mode) || S_ISBLK(s.st_mode))
    std::printf(", device %u:%u", major(s.st_rdev), minor(s.st_rdev));
  std::printf("\n");
}

void as(const User& user, const std::function<void()>& deeds) {
  std::printf("-- as user %u\n", user.uid);
  child(
      [&] {
        if (::setgroups(user.groups.size(), user.groups.data()) != 0 ||
            ::setresgid(user.gid, user.gid, user.gid) != 0 ||
            ::setresuid(user.uid, user.uid, user.uid) != 0) {
          std::perror("becoming a user");
          ::_exit(1);
        }
      },
      deeds);
  std::printf("-- as root\n");
}

void limited(const std::function<void()>& deeds) {
  child([] {}, deeds);
}

int make_file(const std::string& path, mode_t mode, const std::string& content) {
  const int fd = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, mode);
  if (fd < 0) return -1;
  const bool whole = ::write(fd, content.data(), content.size()) == static_cast<ssize_t>(content.size());
  ::fchmod(fd, mode);
  ::close(fd);
  return whole ? 0 : -1;
}

std::string content_of(const std::string& path) {
  std::string out(1 << 16, '\0');
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::string("cannot be opened: ") + ::strerrorname_np(errno);
  const ssize_t got = ::read(fd, out.data(), out.size());
  ::close(fd);
  if (got < 0) return std::string("cannot be read: ") + ::strerrorname_np(errno);
  out.resize(static_cast<std::size_t>(got));
  return out;
}

std::string long_name(std::size_t size, char c) { return std::string(size, c); }

}  // namespace kmsfs::probe

int main(int argc, char** argv) {
  using namespace kmsfs::probe;  // NOLINT
  if (argc != 2 || ::chdir(argv[1]) != 0) {
    std::fprintf(stderr, "usage: posix_probe EMPTY_DIRECTORY (as root)\n");
    return 2;
  }
  ::umask(022);
  probe_open();
  probe_names();
  probe_rename();
  probe_permissions();
  probe_ownership();
  probe_set_id();
  probe_times();
  probe_content();
  probe_allocation();
  probe_attributes();
  probe_access_lists();
  probe_locks();
  probe_directories();
  return 0;
}
