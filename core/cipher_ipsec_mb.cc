// AES and AES-256-GCM by intel-ipsec-mb's stateless calls: hand-written AES-NI and VAES code, key schedules
// in our memory.
#include "core/cipher_backend.h"

#ifdef KMSFS_HAVE_IPSEC_MB

#include <immintrin.h>
#include <intel-ipsec-mb.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <cstring>

#include "core/kdf.h"
#include "core/locked_memory.h"

namespace kmsfs {

namespace {

struct ManagerDeleter {
  void operator()(IMB_MGR* manager) const { free_mb_mgr(manager); }
};
using Manager = std::unique_ptr<IMB_MGR, ManagerDeleter>;

struct LockedDeleter {
  void operator()(void* memory) const { LockedMemory::release(memory); }
};
template <typename T>
using Locked = std::unique_ptr<T, LockedDeleter>;

template <typename T>
Locked<T> locked_schedule() {
  return Locked<T>(static_cast<T*>(LockedMemory::allocate(sizeof(T))));
}

Error no_memory() { return error(Kind::kNoMemory, "no locked memory for a cipher; raise RLIMIT_MEMLOCK"); }

struct AesSchedule {
  alignas(16) std::uint8_t keys[15 * 16];
};

// One block with a schedule of `rounds` + 1 round keys (FIPS 197, section 5.1). The library's interface for
// single blocks is its job queue, which is not made for one block at a time.
__attribute__((target("aes"))) void encrypt_block(const AesSchedule& schedule, int rounds, const AesBlock& in,
                                                  AesBlock& out) {
  const auto* keys = reinterpret_cast<const __m128i*>(schedule.keys);
  __m128i state = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in.data()));
  state = _mm_xor_si128(state, keys[0]);
  for (int round = 1; round < rounds; ++round) state = _mm_aesenc_si128(state, keys[round]);
  state = _mm_aesenclast_si128(state, keys[rounds]);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out.data()), state);
}

class IpsecBlockCipher final : public BlockCipher {
 public:
  IpsecBlockCipher(Locked<AesSchedule> schedule, bool large)
      : schedule_(std::move(schedule)), rounds_(large ? 14 : 10) {}

  Result<void> encrypt(const AesBlock& in, AesBlock& out) const override {
    encrypt_block(*schedule_, rounds_, in, out);
    return {};
  }

 private:
  Locked<AesSchedule> schedule_;
  int rounds_;
};

// What a call leaves behind on the stack is wiped with it.
struct CallContext {
  gcm_context_data data;
  ~CallContext() { OPENSSL_cleanse(&data, sizeof data); }
};

class IpsecGcmKey final : public GcmKey {
 public:
  IpsecGcmKey(IMB_MGR* manager, Locked<gcm_key_data> schedule)
      : manager_(manager), schedule_(std::move(schedule)) {}

  Result<void> seal(const std::byte* nonce, ByteView aad, ByteView plain, std::byte* out,
                    std::byte* tag) const override {
    CallContext context;
    IMB_AES256_GCM_ENC(manager_, schedule_.get(), &context.data, raw(out), raw(plain.data()), plain.size(),
                       raw(nonce), raw(aad.data()), aad.size(), raw(tag), 16);
    return {};
  }

  Result<void> open(const std::byte* nonce, ByteView aad, ByteView sealed, const std::byte* tag,
                    std::byte* out) const override {
    CallContext context;
    AesBlock computed;
    IMB_AES256_GCM_DEC(manager_, schedule_.get(), &context.data, raw(out), raw(sealed.data()), sealed.size(),
                       raw(nonce), raw(aad.data()), aad.size(), raw(computed.data()), 16);
    if (!equal_in_constant_time(computed, std::span(tag, 16)))
      return error(Kind::kCorrupt, "does not authenticate");
    return {};
  }

 private:
  static const std::uint8_t* raw(const std::byte* bytes) {
    return reinterpret_cast<const std::uint8_t*>(bytes);
  }
  static std::uint8_t* raw(std::byte* bytes) { return reinterpret_cast<std::uint8_t*>(bytes); }

  IMB_MGR* manager_;
  Locked<gcm_key_data> schedule_;
};

class IpsecBackend final : public CipherBackend {
 public:
  explicit IpsecBackend(Manager manager) : manager_(std::move(manager)) {}

  AeadBackend name() const override { return AeadBackend::kIpsecMb; }

  Result<std::unique_ptr<BlockCipher>> block_cipher(ByteView key) const override {
    assert((key.size() == 16 || key.size() == 32) && "AES-128 and AES-256 only");
    auto schedule = locked_schedule<AesSchedule>();
    auto unused = locked_schedule<AesSchedule>();  // the library always expands the decryption keys as well
    if (!schedule || !unused) return no_memory();
    const bool large = key.size() == 32;
    if (large) {
      IMB_AES_KEYEXP_256(manager_.get(), key.data(), schedule->keys, unused->keys);
    } else {
      IMB_AES_KEYEXP_128(manager_.get(), key.data(), schedule->keys, unused->keys);
    }
    return std::unique_ptr<BlockCipher>(std::make_unique<IpsecBlockCipher>(std::move(schedule), large));
  }

  Result<std::shared_ptr<const GcmKey>> gcm_key(std::span<const std::byte, 32> key) const override {
    auto schedule = locked_schedule<gcm_key_data>();
    if (!schedule) return no_memory();
    IMB_AES256_GCM_PRE(manager_.get(), key.data(), schedule.get());
    return std::shared_ptr<const GcmKey>(std::make_shared<IpsecGcmKey>(manager_.get(), std::move(schedule)));
  }

 private:
  Manager manager_;  // function pointers only, after init; shared by all keys
};

}  // namespace

std::unique_ptr<CipherBackend> make_ipsec_mb_backend() {
  Manager manager(alloc_mb_mgr(0));
  if (!manager || (manager->features & IMB_FEATURE_AESNI) == 0) return nullptr;
  IMB_ARCH chosen = IMB_ARCH_NONE;
  init_mb_mgr_auto(manager.get(), &chosen);
  if (imb_get_errno(manager.get()) != 0 || chosen < IMB_ARCH_SSE) return nullptr;
  return std::make_unique<IpsecBackend>(std::move(manager));
}

}  // namespace kmsfs

#else

namespace kmsfs {
std::unique_ptr<CipherBackend> make_ipsec_mb_backend() { return nullptr; }
}  // namespace kmsfs

#endif
