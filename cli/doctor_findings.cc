#include "cli/doctor_findings.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "cli/text.h"
#include "keycache/key_cache.h"

namespace kmsfs::cli {

namespace {

constexpr std::uint64_t kSensibleKeys = 4096, kSensibleDescriptors = 4096;
constexpr std::size_t kPage = 4096;                    // FORMAT.md, "What the disk must do"
constexpr auto kWrongClock = std::chrono::minutes(4);  // services allow 5

Finding ok(std::string what, std::string detail) {
  return {Verdict::kOk, std::move(what), std::move(detail)};
}
Finding warn(std::string what, std::string detail, std::string advice) {
  return {Verdict::kWarn, std::move(what), std::move(detail), std::move(advice)};
}
Finding fail(std::string what, std::string detail, std::string advice, ExitCode code) {
  return {Verdict::kFail, std::move(what), std::move(detail), std::move(advice), code};
}

Finding judge_device(const HostFacts& facts) {
  constexpr const char* kWhat = "/dev/fuse";
  if (facts.fuse_errno == 0) return ok(kWhat, "opens");
  const std::string detail = "does not open: " + std::generic_category().message(facts.fuse_errno);
  switch (facts.fuse_errno) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      return fail(kWhat, detail, "modprobe fuse; in a container: --device /dev/fuse", ExitCode::kMountpoint);
    case EACCES:
      return fail(kWhat, detail, "let users open it (mode 0666), or mount as root", ExitCode::kMountpoint);
    case EPERM:
      return fail(kWhat, detail, "the container may not use it: --device /dev/fuse", ExitCode::kMountpoint);
    default:
      return fail(kWhat, detail, "", ExitCode::kMountpoint);
  }
}

Finding judge_mounting(const HostFacts& facts) {
  if (facts.root) {
    if (facts.may_mount) return ok("mounting", "as root, with mount(2)");
    return fail("mounting", "root without CAP_SYS_ADMIN may not mount", "in a container: --cap-add SYS_ADMIN",
                ExitCode::kMountpoint);
  }
  switch (facts.helper) {
    case HostFacts::Helper::kMissing:
      return fail("mounting", "there is no fusermount3, which mounts for users", "install the package fuse3",
                  ExitCode::kMountpoint);
    case HostFacts::Helper::kNotSetUid:
      return fail("mounting", "fusermount3 is not set-uid root", "chmod u+s it, or install fuse3 anew",
                  ExitCode::kMountpoint);
    case HostFacts::Helper::kUsable:
      break;
  }
  return ok("mounting", "as a user, with fusermount3");
}

Finding judge_allow_other(const HostFacts& facts) {
  if (facts.user_allow_other) return ok("allow_other", "users may give it (/etc/fuse.conf)");
  return ok("allow_other", "only root may give it; user_allow_other in /etc/fuse.conf lets users");
}

Finding judge_memory(const HostFacts& facts) {
  constexpr const char* kWhat = "locked memory";
  constexpr const char* kRaise = "raise RLIMIT_MEMLOCK (ulimit -l, LimitMEMLOCK=, limits.conf)";
  // Its text says what to change.
  if (facts.not_secured) return fail(kWhat, facts.not_secured->text, "", exit_code_of(*facts.not_secured));
  const std::uint64_t keys = data_keys_within(facts.memory);
  const bool limited = facts.memlock && facts.memory <= *facts.memlock;
  const std::string detail = std::string(to_string(facts.memory_mode)) + ", " + readable_size(facts.memory) +
                             (limited ? " by RLIMIT_MEMLOCK" : "") + ": room for " + std::to_string(keys) +
                             " data keys";
  if (facts.memory_mode == LockedMemory::Mode::kUnlocked) {
    return warn(kWhat, detail + "; keys may be swapped to disk", kRaise);
  }
  if (keys < kSensibleKeys) return warn(kWhat, detail + "; more files than that ask the KMS again", kRaise);
  return ok(kWhat, detail);
}

Finding judge_file_system(const VolumeFacts& facts) {
  constexpr const char* kWhat = "backing files";
  const std::string& type = facts.file_system;
  for (const std::string_view network : {"nfs", "cifs", "smb", "9p", "afs", "ceph", "gluster", "lustre",
                                         "gfs2", "ocfs2", "virtiofs", "fuse"}) {
    if (!type.starts_with(network)) continue;
    return warn(kWhat, type + ": another host may reach them, and locks may not bind it",
                "mount the volume on one host at a time");
  }
  if (type == "tmpfs" || type == "ramfs") {
    return warn(kWhat, type + ": they are gone when the host restarts", "keep nothing there that matters");
  }
  const std::string detail = (type.empty() ? "file system not known" : type) +
                             (facts.read_only ? ", read-only: mounts read-only" : "");
  if (facts.block_size != 0 && facts.block_size % kPage != 0) {
    return warn(kWhat,
                detail + ", blocks of " + std::to_string(facts.block_size) +
                    " bytes: a power cut may damage a block that was being written",
                "use blocks of 4096 bytes");
  }
  if (facts.stable_pages.has_value() && !*facts.stable_pages && type != "btrfs") {
    return warn(kWhat, detail + ", pages not stable: a power cut may damage a block that was being written",
                "echo 1 > /sys/block/DEVICE/queue/stable_writes");
  }
  return ok(kWhat, detail);
}

bool is_code(const std::optional<Error>& error, const char* code) {
  return error && error->code != nullptr && std::strcmp(error->code, code) == 0;
}

// What holds for each question to a KMS that was not answered.
Finding judge_refusal(std::string what, const std::string& key, const Error& error) {
  const ExitCode code = exit_code_of(error);
  switch (error.kind) {
    case Kind::kDisabled:
      return fail(std::move(what), key + ": " + error.text,
                  "kmsfs kms enable-key, or cancel-key-deletion; until then nothing opens", code);
    case Kind::kKeyGone:
      return fail(std::move(what), key + ": " + error.text, "is this the KMS that has the key? see --kms",
                  code);
    case Kind::kThrottled:
      return warn(std::move(what), error.text, "ask again later");
    case Kind::kUnavailable:
      return fail(std::move(what), error.text, "see that the KMS runs and is not sealed", code);
    default:
      return fail(std::move(what), key + ": " + error.text, "", code);
  }
}

// A mount does without.
Finding judge_uring(const HostFacts& facts) {
  if (facts.uring.empty())
    return ok("io_uring", "this kernel has none for FUSE; requests come over /dev/fuse");
  if (facts.device_is_quicker)
    return ok("io_uring", "with two processors /dev/fuse is the quicker one, and is taken");
  if (facts.uring == "Y") return ok("io_uring", "the kernel's fuse.enable_uring is on");
  Finding off = ok("io_uring", "the kernel's fuse.enable_uring is off; requests come over /dev/fuse");
  off.advice = "write Y into /sys/module/fuse/parameters/enable_uring, or boot with fuse.enable_uring=1";
  return off;
}

}  // namespace

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "ok";
    case Verdict::kWarn:
      return "warn";
    case Verdict::kFail:
      break;
  }
  return "FAIL";
}

