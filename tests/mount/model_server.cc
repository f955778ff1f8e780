// Mounts a volume on a KMS in memory for the model test, and unmounts it when its standard input ends.
//
//   model_server openssl|ipsec-mb writeback|no-writeback transport=NAME
//
// Says "mounted DIRECTORY" when programs can use DIRECTORY/mnt; each line that it reads mounts anew, which it
// says again. A process of its own, because a program that maps a file of a mount that it serves itself can
// wait for itself.
#include <sys/prctl.h>

#include <csignal>
#include <iostream>
#include <string>

#include "core/locked_memory.h"
#include "core/xaes.h"
#include "tests/support/mounted_volume.h"

int main(int argc, char** argv) {
  using namespace kmsfs;  // NOLINT
  if (argc != 4) return 2;
  std::signal(SIGPIPE, SIG_IGN);
  const std::string aead = argv[1], writeback = argv[2];
  LockedMemory::Options memory;
  memory.allow_unlocked = true;
  if (!LockedMemory::start(memory)) return 1;
  auto started = start_crypto(aead == "openssl" ? AeadBackend::kOpenSsl : AeadBackend::kIpsecMb);
  if (!started) {
    std::cout << "unsupported " << started.error().text << std::endl;
    return 0;
  }
  MountOptions options;
  options.writeback = writeback == "writeback";
  if (!options.take(argv[3])) return 2;
  options.nodev = false;
  options.nosuid = false;
  kmsfs::testing::MountedVolume volume(options);
  std::cout << "mounted " << volume.top() << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    volume.remount();
    std::cout << "mounted " << volume.top() << std::endl;
  }
  return 0;
}
