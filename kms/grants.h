// Grants in the store, and their tokens.
//
// Tables: kGrants by key; kGrantees and kRetirers find them by principal. A grant token is the sealed name of
// its grant: it opens under this store's root key only, says nothing to anybody else, and is a new one each
// time. Always: record, indexes and the count in the key's record change in one transaction.
// Threads: as the transaction.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kms/engine.h"

namespace kmsfs::kms {

// Where a grant stands in kGrants: key id ‖ grant id.
using GrantName = std::array<std::byte, 48>;
GrantName grant_name(const KeyId& key, const GrantId& grant);
KeyId key_of(const GrantName& name);
std::optional<GrantId> parse_grant_id(std::string_view text);  // 64 hexadecimal digits

Result<void> add_grant(WriteTransaction& transaction, const LoadedKey& key, const GrantRecord& record);
Result<void> erase_grant(WriteTransaction& transaction, const LoadedKey& key, const GrantRecord& record);
Result<void> erase_all_grants(WriteTransaction& transaction, const KeyId& key);

// The key's grants whose grantee is this principal.
Result<std::vector<std::shared_ptr<const GrantRecord>>> grants_to(Engine& engine,
                                                                  const Transaction& transaction,
                                                                  const KeyId& key, std::string_view grantee);
// The key's grants that can mean this caller: itself, its role, its account.
Result<std::vector<Grant>> grants_of(Engine& engine, const Transaction& transaction, const KeyId& key,
                                     const Caller& caller);

// The part of kRetirers that a principal has: its entries are this ‖ GrantName.
std::string retirer_prefix(std::string_view principal);

Result<std::string> make_grant_token(const Engine& engine, const GrantName& name);
// InvalidGrantTokenException if it is not one of this store, or its grant is there no more.
Result<std::shared_ptr<const GrantRecord>> open_grant_token(Engine& engine, const Transaction& transaction,
                                                            std::string_view token, GrantName& name);

}  // namespace kmsfs::kms
