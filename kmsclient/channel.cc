#include "kmsclient/channel.h"

#include <algorithm>
#include <cstring>
#include <ctime>

namespace kmsfs {

namespace {

using namespace std::chrono_literals;

constexpr auto kWrongClock = 4min;  // services allow 5

constexpr const char* kSkewCodes[] = {"InvalidSignatureException", "SignatureDoesNotMatch", "RequestExpired"};
constexpr const char* kStaleCredentialCodes[] = {"ExpiredTokenException", "ExpiredToken",
                                                 "UnrecognizedClientException", "InvalidClientTokenId"};

template <std::size_t N>
bool is_one_of(const Error& error, const char* const (&codes)[N]) {
  if (error.code == nullptr) return false;
  return std::any_of(std::begin(codes), std::end(codes),
                     [&](const char* code) { return std::strcmp(code, error.code) == 0; });
}

bool same_secret(const Credentials& a, const Credentials& b) {
  return a.access_key_id == b.access_key_id &&
         as_text(a.secret_access_key.reveal()) == as_text(b.secret_access_key.reveal()) &&
         a.session_token.has_value() == b.session_token.has_value() &&
         (!a.session_token || as_text(a.session_token->reveal()) == as_text(b.session_token->reveal()));
}

}  // namespace

std::optional<WallTime> parse_http_date(const std::string& text) {
  std::tm parts{};
  if (::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts) == nullptr) return std::nullopt;
  return std::chrono::seconds(::timegm(&parts));
}

// What came of one attempt.
struct Channel::Attempt {
  std::optional<kms::SensitiveBytes> body;  // it went well
  std::optional<Error> error;
  bool reached = true;                      // the service; otherwise the error is of our own side
  bool retry = false;                       // it may go better
  std::optional<Milliseconds> retry_after;  // the service says when
  std::string date;
  std::shared_ptr<const Credentials> credentials;  // it was signed with
};

Channel::Channel(Endpoint endpoint, std::shared_ptr<Transport> transport, const Clock& clock,
                 const SurvivalLimits& limits, Pause pause)
    : endpoint_(std::move(endpoint)),
      transport_(std::move(transport)),
      clock_(clock),
      limits_(limits),
      pause_(std::move(pause)),
      budget_(limits.budget),
      breaker_(limits.breaker_failures, limits.breaker_pause, clock),
      gate_(limits.calls_at_once) {}

Error Channel::named(Error error) const {
  return std::move(error).during("the service at " +
                                 (endpoint_.is_signed() ? endpoint_.host : endpoint_.given));
}

Result<kms::SensitiveBytes> Channel::exchange(const ServiceRequest& request, CredentialsHolder* signer,
                                              const Deadline& deadline) {
  bool clock_corrected = false, credentials_renewed = false;
  for (int attempts = 1;; ++attempts) {
    Attempt made = attempt(request, signer, deadline);
    if (made.body) {
      budget_.give_back();
      return std::move(*made.body);
    }
    const Error& reason = *made.error;
    // Two cures that cost no pause, each tried once.
    if (!clock_corrected && correct_clock(reason, made.date)) {
      clock_corrected = true;
      continue;
    }
    if (!credentials_renewed && made.credentials && is_one_of(reason, kStaleCredentialCodes)) {
      credentials_renewed = true;
      signer->refused(*made.credentials);
      const auto renewed = signer->get(deadline);
      if (renewed && !same_secret(**renewed, *made.credentials)) continue;
    }
    if (!made.reached) return std::move(*made.error);
    if (!made.retry || attempts >= limits_.attempts) return named(std::move(*made.error));
    const Milliseconds pause = made.retry_after ? std::min(*made.retry_after, limits_.longest_retry_after)
                                                : jittered_pause(limits_, attempts);
    if (pause >= deadline.left() || !budget_.take()) return named(std::move(*made.error));
    pause_(pause);
  }
}

