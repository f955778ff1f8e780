#include "core/xaes.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <cstring>
#include <mutex>

#include "core/cipher_backend.h"
#include "core/random.h"

namespace kmsfs {

namespace {

constexpr std::size_t kPrefixSize = 12;                 // selects the derived key
constexpr std::size_t kSuffixSize = 12;                 // is its nonce
constexpr std::uint64_t kSealsPerSession = 1ULL << 30;  // far below GCM's limit of 2^32 random nonces a key
constexpr std::size_t kReadSessions = 4;                // derived keys remembered: a file has few writers
constexpr std::size_t kNoncesAtOnce = 64;

using Prefix = std::array<std::byte, kPrefixSize>;

}  // namespace

// Constant after make(): block_cipher, subkey. Under the mutex: the sessions.
struct Xaes256Gcm::State {
  struct Session {
    Prefix prefix{};
    std::shared_ptr<const GcmKey> key;
  };

  std::unique_ptr<BlockCipher> block_cipher;
  Secret<16> subkey;  // K1 of the specification

  std::mutex mutex;
  Session writer;
  std::uint64_t seals = 0;
  std::array<Session, kReadSessions> readers;
  std::size_t next_reader = 0;

  State(std::unique_ptr<BlockCipher> cipher, Secret<16> first_subkey)
      : block_cipher(std::move(cipher)), subkey(std::move(first_subkey)) {}

  // Kx = AES(M1 xor K1) ‖ AES(M2 xor K1), where Mi = 0x00 i "X" 0x00 ‖ prefix.
  Result<std::shared_ptr<const GcmKey>> derive(const Prefix& prefix) const {
    auto derived = Secret<32>::make();
    if (!derived) return std::move(derived).error();
    for (std::size_t half = 0; half < 2; ++half) {
      AesBlock block{};
      block[1] = static_cast<std::byte>(half + 1);
      block[2] = std::byte{'X'};
      std::copy(prefix.begin(), prefix.end(), block.begin() + 4);
      for (std::size_t i = 0; i < block.size(); ++i) block[i] ^= subkey.reveal()[i];
      auto encrypted = block_cipher->encrypt(block, block);
      std::memcpy(derived->fill().data() + 16 * half, block.data(), block.size());
      OPENSSL_cleanse(block.data(), block.size());
      if (!encrypted) return std::move(encrypted).error();
    }
    return cipher_backend().gcm_key(derived->reveal());
  }

  // The writer's session, renewed when it has sealed enough.
  Result<Session> session_to_seal(std::size_t count) {
    const std::lock_guard lock(mutex);
    if (writer.key == nullptr || seals + count > kSealsPerSession) {
      Session fresh;
      random_bytes(fresh.prefix);
      auto key = derive(fresh.prefix);
      if (!key) return std::move(key).error();
      fresh.key = std::move(*key);
      writer = std::move(fresh);
      seals = 0;
    }
    seals += count;
    return writer;
  }

  Result<std::shared_ptr<const GcmKey>> key_to_open(const Prefix& prefix) {
    const std::lock_guard lock(mutex);
    if (writer.key != nullptr && writer.prefix == prefix) return writer.key;
    for (const Session& session : readers) {
      if (session.key != nullptr && session.prefix == prefix) return session.key;
    }
    auto key = derive(prefix);
    if (!key) return key;
    readers[next_reader] = Session{prefix, *key};
    next_reader = (next_reader + 1) % readers.size();
    return key;
  }

  // The nonce's last half; the first is the session's.
  static Result<void> seal_one(const Session& session, const std::byte* suffix, const SealJob& job) {
    assert(job.sealed.size() == job.plain.size() + kOverhead && "a sealed text is 40 bytes longer");
    std::byte* out = job.sealed.data();
    std::memcpy(out, session.prefix.data(), kPrefixSize);
    std::memcpy(out + kPrefixSize, suffix, kSuffixSize);
    return session.key->seal(suffix, job.aad, job.plain, out + kNonceSize,
                             out + kNonceSize + job.plain.size());
  }

