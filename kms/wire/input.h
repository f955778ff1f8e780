// The members of a request, by name and as what the service takes.
//
// Only for members that check_members() has been through: an Input does not fail on what a client sent.
// Absent members are empty texts, empty lists, empty optionals. Threads: as the document.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kms/requests.h"
#include "kms/wire/json_reader.h"

namespace kmsfs::kms {

class Input {
 public:
  explicit Input(const JsonValue& object) : object_(object) {}

  bool has(std::string_view name) const { return object_.member(name).has_value(); }
  std::string text(std::string_view name) const;
  std::optional<std::string> optional_text(std::string_view name) const;
  std::optional<std::int64_t> integer(std::string_view name) const;
  bool flag(std::string_view name) const;
  std::vector<std::string> texts(std::string_view name) const;
  std::vector<Tag> tags(std::string_view name) const;
  EncryptionContext context(std::string_view name) const;
  Bytes blob(std::string_view name) const;
  Result<SensitiveBytes> secret(std::string_view name) const;
  std::optional<Input> structure(std::string_view name) const;

 private:
  JsonValue object_;
};

}  // namespace kmsfs::kms
