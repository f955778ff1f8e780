#include "fs/caller_identity.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>

#include "core/unique_fd.h"

namespace kmsfs {
namespace {

constexpr int kNobodyChanged = -1;  // setfsuid(-1) changes nothing and tells what is in force

// glibc's setgroups() would change all threads.
bool set_groups_of_thread(const std::vector<gid_t>& groups) {
  return ::syscall(SYS_setgroups, groups.size(), groups.data()) == 0;
}

bool set_file_system_user(uid_t uid) {
  ::setfsuid(uid);
  return static_cast<uid_t>(::setfsuid(static_cast<uid_t>(kNobodyChanged))) == uid;
}

bool set_file_system_group(gid_t gid) {
  ::setfsgid(gid);
  return static_cast<gid_t>(::setfsgid(static_cast<gid_t>(kNobodyChanged))) == gid;
}

std::vector<gid_t> ask_for_groups() {
  std::vector<gid_t> groups(static_cast<std::size_t>(std::max(::getgroups(0, nullptr), 0)));
  const int count = ::getgroups(static_cast<int>(groups.size()), groups.data());
  groups.resize(static_cast<std::size_t>(std::max(count, 0)));
  return groups;
}

// Nobody but a CallerIdentity changes who a thread is, and it puts that back.
struct OwnIdentity {
  uid_t uid = ::geteuid();
  gid_t gid = ::getegid();
  std::vector<gid_t> groups = ask_for_groups();
};
const OwnIdentity& own_identity() {
  thread_local const OwnIdentity own;
  return own;
}

// The umask belongs to a structure that the threads of a process share until one asks for its own.
Result<void> own_umask() {
  thread_local bool own = false;
  if (own) return {};
  if (::unshare(CLONE_FS) != 0) return Error::from_errno(errno, "taking a umask of the thread's own");
  own = true;
  return {};
}

}  // namespace

std::vector<gid_t> groups_of_process(pid_t pid) {
  std::vector<gid_t> groups;
  if (pid <= 0) return groups;
  const std::string path = "/proc/" + std::to_string(pid) + "/status";
  const UniqueFd status(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!status) return groups;
  std::string text;
  char buffer[4096];
  for (ssize_t got = 0; (got = ::read(status.get(), buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(got));
  }
  const auto at = text.find("\nGroups:");
  if (at == std::string::npos) return groups;
  std::istringstream in(text.substr(at + 8, text.find('\n', at + 1) - at - 8));
  for (gid_t group = 0; in >> group;) groups.push_back(group);
  return groups;
}

bool belongs_to(const Caller& caller, gid_t group) {
  if (caller.gid == group) return true;
  const std::vector<gid_t> groups = caller.groups ? *caller.groups : groups_of_process(caller.pid);
  return std::find(groups.begin(), groups.end(), group) != groups.end();
}

CallerIdentity::CallerIdentity(const Caller& caller, bool switch_user) {
  assumed_ = own_umask();
  if (!assumed_) return;
  if (switch_user) {
    assumed_ = assume(caller);
    if (!assumed_) return;
  }
  ::umask(caller.umask & 0777);
}

CallerIdentity::~CallerIdentity() {
  if (!assumed_) return;
  ::umask(0);
  if (switched_) restore();
}

Result<void> CallerIdentity::assume(const Caller& caller) {
  std::vector<gid_t> groups = caller.groups ? *caller.groups : groups_of_process(caller.pid);
  const OwnIdentity& own = own_identity();
  if (caller.uid == own.uid && caller.gid == own.gid && groups == own.groups) return {};
  switched_ = true;
  // The user last: it takes the capabilities away that the others need.
  if (set_groups_of_thread(groups) && set_file_system_group(caller.gid) && set_file_system_user(caller.uid))
    return {};
  const int reason = errno != 0 ? errno : EPERM;
  restore();
  switched_ = false;
  return Error::from_errno(reason, "acting as the caller");
}

void CallerIdentity::restore() {
  const OwnIdentity& own = own_identity();
  if (set_file_system_user(own.uid) && set_file_system_group(own.gid) && set_groups_of_thread(own.groups))
    return;
  std::fputs("kmsfs: a thread could not give up a caller's identity\n", stderr);
  std::abort();
}

}  // namespace kmsfs
