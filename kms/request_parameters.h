// What a request looks like in the audit log: the requestParameters of CloudTrail, as JSON. Never a plain
// text, a ciphertext or a grant token. Threads: any.
#pragma once

#include <string>

#include "kms/requests.h"

namespace kmsfs::kms {

std::string request_parameters(const CreateKeyRequest& request);
std::string request_parameters(const KeyRequest& request);
std::string request_parameters(const ListRequest& request);
std::string request_parameters(const KeyListRequest& request);
std::string request_parameters(const UpdateKeyDescriptionRequest& request);
std::string request_parameters(const CreateAliasRequest& request);
std::string request_parameters(const DeleteAliasRequest& request);
std::string request_parameters(const ScheduleKeyDeletionRequest& request);
std::string request_parameters(const GetKeyPolicyRequest& request);
std::string request_parameters(const PutKeyPolicyRequest& request);
std::string request_parameters(const EnableKeyRotationRequest& request);
std::string request_parameters(const GenerateDataKeyRequest& request);
std::string request_parameters(const EncryptRequest& request);
std::string request_parameters(const DecryptRequest& request);
std::string request_parameters(const ReEncryptRequest& request);
std::string request_parameters(const GenerateRandomRequest& request);
std::string request_parameters(const CreateGrantRequest& request);
std::string request_parameters(const ListGrantsRequest& request);
std::string request_parameters(const ListRetirableGrantsRequest& request);
std::string request_parameters(const RevokeGrantRequest& request);
std::string request_parameters(const RetireGrantRequest& request);
std::string request_parameters(const TagResourceRequest& request);
std::string request_parameters(const UntagResourceRequest& request);

}  // namespace kmsfs::kms
