// A KMS behind a KmsCaller: typed requests to JSON, and replies checked before they are believed.
//
// Always: as kmsclient/kms.h says; a reply that is malformed is kUnavailable (whoever answered is no KMS in
// order), one that is well-formed and by another key, or not of 32 bytes, kCorrupt. Threads: any, together.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "kmsclient/caller.h"
#include "kmsclient/kms.h"

namespace kmsfs {

class RemoteKms final : public Kms {
 public:
  explicit RemoteKms(std::unique_ptr<KmsCaller> caller) : caller_(std::move(caller)) {}

  std::string endpoint() const override { return caller_->endpoint(); }
  Result<std::string> principal() override { return caller_->principal(); }

  Result<KeyDescription> describe_key(const std::string& key) override;
  Result<GeneratedDataKey> generate_data_key(const std::string& key,
                                             const EncryptionContext& context) override;
  Result<WrappedDataKey> generate_data_key_without_plaintext(const std::string& key,
                                                             const EncryptionContext& context) override;
  Result<DataKey> decrypt(const std::string& key_arn, ByteView blob,
                          const EncryptionContext& context) override;
  Result<WrappedDataKey> re_encrypt(ByteView blob, const std::string& source_key_arn,
                                    const EncryptionContext& source_context,
                                    const std::string& destination_key,
                                    const EncryptionContext& destination_context) override;

  KmsCaller& caller() { return *caller_; }

 private:
  const std::unique_ptr<KmsCaller> caller_;
};

}  // namespace kmsfs
