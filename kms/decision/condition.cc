#include "kms/decision/condition.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/bytes.h"

namespace kmsfs::kms {

namespace {

struct KnownOperator {
  std::string_view name;
  Comparison comparison;
  bool negated;
};

constexpr KnownOperator kOperators[] = {
    {"StringEquals", Comparison::kStringEquals, false},
    {"StringNotEquals", Comparison::kStringEquals, true},
    {"StringEqualsIgnoreCase", Comparison::kStringEqualsIgnoreCase, false},
    {"StringNotEqualsIgnoreCase", Comparison::kStringEqualsIgnoreCase, true},
    {"StringLike", Comparison::kStringLike, false},
    {"StringNotLike", Comparison::kStringLike, true},
    {"NumericEquals", Comparison::kNumericEquals, false},
    {"NumericNotEquals", Comparison::kNumericEquals, true},
    {"NumericLessThan", Comparison::kNumericLess, false},
    {"NumericLessThanEquals", Comparison::kNumericLessEquals, false},
    {"NumericGreaterThan", Comparison::kNumericGreater, false},
    {"NumericGreaterThanEquals", Comparison::kNumericGreaterEquals, false},
    {"DateEquals", Comparison::kDateEquals, false},
    {"DateNotEquals", Comparison::kDateEquals, true},
    {"DateLessThan", Comparison::kDateLess, false},
    {"DateLessThanEquals", Comparison::kDateLessEquals, false},
    {"DateGreaterThan", Comparison::kDateGreater, false},
    {"DateGreaterThanEquals", Comparison::kDateGreaterEquals, false},
    {"Bool", Comparison::kBool, false},
    {"BinaryEquals", Comparison::kBinaryEquals, false},
    {"IpAddress", Comparison::kIpAddress, false},
    {"NotIpAddress", Comparison::kIpAddress, true},
    {"ArnEquals", Comparison::kArnLike, false},
    {"ArnNotEquals", Comparison::kArnLike, true},
    {"ArnLike", Comparison::kArnLike, false},
    {"ArnNotLike", Comparison::kArnLike, true},
    {"Null", Comparison::kNull, false},
};

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (text.size() < prefix.size() || !equals_ignore_case(text.substr(0, prefix.size()), prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

bool take_suffix(std::string_view& text, std::string_view suffix) {
  if (text.size() < suffix.size() || !equals_ignore_case(text.substr(text.size() - suffix.size()), suffix)) {
    return false;
  }
  text.remove_suffix(suffix.size());
  return true;
}

Result<double> parse_number(std::string_view text) {
  double value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
    return error(Kind::kInvalid, "'" + std::string(text) + "' is not a number");
  }
  return value;
}

Result<bool> parse_bool(std::string_view text) {
  if (equals_ignore_case(text, "true")) return true;
  if (equals_ignore_case(text, "false")) return false;
  return error(Kind::kInvalid, "'" + std::string(text) + "' is neither true nor false");
}

Result<std::string> parse_binary(std::string_view text) {
  auto bytes = from_base64(text);
  if (!bytes) return error(Kind::kInvalid, "'" + std::string(text) + "' is not base64");
  return std::string(as_text(*bytes));
}

template <typename T, typename Value>
bool compare_ordered(Comparison comparison, T left, const Value& right) {
  switch (comparison) {
    case Comparison::kNumericEquals:
    case Comparison::kDateEquals:
      return left == right;
    case Comparison::kNumericLess:
    case Comparison::kDateLess:
      return left < right;
    case Comparison::kNumericLessEquals:
    case Comparison::kDateLessEquals:
      return left <= right;
    case Comparison::kNumericGreater:
    case Comparison::kDateGreater:
      return left > right;
    case Comparison::kNumericGreaterEquals:
    case Comparison::kDateGreaterEquals:
      return left >= right;
    default:
      return false;
  }
}

// Does the parsed value compare with any of `candidates`? A value that cannot be parsed compares with none.
template <typename T, typename U>
bool any_compares(Comparison comparison, const Result<T>& value, const std::vector<U>& candidates) {
  return value && std::any_of(candidates.begin(), candidates.end(), [&](const U& candidate) {
           return compare_ordered(comparison, *value, candidate);
         });
}

template <typename T>
bool any_equals(const Result<T>& value, const std::vector<T>& candidates) {
  return value && std::find(candidates.begin(), candidates.end(), *value) != candidates.end();
}

bool any_matches(const Condition& condition, std::string_view value, const Request& request) {
  const auto any_text = [&](auto matches) {
    return std::any_of(condition.texts.begin(), condition.texts.end(), matches);
  };
  switch (condition.op.comparison) {
    case Comparison::kStringEquals:
      return any_text([&](const Pattern& p) { return p.equals(value, request); });
    case Comparison::kStringEqualsIgnoreCase:
      return any_text([&](const Pattern& p) { return p.equals_ignore_case(value, request); });
    case Comparison::kStringLike:
      return any_text([&](const Pattern& p) { return p.like(value, request); });
    case Comparison::kArnLike:
      return any_text([&](const Pattern& p) { return p.arn_like(value, request); });
    case Comparison::kNumericEquals:
    case Comparison::kNumericLess:
    case Comparison::kNumericLessEquals:
    case Comparison::kNumericGreater:
    case Comparison::kNumericGreaterEquals:
      return any_compares(condition.op.comparison, parse_number(value), condition.numbers);
    case Comparison::kDateEquals:
    case Comparison::kDateLess:
    case Comparison::kDateLessEquals:
    case Comparison::kDateGreater:
    case Comparison::kDateGreaterEquals:
      return any_compares(condition.op.comparison, parse_date(value), condition.dates_ms);
    case Comparison::kBool:
      return any_equals(parse_bool(value), condition.truths);
    case Comparison::kBinaryEquals:
      return any_equals(parse_binary(value), condition.binaries);
    case Comparison::kIpAddress:
      return std::any_of(condition.ranges.begin(), condition.ranges.end(),
                         [&](const AddressRange& range) { return contains(range, value); });
    case Comparison::kNull:
      return false;  // holds() looks at presence alone
  }
  return false;
}

Result<void> add_value(Condition& condition, const std::string& text, Pattern::Variables variables) {
  const auto keep = [](auto& list, auto parsed) -> Result<void> {
    if (!parsed) return std::move(parsed).error();
    list.push_back(std::move(*parsed));
    return {};
  };
  switch (condition.op.comparison) {
    case Comparison::kStringEquals:
    case Comparison::kStringEqualsIgnoreCase:
    case Comparison::kStringLike:
      return keep(condition.texts, Pattern::parse(text, variables));
    case Comparison::kArnLike:
      if (text != "*" && text.rfind("arn:", 0) != 0 && text.rfind("${", 0) != 0 && text.rfind("*:", 0) != 0) {
        return error(Kind::kInvalid, "'" + text + "' is not an ARN");
      }
      return keep(condition.texts, Pattern::parse(text, variables));
    case Comparison::kNumericEquals:
    case Comparison::kNumericLess:
    case Comparison::kNumericLessEquals:
    case Comparison::kNumericGreater:
    case Comparison::kNumericGreaterEquals:
      return keep(condition.numbers, parse_number(text));
    case Comparison::kDateEquals:
    case Comparison::kDateLess:
    case Comparison::kDateLessEquals:
    case Comparison::kDateGreater:
    case Comparison::kDateGreaterEquals:
      return keep(condition.dates_ms, parse_date(text));
    case Comparison::kBool:
    case Comparison::kNull:
      return keep(condition.truths, parse_bool(text));
    case Comparison::kBinaryEquals:
      return keep(condition.binaries, parse_binary(text));
    case Comparison::kIpAddress:
      return keep(condition.ranges, parse_address_range(text));
  }
  return {};
}

}  // namespace

Result<Operator> parse_operator(std::string_view text) {
  Operator op;
  op.text = text;
  if (take_prefix(text, "ForAllValues:")) {
    op.set = SetOperator::kForAllValues;
  } else if (take_prefix(text, "ForAnyValue:")) {
    op.set = SetOperator::kForAnyValue;
  }
  op.if_exists = take_suffix(text, "IfExists");
  for (const KnownOperator& known : kOperators) {
    if (!equals_ignore_case(text, known.name)) continue;
    op.comparison = known.comparison;
    op.negated = known.negated;
    if (known.comparison == Comparison::kNull && (op.if_exists || op.set != SetOperator::kNone)) break;
    return op;
  }
  return error(Kind::kInvalid, "'" + op.text + "' is not a condition operator");
}

Result<Condition> make_condition(Operator op, ContextKey key, const std::vector<std::string>& values,
                                 Pattern::Variables variables) {
  Condition condition;
  condition.op = std::move(op);
  condition.key = std::move(key);
  for (const std::string& value : values) KMSFS_TRY(add_value(condition, value, variables));
  return condition;
}

bool Condition::holds(const Request& request) const {
  const ContextValues values(key, request);
  if (op.comparison == Comparison::kNull) {
    return std::find(truths.begin(), truths.end(), !values.present()) != truths.end();
  }
  if (values.size() == 0) {
    if (op.if_exists || op.set == SetOperator::kForAllValues) return true;
    return op.negated && op.set == SetOperator::kNone;
  }
  const bool wanted = op.set != SetOperator::kNone && op.negated ? false : true;
  std::size_t hits = 0;
  for (std::size_t i = 0; i < values.size(); ++i) hits += any_matches(*this, values[i], request) == wanted;
  if (op.set == SetOperator::kForAllValues) return hits == values.size();
  if (op.set == SetOperator::kForAnyValue) return hits > 0;
  return (hits > 0) != op.negated;
}

}  // namespace kmsfs::kms
