// Asks a directory how its file system behaves, one system call at a time, and writes down every answer.
//
// The same probe is run in a native directory and in a mount; whatever differs between the two texts is a
// fault of the mount, or a limit that docs/POSIX.md must name. So a case needs no expectation of its own, and
// cannot expect wrongly. Answers hold no inode numbers, no times of day and no paths of the host. Threads:
// one; users are played by child processes.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

namespace kmsfs::probe {

struct User {
  uid_t uid;
  gid_t gid;
  std::vector<gid_t> groups;
};
inline const User kAlice{65501, 65601, {65601, 65700}};  // 65700: a group that Alice and Bob share
inline const User kBob{65502, 65602, {65602, 65700}};
inline const User kCarol{65503, 65603, {65603}};
inline constexpr gid_t kSharedGroup = 65700;

void section(const std::string& name);                  // makes and enters a fresh directory
void answer(const std::string& question, long result);  // result, or the errno's name if it is -1
void tell(const std::string& what, const std::string& fact);
void look(const std::string& path);                             // what lstat tells
void as(const User& user, const std::function<void()>& deeds);  // in a child process
void limited(const std::function<void()>& deeds);               // in a child process, as root

// Shorthands that say what they do.
int make_file(const std::string& path, mode_t mode = 0644, const std::string& content = "content");
std::string content_of(const std::string& path);
std::string long_name(std::size_t size, char c = 'n');

// The chapters.
void probe_open();
void probe_names();
void probe_rename();
void probe_permissions();
void probe_ownership();
void probe_set_id();
void probe_times();
void probe_content();
void probe_allocation();
void probe_attributes();
void probe_access_lists();
void probe_locks();
void probe_directories();

}  // namespace kmsfs::probe

// Makes the call, and writes down its own text and the answer.
#define ASK(call) ::kmsfs::probe::answer(#call, static_cast<long>(call))