Findings judge_host(const HostFacts& facts) {
  Findings findings = {judge_device(facts), judge_mounting(facts), judge_allow_other(facts)};
  findings.push_back(judge_uring(facts));
  findings.push_back(judge_memory(facts));
  findings.push_back(facts.dumpable
                         ? fail("core dumps", "this process can be dumped and traced", "", ExitCode::kFailure)
                         : ok("core dumps", "forbidden"));
  const std::string descriptors = "at most " + std::to_string(facts.descriptors);
  findings.push_back(facts.descriptors < kSensibleDescriptors
                         ? warn("descriptors",
                                descriptors + "; a mount holds one for each file that is known",
                                "raise the hard limit (ulimit -Hn, LimitNOFILE=)")
                         : ok("descriptors", descriptors));
  if (!facts.not_secured) findings.push_back(ok("AEAD", facts.aead));
  return findings;
}

Findings judge_volume(const VolumeFacts& facts) {
  if (facts.error) {
    const bool absent = facts.error->kind == Kind::kNotFound;
    return {fail("volume", facts.path + ": " + facts.error->text,
                 absent ? "name the directory that kmsfs init made" : "",
                 absent ? ExitCode::kNotAVolume : exit_code_of(*facts.error))};
  }
  const VolumeParameters& parameters = facts.parameters;
  Findings findings = {ok("volume", parameters.id.hex() + ", format " +
                                        std::to_string(parameters.format_version) + ", headers of " +
                                        std::to_string(parameters.header_size) + " bytes")};
  for (const std::string& key : parameters.allowed_keys) findings.push_back(ok("master key", key));
  findings.push_back(ok("made with KMS", parameters.kms_uri));
  if (!facts.mountpoint.empty()) {
    findings.push_back(ok("mounted", "on " + facts.mountpoint));
  } else if (facts.in_use) {
    findings.push_back(warn("mounted", "the volume is in use, and no mount of it is seen from here",
                            "look in other mount namespaces; a kmsfs process may still be ending"));
  } else {
    findings.push_back(ok("mounted", "no"));
  }
  findings.push_back(judge_file_system(facts));
  return findings;
}

