// A KMS in memory that works: it really wraps and unwraps, knows principals, keys and their states, counts
// calls, and can be told to fail in every way that a KMS can.
//
//   FakeKmsServer server;
//   const std::string key = server.create_key();
//   FakeKms kms(server, "arn:aws:iam::111122223333:user/alice");
//   server.deny(kms.name(), key);   // from now on decrypt() says kDenied
//
// Wrapped: nonce 16 ‖ data key XOR HMAC(master, "wrap" ‖ nonce ‖ context) ‖ HMAC(master, "tag" ‖ all that).
// Threads: any, together.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "core/ids.h"
#include "core/kdf.h"
#include "core/random.h"
#include "kmsclient/kms.h"

namespace kmsfs::testing {

class FakeKmsServer {
 public:
  struct Counters {
    std::atomic<std::uint64_t> decrypts{0};
    std::atomic<std::uint64_t> generates{0};
    std::atomic<std::uint64_t> others{0};
    std::uint64_t all() const { return decrypts + generates + others; }
  };

  explicit FakeKmsServer(std::string endpoint = "fake:memory") : endpoint_(std::move(endpoint)) {}

  const std::string& endpoint() const { return endpoint_; }
  const Counters& counters() const { return counters_; }

  std::string create_key(const std::string& account = "111122223333") {
    std::lock_guard lock(mutex_);
    const auto id = Id<struct KeyTag>::random().hex();
    const std::string uuid = id.substr(0, 8) + "-" + id.substr(8, 4) + "-" + id.substr(12, 4) + "-" +
                             id.substr(16, 4) + "-" + id.substr(20);
    Key key;
    key.description.arn = "arn:aws:kms:local-1:" + account + ":key/" + uuid;
    key.description.key_id = uuid;
    key.description.account = account;
    random_bytes(key.master);
    std::string arn = key.description.arn;
    keys_.emplace(arn, std::move(key));
    return arn;
  }
  // A key that is the same in every run: for volumes that are kept.
  void import_key(const std::string& arn, const std::array<std::byte, 32>& master) {
    std::lock_guard lock(mutex_);
    Key key;
    key.description.arn = arn;
    key.description.key_id = arn.substr(arn.rfind('/') + 1);
    key.master = master;
    keys_.emplace(arn, std::move(key));
  }
  void set_alias(const std::string& alias, const std::string& arn) {
    std::lock_guard lock(mutex_);
    aliases_[alias] = arn;
  }

  // Permissions. Everybody may use every key until told otherwise.
  void deny(const std::string& principal, const std::string& arn) { change(denied_, {principal, arn}, true); }
  void allow(const std::string& principal, const std::string& arn) {
    change(denied_, {principal, arn}, false);
  }
  // May decrypt, but make no new data keys.
  void deny_generate(const std::string& principal, const std::string& arn) {
    change(no_generate_, {principal, arn}, true);
  }

  // Key states.
  void disable(const std::string& arn) { set_state(arn, KeyState::kDisabled); }
  void schedule_deletion(const std::string& arn) { set_state(arn, KeyState::kPendingDeletion); }
  void enable(const std::string& arn) { set_state(arn, KeyState::kEnabled); }
  void remove(const std::string& arn) {
    std::lock_guard lock(mutex_);
    keys_.erase(arn);
  }

  // Faults.
  void set_reachable(bool reachable) { fault_ = reachable ? Fault::kNone : Fault::kUnreachable; }
  void set_throttled(bool throttled) { fault_ = throttled ? Fault::kThrottled : Fault::kNone; }
  void set_delay(std::chrono::milliseconds delay) { delay_ms_ = delay.count(); }
  void set_lying(bool lying) { lying_ = lying; }  // answers with another data key than was wrapped

