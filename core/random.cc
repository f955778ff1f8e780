#include "core/random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>

namespace kmsfs {

void random_bytes(ByteSpan out) {
  while (!out.empty()) {
    const ssize_t got = ::getrandom(out.data(), out.size(), 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      std::abort();  // no nonce may ever be drawn from anything weaker
    }
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

}  // namespace kmsfs
