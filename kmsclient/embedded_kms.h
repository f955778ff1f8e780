// A KMS inside this process: one principal's view of a local store (see docs/KMS.md).
//
// Always: as kmsclient/kms.h says; several processes may have one store open, and what one changes the next
// call of another sees. Open after the process's last fork. Threads: any, together.
#pragma once

#include <memory>
#include <string>

#include "kms/service.h"
#include "kmsclient/kms.h"

namespace kmsfs {

class EmbeddedKms final : public Kms {
 public:
  // `endpoint` is what endpoint() says; `principal` an ARN that the store knows.
  EmbeddedKms(std::unique_ptr<kms::Service> service, std::string endpoint, std::string principal);
  ~EmbeddedKms() override;

  bool is_near() const override { return true; }
  std::string endpoint() const override { return endpoint_; }
  Result<std::string> principal() override { return from_.principal; }

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

  // The engine behind it, for key administration in the same process.
  kms::Service& service() { return *service_; }

 private:
  const std::unique_ptr<kms::Service> service_;
  const std::string endpoint_;
  const kms::Invocation from_;
};

}  // namespace kmsfs
