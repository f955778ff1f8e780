// Locks of programs, on shared volumes: on others the kernel keeps them itself.
#include <fcntl.h>

#include "fs/file_system_state.h"

namespace kmsfs {

Result<void> FileSystem::lock(NodeId id, HandleId handle, const ProgramLocks::Owner& owner,
                              const ProgramLocks::Range& range, bool wait) {
  State& s = *state_;
  auto node = s.regular(id);
  if (!node) return std::move(node).error();
  return s.program_locks.set(owner, handle, range, wait, s.opener(*node));
}

Result<ProgramLocks::Range> FileSystem::find_lock(NodeId id, const ProgramLocks::Owner& owner,
                                                  const ProgramLocks::Range& range) {
  State& s = *state_;
  auto node = s.regular(id);
  if (!node) return std::move(node).error();
  return s.program_locks.find_blocker(owner, range, s.opener(*node));
}

void FileSystem::unlock_all(const ProgramLocks::Owner& owner) { state_->program_locks.drop(owner); }

}  // namespace kmsfs
