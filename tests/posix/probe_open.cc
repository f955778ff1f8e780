// open(2) with every flag, O_TMPFILE, and what open descriptors outlive.
#include <sys/socket.h>
#include <sys/un.h>

#include <csignal>

#include <cstring>

#include "tests/posix/probe.h"

namespace kmsfs::probe {

void probe_open() {
  section("open");
  make_file("file");
  ASK(mkdir("directory", 0755));
  ASK(symlink("file", "link"));
  ASK(symlink("nowhere", "dangling"));
  ASK(symlink("loop", "loop"));
  ASK(mkfifo("fifo", 0644));
  for (const char* name :
       {"file", "directory", "link", "dangling", "loop", "absent", "file/below", "absent/below", ""}) {
    tell("of", name);
    ASK(open(name, O_RDONLY));
    ASK(open(name, O_WRONLY));
    ASK(open(name, O_RDWR | O_APPEND));
    ASK(open(name, O_RDONLY | O_DIRECTORY));
    ASK(open(name, O_RDONLY | O_NOFOLLOW));
    ASK(open(name, O_PATH | O_NOFOLLOW));
    ASK(open(name, O_RDONLY | O_TRUNC));
    ASK(open(name, O_CREAT | O_EXCL | O_RDWR, 0640));
    ASK(open(name, O_CREAT | O_DIRECTORY | O_RDONLY, 0640));
    ASK(open(name, O_CREAT | O_RDONLY | O_NOFOLLOW, 0640));
    ASK(open(name, O_RDONLY | O_DIRECT));
    ASK(open(name, O_RDONLY | O_SYNC));
  }
  look("nowhere");
  ASK(open("fifo", O_WRONLY | O_NONBLOCK));
  ASK(open("fifo", O_RDONLY | O_NONBLOCK));
  ASK(open("trailing/", O_CREAT | O_RDWR, 0600));
  ASK(open(long_name(255).c_str(), O_CREAT | O_EXCL | O_RDWR, 0600));
  ASK(open(long_name(256).c_str(), O_CREAT | O_EXCL | O_RDWR, 0600));
  ASK(open((long_name(255) + "/below").c_str(), O_RDONLY));

  section("open: sockets");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, "socket");
  const int server = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASK(bind(server, reinterpret_cast<sockaddr*>(&address), sizeof address));
  ASK(listen(server, 1));
  look("socket");
  ASK(open("socket", O_RDWR));
  const int client = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASK(connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address));
  ::close(client);
  ::close(server);

  section("open: unnamed files");
  int fd = ::open(".", O_TMPFILE | O_RDWR, 0640);
  answer("open O_TMPFILE", fd < 0 ? -1 : 0);
  ASK(write(fd, "unnamed", 7));
  const std::string self = "/proc/self/fd/" + std::to_string(fd);
  answer("linkat of an unnamed file", ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
  look("named");
  tell("named", content_of("named"));
  ::close(fd);
  fd = ::open(".", O_TMPFILE | O_EXCL | O_RDWR, 0600);
  const std::string exclusive = "/proc/self/fd/" + std::to_string(fd);
  answer("linkat of an exclusive unnamed file",
         ::linkat(AT_FDCWD, exclusive.c_str(), AT_FDCWD, "never", AT_SYMLINK_FOLLOW));
  ::close(fd);
  ASK(open(".", O_TMPFILE | O_RDONLY, 0600));

  section("open: descriptors outlive names");
  make_file("gone");
  fd = ::open("gone", O_RDWR | O_CLOEXEC);
  ASK(unlink("gone"));
  ASK(write(fd, "still", 5));
  struct stat s {};
  ASK(fstat(fd, &s));
  tell("links of an unlinked open file", std::to_string(s.st_nlink));
  ASK(ftruncate(fd, 3));
  char buffer[16] = {};
  ASK(pread(fd, buffer, sizeof buffer, 0));
  tell("its bytes", buffer);
  ASK(fchmod(fd, 0600));
  ASK(fsync(fd));
  ::close(fd);
  make_file("gone", 0644, "another");
  tell("the new one", content_of("gone"));
  make_file("over", 0644, "old");
  make_file("by", 0644, "new");
  fd = ::open("over", O_RDONLY | O_CLOEXEC);
  ASK(rename("by", "over"));
  std::memset(buffer, 0, sizeof buffer);
  ASK(read(fd, buffer, sizeof buffer));
  tell("what was renamed over", buffer);
  tell("what is there", content_of("over"));
  ::close(fd);
  ASK(mkdir("removed", 0755));
  fd = ::open("removed", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASK(rmdir("removed"));
  ASK(openat(fd, "file", O_CREAT | O_RDWR, 0600));
  ASK(mkdirat(fd, "below", 0700));
  ASK(fstat(fd, &s));
  ::close(fd);

  section("open: truncation by another handle");
  make_file("shared", 0644, std::string(10000, 'x'));
  fd = ::open("shared", O_RDWR | O_CLOEXEC);
  ASK(open("shared", O_WRONLY | O_TRUNC));
  ASK(lseek(fd, 0, SEEK_END));
  ASK(pwrite(fd, "abc", 3, 5000));
  look("shared");
  tell("bytes before", std::to_string(content_of("shared").find_first_not_of('\0')));
  ::close(fd);

  section("open: running programs");
  ASK(system("cp /bin/true program && chmod 755 program && ./program"));
  limited([] {
    const pid_t sleeper = ::fork();
    if (sleeper == 0) ::execl("/bin/sh", "sh", "-c", "cp /bin/sleep sleeper; exec ./sleeper 30", nullptr);
    for (int i = 0; i < 200; ++i) {
      char target[256] = {};
      const std::string link = "/proc/" + std::to_string(sleeper) + "/exe";
      if (::readlink(link.c_str(), target, sizeof target - 1) > 0 &&
          std::strstr(target, "sleeper") != nullptr)
        break;
      ::usleep(10000);
    }
    ASK(open("sleeper", O_WRONLY));
    ASK(truncate("sleeper", 0));
    ASK(unlink("sleeper"));
    ::kill(sleeper, 9);
  });
}

}  // namespace kmsfs::probe
