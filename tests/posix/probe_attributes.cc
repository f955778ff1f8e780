// Extended attributes, access control lists, locks, and directories.
#include <dirent.h>
#include <sys/file.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/posix/probe.h"

namespace kmsfs::probe {

namespace {

void list_attributes(const char* path) {
  char names[4096];
  const ssize_t size = ::llistxattr(path, names, sizeof names);
  std::vector<std::string> found;
  for (ssize_t at = 0; at < size; at += static_cast<ssize_t>(std::strlen(names + at)) + 1)
    found.emplace_back(names + at);
  std::sort(found.begin(), found.end());
  std::string all;
  for (const std::string& name : found) all += name + " ";
  tell(std::string("attributes of ") + path, all);
}

}  // namespace

void probe_attributes() {
  section("attributes");
  make_file("file");
  ASK(mkdir("directory", 0755));
  ASK(symlink("file", "link"));
  ASK(mkfifo("fifo", 0644));
  char value[70000] = {};
  for (const char* name : {"file", "directory"}) {
    ASK(setxattr(name, "user.one", "first", 5, 0));
    ASK(getxattr(name, "user.one", value, sizeof value));
    tell("value", std::string(value, 5));
    ASK(getxattr(name, "user.one", value, 0));
    ASK(getxattr(name, "user.one", value, 3));
    ASK(getxattr(name, "user.none", value, 3));
    ASK(setxattr(name, "user.one", "again", 5, XATTR_CREATE));
    ASK(setxattr(name, "user.two", "again", 5, XATTR_REPLACE));
    ASK(setxattr(name, "user.one", "replaced", 8, XATTR_REPLACE));
    ASK(setxattr(name, "user.one", "x", 1, XATTR_REPLACE | XATTR_CREATE));
    ASK(setxattr(name, "user.empty", "", 0, 0));
    ASK(getxattr(name, "user.empty", value, sizeof value));
    ASK(setxattr(name, "user.", "x", 1, 0));
    ASK(setxattr(name, "user.thousand", value, 1000, 0));
    ASK(setxattr(name, "user.large", value, 65537, 0));
    ASK(setxattr(name, ("user." + long_name(100)).c_str(), "x", 1, 0));
    ASK(setxattr(name, ("user." + long_name(251)).c_str(), "x", 1, 0));
    ASK(setxattr(name, "nothing.known", "x", 1, 0));
    ASK(setxattr(name, "", "x", 1, 0));
    ASK(removexattr(name, "user.none"));
    list_attributes(name);
    ASK(listxattr(name, value, 5));
    ASK(removexattr(name, "user.one"));
    ASK(getxattr(name, "user.one", value, sizeof value));
    list_attributes(name);
  }
  ASK(lsetxattr("link", "user.x", "x", 1, 0));
  ASK(setxattr("fifo", "user.x", "x", 1, 0));
  ASK(lgetxattr("link", "user.x", value, 1));
  ASK(setxattr("absent", "user.x", "x", 1, 0));
  ASK(setxattr("file", "trusted.x", "secret", 6, 0));
  ASK(getxattr("file", "trusted.x", value, sizeof value));
  ASK(link("file", "second"));
  list_attributes("second");
  ASK(rename("file", "moved"));
  list_attributes("moved");
  make_file("hers", 0644);
  ::chown("hers", kAlice.uid, kAlice.gid);
  for (const User& user : {kAlice, kBob}) {
    as(user, [] {
      char out[64];
      ASK(setxattr("hers", "user.x", "x", 1, 0));
      ASK(getxattr("hers", "user.x", out, sizeof out));
      ASK(setxattr("hers", "trusted.x", "x", 1, 0));
      ASK(getxattr("moved", "trusted.x", out, sizeof out));
      ASK(setxattr("hers", "security.x", "x", 1, 0));
      ASK(removexattr("hers", "user.x"));
    });
  }
  ::chmod("hers", 0);
  as(kAlice, [] {
    char out[64];
    ASK(setxattr("hers", "user.y", "y", 1, 0));
    ASK(getxattr("hers", "user.y", out, sizeof out));
  });
}

void probe_access_lists() {
  section("access lists");
  const auto run = [](const std::string& command) {
    answer(command, ::system((command + " 2>/dev/null").c_str()));
  };
  make_file("file", 0640);
  ASK(mkdir("directory", 0750));
  ASK(chown("file", kAlice.uid, kAlice.gid));
  run("setfacl -m u:65502:rw,g:65700:r,m::rw file");
  run("getfacl -cn file");
  look("file");
  ASK(chmod("file", 0600));
  run("getfacl -cn file");
  as(kBob, [] {
    ASK(open("file", O_RDONLY));
    ASK(open("file", O_RDWR));
  });
  ASK(chmod("file", 0660));
  as(kBob, [] { ASK(open("file", O_RDWR)); });
  as(kCarol, [] { ASK(open("file", O_RDONLY)); });
  run("setfacl -d -m u:65502:rwx,g::rx,o::-,m::rwx directory");
  run("setfacl -m u:65501:rwx directory");
  as(kAlice, [] {
    ::umask(022);
    make_file("directory/below", 0666);
    ::close(::open("directory/plain", O_CREAT | O_EXCL | O_WRONLY, 0666));
    ::mkdir("directory/sub", 0777);
    ::mkfifo("directory/fifo", 0666);
    look("directory/plain");
    look("directory/sub");
    look("directory/fifo");
  });
  run("getfacl -cn directory/plain directory/sub directory/fifo directory");
  run("setfacl -b file");
  run("setfacl -k directory");
  run("getfacl -cn file directory");
  as(kBob,
     [] { answer("setfacl by another", ::system("setfacl -m u:65502:rwx file 2>/dev/null") == 0 ? 0 : 1); });
  run("setfacl -d -m u:1:r file");
  ASK(setxattr("file", "system.posix_acl_access", "nonsense", 8, 0));
}

void probe_locks() {
  section("locks");
  make_file("file", 0666, std::string(1000, 'x'));
  const int fd = ::open("file", O_RDWR | O_CLOEXEC);
  const int second = ::open("file", O_RDWR | O_CLOEXEC);
  ASK(flock(fd, LOCK_EX | LOCK_NB));
  ASK(flock(second, LOCK_EX | LOCK_NB));
  ASK(flock(second, LOCK_SH | LOCK_NB));
  ASK(flock(fd, LOCK_SH | LOCK_NB));
  ASK(flock(second, LOCK_SH | LOCK_NB));
  ASK(flock(fd, LOCK_UN));
  ASK(flock(second, LOCK_UN));
  struct flock range {};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  range.l_start = 100;
  range.l_len = 50;
  ASK(fcntl(fd, F_SETLK, &range));
  as(kBob, [] {
    const int his = ::open("file", O_RDWR);
    struct flock wanted {};
    wanted.l_type = F_WRLCK;
    wanted.l_whence = SEEK_SET;
    wanted.l_start = 120;
    wanted.l_len = 1;
    ASK(fcntl(his, F_SETLK, &wanted));
    ASK(fcntl(his, F_GETLK, &wanted));
    tell("held", std::to_string(wanted.l_type) + " " + std::to_string(wanted.l_start) + " " +
                     std::to_string(wanted.l_len));
    wanted.l_type = F_RDLCK;
    wanted.l_start = 150;
    wanted.l_len = 0;
    ASK(fcntl(his, F_SETLK, &wanted));
    ASK(flock(his, LOCK_EX | LOCK_NB));
  });
  ::close(second);  // gives up the locks of this process
  as(kBob, [] {
    const int his = ::open("file", O_RDWR);
    ASK(lockf(his, F_TLOCK, 0));
  });
  range.l_pid = 0;
  ASK(fcntl(fd, F_OFD_SETLK, &range));
  const int third = ::open("file", O_RDWR | O_CLOEXEC);
  ASK(fcntl(third, F_OFD_SETLK, &range));
  ::close(fd);
  ASK(fcntl(third, F_OFD_SETLK, &range));
  ASK(fcntl(third, F_SETLEASE, F_WRLCK));
  ::close(third);
}

void probe_directories() {
  section("directories");
  ASK(mkdir("synced", 0755));
  const int synced = ::open("synced", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  make_file("synced/file");
  ASK(fsync(synced));
  ASK(fdatasync(synced));
  ASK(write(synced, "x", 1));
  ::close(synced);
  ASK(mkdir("full", 0755));
  for (int i = 0; i < 3000; ++i) make_file("full/entry-" + std::to_string(i), 0600, "");
  DIR* directory = ::opendir("full");
  std::vector<std::string> names;
  std::vector<long> places;
  for (const dirent* entry = nullptr; (entry = ::readdir(directory)) != nullptr;) {
    names.emplace_back(entry->d_name);
    places.push_back(::telldir(directory));
    if (names.size() == 1000) ::unlink("full/entry-2999");
  }
  std::vector<std::string> sorted = names;
  std::sort(sorted.begin(), sorted.end());
  tell("names", std::to_string(sorted.size() >= 3001 && sorted.size() <= 3002));
  tell("twice", std::to_string(std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()));
  tell("dots", std::to_string(std::count(names.begin(), names.end(), ".") +
                              std::count(names.begin(), names.end(), "..")));
  int wrong = 0;
  for (std::size_t i = 0; i + 1 < names.size() && i < 2000; i += 97) {
    ::seekdir(directory, places[i]);
    const dirent* entry = ::readdir(directory);
    wrong += entry == nullptr || names[i + 1] != entry->d_name;
  }
  tell("wrong places", std::to_string(wrong));
  ::rewinddir(directory);
  make_file("full/late");
  ::rewinddir(directory);
  bool late = false;
  for (const dirent* entry = nullptr; (entry = ::readdir(directory)) != nullptr;)
    late |= std::strcmp(entry->d_name, "late") == 0;
  tell("late entry after rewind", late ? "yes" : "no");
  ::closedir(directory);
  int types = 0;
  directory = ::opendir("full");
  for (const dirent* entry = nullptr; (entry = ::readdir(directory)) != nullptr;) {
    struct stat s {};
    ::fstatat(::dirfd(directory), entry->d_name, &s, AT_SYMLINK_NOFOLLOW);
    if (std::strcmp(entry->d_name, "..") != 0)
      types += s.st_ino == entry->d_ino && entry->d_type == (s.st_mode >> 12);
  }
  tell("inode numbers and types agree", std::to_string(types));
  while (true) {  // removing while reading, as rm -r does
    ::rewinddir(directory);
    int removed = 0;
    for (const dirent* entry = nullptr; (entry = ::readdir(directory)) != nullptr;) {
      if (entry->d_name[0] != '.') removed += ::unlinkat(::dirfd(directory), entry->d_name, 0) == 0;
    }
    if (removed == 0) break;
  }
  ::closedir(directory);
  ASK(rmdir("full"));
  struct stat a {
  }, b{};
  ASK(mkdir("x", 0755));
  ASK(stat(".", &a));
  ASK(stat("x/..", &b));
  tell("x/.. is here", a.st_ino == b.st_ino && a.st_dev == b.st_dev ? "yes" : "no");
}

}  // namespace kmsfs::probe
