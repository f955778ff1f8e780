// The members of an answer, in the words of AWS JSON 1.1.
//
// Blobs are base64, times are seconds since the epoch with a fraction, a page ends with Truncated and, if
// more follows, NextMarker. Plain text goes from locked memory into locked memory: see body_with_plaintext().
// Threads: one.
#pragma once

#include <string>
#include <string_view>

#include "kms/audit_record.h"
#include "kms/requests.h"
#include "kms/wire/body.h"

namespace kmsfs::kms {

inline constexpr std::string_view kSymmetricDefault = "SYMMETRIC_DEFAULT";

// Begins an object; body() ends it.
class Output {
 public:
  Output() { json_.begin(); }
  Output(const Output&) = delete;  // its writer writes into it
  Output& operator=(const Output&) = delete;

  Output& text(std::string_view name, std::string_view value);
  Output& text_if_any(std::string_view name, std::string_view value);
  Output& number(std::string_view name, std::int64_t value);
  Output& flag(std::string_view name, bool value);
  Output& blob(std::string_view name, ByteView value);
  Output& time(std::string_view name, std::int64_t ms);
  Output& texts(std::string_view name, const std::vector<std::string>& values);
  Output& tags(std::string_view name, const std::vector<Tag>& values);
  Output& page(const std::string& next_marker);
  JsonWriter& json() { return json_; }  // for lists and objects within

  Body body() &&;
  // The same with a member Plaintext at its end. kNoMemory when locked memory is full.
  Result<Body> body_with_plaintext(const SensitiveBytes& plaintext) &&;

 private:
  std::string out_;
  JsonWriter json_{out_};
};

// 1593622000191 → 1593622000.191
std::string epoch_seconds(std::int64_t ms);
std::string_view name_of(KeyState state);

}  // namespace kmsfs::kms
