// A KmsCaller on a store that this process has open: the same JSON, without a network.
//
// Always: as kmsclient/caller.h says. Threads: any, together.
#pragma once

#include <memory>
#include <string>

#include "kms/service.h"
#include "kms/wire/dispatcher.h"
#include "kmsclient/caller.h"

namespace kmsfs {

class LocalCaller final : public KmsCaller {
 public:
  // `endpoint` is what endpoint() says; `principal` an ARN that the store knows.
  LocalCaller(std::unique_ptr<kms::Service> service, std::string endpoint, std::string principal);

  std::string endpoint() const override { return endpoint_; }
  Result<std::string> principal() override { return from_.principal; }
  Result<kms::SensitiveBytes> call(std::string_view operation, ByteView json) override;

 private:
  const std::unique_ptr<kms::Service> service_;
  kms::Dispatcher dispatcher_;
  const std::string endpoint_;
  const kms::Invocation from_;
};

}  // namespace kmsfs
