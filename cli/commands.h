// The commands of kmsfs, one file each: command_NAME.cc. main() parses and calls; a command returns how it
// ended.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/exit_codes.h"
#include "cli/mount_options.h"
#include "fs/volume.h"

namespace kmsfs::cli {

enum class SealChoice { kNone, kKeyFile, kPassphrase };

struct InitRequest {
  std::string backing;
  std::string kms_uri;
  std::string kms_user;
  std::string profile;         // of the AWS configuration; empty: the usual one
  bool insecure_http = false;  // also to another host
  std::string key = "alias/aws/kmsfs";
  KeyMode mode = KeyMode::kPerFile;
  SealChoice seal = SealChoice::kNone;
  std::string passphrase_file;
  bool allow_unlocked_memory = false;
};
Outcome run_init(const InitRequest& request);

// Returns when the mount stands (or, with `foreground`, when it has ended).
Outcome run_mount(const MountRequest& request);

struct UmountRequest {
  std::string mountpoint;
  bool lazy = false;
  bool unguard = false;
};
Outcome run_umount(const UmountRequest& request);

struct StatusRequest {
  std::string mountpoint;  // empty: all
  bool json = false;
};
Outcome run_status(const StatusRequest& request);

struct RevokeRequest {
  std::string mountpoint;
};
Outcome run_revoke(const RevokeRequest& request);

struct DoctorRequest {
  std::string backing;   // empty: of this host and the KMS only
  std::string kms_uri;   // empty: what the volume says, otherwise the default
  std::string kms_user;  // empty: this uid's own
  std::string profile;   // of the AWS configuration; empty: the usual one
  bool insecure_http = false;
  std::string passphrase_file;
  std::string key;  // empty: those of the volume
  bool json = false;
};
Outcome run_doctor(const DoctorRequest& request);

struct InfoRequest {
  std::vector<std::string> paths;
  bool json = false;
};
Outcome run_info(const InfoRequest& request);

// `words`: what follows "kmsfs kms"; cli/kms_commands.h says what they may be.
Outcome run_kms(std::span<const std::string_view> words);

}  // namespace kmsfs::cli
