// The one interface to a KMS: embedded, daemon or AWS.
//
// A Kms object speaks for one principal. Keys are named as the AWS CLI names them: id, alias, key ARN or
// alias ARN; replies always name the full key ARN. Always: a reply was checked before it is returned:
// decrypt() names the key and the reply is by that very key; a data key has 32 bytes; plaintext exists in
// locked memory only. Denied (kDenied), disabled (kDisabled), gone (kKeyGone), not reachable (kUnavailable)
// and asked to slow down (kThrottled) are told apart, and never turned into one another. A call may block up
// to the provider's deadline: never call with a lock held. Threads: any, together.
#pragma once

#include <memory>
#include <string>

#include "core/bytes.h"
#include "core/secret.h"
#include "kms/types.h"

namespace kmsfs {

// The KMS could not be asked, or not now: that says nothing of permission.
inline bool is_outage(Kind kind) { return kind == Kind::kUnavailable || kind == Kind::kThrottled; }

struct WrappedDataKey {
  Bytes blob;           // at most 6144 bytes, opaque
  std::string key_arn;  // the master key that wrapped it
};

struct GeneratedDataKey {
  DataKey key;
  WrappedDataKey wrapped;
};

class Kms {
 public:
  virtual ~Kms() = default;

  // It answers in this process, at once: nothing is gained by asking in another thread, or ahead.
  virtual bool is_near() const { return false; }
  virtual std::string endpoint() const = 0;     // as given: "local:/var/lib/…", "aws:eu-west-1"
  virtual Result<std::string> principal() = 0;  // the ARN that calls are made as

  virtual Result<KeyDescription> describe_key(const std::string& key) = 0;
  virtual Result<GeneratedDataKey> generate_data_key(const std::string& key,
                                                     const EncryptionContext& context) = 0;
  virtual Result<WrappedDataKey> generate_data_key_without_plaintext(const std::string& key,
                                                                     const EncryptionContext& context) = 0;
  virtual Result<DataKey> decrypt(const std::string& key_arn, ByteView blob,
                                  const EncryptionContext& context) = 0;
  virtual Result<WrappedDataKey> re_encrypt(ByteView blob, const std::string& source_key_arn,
                                            const EncryptionContext& source_context,
                                            const std::string& destination_key,
                                            const EncryptionContext& destination_context) = 0;
};

}  // namespace kmsfs
