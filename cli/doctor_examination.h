// Looks at this host, a volume and its KMS for `kmsfs doctor`, one step after the other, within a time.
//
// Always: nothing is changed; what does not answer (a disk, a network file system, a store that is locked) is
// itself a finding, and not waited for. The KMS records what it is asked, as ever. Threads: as said.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "cli/commands.h"
#include "cli/doctor_findings.h"

namespace kmsfs::cli {

// Where a running examination writes; safe to use from its thread while the other reads.
class Notes {
 public:
  virtual ~Notes() = default;
  virtual void begin(std::string step) = 0;  // "the backing directory"
  virtual void add(Findings findings) = 0;
};

struct Examined {
  Findings findings;
  bool ended = true;  // false: its thread still hangs somewhere; leave by _exit
};
// Runs `work` on a thread of its own; past the limit the step that it is at is a finding that fails.
Examined examine_within(std::chrono::milliseconds limit, std::function<void(Notes&)> work);

// `not_secured`: what secure_process() said.
HostFacts look_at_host(std::optional<Error> not_secured);
VolumeFacts look_at_volume(const std::string& backing);
// `volume`: nothing if none was named, or it is none.
void ask_kms(const DoctorRequest& request, const std::optional<VolumeParameters>& volume, Notes& notes);

}  // namespace kmsfs::cli
