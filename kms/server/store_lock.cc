#include "kms/server/store_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "kms/private_file.h"

namespace kmsfs::kms {

Result<StoreLock> StoreLock::take(const std::string& directory) {
  auto opened = open_private_directory(directory, "the key store");
  if (!opened) return std::move(opened).error();
  const std::string path = directory + "/kmsd.lock";
  UniqueFd file(
      ::openat(opened->get(), "kmsd.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  if (!file) return Error::from_errno(errno, "opening " + path);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return Error::from_errno(errno, "locking " + path);
    std::array<std::byte, 20> holder{};
    const auto size = read_up_to(file.get(), holder);
    std::string process;
    if (size && *size > 1)
      process = " (process " + std::string(as_text(ByteView(holder).first(*size - 1))) + ")";
    return error(Kind::kBusy, "another kmsd serves " + directory + process + "; stop it first");
  }
  const std::string process = std::to_string(::getpid()) + "\n";
  if (::ftruncate(file.get(), 0) != 0) return Error::from_errno(errno, "writing " + path);
  // For people only: on a full disk the file stays empty and the lock is as good.
  (void)write_all(file.get(), as_bytes(process));
  return StoreLock(std::move(file));
}

}  // namespace kmsfs::kms
