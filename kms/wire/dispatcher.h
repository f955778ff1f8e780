// One operation of the KMS in AWS JSON 1.1: JSON in, JSON or an AWS error out.
//
// Always: JSON is read strictly (a name twice in one object, invalid UTF-8 and excessive depth are refused;
// members that the operation does not know are ignored, null is as good as absent), and is held against the
// constraints of AWS's model before the service sees anything. Plain text goes from and to base64 in locked
// memory. Every operation of AWS's model has an answer; a name that is none of them is
// UnknownOperationException. The caller has been authenticated by whoever asks.
// Threads: any.
#pragma once

#include <string>
#include <string_view>

#include "core/bytes.h"
#include "kms/requests.h"
#include "kms/wire/body.h"

namespace kmsfs::kms {

class Service;

class Dispatcher {
 public:
  // `service` must outlive it.
  explicit Dispatcher(Service& service) : service_(service) {}

  struct Answer {
    int status = 200;                  // 400: the caller's fault; 500: ours, worth a retry
    Body body;                         // empty for operations without output
    const char* error_code = nullptr;  // static string, "NotFoundException"; null: the call succeeded
    std::string error_text;            // what went wrong, for a log
  };
  // `operation` without prefix: "Encrypt".
  Answer call(std::string_view operation, ByteView json, const Invocation& from);

 private:
  Service& service_;
};

// {"__type": code, "message": message}; without a message where AWS has none. 400 unless the error is ours.
Dispatcher::Answer answer_of(const Error& error);

}  // namespace kmsfs::kms
