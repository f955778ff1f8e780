// What a request looks like in the audit log: the requestParameters of CloudTrail, as JSON. Never a plain
// text or a ciphertext. Threads: any.
#pragma once

#include <string>

#include "kms/requests.h"

namespace kmsfs::kms {

std::string request_parameters(const CreateKeyRequest& request);
std::string request_parameters(const KeyRequest& request);
std::string request_parameters(const GetKeyPolicyRequest& request);
std::string request_parameters(const ListRequest& request);
std::string request_parameters(const CreateAliasRequest& request);
std::string request_parameters(const GenerateDataKeyRequest& request);
std::string request_parameters(const EncryptRequest& request);
std::string request_parameters(const DecryptRequest& request);
std::string request_parameters(const ReEncryptRequest& request);

}  // namespace kmsfs::kms
