// Any bytes as JSON: what our strict reader accepts, nlohmann-json accepts and reads the same; what that
// refuses, ours refuses too.
#include <nlohmann/json.hpp>

#include "kms/wire/json_reader.h"
#include "tests/fuzz/fuzz.h"

namespace {

using kmsfs::fuzz::require;
using kmsfs::kms::JsonType;
using kmsfs::kms::JsonValue;
using nlohmann::json;

void require_same(const JsonValue& ours, const json& theirs) {
  switch (ours.type()) {
    case JsonType::kNull:
      return require(theirs.is_null(), "null is null");
    case JsonType::kBoolean:
      return require(theirs.is_boolean(), "a boolean is one");
    case JsonType::kNumber: {
      require(theirs.is_number(), "a number is one");
      if (const auto integer = ours.integer(); integer && theirs.is_number_integer()) {
        require(*integer == theirs.get<std::int64_t>(), "integers are the same");
      }
      return;
    }
    case JsonType::kString: {
      require(theirs.is_string() && ours.text() == theirs.get_ref<const std::string&>(),
              "texts are the same");
      const auto size = ours.blob_size();
      const auto decoded = kmsfs::from_base64(ours.text());
      require(size.has_value() == decoded.ok(), "base64 is the same to both decoders");
      if (size) require(ours.blob() == *decoded && ours.blob().size() == *size, "blobs are the same");
      return;
    }
    case JsonType::kList: {
      const auto elements = ours.children();
      require(theirs.is_array() && theirs.size() == elements.size(), "lists have the same size");
      for (std::size_t i = 0; i < elements.size(); ++i) require_same(elements[i], theirs[i]);
      return;
    }
    case JsonType::kObject: {
      const auto members = ours.children();
      require(theirs.is_object() && theirs.size() == members.size(), "objects have the same size");
      for (const JsonValue& member : members) {
        const auto found = theirs.find(member.name());
        require(found != theirs.end(), "members have the same names");
        require_same(member, *found);
        require(ours.member(member.name()).has_value() != member.is(JsonType::kNull),
                "members are found by name");
      }
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = kmsfs::fuzz::view(data, size);
  const auto ours = kmsfs::kms::JsonDocument::parse(bytes);
  const auto text = kmsfs::as_text(bytes);
  if (!ours.ok()) {
    require(ours.error().code != nullptr, "a refusal has an error code");
    return 0;
  }
  // A number too large for a double is refused there, and nobody's concern here.
  json theirs;
  try {
    theirs = json::parse(text);
  } catch (const json::out_of_range&) {
    return 0;
  } catch (const json::exception&) {
    require(false, "what we read is JSON");
  }
  require_same(ours->root(), theirs);
  return 0;
}