  // Answers are decided, and then kept back until release_answers(): a KMS that hangs, or a reply in flight.
  void hold_answers() {
    std::lock_guard lock(mutex_);
    holding_ = true;
  }
  void release_answers() {
    {
      std::lock_guard lock(mutex_);
      holding_ = false;
    }
    changed_.notify_all();
  }
  // Until that many calls are waiting for release_answers().
  void wait_for_held(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return held_ >= count; });
  }

 private:
  friend class FakeKms;
  enum class Fault { kNone, kUnreachable, kThrottled };
  enum class Use { kDecrypt, kGenerate, kDescribe };
  struct Key {
    KeyDescription description;
    std::array<std::byte, 32> master{};
  };
  using PrincipalAndKey = std::pair<std::string, std::string>;

  void change(std::set<PrincipalAndKey>& set, PrincipalAndKey what, bool present) {
    std::lock_guard lock(mutex_);
    if (present) {
      set.insert(std::move(what));
    } else {
      set.erase(what);
    }
  }
  void set_state(const std::string& arn, KeyState state) {
    std::lock_guard lock(mutex_);
    if (const auto found = keys_.find(arn); found != keys_.end()) found->second.description.state = state;
  }

  // What the caller gets to know, before the wait that stands for the network.
  Result<Key> decide(const std::string& principal, const std::string& name, Use use) {
    std::lock_guard lock(mutex_);
    if (fault_ == Fault::kUnreachable) return error(Kind::kUnavailable, "the KMS cannot be reached");
    if (fault_ == Fault::kThrottled) return error(Kind::kThrottled, "the KMS asks for fewer calls");
    const auto alias = aliases_.find(name);
    auto found = keys_.find(alias == aliases_.end() ? name : alias->second);
    if (found == keys_.end()) {
      for (auto at = keys_.begin(); at != keys_.end(); ++at) {
        if (at->second.description.key_id == name) found = at;
      }
    }
    if (found == keys_.end()) return error(Kind::kKeyGone, "the key does not exist");
    const PrincipalAndKey who{principal, found->first};
    if (denied_.contains(who) || (use == Use::kGenerate && no_generate_.contains(who))) {
      return error(Kind::kDenied, principal + " may not use " + found->first);
    }
    if (use != Use::kDescribe && found->second.description.state != KeyState::kEnabled) {
      return error(Kind::kDisabled, found->first + " is disabled");
    }
    return found->second;
  }

  void wait_like_a_network() {
    if (const auto delay = delay_ms_.load(); delay > 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(delay));
    std::unique_lock lock(mutex_);
    if (!holding_) return;
    ++held_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !holding_; });
    --held_;
  }

  const std::string endpoint_;
  Counters counters_;
  std::atomic<Fault> fault_{Fault::kNone};
  std::atomic<std::int64_t> delay_ms_{0};
  std::atomic<bool> lying_{false};

  std::mutex mutex_;
  std::condition_variable changed_;
  bool holding_ = false;
  std::size_t held_ = 0;
  std::map<std::string, Key> keys_;
  std::map<std::string, std::string> aliases_;
  std::set<PrincipalAndKey> denied_;
  std::set<PrincipalAndKey> no_generate_;
};

class FakeKms final : public Kms {
 public:
  explicit FakeKms(FakeKmsServer& server, std::string principal = "arn:aws:iam::111122223333:user/alice")
      : server_(server), principal_(std::move(principal)) {}

  const std::string& name() const { return principal_; }

  std::string endpoint() const override { return server_.endpoint(); }
  bool is_near() const override { return near_; }
  void set_near() { near_ = true; }
  Result<std::string> principal() override {
    std::lock_guard lock(mutex_);
    return principal_;
  }
  void become(std::string principal) {
    std::lock_guard lock(mutex_);
    principal_ = std::move(principal);
  }

  Result<KeyDescription> describe_key(const std::string& key) override {
    ++server_.counters_.others;
    auto found = decided(key, FakeKmsServer::Use::kDescribe);
    if (!found) return std::move(found).error();
    return found->description;
  }

  Result<GeneratedDataKey> generate_data_key(const std::string& key,
                                             const EncryptionContext& context) override {
    ++server_.counters_.generates;
    auto found = decided(key, FakeKmsServer::Use::kGenerate);
    if (!found) return std::move(found).error();
    auto data_key = DataKey::random();
    if (!data_key) return std::move(data_key).error();
    WrappedDataKey wrapped{wrap(*found, data_key->reveal(), context), found->description.arn};
    return GeneratedDataKey{std::move(*data_key), std::move(wrapped)};
  }

