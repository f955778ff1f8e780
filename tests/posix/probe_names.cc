// Making and removing entries of every kind, and renaming them over each other.
#include <sys/sysmacros.h>

#include <climits>
#include <cstdio>

#include "tests/posix/probe.h"

namespace kmsfs::probe {

void probe_names() {
  section("names: directories");
  ASK(mkdir("a", 01777));
  look("a");
  ASK(mkdir("a", 0755));
  ASK(mkdir("a/b/c", 0755));
  ASK(mkdir("a/b", 0755));
  look("a");
  make_file("file");
  ASK(mkdir("file", 0755));
  ASK(mkdir("file/x", 0755));
  ASK(mkdir("", 0755));
  ASK(mkdir(".", 0755));
  ASK(mkdir("..", 0755));
  ASK(mkdir(long_name(255, 'd').c_str(), 0755));
  ASK(mkdir((long_name(255, 'd') + "/" + long_name(255, 'e')).c_str(), 0755));
  ASK(mkdir(long_name(256, 'd').c_str(), 0755));
  ASK(rmdir("a"));
  ASK(rmdir("a/b"));
  look("a");
  ASK(rmdir("a/."));
  ASK(rmdir("a/.."));
  ASK(rmdir("file"));
  ASK(rmdir("absent"));
  ASK(rmdir(long_name(255, 'd').c_str()));
  ASK(rmdir((long_name(255, 'd') + "/" + long_name(255, 'e')).c_str()));
  ASK(rmdir(long_name(255, 'd').c_str()));
  ASK(unlink("a"));
  ASK(rmdir("a"));
  ASK(symlink("elsewhere", "link"));
  ASK(mkdir("link", 0755));
  ASK(rmdir("link"));

  section("names: links");
  make_file("file");
  ASK(link("file", "second"));
  ASK(link("file", "second"));
  ASK(link("file", long_name(255).c_str()));
  ASK(link("file", long_name(256).c_str()));
  look("file");
  ASK(mkdir("directory", 0755));
  ASK(link("directory", "third"));
  ASK(link("absent", "third"));
  ASK(link("file", "directory"));
  ASK(link("file", "file/below"));
  ASK(link("file", "directory/third"));
  ASK(unlink("file"));
  look("directory/third");
  tell("by another name", content_of(long_name(255)));
  make_file("directory/third", 0644, "changed");
  tell("by the second name", content_of("second"));
  ASK(symlink("second", "symbolic"));
  ASK(linkat(AT_FDCWD, "symbolic", AT_FDCWD, "hard-symbolic", 0));
  look("hard-symbolic");
  ASK(linkat(AT_FDCWD, "symbolic", AT_FDCWD, "followed", AT_SYMLINK_FOLLOW));
  look("followed");
  ASK(unlink("symbolic"));
  look("hard-symbolic");
  ASK(unlink("directory"));
  ASK(unlink("absent"));
  ASK(unlink("second/below"));
  ASK(unlink(""));

  section("names: symbolic links");
  char target[PATH_MAX] = {};
  ASK(symlink("", "empty"));
  ASK(symlink("target", "link"));
  ASK(symlink("target", "link"));
  ASK(readlink("link", target, sizeof target));
  tell("target", target);
  ASK(readlink("link", target, 3));
  ASK(readlink("link", target, 0));
  look("link");
  ASK(symlink(long_name(3000, 't').c_str(), "far"));
  ASK(readlink("far", target, sizeof target));
  look("far");
  ASK(open("far", O_RDONLY));
  make_file("file");
  ASK(readlink("file", target, sizeof target));
  ASK(readlink("absent", target, sizeof target));
  ASK(symlink("x", "file/y"));
  ASK(symlink("..", "up"));
  ASK(access("up/names: symbolic links/file", F_OK));
  ASK(unlink("link"));
  ASK(symlink("/proc/self/status", "absolute"));
  ASK(access("absolute", R_OK));

  section("names: nodes");
  ASK(mknod("plain", S_IFREG | 0640, 0));
  ASK(mknod("typeless", 0640, 0));
  ASK(mknod("fifo", S_IFIFO | 0622, 0));
  ASK(mknod("socket", S_IFSOCK | 0600, 0));
  ASK(mknod("null", S_IFCHR | 0666, makedev(1, 3)));
  ASK(mknod("block", S_IFBLK | 0600, makedev(7, 200)));
  ASK(mknod("directory", S_IFDIR | 0755, 0));
  ASK(mknod("plain", S_IFIFO | 0644, 0));
  for (const char* name : {"plain", "typeless", "fifo", "socket", "null", "block"}) look(name);
  ASK(link("fifo", "fifo2"));
  ASK(rename("fifo", "renamed"));
  look("renamed");
  as(kAlice, [] {
    ASK(mknod("hers", S_IFREG | 0640, 0));
    ASK(mknod("her-fifo", S_IFIFO | 0640, 0));
    ASK(mknod("her-null", S_IFCHR | 0666, makedev(1, 3)));
    look("hers");
    look("her-fifo");
  });

  section("names: any bytes");
  for (const char* name :
       {"with space", "new\nline", "\xff\xfe", "\x01", "~", "*", ".hidden", "...", "-rf", ".kmsfs",
        ".kmsfs-dir", ".kmsfs-name.x", "caf\xc3\xa9", "cafe\xcc\x81", "CAFE", "cafe"}) {
    answer("making a file", make_file(name, 0600, name));
    tell("it says", content_of(name));
  }
  for (std::size_t size = 1; size <= 255; ++size) {
    const std::string name = long_name(size, 's');
    if (make_file(name, 0600, name) != 0 || content_of(name) != name)
      tell("a name of this size fails", std::to_string(size));
  }
}

void probe_rename() {
  section("rename: every kind over every kind");
  const char* kinds[] = {"file", "empty-directory", "full-directory", "link", "fifo", "absent"};
  const auto make = [](const std::string& at, const std::string& kind) {
    if (kind == "file") make_file(at);
    if (kind == "empty-directory" || kind == "full-directory") ::mkdir(at.c_str(), 0755);
    if (kind == "full-directory") make_file(at + "/inside");
    if (kind == "link") ::symlink("target", at.c_str());
    if (kind == "fifo") ::mkfifo(at.c_str(), 0644);
  };
  int number = 0;
  for (const char* from : kinds) {
    for (const char* to : kinds) {
      for (unsigned flags :
           {0U, static_cast<unsigned>(RENAME_NOREPLACE), static_cast<unsigned>(RENAME_EXCHANGE)}) {
        const std::string top = std::to_string(number++);
        ::mkdir(top.c_str(), 0755);
        make(top + "/a", from);
        make(top + "/b", to);
        answer(std::string(from) + " to " + to + " with flags " + std::to_string(flags),
               ::renameat2(AT_FDCWD, (top + "/a").c_str(), AT_FDCWD, (top + "/b").c_str(), flags));
        look(top + "/a");
        look(top + "/b");
        look(top);
      }
    }
  }

  section("rename: special cases");
  ASK(mkdir("a", 0755));
  ASK(mkdir("a/b", 0755));
  ASK(rename("a", "a/b/c"));
  ASK(rename("a", "a/b"));
  ASK(rename("a/b", "a"));
  ASK(rename("a/.", "c"));
  ASK(rename("a/b/..", "c"));
  ASK(rename("a", "."));
  ASK(rename("a", "a"));
  make_file("file");
  ASK(link("file", "same"));
  ASK(rename("file", "same"));
  look("file");
  ASK(rename("file", "file/x"));
  ASK(rename("file", "directory/"));
  ASK(rename("a", "new/"));
  look("new");
  ASK(rename("absent", "x"));
  ASK(rename("file", long_name(255).c_str()));
  ASK(rename(long_name(255).c_str(), long_name(255, 'm').c_str()));
  ASK(rename(long_name(255, 'm').c_str(), long_name(256).c_str()));
  ASK(rename(long_name(255, 'm').c_str(), "file"));
  tell("after long names", content_of("file"));
  ASK(mkdir("x", 0755));
  ASK(mkdir("y", 0755));
  ASK(rename("x", "y/x"));
  look("y");
  make_file("y/x/deep");
  ASK(rename("y/x", "z"));
  tell("deep", content_of("z/deep"));
  make_file(long_name(200, 'p'), 0600, "p");
  make_file(long_name(200, 'q'), 0600, "q");
  ASK(renameat2(AT_FDCWD, long_name(200, 'p').c_str(), AT_FDCWD, long_name(200, 'q').c_str(),
                RENAME_EXCHANGE));
  tell("p", content_of(long_name(200, 'p')));
  ASK(renameat2(AT_FDCWD, long_name(200, 'p').c_str(), AT_FDCWD, "file", RENAME_EXCHANGE));
  tell("file", content_of("file"));
  ASK(renameat2(AT_FDCWD, "file", AT_FDCWD, "x2", RENAME_EXCHANGE | RENAME_NOREPLACE));
  ASK(renameat2(AT_FDCWD, "file", AT_FDCWD, "x2", RENAME_WHITEOUT));
}

}  // namespace kmsfs::probe
