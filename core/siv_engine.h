// AES-SIV for both key sizes: 32 bytes (two AES-128 keys, the size of RFC 5297's vectors) and 64 (two AES-256
// keys). Private to core: the rest of the code uses AesSiv, whose key size is fixed. Threads: const methods
// may run together.
#pragma once

#include <memory>
#include <span>

#include "core/cipher_backend.h"

namespace kmsfs {

class SivEngine {
 public:
  static Result<SivEngine> make(ByteView key);
  Result<void> seal(std::span<const ByteView> associated_data, ByteView plain, ByteSpan sealed) const;
  Result<void> open(std::span<const ByteView> associated_data, ByteView sealed, ByteSpan plain) const;

 private:
  SivEngine(std::unique_ptr<BlockCipher> mac, std::unique_ptr<BlockCipher> counter)
      : mac_(std::move(mac)), counter_(std::move(counter)) {}
  Result<AesBlock> synthetic_iv(std::span<const ByteView> associated_data, ByteView plain) const;
  Result<void> apply_counter_mode(const AesBlock& iv, ByteView in, ByteSpan out) const;

  std::unique_ptr<BlockCipher> mac_;
  std::unique_ptr<BlockCipher> counter_;
};

}  // namespace kmsfs
