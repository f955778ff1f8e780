// The seal of a store: what wraps its root key while nobody has it open.
//
// By passphrase: Argon2id makes the wrapping key; its parameters and salt stand beside the wrapped root key.
// By key file: 32 random bytes in `seal.key` inside the store, mode 0600, of the caller's own.
// Always: a wrong passphrase or key file opens nothing (the root key is wrapped with authentication, and
// bound to the store and to the kind and parameters of its seal). Threads: any. Argon2id works for about a
// tenth of a second.
#pragma once

#include <cstdint>
#include <string>

#include "core/bytes.h"
#include "core/secret.h"
#include "kms/passphrase.h"

namespace kmsfs::kms {

using RootKey = Secret<32, struct RootKeyTag>;

enum class SealKind { kPassphrase, kKeyFile };

struct SealOptions {
  SealKind kind = SealKind::kPassphrase;
  // Argon2id (RFC 9106, its second recommendation).
  std::uint32_t memory_kib = 64 * 1024;
  std::uint32_t passes = 3;
  std::uint32_t lanes = 4;
};

struct SealedRoot {
  RootKey root;
  std::string record;  // JSON, to be stored; holds no secret in clear
};

// A new root key under a new seal. `directory` is the store's, `store_id` its random id.
Result<SealedRoot> seal_new_root(const std::string& directory, ByteView store_id, const SealOptions& options,
                                 const PassphraseSource& passphrase);

// kDenied: wrong passphrase, or a key file that is open to others or of somebody else; kInvalid: no
// passphrase to be had; kCorrupt: the record is damaged, or the key file is not this store's.
Result<RootKey> unseal_root(const std::string& directory, ByteView store_id, std::string_view record,
                            const PassphraseSource& passphrase);

}  // namespace kmsfs::kms
