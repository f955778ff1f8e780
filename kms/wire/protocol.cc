#include "kms/wire/protocol.h"

#include <spdlog/spdlog.h>

#include <array>
#include <cstdio>
#include <ctime>
#include <exception>
#include <utility>

#include "kms/administration.h"
#include "kms/errors.h"
#include "kms/names.h"
#include "kms/service.h"
#include "kms/wire/authenticator.h"
#include "kms/wire/dispatcher.h"
#include "kms/wire/refusals.h"
#include "kms/wire/sts.h"

namespace kmsfs::kms {

namespace {

constexpr std::string_view kJsonType = "application/x-amz-json-1.1";
constexpr std::string_view kFormType = "application/x-www-form-urlencoded";
constexpr std::string_view kTarget = "TrentService.";
constexpr const char* kInternal =
    "The request was rejected because an internal exception occurred. The request can be retried.";

// "Sun, 06 Nov 1994 08:49:37 GMT", in English whatever the locale is.
std::string http_date(const Clock& clock) {
  static constexpr std::array kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t seconds = std::chrono::floor<std::chrono::seconds>(clock.wall_time()).count();
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 80> text{};
  std::snprintf(text.data(), text.size(), "%s, %02d %s %04d %02d:%02d:%02d GMT",
                kDays[static_cast<std::size_t>(utc.tm_wday)], utc.tm_mday,
                kMonths[static_cast<std::size_t>(utc.tm_mon)], utc.tm_year + 1900, utc.tm_hour, utc.tm_min,
                utc.tm_sec);
  return text.data();
}

HttpAnswer make_answer(int status, std::string_view type, Body body, std::string request_id,
                       const Clock& clock) {
  HttpAnswer answer;
  answer.status = status;
  answer.headers = {{"x-amzn-RequestId", std::move(request_id)}, {"Date", http_date(clock)}};
  if (!type.empty()) answer.headers.push_back({"Content-Type", std::string(type)});
  answer.body = std::move(body);
  return answer;
}

bool is_health(const HttpRequest& request) {
  return request.target == "/health" && (request.method == "GET" || request.method == "HEAD");
}

HttpAnswer healthy() { return {}; }

bool is_form(const HttpRequest& request) {
  const std::string_view type = single_header(request.headers, "content-type");
  return type.substr(0, kFormType.size()) == kFormType &&
         (type.size() == kFormType.size() || type[kFormType.size()] == ';' || type[kFormType.size()] == ' ');
}

std::string_view path_of(const HttpRequest& request) {
  return request.target.substr(0, request.target.find('?'));
}

}  // namespace

struct Protocol::State {
  State(Service& of, const Clock& its_clock, Logger its_logger)
      : clock(its_clock),
        engine(of.administration().engine()),
        dispatcher(of),
        authenticator(engine, its_clock),
        refusals(its_clock, std::move(its_logger)) {}

  HttpAnswer call_kms(const HttpRequest& request, const Peer& peer, const std::string& id) {
    auto from = authenticator.authenticate(request, peer, "kms");
    if (!from) return kms_error(from.error(), id, peer);
    from->request_id = id;
    const std::string_view target = single_header(request.headers, "x-amz-target");
    if (!target.starts_with(kTarget)) {
      return kms_answer(answer_of(answer(Kind::kUnsupported, "UnknownOperationException",
                                         "X-Amz-Target must be TrentService.OPERATION.")),
                        id);
    }
    return kms_answer(dispatcher.call(target.substr(kTarget.size()), request.body, *from), id);
  }

  HttpAnswer call_sts(const HttpRequest& request, const Peer& peer, const std::string& id) {
    auto from = authenticator.authenticate(request, peer, "sts");
    StsAnswer sts;
    if (from) {
      from->request_id = id;
      sts = answer_sts(engine, as_text(request.body), *from);
    } else {
      sts = sts_error(from.error(), id);
      if (sts.internal_error.empty()) refusals.count(from.error(), peer);
    }
    if (!sts.internal_error.empty()) refusals.log_failure(sts.internal_error);
    return make_answer(sts.status, "text/xml", std::move(sts.body), id, clock);
  }

  // Of a request that was not authenticated.
  HttpAnswer kms_error(const Error& error, const std::string& id, const Peer& peer) {
    Dispatcher::Answer answer = answer_of(error);
    if (answer.status < 500) refusals.count(error, peer);
    return kms_answer(std::move(answer), id);
  }

  // What failed on our side stands in the log; the caller hears that it did.
  HttpAnswer kms_answer(Dispatcher::Answer answer, const std::string& id) {
    if (answer.status >= 500) {
      refusals.log_failure(answer.error_text);
      answer = answer_of(kms::answer(Kind::kUnavailable, "KMSInternalException", kInternal));
    }
    return make_answer(answer.status, kJsonType, std::move(answer.body), id, clock);
  }

  HttpAnswer handle(const HttpRequest& request, const Peer& peer) {
    if (is_health(request)) return healthy();
    const std::string id = new_uuid();
    if (request.method != "POST" || path_of(request) != "/") {
      HttpAnswer refused =
          kms_answer(answer_of(answer(Kind::kUnsupported, "UnknownOperationException",
                                      "Calls of the KMS are POST / with X-Amz-Target, or a form for STS.")),
                     id);
      refused.status = 404;
      return refused;
    }
    if (request.body.size() > kHttpBodyLimit) {
      return answer_with_error(413, "RequestEntityTooLargeException", "The request body is too large.",
                               clock);
    }
    const bool sts = header_values(request.headers, "x-amz-target").empty() && is_form(request);
    return sts ? call_sts(request, peer, id) : call_kms(request, peer, id);
  }

  const Clock& clock;
  Engine& engine;
  Dispatcher dispatcher;
  Authenticator authenticator;
  Refusals refusals;
};

Protocol::Protocol(Service& service, const Clock& clock, Logger logger)
    : state_(std::make_unique<State>(service, clock, std::move(logger))) {}
Protocol::~Protocol() = default;

HttpAnswer Protocol::handle(const HttpRequest& request, const Peer& peer) {
  try {
    return state_->handle(request, peer);
  } catch (const std::exception& failed) {  // out of memory
    state_->refusals.log_failure(failed.what());
    return answer_with_error(500, "KMSInternalException", kInternal, state_->clock);
  }
}

std::uint64_t Protocol::unauthenticated_requests() const { return state_->refusals.count(); }

HttpAnswer answer_while_sealed(const HttpRequest& request, const Clock& clock) {
  if (is_health(request)) return healthy();
  return answer_with_error(500, "KMSInternalException", kInternal, clock);
}

HttpAnswer answer_with_error(int status, std::string_view code, std::string_view message,
                             const Clock& clock) {
  std::string body;
  JsonWriter(body).begin().text("__type", code).text("message", message).end();
  return make_answer(status, kJsonType, Body(std::move(body)), new_uuid(), clock);
}

}  // namespace kmsfs::kms
