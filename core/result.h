// Errors are values: a function that can fail returns Result<T>.
//
// Callers decide on the Kind (retry? which errno?); the text is for people and says what failed and what to
// do. An Error is logged once, where it is handled. Results cannot be ignored silently: that does not
// compile. Threads: plain values.
#pragma once

#include <cassert>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace kmsfs {

enum class Kind : std::uint8_t {
  kInvalid,      // the caller's input is wrong; the same input fails again
  kNotFound,     // what was named does not exist
  kExists,       // what was to be made exists already
  kDenied,       // policy or permission says no
  kDisabled,     // the master key is disabled or pending deletion
  kKeyGone,      // the master key does not exist any more
  kExpired,      // a cached key is past its age and the KMS cannot be reached
  kUnavailable,  // the KMS cannot be reached, is sealed, or failed; worth a retry
  kThrottled,    // the KMS asks for fewer calls; worth a retry, later
  kCorrupt,      // bytes from disk or network failed authentication or are malformed
  kUnsupported,  // a format, suite or operation that this version does not know
  kNoSpace,      // a disk, store or quota is full
  kNoMemory,     // locked memory or memory is exhausted
  kBusy,         // somebody else holds it
  kSystem,       // a system call failed; system_errno says how
  kInternal,     // our own fault
};

std::string_view to_string(Kind kind);

struct [[nodiscard]] Error {
  Kind kind = Kind::kInternal;
  int system_errno = 0;        // for errors of system calls; 0 otherwise
  std::string text;            // for people: what failed, why, what to do
  const char* code = nullptr;  // the AWS error code (static string), for errors that a KMS answered

  // The error of a system call, from errno: its Kind follows from the errno.
  static Error from_errno(int error_number, std::string_view what = {});

  // Adds what was being done: "reading the header: cut short".
  Error during(std::string_view what) &&;
};

inline Error error(Kind kind, std::string text) { return Error{kind, 0, std::move(text), nullptr}; }

template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit by intent
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    assert(ok());
    return *std::get_if<0>(&state_);
  }
  T&& value() && {
    assert(ok());
    return std::move(*std::get_if<0>(&state_));
  }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }

  const Error& error() const& {
    assert(!ok());
    return *std::get_if<1>(&state_);
  }
  Error&& error() && {
    assert(!ok());
    return std::move(*std::get_if<1>(&state_));
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit by intent

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const& {
    assert(!ok());
    return *error_;
  }
  Error&& error() && {
    assert(!ok());
    return std::move(*error_);
  }

 private:
  std::optional<Error> error_;
};

}  // namespace kmsfs

// Leaves the function with the error of EXPRESSION, if it has one.
#define KMSFS_TRY(expression)                                                                       \
  do {                                                                                              \
    if (auto kmsfs_result_ = (expression); !kmsfs_result_) return std::move(kmsfs_result_).error(); \
  } while (false)
