// The administration of a kmsd, over DIR/admin.sock: open to root and to the uid that kmsd runs as.
//
// Always: replies are in locked memory. A kmsd that does not answer ends the call after a while. Threads:
// any.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/bytes.h"
#include "kms/sensitive_bytes.h"

namespace kmsfs::cli {

class AdminSocket {
 public:
  // Nothing: no kmsd serves the store in that directory.
  static std::optional<AdminSocket> of(const std::string& directory);

  // Errors as the operation has them; kUnavailable if kmsd does not answer.
  Result<kms::SensitiveBytes> call(std::string_view operation, ByteView json) const;

 private:
  explicit AdminSocket(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace kmsfs::cli