Channel::Attempt Channel::attempt(const ServiceRequest& request, CredentialsHolder* signer,
                                  const Deadline& deadline) {
  Attempt made;
  const auto stopped = [&made](Error error) {
    made.error = std::move(error);
    return std::move(made);
  };
  // Before the breaker is asked: a source that is slow says nothing about this service.
  if (signer != nullptr && endpoint_.is_signed()) {
    auto credentials = signer->get(deadline);
    made.reached = credentials.ok();
    if (!credentials) return stopped(std::move(credentials).error());
    made.credentials = std::move(*credentials);
  }
  auto headers = headers_of(request, made.credentials.get());
  made.reached = headers.ok();
  if (!headers) return stopped(std::move(headers).error());
  const auto place = gate_.enter(deadline.left());
  if (!place || deadline.passed()) return stopped(error(Kind::kUnavailable, "it did not answer in time"));
  if (!breaker_.admit()) {
    return stopped(error(Kind::kUnavailable, "it has failed " + std::to_string(limits_.breaker_failures) +
                                                 " times in a row; it is tried again within " +
                                                 std::to_string(limits_.breaker_pause.count()) + " ms"));
  }
  HttpCall call;
  call.url = endpoint_.url;
  call.unix_socket = endpoint_.unix_socket;
  call.ca_bundle = endpoint_.ca_bundle;
  call.proxy = endpoint_.proxy;
  call.no_proxy = endpoint_.no_proxy;
  call.headers = *headers;
  call.body = request.body;
  call.deadline = std::clamp(deadline.left(), Milliseconds(1), limits_.call_deadline);
  auto answer = transport_->send(call);
  // Among them a session token.
  for (kms::OwnedHeader& header : *headers) ::explicit_bzero(header.value.data(), header.value.size());
  if (auto* failure = std::get_if<TransportFailure>(&answer)) {
    failure->error.kind == Kind::kNoMemory ? breaker_.abandoned() : breaker_.failed();
    made.retry = failure->retry;
    return stopped(std::move(failure->error));
  }
  Attempt judged = judge(request, std::move(std::get<HttpReply>(answer)));
  judged.credentials = std::move(made.credentials);
  return judged;
}

Channel::Attempt Channel::judge(const ServiceRequest& request, HttpReply reply) {
  Attempt made;
  made.date = std::move(reply.date);
  made.retry_after = reply.retry_after;
  if (reply.status >= 200 && reply.status < 300) {
    breaker_.succeeded();
    made.body = std::move(reply.body);
    return made;
  }
  made.error = request.error_of(reply.status, reply.error_type, reply.body.reveal());
  // Throttling is an answer of a service that works; whoever fails answers 5xx, or nothing that makes sense.
  made.error->kind == Kind::kUnavailable ? breaker_.failed() : breaker_.succeeded();
  const bool failed =
      reply.status >= 500 || (made.error->kind == Kind::kUnavailable && made.error->code != nullptr);
  made.retry = failed || made.error->kind == Kind::kThrottled;
  return made;
}

Result<std::vector<kms::OwnedHeader>> Channel::headers_of(const ServiceRequest& request,
                                                          const Credentials* credentials) const {
  std::vector<kms::OwnedHeader> headers = {{"Host", endpoint_.host},
                                           {"Content-Type", std::string(request.content_type)}};
  if (!request.target.empty()) headers.push_back({"X-Amz-Target", std::string(request.target)});
  if (credentials == nullptr) return headers;
  if (request.region.empty()) {
    return error(Kind::kInvalid,
                 "the region to sign for is not known; set AWS_REGION, or name the key by its ARN");
  }
  std::vector<kms::HttpHeader> views;
  for (const kms::OwnedHeader& header : headers) views.push_back({header.name, header.value});
  const kms::SignableRequest signable{"POST", "/", views};
  kms::SigningCredentials signing{credentials->access_key_id, credentials->secret_access_key.reveal(), {}};
  if (credentials->session_token) signing.session_token = as_text(credentials->session_token->reveal());
  const WallTime now = clock_.wall_time() + WallTime(clock_offset_ns_.load());
  auto added = kms::sign(signable, request.body, signing, request.region, request.service, now);
  if (!added) return std::move(added).error();
  for (kms::OwnedHeader& header : *added) headers.push_back(std::move(header));
  return headers;
}

// If our clock is far from the service's, its time counts from now on. True if that is news.
bool Channel::correct_clock(const Error& error, const std::string& date) {
  if (!is_one_of(error, kSkewCodes)) return false;
  const auto theirs = parse_http_date(date);
  if (!theirs) return false;
  const WallTime ours = clock_.wall_time();
  const WallTime apart = *theirs - (ours + WallTime(clock_offset_ns_.load()));
  if (apart < kWrongClock && apart > -kWrongClock) return false;
  clock_offset_ns_ = (*theirs - ours).count();
  return true;
}

}  // namespace kmsfs
