#include "kms/wire/dispatcher.h"

namespace kmsfs::kms {

Dispatcher::Answer answer_of(const Error& error) {
  Dispatcher::Answer answer;
  answer.status = error.kind == Kind::kUnavailable ? 500 : 400;
  answer.error_code = error.code;
  return answer;
}

Dispatcher::Answer Dispatcher::call(std::string_view, ByteView, const Invocation&) {
  static_cast<void>(service_);
  Error unknown = error(Kind::kUnsupported, "not there yet");
  unknown.code = "UnknownOperationException";
  return answer_of(unknown);
}

}  // namespace kmsfs::kms
