// Makes the calling thread act on the backing directory as somebody else, for as long as the object lives.
//
// On root mounts: file system uid and gid and supplementary groups of the caller, so that what is created
// belongs to whom it should (setgid directories, quota and permission included). On every mount: the caller's
// umask, which the backing file system applies where no default ACL takes its place. Only the thread is
// changed, never the process. Always: the destructor restores the thread, or ends the process: a worker that
// kept a caller's identity would act for others.
#pragma once

#include <sys/types.h>

#include <optional>
#include <vector>

#include "core/result.h"

namespace kmsfs {

// Who asks, for ownership of what is created. Permission itself is checked by the kernel
// (default_permissions), or it is root's own mount.
struct Caller {
  uid_t uid = 0;
  gid_t gid = 0;
  pid_t pid = 0;
  mode_t umask = 0;  // applied to what is created, unless the directory has a default ACL; applying it twice
                     // does no harm
  std::optional<std::vector<gid_t>>
      groups;  // supplementary, if the kernel told; otherwise looked up by pid when needed
};

class CallerIdentity {
 public:
  // `switch_user`: a root mount; otherwise the umask alone.
  CallerIdentity(const Caller& caller, bool switch_user);
  ~CallerIdentity();
  CallerIdentity(const CallerIdentity&) = delete;
  CallerIdentity& operator=(const CallerIdentity&) = delete;

  // Ask before acting: an error means that the thread is still itself.
  const Result<void>& assumed() const { return assumed_; }

 private:
  Result<void> assume(const Caller& caller);
  void restore();

  bool switched_ = false;
  Result<void> assumed_;
};

// The supplementary groups of a process, from /proc; empty if it is gone.
std::vector<gid_t> groups_of_process(pid_t pid);
bool belongs_to(const Caller& caller, gid_t group);

}  // namespace kmsfs
