// XAES-256-GCM: AES-256-GCM with 192-bit nonces.
//
// Source: C2SP XAES-256-GCM (c2sp.org/XAES-256-GCM). The nonce's first 12 bytes select a derived AES-256-GCM
// key, its last 12 are that key's nonce. A sealed text is nonce 24 ‖ ciphertext ‖ tag 16. Nonces are drawn
// inside: seal() takes the first half from the writer's session (drawn when the object is made, and again
// after 2^30 seals), the second half fresh for each text; no number of seals is dangerous.
// Key schedules stay in locked memory. Opening: no byte of a text whose tag is wrong is left in `plain`.
// Threads: all const methods may run together on one object.
#pragma once

#include <array>
#include <memory>
#include <span>

#include "core/bytes.h"
#include "core/secret.h"

namespace kmsfs {

// What does the bulk AES-GCM. Chosen once, at start (see start_crypto); both write the same bytes.
enum class AeadBackend { kAutomatic, kIpsecMb, kOpenSsl };

// Chooses the back end and tests everything in core that is cryptographic against known answers.
// Once, in main, after LockedMemory::start and before any other use of core's cryptography.
// kUnsupported if the back end asked for cannot run here; kInternal if a known answer comes out wrong.
Result<void> start_crypto(AeadBackend backend = AeadBackend::kAutomatic);
AeadBackend aead_backend();  // never kAutomatic once started
std::string_view to_string(AeadBackend backend);

class Xaes256Gcm {
 public:
  static constexpr std::size_t kNonceSize = 24;
  static constexpr std::size_t kTagSize = 16;
  static constexpr std::size_t kOverhead = kNonceSize + kTagSize;

  static Result<Xaes256Gcm> make(std::span<const std::byte, 32> key);
  template <typename Tag>
  static Result<Xaes256Gcm> make(const Secret<32, Tag>& key) {
    return make(key.reveal());
  }

  Xaes256Gcm(Xaes256Gcm&&) noexcept;
  Xaes256Gcm& operator=(Xaes256Gcm&&) noexcept;
  ~Xaes256Gcm();

  struct SealJob {
    ByteView aad;
    ByteView plain;
    ByteSpan sealed;  // plain.size() + kOverhead; must not overlap plain
  };
  struct OpenJob {
    ByteView aad;
    ByteView sealed;
    ByteSpan plain;  // sealed.size() - kOverhead; must not overlap sealed
  };

  // A batch draws its nonces at once and reuses key schedules. kNoMemory when locked memory is full.
  Result<void> seal(std::span<const SealJob> jobs) const;
  // kCorrupt if any tag is wrong: then the plain texts of the whole batch are wiped.
  Result<void> open(std::span<const OpenJob> jobs) const;

  Result<void> seal(ByteView aad, ByteView plain, ByteSpan sealed) const {
    const SealJob job{aad, plain, sealed};
    return seal(std::span(&job, 1));
  }
  Result<void> open(ByteView aad, ByteView sealed, ByteSpan plain) const {
    const OpenJob job{aad, sealed, plain};
    return open(std::span(&job, 1));
  }

  // For test vectors only: the nonce is given instead of drawn.
  Result<void> seal_with_nonce(std::span<const std::byte, kNonceSize> nonce, ByteView aad, ByteView plain,
                               ByteSpan sealed) const;

 private:
  struct State;
  explicit Xaes256Gcm(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace kmsfs
