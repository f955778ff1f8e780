// What administration answers when it does not do what was asked: IAM's codes and texts.
// Threads: any.
#pragma once

#include <string>

#include "kms/errors.h"

namespace kmsfs::kms {

inline Error no_such_entity(const std::string& what, const std::string& name) {
  return answer(Kind::kNotFound, "NoSuchEntity", "The " + what + " with name " + name + " cannot be found.");
}
inline Error entity_exists(const std::string& what, const std::string& name) {
  return answer(Kind::kExists, "EntityAlreadyExists", what + " with name " + name + " already exists.");
}
inline Error delete_conflict(const std::string& what_first) {
  return answer(Kind::kInvalid, "DeleteConflict", "Cannot delete entity, must " + what_first + " first.");
}
inline Error quota_exceeded(const std::string& quota, std::size_t limit) {
  return answer(Kind::kInvalid, "LimitExceeded",
                "Cannot exceed quota for " + quota + ": " + std::to_string(limit));
}
inline Error malformed_document(std::string text) {
  return answer(Kind::kInvalid, "MalformedPolicyDocument", std::move(text));
}
inline Error invalid_input(std::string text) {
  return answer(Kind::kInvalid, "InvalidInput", std::move(text));
}
inline Error validation_error(std::string text) {
  return answer(Kind::kInvalid, "ValidationError", std::move(text));
}

}  // namespace kmsfs::kms
