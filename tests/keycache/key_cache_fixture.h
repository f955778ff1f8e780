// A key cache on a KMS in memory and a clock that stands still: what the tests of the key cache share.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/guarded.h"
#include "keycache/key_cache.h"
#include "tests/support/fake_kms.h"
#include "tests/support/memory_scan.h"

namespace kmsfs::testing {

// Passes everything on, and remembers where in locked memory each data key was handed over: the cache keeps
// it in that very slot.
class WatchedKms final : public Kms {
 public:
  explicit WatchedKms(FakeKms& kms) : kms_(kms) {}

  std::string endpoint() const override { return kms_.endpoint(); }
  bool is_near() const override { return kms_.is_near(); }
  Result<std::string> principal() override { return kms_.principal(); }
  Result<KeyDescription> describe_key(const std::string& key) override { return kms_.describe_key(key); }
  Result<GeneratedDataKey> generate_data_key(const std::string& key,
                                             const EncryptionContext& context) override {
    auto generated = kms_.generate_data_key(key, context);
    if (generated) watch(generated->key);
    return generated;
  }
  Result<WrappedDataKey> generate_data_key_without_plaintext(const std::string& key,
                                                             const EncryptionContext& context) override {
    return kms_.generate_data_key_without_plaintext(key, context);
  }
  Result<DataKey> decrypt(const std::string& key_arn, ByteView blob,
                          const EncryptionContext& context) override {
    auto key = kms_.decrypt(key_arn, blob, context);
    if (key) watch(*key);
    return key;
  }
  Result<WrappedDataKey> re_encrypt(ByteView blob, const std::string& source_key_arn,
                                    const EncryptionContext& source_context,
                                    const std::string& destination_key,
                                    const EncryptionContext& destination_context) override {
    return kms_.re_encrypt(blob, source_key_arn, source_context, destination_key, destination_context);
  }

  const std::byte* last_slot() const {
    return slots_.with([](const auto& slots) { return slots.back(); });
  }

 private:
  void watch(const DataKey& key) {
    slots_.with([&](auto& slots) { slots.push_back(key.reveal().data()); });
  }
  FakeKms& kms_;
  Guarded<std::vector<const std::byte*>> slots_;
};

// A file, as the cache sees it.
struct WrappedFile {
  std::string key_arn;
  Bytes wrapped;
  EncryptionContext context;
  KeyRequest request() const { return KeyRequest{key_arn, 1, wrapped, context}; }
};

class KeyCacheTest : public ::testing::Test {
 protected:
  using seconds = std::chrono::seconds;

  static KeyCache::Options options() {
    KeyCache::Options options;
    options.max_age = seconds(300);
    options.maintenance_thread = false;
    return options;
  }
  void start(KeyCache::Options wanted = options()) {
    auto made = KeyCache::make(watched_, clock_, make_null_logger(), std::move(wanted));
    ASSERT_TRUE(made.ok()) << made.error().text;
    cache_ = std::move(*made);
  }

  // A file that was written by somebody else: the cache has not seen its key.
  WrappedFile file(const std::string& key_arn, const std::string& name = "f") {
    WrappedFile made{key_arn, {}, {{"kmsfs:volume", "v"}, {"kmsfs:file", name}}};
    FakeKms writer(server_, "arn:aws:iam::111122223333:user/writer");
    auto wrapped = writer.generate_data_key_without_plaintext(key_arn, made.context);
    EXPECT_TRUE(wrapped.ok());
    made.wrapped = wrapped->blob;
    calls_before_ = server_.counters().decrypts;
    return made;
  }
  std::uint64_t decrypts() const { return server_.counters().decrypts - calls_before_; }

  KeyHandle unwrap(const WrappedFile& file) {
    auto handle = cache_->unwrap(file.request());
    EXPECT_TRUE(handle.ok()) << handle.error().text;
    return handle ? std::move(*handle) : KeyHandle();
  }
  // What goes wrong; nothing if it goes well.
  template <typename T>
  static std::optional<Kind> kind(const Result<T>& result) {
    return result.ok() ? std::nullopt : std::optional(result.error().kind);
  }
  // A hash, so that tests can compare keys without holding them.
  static Sha256 fingerprint(const KeyHandle& handle) {
    auto key = handle.data_key();
    EXPECT_TRUE(key.ok());
    return key ? sha256(key->reveal()) : Sha256{};
  }
  static bool wiped(const std::byte* slot) { return raw_memory_is_zero(slot, 64); }

  void deny() { server_.deny(alice_.name(), key_); }
  void allow() { server_.allow(alice_.name(), key_); }
  void wait_until_asking_is_allowed() { clock_.advance(KeyCache::kAskAgainAfter); }

  FakeKmsServer server_;
  FakeKms alice_{server_};
  WatchedKms watched_{alice_};
  ManualClock clock_;
  const std::string key_ = server_.create_key();
  std::uint64_t calls_before_ = 0;
  std::unique_ptr<KeyCache> cache_;
};

}  // namespace kmsfs::testing
