// The JSON object that a service answers with, read where it stands: a reply that holds a key is never copied
// to be understood.
//
// Always: the whole text was checked (kms/wire/json_reader.h: strictly, no name twice). A member of another
// type is as good as absent, and so is one that is null. Borrows the text. Threads: as a const struct.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/secret.h"
#include "kms/wire/json_reader.h"

namespace kmsfs {

class JsonObject {
 public:
  // Empty: not JSON, or not an object.
  static std::optional<JsonObject> parse(ByteView text);

  std::string text(std::string_view name) const;  // never of secrets; empty if absent
  std::optional<double> number(std::string_view name) const;
  std::optional<JsonObject> object(std::string_view name) const;
  // Base64 that stands for 1 to `limit` bytes.
  std::optional<Bytes> blob(std::string_view name, std::size_t limit) const;

  // Into locked memory. kUnavailable with a text that names the member if it is absent or no such thing.
  Result<kms::SensitiveBytes> sensitive_text(std::string_view name) const;
  // Base64; kCorrupt if it is not of the size of a data key: the wrap then holds something else.
  Result<DataKey> data_key(std::string_view name) const;

 private:
  JsonObject(std::shared_ptr<const kms::JsonDocument> document, kms::JsonValue value)
      : document_(std::move(document)), value_(value) {}
  std::optional<kms::JsonValue> member(std::string_view name, kms::JsonType type) const;

  std::shared_ptr<const kms::JsonDocument> document_;  // also of the objects in it
  kms::JsonValue value_;
};

}  // namespace kmsfs
