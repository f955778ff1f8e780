// What a caller proves who it is with, and who holds it.
//
// Always: secret access key and session token are in locked memory. Temporary credentials are fetched anew
// before they expire; while they are still good, a source that fails changes nothing. Threads: Credentials as
// a const struct; a holder: any, together. One thread fetches, the others wait for it or go on with what is
// good.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "core/clock.h"
#include "core/result.h"
#include "kms/sensitive_bytes.h"
#include "kmsclient/survival.h"

namespace kmsfs {

struct Credentials {
  std::string access_key_id;
  kms::SensitiveBytes secret_access_key;
  std::optional<kms::SensitiveBytes> session_token;
  std::optional<WallTime> expires;
  std::string source;  // for errors: "the environment"
};

// Text that is secret, in memory of its own.
Result<kms::SensitiveBytes> sensitive_copy(std::string_view text);

// 2026-11-28T14:00:00Z, fractions of a second and +00:00 allowed.
std::optional<WallTime> parse_iso_time(std::string_view text);

class CredentialsHolder {
 public:
  using Fetch = std::function<Result<Credentials>(const Deadline&)>;

  CredentialsHolder(Fetch fetch, const Clock& clock) : fetch_(std::move(fetch)), clock_(clock) {}

  // Good ones; kUnavailable if there are none to be had, kDenied if STS says no.
  Result<std::shared_ptr<const Credentials>> get(const Deadline& deadline);
  // The service does not accept these: the next get() fetches. What the error says of them stays true if the
  // source has no others.
  void refused(const Credentials& credentials);

 private:
  bool is_good(WallTime margin) const;

  const Fetch fetch_;
  const Clock& clock_;
  std::mutex mutex_;  // never held while fetching
  std::condition_variable fetched_;
  bool fetching_ = false;
  std::uint64_t fetches_ = 0;
  std::shared_ptr<const Credentials> current_;
  std::optional<Error> failure_;  // of the last fetch
  BootTime retry_at_{};           // after a failure
};

}  // namespace kmsfs
