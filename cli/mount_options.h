// What `kmsfs mount` is asked to do, from its flags and from the comma-separated words of -o.
//
// fstab and mount(8) speak in -o alone, so every flag has a word: kms=, kms_user=, profile=,
// insecure_http, passphrase_file=, backend=, key_age=, probe_interval=, outage_grace=, ro, noguard. A word
// that nobody knows is an error that names it. A secret is an error too, and is not repeated: options are
// world-readable. Threads: plain values.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "core/result.h"
#include "core/xaes.h"
#include "fs/mount_point.h"

namespace kmsfs::cli {

struct MountRequest {
  std::string backing;
  MountOptions mount;
  std::string kms_uri;   // empty: what the volume says, otherwise the default
  std::string kms_user;  // empty: this uid's own
  std::string profile;   // of the AWS configuration; empty: the usual one
  bool insecure_http = false;
  std::string passphrase_file;
  bool foreground = false;
  bool debug = false;
  bool guard = true;
  AeadBackend backend = AeadBackend::kAutomatic;
  std::chrono::seconds key_age{300};
  std::chrono::seconds probe_interval{30};
  std::chrono::seconds outage_grace{0};
  bool allow_unlocked_memory = false;
};

// Takes every word of `words`. A comma inside a value is written "\,". kInvalid names the word.
Result<void> take_options(std::string_view words, MountRequest& request);

Result<AeadBackend> parse_backend(std::string_view name);

// Seconds within the limits of the option; kInvalid names it.
Result<std::chrono::seconds> parse_key_age(std::string_view seconds);
Result<std::chrono::seconds> parse_probe_interval(std::string_view seconds);
Result<std::chrono::seconds> parse_outage_grace(std::string_view seconds);

}  // namespace kmsfs::cli
