// What a KMS answers when it does not do what was asked: the AWS code, and the Kind that callers decide on.
// Threads: any.
#pragma once

#include <string>

#include "core/result.h"

namespace kmsfs::kms {

inline Error answer(Kind kind, const char* code, std::string text) {
  return Error{kind, 0, std::move(text), code};
}

inline Error key_not_found(std::string text) {
  return answer(Kind::kKeyGone, "NotFoundException", std::move(text));
}
inline Error validation(std::string text) {
  return answer(Kind::kInvalid, "ValidationException", std::move(text));
}
inline Error access_denied(std::string text) {
  return answer(Kind::kDenied, "AccessDeniedException", std::move(text));
}
// One answer for every blob that does not open, whatever is wrong with it.
inline Error invalid_ciphertext() {
  return answer(Kind::kCorrupt, "InvalidCiphertextException",
                "the ciphertext is damaged, or the encryption context is not the one it was made with");
}
inline Error incorrect_key() {
  return answer(Kind::kCorrupt, "IncorrectKeyException",
                "The key ID in the request does not identify a CMK that can perform this operation.");
}
// Store or audit log cannot be used now: worth a retry, and never a verdict about key or data.
inline Error internal_failure(Error error) {
  if (error.kind == Kind::kSystem || error.kind == Kind::kDenied || error.kind == Kind::kNotFound) {
    error.kind = Kind::kUnavailable;
  }
  error.code = "KMSInternalException";
  return error;
}

}  // namespace kmsfs::kms
