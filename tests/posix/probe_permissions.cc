// Who may do what: modes, sticky directories, ownership, set-id bits, times.
#include <sys/time.h>

#include <cstdio>
#include <cstdlib>

#include "tests/posix/probe.h"

namespace kmsfs::probe {

void probe_permissions() {
  section("permissions: files");
  for (unsigned mode = 0; mode <= 0777; mode += 0111) {
    for (const unsigned shifted : {mode & 0700, mode & 0070, mode & 0007, mode}) {
      const std::string name = "file" + std::to_string(mode) + "-" + std::to_string(shifted);
      make_file(name, shifted);
      if (::chown(name.c_str(), kAlice.uid, kSharedGroup) != 0) tell("chown", "failed");
    }
  }
  for (const User& user : {kAlice, kBob, kCarol}) {
    as(user, [] {
      for (unsigned mode = 0; mode <= 0777; mode += 0111) {
        for (const unsigned shifted : {mode & 0700, mode & 0070, mode & 0007, mode}) {
          const std::string name = "file" + std::to_string(mode) + "-" + std::to_string(shifted);
          tell("mode", std::to_string(shifted));
          ASK(open(name.c_str(), O_RDONLY));
          ASK(open(name.c_str(), O_WRONLY));
          ASK(open(name.c_str(), O_RDWR));
          ASK(access(name.c_str(), R_OK));
          ASK(access(name.c_str(), W_OK));
          ASK(access(name.c_str(), X_OK));
          ASK(truncate(name.c_str(), 7));
          ASK(chmod(name.c_str(), shifted));
          ASK(chown(name.c_str(), kBob.uid, -1));
          ASK(utimensat(AT_FDCWD, name.c_str(), nullptr, 0));
        }
      }
    });
  }

  section("permissions: directories");
  for (unsigned mode = 0; mode <= 0777; mode += 0111) {
    const std::string name = std::to_string(mode);
    ::mkdir(name.c_str(), 0755);
    make_file(name + "/file");
    ::mkdir((name + "/sub").c_str(), 0755);
    ::chown(name.c_str(), kAlice.uid, kSharedGroup);
    ::chmod(name.c_str(), mode);
  }
  for (const User& user : {kAlice, kBob, kCarol}) {
    as(user, [] {
      for (unsigned mode = 0; mode <= 0777; mode += 0111) {
        const std::string name = std::to_string(mode);
        tell("mode", name);
        ASK(open(name.c_str(), O_RDONLY | O_DIRECTORY));
        ASK(access((name + "/file").c_str(), F_OK));
        ASK(mkdir((name + "/new").c_str(), 0755));
        ASK(rmdir((name + "/new").c_str()));
        ASK(symlink("x", (name + "/link").c_str()));
        ASK(unlink((name + "/link").c_str()));
        ASK(link("777/file", (name + "/hard").c_str()));
        ASK(unlink((name + "/hard").c_str()));
        ASK(rename((name + "/file").c_str(), (name + "/moved").c_str()));
        ASK(rename((name + "/moved").c_str(), (name + "/file").c_str()));
        ASK(rename((name + "/sub").c_str(), "511/moved-sub"));
        ASK(rename("511/moved-sub", (name + "/sub").c_str()));
        ASK(mkfifo((name + "/fifo").c_str(), 0644));
        ASK(unlink((name + "/fifo").c_str()));
        ASK(chmod(name.c_str(), mode));
      }
    });
  }

  section("permissions: sticky");
  ::mkdir("sticky", 0777);
  ::chmod("sticky", 01777);
  as(kAlice, [] {
    make_file("sticky/hers");
    ASK(mkdir("sticky/her-directory", 0777));
    ASK(chmod("sticky/her-directory", 0777));
  });
  as(kBob, [] {
    make_file("sticky/his");
    ASK(unlink("sticky/hers"));
    ASK(rmdir("sticky/her-directory"));
    ASK(rename("sticky/hers", "sticky/taken"));
    ASK(rename("sticky/his", "sticky/hers"));
    ASK(rename("sticky/her-directory", "sticky/taken"));
    ASK(rename("sticky/his", "sticky/her-directory/his"));
    ASK(renameat2(AT_FDCWD, "sticky/hers", AT_FDCWD, "sticky/her-directory/his", RENAME_EXCHANGE));
    ASK(unlink("sticky/her-directory/his"));
  });
  as(kAlice, [] { ASK(unlink("sticky/hers")); });
}

void probe_ownership() {
  section("ownership: what is created");
  ::mkdir("set-group", 0777);
  ::chown("set-group", 0, kSharedGroup);
  ::chmod("set-group", 02777);
  ::mkdir("plain", 0777);
  ::chmod("plain", 0777);
  for (const User& user : {kAlice, kCarol}) {
    as(user, [&user] {
      const std::string suffix = std::to_string(user.uid);
      for (const std::string top : {"set-group/", "plain/"}) {
        for (const unsigned mask : {0U, 022U, 077U}) {
          ::umask(mask);
          const std::string name = top + suffix + "-" + std::to_string(mask);
          ::close(::open((name + "f").c_str(), O_CREAT | O_EXCL | O_WRONLY, 0666));
          ::close(::open((name + "x").c_str(), O_CREAT | O_EXCL | O_WRONLY, 06777));
          ::mkdir((name + "d").c_str(), 0777);
          ::mkfifo((name + "p").c_str(), 0666);
          ::symlink("x", (name + "l").c_str());
          ::close(::open(top.c_str(), O_TMPFILE | O_RDWR, 0666));
          for (const char* kind : {"f", "x", "d", "p", "l"}) look(name + kind);
        }
      }
    });
  }

  section("ownership: chown");
  make_file("file", 0644);
  ASK(chown("file", kAlice.uid, kAlice.gid));
  ASK(chown("file", -1, -1));
  look("file");
  for (const User& user : {kAlice, kBob}) {
    as(user, [] {
      ASK(chown("file", kBob.uid, -1));
      ASK(chown("file", kAlice.uid, -1));
      ASK(chown("file", -1, kSharedGroup));
      ASK(chown("file", -1, kBob.gid));
      ASK(chown("file", -1, -1));
      ASK(chmod("file", 0600));
      look("file");
    });
  }
  ASK(symlink("file", "link"));
  ASK(lchown("link", kBob.uid, kBob.gid));
  look("link");
  look("file");
  ASK(chown("absent", 0, 0));
  ASK(chmod("absent", 0600));
  ASK(chmod("link", 0644));
  ASK(fchmodat(AT_FDCWD, "link", 0600, AT_SYMLINK_NOFOLLOW));
  as(kAlice, [] {
    ASK(chmod("file", 07777));
    look("file");
    ASK(mkdir("../ownership: chown/hers", 0755));
    ASK(chmod("hers", 07777));
    look("hers");
  });
}

void probe_set_id() {
  section("set-id bits");
  const auto fresh = [](mode_t mode) {
    ::unlink("program");
    make_file("program", 0755, std::string(10000, 'p'));
    if (::chown("program", kAlice.uid, kSharedGroup) != 0 || ::chmod("program", mode) != 0)
      tell("fresh", "failed");
  };
  for (const mode_t mode : {04755U, 02755U, 06777U, 02745U, 06711U, 01777U}) {
    const std::string shown = "mode " + std::to_string(mode);
    fresh(mode);
    as(kAlice, [] {
      const int fd = ::open("program", O_WRONLY);
      ASK(write(fd, "x", 1));
      ::close(fd);
    });
    look("program");
    fresh(mode | 0002);
    as(kCarol, [] {
      const int fd = ::open("program", O_WRONLY);
      ASK(write(fd, "x", 1));
      ::close(fd);
    });
    look("program");
    fresh(mode | 0002);
    as(kCarol, [] {
      const int fd = ::open("program", O_WRONLY);
      ASK(fallocate(fd, 0, 0, 30000));
      ::close(fd);
    });
    look("program");
    fresh(mode | 0002);
    as(kCarol, [] {
      const int fd = ::open("program", O_RDWR);
      off_t from = 0, to = 5000;
      ASK(copy_file_range(fd, &from, fd, &to, 100, 0));
      ::close(fd);
    });
    look("program");
    fresh(mode | 0002);
    as(kCarol, [] { ASK(truncate("program", 5)); });
    look("program");
    fresh(mode);
    as(kAlice, [] { ASK(truncate("program", 5)); });
    look("program");
    fresh(mode);
    as(kAlice, [] { ASK(open("program", O_WRONLY | O_TRUNC)); });
    look("program");
    fresh(mode);
    as(kAlice, [] {
      const int fd = ::open("program", O_WRONLY);
      ASK(ftruncate(fd, 10));
      ASK(fallocate(fd, 0, 0, 30000));
      ::close(fd);
    });
    look("program");
    fresh(mode);
    as(kAlice, [] { ASK(chown("program", -1, kAlice.gid)); });
    look("program");
    fresh(mode);
    ASK(chown("program", kBob.uid, kBob.gid));
    look("program");
    fresh(mode);
    const int fd = ::open("program", O_WRONLY);
    ASK(write(fd, "root", 4));
    ::close(fd);
    look("program");
    fresh(mode);
    as(kAlice, [] { ASK(chmod("program", 06755)); });
    look("program");
    if (::chown("program", kAlice.uid, kBob.gid) == 0) as(kAlice, [] { ASK(chmod("program", 02755)); });
    look("program");
    tell("done", shown);
  }
}

namespace {

// When a file was made, where the file system knows.
struct Birth {
  explicit Birth(const char* path) {
    ::statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BTIME | STATX_MTIME, &attributes);
  }
  bool known() const { return (attributes.stx_mask & STATX_BTIME) != 0; }
  bool operator==(const Birth& other) const {
    return attributes.stx_btime.tv_sec == other.attributes.stx_btime.tv_sec &&
           attributes.stx_btime.tv_nsec == other.attributes.stx_btime.tv_nsec;
  }
  struct statx attributes {};
};

void probe_birth_times() {
  section("birth times");
  make_file("file");
  ASK(mkdir("directory", 0755));
  ASK(symlink("file", "link"));
  ASK(mkfifo("fifo", 0644));
  for (const char* name : {"file", "directory", "link", "fifo"}) {
    const Birth born(name);
    tell(name, born.known() ? "born at a time that is known" : "born at some time");
    tell("born and modified within a minute",
         std::abs(born.attributes.stx_btime.tv_sec - born.attributes.stx_mtime.tv_sec) < 60 ? "yes" : "no");
  }
  const Birth born("file");
  const timespec early[2] = {{1000, 0}, {1000, 0}};
  ASK(utimensat(AT_FDCWD, "file", early, 0));
  ASK(truncate("file", 10000));
  ASK(chmod("file", 0600));
  ASK(rename("file", "directory/file"));
  ASK(link("directory/file", "again"));
  tell("born again", Birth("again") == born ? "no" : "yes");
}

}  // namespace