Finding judge_opening(const std::string& uri, const Error& error, bool expected) {
  const bool local = uri.starts_with("local:");
  const std::string detail = uri + ": " + error.text;
  if (error.kind == Kind::kNotFound && error.code == nullptr && !expected) {
    return warn("KMS", detail, "");  // the error says who makes one
  }
  const ExitCode code = local ? exit_code_of_opening_kms(error) : exit_code_of(error);
  switch (code) {
    case ExitCode::kKmsUnreachable:
      return fail("KMS", detail,
                  local ? "name the KMS that the volume was made with: --kms"
                        : "see that it runs, and that this host can reach it; --kms names another",
                  code);
    case ExitCode::kSealed:
      return fail("KMS", detail, "", code);
    default:
      return fail("KMS", detail, "see KMS URIs in kmsfs(1)", code);
  }
}

Finding judge_answer(const std::string& uri, std::chrono::milliseconds took) {
  return ok("KMS", uri + " answers, after " + std::to_string(took.count()) + " ms");
}

Finding judge_clock(std::chrono::seconds ahead) {
  const auto apart = std::chrono::abs(ahead);
  const std::string detail = "the KMS's is " + readable_duration(apart.count()) +
                             (ahead.count() < 0 ? " behind ours" : " ahead of ours");
  if (apart < kWrongClock) return ok("clock", apart.count() <= 1 ? "that of the KMS" : detail);
  return warn("clock", detail, "set the clock (NTP): signatures, and credentials that expire, depend on it");
}

Finding judge_credentials(const Result<std::string>& source) {
  if (!source) {
    return fail("credentials", source.error().text, "aws configure, or AWS_PROFILE; see kmsfs(1)",
                exit_code_of(source.error()));
  }
  return ok("credentials", source->empty() ? "not needed: the kernel says who asks" : "from " + *source);
}

Finding judge_principal(const Result<std::string>& principal) {
  if (principal) return ok("principal", *principal);
  const Error& error = principal.error();
  return fail("principal", error.text,
              error.kind == Kind::kDenied ? "see that the KMS knows these credentials, or this uid" : "",
              exit_code_of(error));
}

Finding judge_key(const std::string& key, const Result<std::string>& state) {
  constexpr const char* kWhat = "DescribeKey";
  if (!state) {
    const Error& error = state.error();
    if (error.kind != Kind::kDenied) return judge_refusal(kWhat, key, error);
    return warn(kWhat, "denied: " + error.text, "a mount does without; the state of the key is not known");
  }
  if (*state == "Enabled") return ok(kWhat, key + " is enabled");
  return fail(kWhat, key + " is not usable: " + *state,
              "kmsfs kms enable-key, or cancel-key-deletion; until then nothing opens",
              ExitCode::kKeyUnusable);
}

Finding judge_permission(Permission permission, const std::string& key, const std::optional<Error>& answer) {
  const bool decrypts = permission == Permission::kDecrypt;
  const std::string what = decrypts ? "Decrypt" : "GenerateDataKey";
  if (!answer || is_code(answer, "DryRunOperationException")) return ok(what, "allowed on " + key);
  if (answer->kind == Kind::kCorrupt) {
    return fail(what, key + ": " + answer->text,
                "the wrapped volume key is damaged or another key's: restore BACKING/.kmsfs/volume",
                ExitCode::kCorrupt);
  }
  if (answer->kind != Kind::kDenied) return judge_refusal(what, key, *answer);
  const std::string denied = "denied: " + answer->text;
  if (decrypts) return fail(what, denied, "without it the volume does not mount", ExitCode::kDenied);
  return warn(what, denied, "without it a volume mounts read-only, and none can be made");
}

ExitCode exit_code_of(const Findings& findings) {
  const auto failed = std::find_if(findings.begin(), findings.end(),
                                   [](const Finding& finding) { return finding.verdict == Verdict::kFail; });
  return failed == findings.end() ? ExitCode::kOk : failed->code;
}

}  // namespace kmsfs::cli
