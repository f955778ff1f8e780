// AES and AES-256-GCM by OpenSSL's EVP interface. A context serves one operation at a time, so each is behind
// a mutex: readers of one file take turns here, which the other back end spares them.
#include <openssl/evp.h>

#include <algorithm>
#include <mutex>

#include "core/cipher_backend.h"
#include "core/openssl_memory.h"

namespace kmsfs {

namespace {

struct ContextDeleter {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, ContextDeleter>;

struct CipherDeleter {
  void operator()(EVP_CIPHER* cipher) const { EVP_CIPHER_free(cipher); }
};
using Cipher = std::unique_ptr<EVP_CIPHER, CipherDeleter>;

const unsigned char* raw(const std::byte* bytes) { return reinterpret_cast<const unsigned char*>(bytes); }
unsigned char* raw(std::byte* bytes) { return reinterpret_cast<unsigned char*>(bytes); }

Error no_context() { return error(Kind::kNoMemory, "no memory for a cipher; raise RLIMIT_MEMLOCK"); }
Error failed() { return error(Kind::kInternal, "OpenSSL refused to encrypt"); }

Result<Context> keyed_context(const EVP_CIPHER* cipher, const std::byte* key) {
  const SecureScope secure;
  Context context(EVP_CIPHER_CTX_new());
  if (!context || EVP_EncryptInit_ex2(context.get(), cipher, raw(key), nullptr, nullptr) != 1)
    return no_context();
  return context;
}

class OpenSslBlockCipher final : public BlockCipher {
 public:
  explicit OpenSslBlockCipher(Context context) : context_(std::move(context)) {
    EVP_CIPHER_CTX_set_padding(context_.get(), 0);
  }
  Result<void> encrypt(const AesBlock& in, AesBlock& out) const override {
    const std::lock_guard lock(mutex_);
    int size = 0;
    if (EVP_EncryptUpdate(context_.get(), raw(out.data()), &size, raw(in.data()), 16) != 1 || size != 16)
      return failed();
    return {};
  }

 private:
  mutable std::mutex mutex_;
  Context context_;
};

class OpenSslGcmKey final : public GcmKey {
 public:
  OpenSslGcmKey(Context context, Context open_context)
      : context_(std::move(context)), open_context_(std::move(open_context)) {}

  Result<void> seal(const std::byte* nonce, ByteView aad, ByteView plain, std::byte* out,
                    std::byte* tag) const override {
    const std::lock_guard lock(mutex_);
    EVP_CIPHER_CTX* context = context_.get();
    int size = 0;
    if (EVP_EncryptInit_ex2(context, nullptr, nullptr, raw(nonce), nullptr) != 1) return failed();
    if (!aad.empty() &&
        EVP_EncryptUpdate(context, nullptr, &size, raw(aad.data()), static_cast<int>(aad.size())) != 1) {
      return failed();
    }
    if (!plain.empty() &&
        EVP_EncryptUpdate(context, raw(out), &size, raw(plain.data()), static_cast<int>(plain.size())) != 1) {
      return failed();
    }
    unsigned char none[16];
    if (EVP_EncryptFinal_ex(context, none, &size) != 1 ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, tag) != 1) {
      return failed();
    }
    return {};
  }

  Result<void> open(const std::byte* nonce, ByteView aad, ByteView sealed, const std::byte* tag,
                    std::byte* out) const override {
    const std::lock_guard lock(open_mutex_);
    EVP_CIPHER_CTX* context = open_context_.get();
    int size = 0;
    if (EVP_DecryptInit_ex2(context, nullptr, nullptr, raw(nonce), nullptr) != 1) return failed();
    std::array<std::byte, 16> expected{};
    std::copy_n(tag, 16, expected.begin());
    if (EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, 16, expected.data()) != 1) return failed();
    if (!aad.empty() &&
        EVP_DecryptUpdate(context, nullptr, &size, raw(aad.data()), static_cast<int>(aad.size())) != 1) {
      return failed();
    }
    if (!sealed.empty() && EVP_DecryptUpdate(context, raw(out), &size, raw(sealed.data()),
                                             static_cast<int>(sealed.size())) != 1) {
      return failed();
    }
    unsigned char none[16];
    if (EVP_DecryptFinal_ex(context, none, &size) != 1) return error(Kind::kCorrupt, "does not authenticate");
    return {};
  }

 private:
  mutable std::mutex mutex_;
  Context context_;
  mutable std::mutex open_mutex_;
  Context open_context_;
};

class OpenSslBackend final : public CipherBackend {
 public:
  OpenSslBackend(Cipher gcm, Cipher ecb128, Cipher ecb256)
      : gcm_(std::move(gcm)), ecb128_(std::move(ecb128)), ecb256_(std::move(ecb256)) {}

  AeadBackend name() const override { return AeadBackend::kOpenSsl; }

  Result<std::unique_ptr<BlockCipher>> block_cipher(ByteView key) const override {
    assert((key.size() == 16 || key.size() == 32) && "AES-128 and AES-256 only");
    auto context = keyed_context(key.size() == 16 ? ecb128_.get() : ecb256_.get(), key.data());
    if (!context) return std::move(context).error();
    return std::unique_ptr<BlockCipher>(std::make_unique<OpenSslBlockCipher>(std::move(*context)));
  }

  Result<std::shared_ptr<const GcmKey>> gcm_key(std::span<const std::byte, 32> key) const override {
    auto seal_context = keyed_context(gcm_.get(), key.data());
    if (!seal_context) return std::move(seal_context).error();
    const SecureScope secure;
    Context open_context(EVP_CIPHER_CTX_new());
    if (!open_context ||
        EVP_DecryptInit_ex2(open_context.get(), gcm_.get(), raw(key.data()), nullptr, nullptr) != 1) {
      return no_context();
    }
    return std::shared_ptr<const GcmKey>(
        std::make_shared<OpenSslGcmKey>(std::move(*seal_context), std::move(open_context)));
  }

 private:
  Cipher gcm_, ecb128_, ecb256_;
};

}  // namespace

std::unique_ptr<CipherBackend> make_openssl_backend() {
  Cipher gcm(EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr));
  Cipher ecb128(EVP_CIPHER_fetch(nullptr, "AES-128-ECB", nullptr));
  Cipher ecb256(EVP_CIPHER_fetch(nullptr, "AES-256-ECB", nullptr));
  if (!gcm || !ecb128 || !ecb256) return nullptr;
  return std::make_unique<OpenSslBackend>(std::move(gcm), std::move(ecb128), std::move(ecb256));
}

}  // namespace kmsfs
