// Ciphertext blobs: what Encrypt and GenerateDataKey give out, and Decrypt takes back.
//
//   version 1 | algorithm 1 | key id 16 | material id 16 | KDF nonce 16 | commitment 32 | ciphertext | tag 16
//
// K ‖ commitment = KBKDF-HMAC-SHA256(material, "kmsfs kms blob 1", first 50 bytes), 64 bytes. K seals this
// one message by AES-256-GCM (core/one_time_aead.h); AAD = first 82 bytes ‖ encryption context, which is
// encoded injectively: count 4, then for each pair, sorted by the bytes of its name: length 4, name, length
// 4, value. Always: a header names a key, it does not prove anything; only open_blob does. Whatever is wrong
// with a blob, the answer is the same InvalidCiphertextException. A blob never holds an alias. Threads: any.
#pragma once

#include <optional>

#include "core/bytes.h"
#include "core/secret.h"
#include "kms/names.h"
#include "kms/sensitive_bytes.h"
#include "kms/types.h"

namespace kmsfs::kms {

using Material = Secret<32, struct MaterialTag>;

inline constexpr std::size_t kLargestPlaintext = 4096;
inline constexpr std::size_t kLargestBlob = 6144;
inline constexpr std::size_t kLargestContext = 8192;  // encoded
inline constexpr std::size_t kBlobOverhead = 82 + 16;

struct BlobHeader {
  KeyId key;
  MaterialId material;
};

// Nothing if the bytes cannot be a blob of ours.
std::optional<BlobHeader> parse_blob_header(ByteView blob);

// ValidationException for a context that is too long.
Result<Bytes> encode_context(const EncryptionContext& context);

Result<Bytes> seal_blob(const BlobHeader& header, const Material& material, const EncryptionContext& context,
                        ByteView plain);
Result<SensitiveBytes> open_blob(ByteView blob, const Material& material, const EncryptionContext& context);

}  // namespace kmsfs::kms
