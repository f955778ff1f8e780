#include "kmsclient/credentials/credentials.h"

#include <cstring>
#include <ctime>

namespace kmsfs {

namespace {

using namespace std::chrono_literals;

constexpr WallTime kRefreshBefore = 5min;  // as AWS's SDKs: fetched anew, the old ones serving meanwhile
constexpr WallTime kUselessBefore = 15s;   // not signed with any more: it must be good when it arrives
constexpr BootTime kPauseAfterFailure = 1s;

}  // namespace

Result<kms::SensitiveBytes> sensitive_copy(std::string_view text) {
  auto copy = kms::SensitiveBytes::make(text.size());
  if (copy && !text.empty()) std::memcpy(copy->fill().data(), text.data(), text.size());
  return copy;
}

std::optional<WallTime> parse_iso_time(std::string_view text) {
  const std::string copy(text);
  std::tm parts{};
  const char* rest = ::strptime(copy.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr) return std::nullopt;
  if (*rest == '.') {
    ++rest;
    while (*rest >= '0' && *rest <= '9') ++rest;
  }
  long offset = 0;  // what the text's clock is ahead of UTC
  if (std::string_view(rest) != "Z") {
    unsigned hours = 0, minutes = 0;
    char sign = 0, end = 0;
    if (std::sscanf(rest, "%c%2u:%2u%c", &sign, &hours, &minutes, &end) != 3 ||
        (sign != '+' && sign != '-')) {
      return std::nullopt;
    }
    offset = static_cast<long>(hours * 3600 + minutes * 60) * (sign == '+' ? 1 : -1);
  }
  return std::chrono::seconds(::timegm(&parts) - offset);
}

bool CredentialsHolder::is_good(WallTime margin) const {
  return current_ && (!current_->expires || *current_->expires - margin > clock_.wall_time());
}

Result<std::shared_ptr<const Credentials>> CredentialsHolder::get(const Deadline& deadline) {
  std::unique_lock lock(mutex_);
  if (is_good(kRefreshBefore)) return current_;
  const bool rested = !failure_ || clock_.boot_time() >= retry_at_;
  if (is_good(kUselessBefore) && (fetching_ || !rested)) return current_;
  if (!fetching_ && !rested) return *failure_;
  if (fetching_) {
    const std::uint64_t seen = fetches_;
    if (!fetched_.wait_for(lock, deadline.left(), [&] { return fetches_ != seen; })) {
      return error(Kind::kUnavailable, "the credentials did not come in time");
    }
    if (is_good(kUselessBefore)) return current_;
    return failure_.value_or(error(Kind::kUnavailable, "the credentials that came have expired"));
  }
  fetching_ = true;
  lock.unlock();
  auto fetched = fetch_(deadline);
  lock.lock();
  fetching_ = false;
  ++fetches_;
  failure_.reset();
  if (fetched) {
    current_ = std::make_shared<const Credentials>(std::move(*fetched));
    if (!is_good(kUselessBefore)) {
      failure_ = error(Kind::kUnavailable, "the credentials from " + current_->source + " have expired");
    }
  } else {
    failure_ = std::move(fetched).error();
  }
  if (failure_) retry_at_ = clock_.boot_time() + kPauseAfterFailure;
  fetched_.notify_all();
  if (is_good(kUselessBefore)) return current_;
  return *failure_;
}

void CredentialsHolder::refused(const Credentials& credentials) {
  const std::lock_guard lock(mutex_);
  if (current_.get() == &credentials) current_.reset();
}

}  // namespace kmsfs
