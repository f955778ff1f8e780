// AES-256-SIV (RFC 5297, AEAD_AES_SIV_CMAC_512): deterministic authenticated encryption, for names.
//
// Sealed text: synthetic IV 16 ‖ ciphertext. The same (associated data, plain) always gives the same bytes:
// that is its use. Threads: const methods may run together.
#pragma once

#include <memory>

#include "core/bytes.h"
#include "core/secret.h"

namespace kmsfs {

using SivKey = Secret<64, struct SivKeyTag>;

class AesSiv {
 public:
  static constexpr std::size_t kOverhead = 16;

  static Result<AesSiv> make(const SivKey& key);
  AesSiv(AesSiv&&) noexcept;
  AesSiv& operator=(AesSiv&&) noexcept;
  ~AesSiv();

  // sealed.size() == plain.size() + kOverhead; plain may be empty. They must not overlap.
  Result<void> seal(ByteView associated_data, ByteView plain, ByteSpan sealed) const;
  // kCorrupt if it does not authenticate; then plain is zeros.
  Result<void> open(ByteView associated_data, ByteView sealed, ByteSpan plain) const;

  // RFC 5297 with any number of associated data strings; for its vectors.
  Result<void> seal(std::span<const ByteView> associated_data, ByteView plain, ByteSpan sealed) const;

 private:
  struct State;
  explicit AesSiv(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kmsfs