void probe_times() {
  probe_birth_times();
  section("times");
  make_file("file");
  const auto show = [](const char* name) {
    struct stat s {};
    ::lstat(name, &s);
    std::printf("%s: accessed %lld.%09ld, modified %lld.%09ld\n", name,
                static_cast<long long>(s.st_atim.tv_sec), s.st_atim.tv_nsec,
                static_cast<long long>(s.st_mtim.tv_sec), s.st_mtim.tv_nsec);
  };
  const timespec set[2] = {{1234567890, 123456789}, {987654321, 999999999}};
  ASK(utimensat(AT_FDCWD, "file", set, 0));
  show("file");
  const timespec omit[2] = {{0, UTIME_OMIT}, {5, 6}};
  ASK(utimensat(AT_FDCWD, "file", omit, 0));
  show("file");
  const timespec early[2] = {{-5, 1}, {-1000000, 999999999}};
  ASK(utimensat(AT_FDCWD, "file", early, 0));
  show("file");
  const timespec late[2] = {{8'000'000'000, 1}, {4'294'967'296, 2}};
  ASK(utimensat(AT_FDCWD, "file", late, 0));
  show("file");
  const timespec invalid[2] = {{0, 1'000'000'000}, {0, 0}};
  ASK(utimensat(AT_FDCWD, "file", invalid, 0));
  ASK(symlink("file", "link"));
  ASK(utimensat(AT_FDCWD, "link", set, AT_SYMLINK_NOFOLLOW));
  show("link");
  ASK(mkdir("directory", 0755));
  ASK(utimensat(AT_FDCWD, "directory", set, 0));
  show("directory");
  ASK(utimensat(AT_FDCWD, "absent", set, 0));
  ::chmod("file", 0666);
  ::chown("file", kAlice.uid, kAlice.gid);
  const timespec now_now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
  const timespec now_omit[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
  const timespec omit_omit[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
  for (const User& user : {kAlice, kBob}) {
    as(user, [&] {
      ASK(utimensat(AT_FDCWD, "file", set, 0));
      ASK(utimensat(AT_FDCWD, "file", now_now, 0));
      ASK(utimensat(AT_FDCWD, "file", nullptr, 0));
      ASK(utimensat(AT_FDCWD, "file", now_omit, 0));
      ASK(utimensat(AT_FDCWD, "file", omit_omit, 0));
    });
  }

  section("times: what changes them");
  const auto changed = [](const char* name, const char* what, const std::function<void()>& deed) {
    const timespec old[2] = {{1000, 0}, {1000, 0}};
    ::utimensat(AT_FDCWD, name, old, AT_SYMLINK_NOFOLLOW);
    struct stat before {
    }, after{};
    ::lstat(name, &before);
    ::usleep(12000);  // past the granularity of the clock that stamps
    deed();
    ::lstat(name, &after);
    std::printf(
        "%s after %s: modified %s, changed %s\n", name, what, after.st_mtim.tv_sec != 1000 ? "yes" : "no",
        after.st_ctim.tv_sec != before.st_ctim.tv_sec || after.st_ctim.tv_nsec != before.st_ctim.tv_nsec
            ? "yes"
            : "no");
  };
  make_file("file");
  ASK(mkdir("d", 0755));
  changed("file", "write", [] { make_file("file", 0644, "other"); });
  changed("file", "chmod", [] { ::chmod("file", 0600); });
  changed("file", "chown", [] { ::chown("file", 1, 1); });
  changed("file", "truncate", [] { ::truncate("file", 2); });
  changed("file", "truncate to the same size", [] { ::truncate("file", 2); });
  changed("file", "link", [] { ::link("file", "file2"); });
  changed("file", "unlink of the other name", [] { ::unlink("file2"); });
  changed("file", "rename", [] { ::rename("file", "f"), ::rename("f", "file"); });
  changed("d", "create inside", [] { make_file("d/x"); });
  changed("d", "change inside", [] { make_file("d/x", 0644, "y"); });
  changed("d", "unlink inside", [] { ::unlink("d/x"); });
  changed("d", "mkdir inside", [] { ::mkdir("d/y", 0755); });
  changed("d", "rename inside", [] { ::rename("d/y", "d/z"); });
  changed("d", "rmdir inside", [] { ::rmdir("d/z"); });
  changed("d", "symlink inside", [] { ::symlink("x", "d/l"); });
}

}  // namespace kmsfs::probe
