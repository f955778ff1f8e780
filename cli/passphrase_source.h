// Where the passphrase of a local KMS comes from: the file that was named, or the terminal.
#pragma once

#include <string>

#include "kms/passphrase.h"

namespace kmsfs::cli {

bool has_terminal();

// kDenied, with a text that names the ways out, where a passphrase is needed and neither is there.
PassphraseSource passphrase_source(const std::string& file);

}  // namespace kmsfs::cli
