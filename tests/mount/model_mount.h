// A mount for the model test, served by a process of its own: fresh, empty, and gone with the object, also
// when it hangs.
// Threads: one.
#pragma once

#include <sys/types.h>

#include <ostream>
#include <string>

#include "core/unique_fd.h"

namespace kmsfs::testing {

struct ModelSetup {
  std::string aead;                  // "openssl", "ipsec-mb"
  std::string writeback;             // "writeback", "no-writeback"
  std::string transport = "device";  // as in -o transport=
};
inline void PrintTo(const ModelSetup& setup, std::ostream* out) {
  *out << setup.aead << ", " << setup.writeback << ", " << setup.transport;
}

class ModelMount {
 public:
  explicit ModelMount(const ModelSetup& setup);
  ModelMount(const ModelMount&) = delete;
  ModelMount& operator=(const ModelMount&) = delete;
  ~ModelMount();

  const std::string& failure() const { return failure_; }          // empty: it is mounted
  const std::string& unsupported() const { return unsupported_; }  // why this machine cannot
  bool remount();

  std::string mounted() const { return top_ + "/mnt"; }
  std::string native() const { return native_; }
  pid_t server() const { return server_; }
  unsigned connection() const;

 private:
  bool read_answer();

  std::string top_, native_, failure_, unsupported_;
  pid_t server_ = -1;
  UniqueFd to_server_, from_server_;
};

}  // namespace kmsfs::testing
