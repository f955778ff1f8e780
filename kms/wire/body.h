// The body of an answer: in locked memory if plain text is in it, otherwise anywhere.
// Threads: as a const array.
#pragma once

#include <cstring>
#include <string>
#include <utility>
#include <variant>

#include "core/bytes.h"
#include "kms/sensitive_bytes.h"

namespace kmsfs::kms {

class Body {
 public:
  Body() = default;
  explicit Body(std::string text) : bytes_(std::move(text)) {}
  explicit Body(SensitiveBytes bytes) : bytes_(std::move(bytes)) {}

  ByteView view() const {
    if (const auto* text = std::get_if<std::string>(&bytes_)) return as_bytes(*text);
    return std::get<SensitiveBytes>(bytes_).reveal();
  }
  std::size_t size() const { return view().size(); }

  // All of it in locked memory; kNoMemory when that is full.
  Result<SensitiveBytes> into_sensitive() && {
    if (auto* sensitive = std::get_if<SensitiveBytes>(&bytes_)) return std::move(*sensitive);
    const ByteView from = view();
    auto copy = SensitiveBytes::make(from.size());
    if (copy && !from.empty()) std::memcpy(copy->fill().data(), from.data(), from.size());
    return copy;
  }

 private:
  std::variant<std::string, SensitiveBytes> bytes_;
};

}  // namespace kmsfs::kms
