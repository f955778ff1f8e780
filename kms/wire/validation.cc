// Holds a request against the model, in AWS's words.
#include <algorithm>
#include <string>
#include <vector>

#include "kms/errors.h"
#include "kms/wire/model.h"

namespace kmsfs::kms {

namespace {

// --- Types ---

std::string_view token_of(JsonType type) {
  switch (type) {
    case JsonType::kNull:
      return "NULL_VALUE";
    case JsonType::kBoolean:
      return "BOOLEAN_VALUE";
    case JsonType::kNumber:
      return "NUMBER_VALUE";
    case JsonType::kString:
      return "STRING_VALUE";
    case JsonType::kList:
      return "Start of list";
    case JsonType::kObject:
      return "Start of structure or map";
  }
  return "";
}

Error unexpected(const JsonValue& value, std::string_view wanted) {
  std::string text(token_of(value.type()));
  if (value.is(JsonType::kList) || value.is(JsonType::kObject)) {
    text += " found where not expected.";
  } else {
    text.append(" can not be converted to ").append(wanted);
  }
  return answer(Kind::kInvalid, "SerializationException", std::move(text));
}

Result<void> check_types(const JsonValue& value, const Shape& shape);

Result<void> check_member_types(const JsonValue& value, std::span<const Member> members) {
  if (!value.is(JsonType::kObject)) return unexpected(value, "a Structure");
  for (const Member& member : members) {
    if (const auto found = value.member(member.name)) KMSFS_TRY(check_types(*found, *member.shape));
  }
  return {};
}

Result<void> check_types(const JsonValue& value, const Shape& shape) {
  switch (shape.type) {
    case MemberType::kString:
      if (!value.is(JsonType::kString)) return unexpected(value, "a String");
      return {};
    case MemberType::kBlob:
      if (!value.is(JsonType::kString)) return unexpected(value, "a Blob");
      if (!value.blob_size()) {
        return answer(Kind::kInvalid, "SerializationException",
                      "STRING_VALUE is no base64 and can not be converted to a Blob");
      }
      return {};
    case MemberType::kInteger:
      if (!value.integer()) return unexpected(value, "an Integer");
      return {};
    case MemberType::kBoolean:
      if (!value.is(JsonType::kBoolean)) return unexpected(value, "a Boolean");
      return {};
    case MemberType::kStringMap:
      if (!value.is(JsonType::kObject)) return unexpected(value, "a Map");
      for (const JsonValue& one : value.children()) {
        if (!one.is(JsonType::kString) && !one.is(JsonType::kNumber)) return unexpected(one, "a String");
      }
      return {};
    case MemberType::kList:
      if (!value.is(JsonType::kList)) return unexpected(value, "a List");
      for (const JsonValue& one : value.children()) KMSFS_TRY(check_types(one, *shape.element));
      return {};
    case MemberType::kStructure:
      return check_member_types(value, shape.members);
  }
  return {};
}

// --- Constraints ---

// KeyId → keyId
std::string lower_camel(std::string_view name) {
  std::string out(name);
  if (!out.empty() && out[0] >= 'A' && out[0] <= 'Z') out[0] = static_cast<char>(out[0] - 'A' + 'a');
  return out;
}

std::vector<std::uint32_t> code_points(std::string_view utf8) {
  std::vector<std::uint32_t> points;
  points.reserve(utf8.size());
  for (const char c : utf8) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      points.push_back(byte);
    } else if (byte < 0xc0) {
      points.back() = points.back() << 6 | (byte & 0x3fU);
    } else {
      points.push_back(byte & (byte < 0xe0 ? 0x1fU : byte < 0xf0 ? 0x0fU : 0x07U));
    }
  }
  return points;
}

std::string set_text(std::span<const std::string_view> values) {
  std::string out = "[";
  for (const std::string_view value : values) out.append(out.size() > 1 ? ", " : "").append(value);
  return out + "]";
}

std::string too_long(const Shape& shape) {
  return "Member must have length less than or equal to " + std::to_string(shape.max);
}
std::string too_short(const Shape& shape) {
  return "Member must have length greater than or equal to " + std::to_string(shape.min);
}
std::string not_in_set(const Shape& shape) {
  return "Member must satisfy enum value set: " + set_text(shape.values);
}
std::string no_match(const Shape& shape) {
  return "Member must satisfy regular expression pattern: " + std::string(shape.pattern);
}

