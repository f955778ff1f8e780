#include "cli/passphrase_source.h"

#include <fcntl.h>

#include "core/unique_fd.h"

namespace kmsfs::cli {

bool has_terminal() { return static_cast<bool>(UniqueFd(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY))); }

PassphraseSource passphrase_source(const std::string& file) {
  if (!file.empty()) return passphrase_from_file(file);
  if (has_terminal()) return passphrase_from_terminal("the local KMS");
  return [](PassphraseUse use) -> Result<Passphrase> {
    if (use == PassphraseUse::kNewSeal) {
      return error(
          Kind::kDenied,
          "there is no terminal to ask for a passphrase; choose --passphrase-file FILE (mode 0600) or "
          "--seal keyfile (a random key beside the KMS, which then anybody who reads it can open)");
    }
    return error(
        Kind::kDenied,
        "it is sealed by a passphrase and there is no terminal to ask on; give --passphrase-file FILE "
        "(mode 0600), in fstab passphrase_file=FILE");
  };
}

}  // namespace kmsfs::cli
