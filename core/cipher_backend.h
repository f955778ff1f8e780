// What core needs of a block cipher library: AES on single blocks and AES-256-GCM with a 96-bit nonce.
//
// Private to core. Two back ends give the same bytes: intel-ipsec-mb (x86-64 with AES-NI) and OpenSSL.
// Always: schedules are in locked memory and wiped with their object.
// Threads: const methods may run together.
#pragma once

#include <array>
#include <memory>
#include <span>

#include "core/bytes.h"
#include "core/xaes.h"

namespace kmsfs {

using AesBlock = std::array<std::byte, 16>;

class BlockCipher {
 public:
  virtual ~BlockCipher() = default;
  virtual Result<void> encrypt(const AesBlock& in, AesBlock& out) const = 0;  // in and out may be the same
};

class GcmKey {
 public:
  virtual ~GcmKey() = default;
  // out has plain.size() bytes, tag 16.
  virtual Result<void> seal(const std::byte* nonce, ByteView aad, ByteView plain, std::byte* out,
                            std::byte* tag) const = 0;
  // kCorrupt if the tag is wrong; `out` then holds bytes that the caller must wipe.
  virtual Result<void> open(const std::byte* nonce, ByteView aad, ByteView sealed, const std::byte* tag,
                            std::byte* out) const = 0;
};

class CipherBackend {
 public:
  virtual ~CipherBackend() = default;
  virtual AeadBackend name() const = 0;
  virtual Result<std::unique_ptr<BlockCipher>> block_cipher(ByteView key) const = 0;  // 16 or 32 bytes
  virtual Result<std::shared_ptr<const GcmKey>> gcm_key(std::span<const std::byte, 32> key) const = 0;
};

// nullptr where this processor cannot run it.
std::unique_ptr<CipherBackend> make_ipsec_mb_backend();
std::unique_ptr<CipherBackend> make_openssl_backend();

// The one that start_crypto chose.
const CipherBackend& cipher_backend();

// Known answers for everything in core that is cryptographic, on this back end. kInternal names what came out
// wrong.
Result<void> test_known_answers(const CipherBackend& backend);

}  // namespace kmsfs
