// One condition of a statement: an operator, a condition key and the values it is compared with.
//
// A key that the request lacks: positive operators do not hold, negated ones do, ...IfExists holds, Null says
// so; ForAllValues holds over no values, ForAnyValue does not. Values are alternatives; under a negated
// operator none may match.
// Threads: any; const after parsing.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "kms/decision/context_key.h"
#include "kms/decision/pattern.h"

namespace kmsfs::kms {

enum class Comparison : std::uint8_t {
  kStringEquals,
  kStringEqualsIgnoreCase,
  kStringLike,
  kNumericEquals,
  kNumericLess,
  kNumericLessEquals,
  kNumericGreater,
  kNumericGreaterEquals,
  kDateEquals,
  kDateLess,
  kDateLessEquals,
  kDateGreater,
  kDateGreaterEquals,
  kBool,
  kBinaryEquals,
  kIpAddress,
  kArnLike,
  kNull,
};

enum class SetOperator : std::uint8_t { kNone, kForAllValues, kForAnyValue };

struct Operator {
  Comparison comparison = Comparison::kStringEquals;
  SetOperator set = SetOperator::kNone;
  bool negated = false;  // StringNotEquals, NotIpAddress, …
  bool if_exists = false;
  std::string text;  // as written, for people
};

// "ForAnyValue:StringLikeIfExists" and so on; names are case-insensitive.
Result<Operator> parse_operator(std::string_view text);

struct AddressRange {
  std::array<std::uint8_t, 16> address{};
  unsigned prefix = 0;  // bits
  bool is_v6 = false;
};
Result<AddressRange> parse_address_range(std::string_view text);
bool contains(const AddressRange& range, std::string_view address);

// Milliseconds since the epoch, from ISO 8601 ("2026-11-24T21:00:00Z", "2026-11-24") or epoch seconds.
Result<std::int64_t> parse_date(std::string_view text);

struct Condition {
  Operator op;
  ContextKey key;
  // One of these is filled, as the operator says.
  std::vector<Pattern> texts;
  std::vector<double> numbers;
  std::vector<std::int64_t> dates_ms;
  std::vector<AddressRange> ranges;
  std::vector<bool> truths;           // Bool, Null
  std::vector<std::string> binaries;  // decoded

  bool holds(const Request& request) const;
};

// Resolves the values once. Fails on a value that the operator cannot take.
Result<Condition> make_condition(Operator op, ContextKey key, const std::vector<std::string>& values,
                                 Pattern::Variables variables);

}  // namespace kmsfs::kms
