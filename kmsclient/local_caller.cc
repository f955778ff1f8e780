#include "kmsclient/local_caller.h"

#include "kmsclient/answers.h"
#include "kmsclient/local_store.h"

namespace kmsfs {

LocalCaller::LocalCaller(std::unique_ptr<kms::Service> service, std::string endpoint, std::string principal)
    : service_(std::move(service)),
      dispatcher_(*service_),
      endpoint_(std::move(endpoint)),
      from_(own_invocation(std::move(principal))) {}

Result<kms::SensitiveBytes> LocalCaller::call(std::string_view operation, ByteView json) {
  auto answer = dispatcher_.call(operation, json, from_);
  if (answer.error_code != nullptr)
    return error_of_json(answer.status, answer.error_code, answer.body.view());
  return std::move(answer.body).into_sensitive();
}

}  // namespace kmsfs