  Result<WrappedDataKey> generate_data_key_without_plaintext(const std::string& key,
                                                             const EncryptionContext& context) override {
    auto generated = generate_data_key(key, context);
    if (!generated) return std::move(generated).error();
    return std::move(generated->wrapped);
  }

  Result<DataKey> decrypt(const std::string& key_arn, ByteView blob,
                          const EncryptionContext& context) override {
    ++server_.counters_.decrypts;
    auto found = decided(key_arn, FakeKmsServer::Use::kDecrypt);
    if (!found) return std::move(found).error();
    return unwrap(*found, blob, context);
  }

  Result<WrappedDataKey> re_encrypt(ByteView blob, const std::string& source_key_arn,
                                    const EncryptionContext& source_context,
                                    const std::string& destination_key,
                                    const EncryptionContext& destination_context) override {
    ++server_.counters_.others;
    auto source = decided(source_key_arn, FakeKmsServer::Use::kDecrypt);
    if (!source) return std::move(source).error();
    auto destination = decided(destination_key, FakeKmsServer::Use::kGenerate);
    if (!destination) return std::move(destination).error();
    auto data_key = unwrap(*source, blob, source_context);
    if (!data_key) return std::move(data_key).error();
    return WrappedDataKey{wrap(*destination, data_key->reveal(), destination_context),
                          destination->description.arn};
  }

 private:
  static constexpr std::size_t kBlobSize = 16 + 32 + 32;

  Result<FakeKmsServer::Key> decided(const std::string& key, FakeKmsServer::Use use) {
    auto found = server_.decide(*principal(), key, use);
    server_.wait_like_a_network();
    return found;
  }

  static Bytes message(std::string_view label, ByteView bytes, const EncryptionContext& context) {
    Bytes out;
    const auto add = [&out](ByteView part) {
      std::array<std::byte, 4> size{};
      store_be32(size.data(), static_cast<std::uint32_t>(part.size()));
      out.insert(out.end(), size.begin(), size.end());
      out.insert(out.end(), part.begin(), part.end());
    };
    add(as_bytes(label));
    add(bytes);
    for (const auto& [name, value] : context) {
      add(as_bytes(name));
      add(as_bytes(value));
    }
    return out;
  }

  static Bytes wrap(const FakeKmsServer::Key& key, std::span<const std::byte, 32> plain,
                    const EncryptionContext& context) {
    Bytes blob(kBlobSize);
    random_bytes(std::span(blob).first(16));
    mask(key, blob, plain, std::span<std::byte, 32>(blob.data() + 16, 32), context);
    const Sha256 tag = hmac_sha256(key.master, message("tag", std::span(blob).first(48), context));
    std::copy(tag.begin(), tag.end(), blob.begin() + 48);
    return blob;
  }

  static void mask(const FakeKmsServer::Key& key, ByteView blob, std::span<const std::byte, 32> in,
                   std::span<std::byte, 32> out, const EncryptionContext& context) {
    const Sha256 stream = hmac_sha256(key.master, message("wrap", blob.first(16), context));
    for (std::size_t i = 0; i < 32; ++i) out[i] = in[i] ^ stream[i];
  }

  Result<DataKey> unwrap(const FakeKmsServer::Key& key, ByteView blob, const EncryptionContext& context) {
    const auto invalid = [] { return error(Kind::kCorrupt, "the wrapped data key does not authenticate"); };
    if (blob.size() != kBlobSize) return invalid();
    const Sha256 tag = hmac_sha256(key.master, message("tag", blob.first(48), context));
    if (!equal_in_constant_time(tag, blob.subspan(48))) return invalid();
    auto data_key = DataKey::make();
    if (!data_key) return data_key;
    mask(key, blob, blob.subspan<16, 32>(), data_key->fill(), context);
    if (server_.lying_) data_key->fill()[0] ^= std::byte{1};
    return data_key;
  }

  FakeKmsServer& server_;
  std::atomic<bool> near_{false};
  std::mutex mutex_;
  std::string principal_;
};

}  // namespace kmsfs::testing
