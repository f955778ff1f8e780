#include "kms/blob.h"

#include <cassert>

#include "core/kdf.h"
#include "core/one_time_aead.h"
#include "core/random.h"
#include "kms/errors.h"

namespace kmsfs::kms {

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::uint8_t kAlgorithm = 1;  // AES-256-GCM under a derived key, with a commitment
constexpr std::size_t kPrefixSize = 2 + 16 + 16 + 16;
constexpr std::size_t kCommitmentSize = 32;
constexpr std::size_t kHeaderSize = kPrefixSize + kCommitmentSize;
static_assert(kBlobOverhead == kHeaderSize + kOneTimeOverhead);

// The key of one message, and what the blob shows of it so that it opens under no other.
class MessageKey {
 public:
  static Result<MessageKey> derive(const Material& material, ByteView prefix) {
    auto derived = Secret<64>::make();
    if (!derived) return std::move(derived).error();
    kbkdf_hmac_sha256(material.reveal(), as_bytes("kmsfs kms blob 1"), prefix, derived->fill());
    return MessageKey(std::move(*derived));
  }
  std::span<const std::byte, 32> key() const { return derived_.reveal().first<32>(); }
  ByteView commitment() const { return derived_.reveal().subspan<32, kCommitmentSize>(); }

 private:
  explicit MessageKey(Secret<64> derived) : derived_(std::move(derived)) {}
  Secret<64> derived_;
};

Result<Bytes> associated_data(ByteView header, const EncryptionContext& context) {
  auto encoded = encode_context(context);
  if (!encoded) return encoded;
  encoded->insert(encoded->begin(), header.begin(), header.end());
  return encoded;
}

}  // namespace

std::optional<BlobHeader> parse_blob_header(ByteView blob) {
  if (blob.size() <= kBlobOverhead || blob.size() > kLargestBlob) return {};
  ByteReader in(blob);
  if (in.u8() != kVersion || in.u8() != kAlgorithm) return {};
  BlobHeader header;
  header.key.bytes = in.take<16>();
  header.material.bytes = in.take<16>();
  return header;
}

Result<Bytes> encode_context(const EncryptionContext& context) {
  std::size_t size = 4;
  for (const auto& [name, value] : context) size += 8 + name.size() + value.size();
  if (size > kLargestContext) return validation("the encryption context is longer than 8192 bytes");
  Bytes encoded(size);
  ByteWriter out(encoded);
  out.u32(static_cast<std::uint32_t>(context.size()));
  for (const auto& [name, value] : context) {  // the map is sorted by the bytes of the names
    out.u32(static_cast<std::uint32_t>(name.size()));
    out.bytes(as_bytes(name));
    out.u32(static_cast<std::uint32_t>(value.size()));
    out.bytes(as_bytes(value));
  }
  assert(out.ok() && out.written() == size && "the size was computed from the same pairs");
  return encoded;
}

Result<Bytes> seal_blob(const BlobHeader& header, const Material& material, const EncryptionContext& context,
                        ByteView plain) {
  Bytes blob(kBlobOverhead + plain.size());
  const ByteSpan all(blob);
  blob[0] = std::byte{kVersion};
  blob[1] = std::byte{kAlgorithm};
  std::memcpy(&blob[2], header.key.bytes.data(), 16);
  std::memcpy(&blob[18], header.material.bytes.data(), 16);
  random_bytes(all.subspan(34, 16));
  auto message = MessageKey::derive(material, all.first(kPrefixSize));
  if (!message) return std::move(message).error();
  std::memcpy(&blob[kPrefixSize], message->commitment().data(), kCommitmentSize);
  auto aad = associated_data(all.first(kHeaderSize), context);
  if (!aad) return aad;
  KMSFS_TRY(seal_one_time(message->key(), *aad, plain, all.subspan(kHeaderSize)));
  return blob;
}

Result<SensitiveBytes> open_blob(ByteView blob, const Material& material, const EncryptionContext& context) {
  if (!parse_blob_header(blob)) return invalid_ciphertext();
  auto message = MessageKey::derive(material, blob.first(kPrefixSize));
  if (!message) return std::move(message).error();
  if (!equal_in_constant_time(message->commitment(), blob.subspan(kPrefixSize, kCommitmentSize))) {
    return invalid_ciphertext();
  }
  auto aad = associated_data(blob.first(kHeaderSize), context);
  if (!aad) return std::move(aad).error();
  auto plain = SensitiveBytes::make(blob.size() - kBlobOverhead);
  if (!plain) return plain;
  if (auto opened = open_one_time(message->key(), *aad, blob.subspan(kHeaderSize), plain->fill()); !opened) {
    if (opened.error().kind == Kind::kCorrupt) return invalid_ciphertext();
    return std::move(opened).error();
  }
  return plain;
}

}  // namespace kmsfs::kms
