// How records are written: what kms/records.cc and kms/identities share. Included by .cc files only.
//
// Threads: plain functions.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "core/random.h"
#include "kms/errors.h"

namespace kmsfs::kms::record_json {

using Json = nlohmann::json;

inline constexpr std::size_t kGenerationSize = 8;

inline Error damaged(std::string_view what) {
  return internal_failure(
      error(Kind::kUnavailable, "the key store holds a damaged record of " + std::string(what)));
}

inline Bytes stored(const Json& json) {
  // Descriptions may hold any bytes; what is not UTF-8 is replaced rather than refused here.
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  Bytes out(kGenerationSize + text.size());
  random_bytes(ByteSpan(out).first(kGenerationSize));
  std::memcpy(out.data() + kGenerationSize, text.data(), text.size());
  return out;
}

inline Json parse(ByteView bytes) {
  if (bytes.size() < kGenerationSize) return {};
  return Json::parse(as_text(bytes.subspan(kGenerationSize)), nullptr, false);
}

// Members that must be there, one after the other; remembers whether one was not.
class Members {
 public:
  explicit Members(const Json& json) : json_(json), ok_(json.is_object()) {}
  bool ok() const { return ok_; }

  bool has(const char* name) const { return ok_ && json_.contains(name); }
  const Json* find(const char* name) {
    if (!ok_) return nullptr;
    const auto found = json_.find(name);
    if (found == json_.end()) ok_ = false;
    return ok_ ? &*found : nullptr;
  }
  std::string text(const char* name) {
    const Json* json = find(name);
    ok_ = json != nullptr && json->is_string();
    return ok_ ? json->get<std::string>() : std::string();
  }
  std::int64_t number(const char* name) {
    const Json* json = find(name);
    ok_ = json != nullptr && json->is_number_integer();
    return ok_ ? json->get<std::int64_t>() : 0;
  }
  template <typename AnyId>
  AnyId id(const char* name) {
    auto parsed = AnyId::parse_hex(text(name));
    ok_ = ok_ && parsed.ok();
    return ok_ ? *parsed : AnyId{};
  }
  template <typename Value>
  Value choice(const char* name, const std::map<std::string, Value>& choices) {
    const auto found = choices.find(text(name));
    ok_ = ok_ && found != choices.end();
    return ok_ ? found->second : Value{};
  }
  std::vector<std::string> texts(const char* name) {
    std::vector<std::string> out;
    const Json* json = find(name);
    ok_ = json != nullptr && json->is_array();
    for (std::size_t i = 0; ok_ && i < json->size(); ++i) {
      ok_ = (*json)[i].is_string();
      if (ok_) out.push_back((*json)[i].get<std::string>());
    }
    return out;
  }
  std::map<std::string, std::string> pairs(const char* name) {
    std::map<std::string, std::string> out;
    const Json* json = find(name);
    ok_ = json != nullptr && json->is_object();
    if (!ok_) return out;
    for (const auto& [key, value] : json->items()) {
      ok_ = ok_ && value.is_string();
      if (ok_) out[key] = value.get<std::string>();
    }
    return out;
  }

 private:
  const Json& json_;
  bool ok_;
};

}  // namespace kmsfs::kms::record_json