// What a string breaks; empty if nothing.
std::vector<std::string> broken_by_text(const std::string& text, const Shape& shape) {
  std::vector<std::string> broken;
  if (!shape.values.empty()) {
    if (std::find(shape.values.begin(), shape.values.end(), text) == shape.values.end()) {
      broken.push_back(not_in_set(shape));
    }
    return broken;
  }
  if (shape.max < 0) return broken;
  const auto points = code_points(text);
  const auto length = static_cast<std::int64_t>(points.size());
  if (length > shape.max) broken.push_back(too_long(shape));
  if (length < shape.min) broken.push_back(too_short(shape));
  if (shape.allows != nullptr && !std::all_of(points.begin(), points.end(), shape.allows)) {
    broken.push_back(no_match(shape));
  }
  return broken;
}

// All that a string in a list must satisfy: AWS names it whole.
std::string all_of_element(const Shape& shape) {
  std::string out = "Member must satisfy constraint: [";
  if (!shape.values.empty()) return out + not_in_set(shape) + "]";
  out.append(too_long(shape)).append(", ").append(too_short(shape));
  if (shape.allows != nullptr) out.append(", ").append(no_match(shape));
  return out + "]";
}

class Constraints {
 public:
  void check_members(const JsonValue& value, std::span<const Member> members, const std::string& path) {
    for (const Member& member : members) {
      const std::string at = path + lower_camel(member.name);
      if (const auto found = value.member(member.name)) {
        check(*found, *member.shape, at);
      } else if (member.required) {
        add(member.shape->secret ? "" : "null", at, "Member must not be null");
      }
    }
  }

  Result<void> outcome() const {
    if (broken_.empty()) return {};
    std::string text = std::to_string(broken_.size());
    text += broken_.size() == 1 ? " validation error detected: " : " validation errors detected: ";
    for (std::size_t i = 0; i < broken_.size(); ++i) text.append(i > 0 ? "; " : "").append(broken_[i]);
    return validation(std::move(text));
  }

 private:
  void add(std::string_view value, const std::string& path, std::string_view constraint) {
    std::string text = "Value ";
    if (!value.empty()) text.append(value).append(" ");
    broken_.push_back(
        text.append("at '").append(path).append("' failed to satisfy constraint: ").append(constraint));
  }
  static std::string quoted(std::string_view value) { return "'" + std::string(value) + "'"; }

  void check(const JsonValue& value, const Shape& shape, const std::string& path) {
    switch (shape.type) {
      case MemberType::kString: {
        const std::string text = value.text();
        for (const std::string& broken : broken_by_text(text, shape)) {
          add(shape.secret ? "" : quoted(text), path, broken);
        }
        return;
      }
      case MemberType::kBlob: {
        const auto size = static_cast<std::int64_t>(value.blob_size().value_or(0));
        if (size > shape.max) add("", path, too_long(shape));
        if (size < shape.min) add("", path, too_short(shape));
        return;
      }
      case MemberType::kInteger: {
        const std::int64_t number = value.integer().value_or(0);
        const std::string start = "Member must have value ";
        if (number > shape.max) {
          add(quoted(value.raw()), path, start + "less than or equal to " + std::to_string(shape.max));
        }
        if (number < shape.min) {
          add(quoted(value.raw()), path, start + "greater than or equal to " + std::to_string(shape.min));
        }
        return;
      }
      case MemberType::kList:
        return check_list(value, shape, path);
      case MemberType::kStructure:
        return check_members(value, shape.members, path + ".");
      case MemberType::kBoolean:
      case MemberType::kStringMap:
        return;
    }
  }

  void check_list(const JsonValue& value, const Shape& shape, const std::string& path) {
    const auto elements = value.children();
    std::string printed = "[";
    bool broken = false;
    for (std::size_t i = 0; i < elements.size(); ++i) {
      if (shape.element->type == MemberType::kStructure) {
        check(elements[i], *shape.element, path + "." + std::to_string(i + 1) + ".member");
        continue;
      }
      const std::string text = elements[i].text();
      printed.append(i > 0 ? ", " : "").append(text);
      broken = broken || !broken_by_text(text, *shape.element).empty();
    }
    printed += "]";
    if (shape.max >= 0 && static_cast<std::int64_t>(elements.size()) > shape.max) {
      add(quoted(printed), path, too_long(shape));
    }
    if (broken) add(quoted(printed), path, all_of_element(*shape.element));
  }

  std::vector<std::string> broken_;
};

}  // namespace

Result<void> check_members(const JsonValue& request, std::span<const Member> members) {
  KMSFS_TRY(check_member_types(request, members));
  Constraints constraints;
  constraints.check_members(request, members, "");
  return constraints.outcome();
}

}  // namespace kmsfs::kms
