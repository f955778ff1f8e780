// What `kmsfs doctor` concludes from what it saw: one finding for each thing that a mount needs.
//
// Always: decides only, looks at nothing; no finding holds a secret. The exit code of a finding that fails is
// the one that `kmsfs mount` would end with. Threads: pure functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/exit_codes.h"
#include "core/locked_memory.h"
#include "fs/volume.h"

namespace kmsfs::cli {

enum class Verdict { kOk, kWarn, kFail };
std::string_view to_string(Verdict verdict);  // "ok", "warn", "FAIL"

struct Finding {
  Verdict verdict = Verdict::kOk;
  std::string what;
  std::string detail;
  std::string advice = {};  // what to do; empty: nothing
  ExitCode code = ExitCode::kOk;
};
using Findings = std::vector<Finding>;

struct HostFacts {
  enum class Helper { kMissing, kNotSetUid, kUsable };
  bool root = true;
  bool may_mount = true;  // CAP_SYS_ADMIN, which root has where no container took it
  int fuse_errno = 0;     // of opening /dev/fuse
  Helper helper = Helper::kUsable;
  bool user_allow_other = false;
  std::string uring;               // the kernel's fuse.enable_uring, Y or N; empty: it has none
  bool device_is_quicker = false;  // than io_uring, on this machine
  std::optional<Error> not_secured;
  LockedMemory::Mode memory_mode = LockedMemory::Mode::kSecret;
  std::uint64_t memory = 0;              // bytes that keys may take
  std::optional<std::uint64_t> memlock;  // RLIMIT_MEMLOCK; empty: no limit
  bool dumpable = false;
  std::uint64_t descriptors = 0;  // the hard limit
  std::string aead;
};
Findings judge_host(const HostFacts& facts);

struct VolumeFacts {
  std::string path;
  std::optional<Error> error;   // why it is no volume; then only the file system below is known, if that
  VolumeParameters parameters;  // not authenticated
  bool in_use = false;          // somebody holds the volume's lock
  std::string mountpoint;       // where we see it mounted
  std::string file_system;      // its type, as mount(8) names it; empty: not known
  bool read_only = false;
  std::uint64_t block_size = 0;
  std::optional<bool> stable_pages;  // of the block device, if there is one
};
Findings judge_volume(const VolumeFacts& facts);

// A KMS that did not open. `expected`: somebody, or a volume, says that there is one.
Finding judge_opening(const std::string& uri, const Error& error, bool expected);
// One that answered; `ahead`: of our clock, if the answer tells.
Finding judge_answer(const std::string& uri, std::chrono::milliseconds took);
Finding judge_clock(std::chrono::seconds ahead);
Finding judge_credentials(const Result<std::string>& source);
Finding judge_principal(const Result<std::string>& principal);

// `state`: DescribeKey's KeyState.
Finding judge_key(const std::string& key, const Result<std::string>& state);
// `answer`: to the operation as a dry run; nothing is an answer without an error, of a KMS that has none.
enum class Permission { kGenerateDataKey, kDecrypt };
Finding judge_permission(Permission permission, const std::string& key, const std::optional<Error>& answer);

// That of the first finding that fails.
ExitCode exit_code_of(const Findings& findings);

}  // namespace kmsfs::cli
