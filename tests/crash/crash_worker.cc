// Does a workload in a volume and kills itself, as `kill -9` would, before the n-th change of the backing
// directory.
//
//   crash_worker KMS-URI BACKING WORKLOAD N
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/locked_memory.h"
#include "core/xaes.h"
#include "kmsclient/provider.h"
#include "tests/crash/open_volume.h"
#include "tests/crash/workloads.h"

int main(int argc, char** argv) {
  using namespace kmsfs;  // NOLINT
  const auto fail = [](const std::string& text) {
    std::fprintf(stderr, "crash_worker: %s\n", text.c_str());
    return 1;
  };
  if (argc != 5) return fail("usage: crash_worker KMS-URI BACKING WORKLOAD N");
  LockedMemory::Options memory;
  memory.allow_unlocked = true;
  if (auto started = LockedMemory::start(memory); !started) return fail(started.error().text);
  if (auto started = start_crypto(); !started) return fail(started.error().text);
  const SystemClock clock;
  KmsAccess access;
  access.uri = argv[1];
  auto kms = open_kms(access, clock, make_null_logger());
  if (!kms) return fail(kms.error().text);
  const std::size_t limit = std::strtoul(argv[4], nullptr, 10);
  crash::RecordingDisk disk(argv[2], [limit](std::size_t done) {
    if (done >= limit) ::raise(SIGKILL);
  });
  crash::OpenVolume volume(disk, argv[2], **kms, clock, false);
  if (!volume.failure().empty()) return fail(volume.failure());
  testing::PlainTree tree(volume.file_system());
  crash::History history(disk, tree);
  for (const crash::Workload& workload : crash::workloads()) {
    if (workload.promise == argv[3]) workload.run(history);
  }
  return 0;
}
