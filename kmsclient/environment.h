// The process's environment, as a seam: production code reads the real one, tests give theirs.
// Threads: any, as long as nobody changes the environment.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace kmsfs {

class Environment {
 public:
  using Lookup = std::function<const char*(const char*)>;

  Environment();  // the real one
  explicit Environment(Lookup lookup) : lookup_(std::move(lookup)) {}

  // Empty where the variable is not set: for AWS's variables that means the same. A view into the
  // environment, for some of it is secret.
  std::string_view get(const char* name) const {
    const char* value = lookup_(name);
    return value == nullptr ? std::string_view() : std::string_view(value);
  }
  std::string text(const char* name) const { return std::string(get(name)); }
  // "true" in any case.
  bool is_true(const char* name) const;
  std::string home() const;  // HOME, else what the system says

 private:
  Lookup lookup_;
};

}  // namespace kmsfs