  Result<void> open_all(std::span<const OpenJob> jobs) {
    Session current;
    for (const OpenJob& job : jobs) {
      if (job.sealed.size() < kOverhead || job.plain.size() != job.sealed.size() - kOverhead) {
        return error(Kind::kCorrupt, "too short to be a sealed text");
      }
      Prefix prefix;
      std::memcpy(prefix.data(), job.sealed.data(), prefix.size());
      if (current.key == nullptr || current.prefix != prefix) {
        auto key = key_to_open(prefix);
        if (!key) return std::move(key).error();
        current = Session{prefix, std::move(*key)};
      }
      const ByteView body = job.sealed.subspan(kNonceSize, job.plain.size());
      KMSFS_TRY(current.key->open(job.sealed.data() + kPrefixSize, job.aad, body,
                                  job.sealed.data() + job.sealed.size() - kTagSize, job.plain.data()));
    }
    return {};
  }
};

Xaes256Gcm::Xaes256Gcm(std::unique_ptr<State> state) : state_(std::move(state)) {}
Xaes256Gcm::Xaes256Gcm(Xaes256Gcm&&) noexcept = default;
Xaes256Gcm& Xaes256Gcm::operator=(Xaes256Gcm&&) noexcept = default;
Xaes256Gcm::~Xaes256Gcm() = default;

Result<Xaes256Gcm> Xaes256Gcm::make(std::span<const std::byte, 32> key) {
  auto cipher = cipher_backend().block_cipher(key);
  if (!cipher) return std::move(cipher).error();
  auto subkey = Secret<16>::make();
  if (!subkey) return std::move(subkey).error();
  AesBlock block{};
  KMSFS_TRY((*cipher)->encrypt(block, block));
  // K1: the doubling of CMAC (NIST SP 800-38B, section 6.1).
  const auto top = std::to_integer<unsigned>(block[0]) >> 7;
  for (std::size_t i = 0; i < block.size(); ++i) {
    const unsigned carry = i + 1 < block.size() ? std::to_integer<unsigned>(block[i + 1]) >> 7 : 0;
    subkey->fill()[i] = static_cast<std::byte>((std::to_integer<unsigned>(block[i]) << 1 | carry) & 0xff);
  }
  subkey->fill()[15] ^= static_cast<std::byte>(top * 0x87);
  OPENSSL_cleanse(block.data(), block.size());
  return Xaes256Gcm(std::make_unique<State>(std::move(*cipher), std::move(*subkey)));
}

Result<void> Xaes256Gcm::seal(std::span<const SealJob> jobs) const {
  auto session = state_->session_to_seal(jobs.size());
  if (!session) return std::move(session).error();
  while (!jobs.empty()) {
    const auto batch = jobs.first(std::min(jobs.size(), kNoncesAtOnce));
    std::array<std::byte, kNoncesAtOnce * kSuffixSize> suffixes;
    random_bytes(std::span(suffixes).first(batch.size() * kSuffixSize));
    for (std::size_t i = 0; i < batch.size(); ++i) {
      KMSFS_TRY(State::seal_one(*session, suffixes.data() + i * kSuffixSize, batch[i]));
    }
    jobs = jobs.subspan(batch.size());
  }
  return {};
}

Result<void> Xaes256Gcm::open(std::span<const OpenJob> jobs) const {
  auto opened = state_->open_all(jobs);
  if (!opened) {
    for (const OpenJob& job : jobs) OPENSSL_cleanse(job.plain.data(), job.plain.size());
  }
  return opened;
}

Result<void> Xaes256Gcm::seal_with_nonce(std::span<const std::byte, kNonceSize> nonce, ByteView aad,
                                         ByteView plain, ByteSpan sealed) const {
  State::Session session;
  std::memcpy(session.prefix.data(), nonce.data(), kPrefixSize);
  auto key = state_->derive(session.prefix);
  if (!key) return std::move(key).error();
  session.key = std::move(*key);
  return State::seal_one(session, nonce.data() + kPrefixSize, SealJob{aad, plain, sealed});
}

}  // namespace kmsfs
