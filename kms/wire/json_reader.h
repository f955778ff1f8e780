// JSON from outside, read strictly and in place: the document is checked as a whole, values are views into
// the caller's buffer, and nothing is copied until somebody asks for it.
//
// In place because plain text comes in as base64 in JSON: a parser that copies leaves it on the heap (that of
// nlohmann-json keeps each string it reads in two buffers of its own). secret() decodes straight into locked
// memory. Always: a document that parses is RFC 8259 in UTF-8, at most kJsonDepthLimit deep, and has no name
// twice in one object. A member that is null is as good as absent.
// Threads: a document is constant once parsed; the buffer must outlive it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "kms/sensitive_bytes.h"

namespace kmsfs::kms {

inline constexpr int kJsonDepthLimit = 32;  // KMS nests four deep

enum class JsonType : std::uint8_t { kNull, kBoolean, kNumber, kString, kList, kObject };

class JsonValue;

class JsonDocument {
 public:
  // kInvalid, SerializationException.
  static Result<JsonDocument> parse(ByteView text);
  JsonValue root() const;

 private:
  friend class JsonValue;
  friend class JsonParser;
  struct Range {
    std::uint32_t begin = 0, end = 0;
  };
  struct Node {
    JsonType type = JsonType::kNull;
    Range name;               // in an object; without the quotes
    Range text;               // of a string without the quotes
    std::uint32_t after = 0;  // the node that follows with all that is in this one
    std::uint32_t size = 0;   // members or elements
  };
  std::string_view of(const Range& range) const { return text_.substr(range.begin, range.end - range.begin); }

  std::string_view text_;
  std::vector<Node> nodes_;  // in the order of the text
};

class JsonValue {
 public:
  JsonType type() const { return node().type; }
  bool is(JsonType type) const { return node().type == type; }

  std::size_t size() const { return node().size; }                     // of a list or object
  std::optional<JsonValue> member(std::string_view name) const;        // absent or null: nothing
  std::vector<JsonValue> children() const;                             // elements, or members, in order
  std::string name() const;                                            // as a member
  std::string_view raw() const { return document_->of(node().text); }  // as it is written; numbers
  std::string text() const;                                            // of a string
  std::optional<std::int64_t> integer() const;                         // of a number without a fraction

  // Of a string of base64: how many bytes it stands for; nothing if it is no base64.
  std::optional<std::size_t> blob_size() const;
  Bytes blob() const;                     // only after blob_size() found it good
  Result<SensitiveBytes> secret() const;  // the same, into locked memory

 private:
  friend class JsonDocument;
  JsonValue(const JsonDocument& document, std::uint32_t index) : document_(&document), index_(index) {}
  const JsonDocument::Node& node() const { return document_->nodes_[index_]; }

  const JsonDocument* document_;
  std::uint32_t index_;
};

}  // namespace kmsfs::kms
