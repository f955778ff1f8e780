// What a KMS answers when it does not do what was asked: the AWS code, and the Kind that callers decide on.
// Threads: any.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

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
inline Error invalid_state(std::string text) {
  return answer(Kind::kDisabled, "KMSInvalidStateException", std::move(text));
}
inline Error limit_exceeded(std::string text) {
  return answer(Kind::kInvalid, "LimitExceededException", std::move(text));
}
inline Error not_authorized(std::string text) {
  return answer(Kind::kDenied, "NotAuthorizedException", std::move(text));
}
inline Error dry_run_succeeded() {
  return answer(Kind::kInvalid, "DryRunOperationException",
                "The request would have succeeded, but the DryRun option is set.");
}

// Constraints of the API's model, worded as AWS does.
inline Error constraint(std::string_view member, std::string_view demand, std::string_view value = {}) {
  std::string text = "1 validation error detected: Value ";
  if (!value.empty()) text.append("'").append(value).append("' ");
  return validation(text.append("at '")
                        .append(member)
                        .append("' failed to satisfy constraint: Member must ")
                        .append(demand));
}
inline Result<void> check_number(std::string_view member, std::int64_t value, std::int64_t least,
                                 std::int64_t most) {
  if (value < least) {
    return constraint(member, "have value greater than or equal to " + std::to_string(least),
                      std::to_string(value));
  }
  if (value > most) {
    return constraint(member, "have value less than or equal to " + std::to_string(most),
                      std::to_string(value));
  }
  return {};
}
inline Result<void> check_length(std::string_view member, std::size_t size, std::size_t least,
                                 std::size_t most) {
  if (size < least) {
    return constraint(member, "have length greater than or equal to " + std::to_string(least));
  }
  if (size > most) return constraint(member, "have length less than or equal to " + std::to_string(most));
  return {};
}

// Of Engine::change: nothing was to be done. Never reaches a caller.
inline constexpr char kNotRecorded[] = "NotRecorded";
inline Error not_recorded() { return answer(Kind::kInternal, kNotRecorded, "nothing was to be done"); }

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
