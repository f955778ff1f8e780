#include "core/process.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/locked_memory.h"

namespace kmsfs {

namespace {

void raise_to_hard_limit(__rlimit_resource resource) {
  rlimit limit{};
  if (::getrlimit(resource, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(resource, &limit);
}

}  // namespace

void open_standard_streams() {
  int fd = 0;
  while (fd >= 0 && fd <= STDERR_FILENO) fd = ::open("/dev/null", O_RDWR);
  if (fd > STDERR_FILENO) ::close(fd);
}

Result<void> secure_process(const ProcessOptions& options) {
  const rlimit none{0, 0};
  if (::setrlimit(RLIMIT_CORE, &none) != 0) return Error::from_errno(errno, "forbidding core files");
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) return Error::from_errno(errno, "forbidding traces of the process");
  raise_to_hard_limit(RLIMIT_MEMLOCK);

  LockedMemory::Options memory;
  memory.allow_unlocked = options.allow_unlocked_memory;
  KMSFS_TRY(LockedMemory::start(memory));
  return start_crypto(options.backend);
}

void raise_descriptor_limit() { raise_to_hard_limit(RLIMIT_NOFILE); }

void share_one_heap() { ::mallopt(M_ARENA_MAX, 1); }

}  // namespace kmsfs
