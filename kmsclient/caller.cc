#include "kmsclient/caller.h"

namespace kmsfs {

Result<std::unique_ptr<KmsCaller>> open_caller(const KmsAccess& access, const Clock&, Logger) {
  return error(Kind::kUnsupported, "the KMS '" + access.uri + "' cannot be called yet");
}

}  // namespace kmsfs
