// The table behind kms_commands.h; that header says how to read a row.
#pragma once

#include <array>

#include "cli/kms_commands.h"

namespace kmsfs::cli {

inline constexpr std::array kKmsCommandTable = {
    // clang-format off
    // --- the store, and what AWS's command line does not have ---
    KmsCommand{"init", Door::kOwn, "| --seal --region", "Makes an empty store"},
    KmsCommand{"share", Door::kOwn, "| KEY! --external-account!:each", "Lets other accounts use a key, as far as their own policies allow"},
    KmsCommand{"unshare", Door::kOwn, "| KEY! --external-account!:each", "Lets other accounts use a key no longer"},
    KmsCommand{"why", Door::kOwn, 
     "| PRINCIPAL! ACTION! KEY --account-id --resource --context:each --encryption-context:structure --grant-tokens:list "
     "--session-policy --json:flag", "Explains a decision, statement by statement"},
    KmsCommand{"audit", Door::kOwn, "| WHAT!", "audit verify: finds lines of the audit log that were edited, removed or added"},
    KmsCommand{"backup", Door::kOwn, "| DIR!", "Copies the store, also while it is in use"},
    KmsCommand{"restore", Door::kOwn, "| FROM! TO!", "Makes a store of a backup, and tries it"},
    KmsCommand{"unseal", Door::kOwn, "", "Gives a kmsd whose store is sealed the passphrase"},
    KmsCommand{"seal", Door::kOwn, "", "Lets a kmsd forget the root key until it is unsealed"},
    KmsCommand{"seal-status", Door::kOwn, "", "Says whether the store of a kmsd is sealed"},
    KmsCommand{"help", Door::kOwn, "| COMMAND", "Says how a command is used"},

    KmsCommand{"get-caller-identity", Door::kOwn, "", "Shows as whom you call"},

    // --- keys ---
    KmsCommand{"create-key", Door::kKms,
     "--description --policy --tags:structures --key-spec --key-usage --origin --customer-master-key-spec "
     "--multi-region:flag --custom-key-store-id --xks-key-id --bypass-policy-lockout-safety-check:flag "
     "| --alias --admin:each --user:each --external-account:each",
     "Makes a key, on request with an alias and the console's policy"},
    KmsCommand{"describe-key", Door::kKms, "--key-id! --grant-tokens:list", "Shows what a key is, and its state"},
    KmsCommand{"list-keys", Door::kKms, "--limit:number --marker", "Lists the keys of the account"},
    KmsCommand{"update-key-description", Door::kKms, "--key-id! --description!", "Describes a key anew"},
    KmsCommand{"enable-key", Door::kKms, "--key-id!", "Lets a key be used again"},
    KmsCommand{"disable-key", Door::kKms, "--key-id!", "Lets nobody use a key"},
    KmsCommand{"schedule-key-deletion", Door::kKms, "--key-id! --pending-window-in-days:number", "Deletes a key after 7 to 30 days"},
    KmsCommand{"cancel-key-deletion", Door::kKms, "--key-id!", "Keeps a key that waits for its deletion; it is disabled then"},
    KmsCommand{"create-alias", Door::kKms, "--alias-name! --target-key-id!", "Gives a key a name"},
    KmsCommand{"update-alias", Door::kKms, "--alias-name! --target-key-id!", "Gives a name to another key"},
    KmsCommand{"delete-alias", Door::kKms, "--alias-name!", "Takes a name away"},
    KmsCommand{"list-aliases", Door::kKms, "--key-id --limit:number --marker", "Lists the aliases of the account, or of a key"},
    KmsCommand{"get-key-policy", Door::kKms, "--key-id! --policy-name", "Shows a key's policy"},
    KmsCommand{"put-key-policy", Door::kKms,
     "--key-id! --policy-name --policy! --bypass-policy-lockout-safety-check:flag", "Replaces a key's policy"},
    KmsCommand{"list-key-policies", Door::kKms, "--key-id! --limit:number --marker", "Lists the names of a key's policies"},
    KmsCommand{"enable-key-rotation", Door::kKms, "--key-id! --rotation-period-in-days:number", "Gives a key new material every year, or as often as told"},
    KmsCommand{"disable-key-rotation", Door::kKms, "--key-id!", "Leaves a key its material"},
    KmsCommand{"get-key-rotation-status", Door::kKms, "--key-id!", "Shows whether and when a key rotates"},
    KmsCommand{"rotate-key-on-demand", Door::kKms, "--key-id!", "Gives a key new material now"},
    KmsCommand{"list-key-rotations", Door::kKms, "--key-id! --include-key-material --limit:number --marker", "Lists the rotations of a key"},
    KmsCommand{"encrypt", Door::kKms,
     "--key-id! --plaintext!:blob --encryption-context:structure --encryption-algorithm --grant-tokens:list --dry-run:flag",
     "Encrypts up to 4096 bytes"},
    KmsCommand{"decrypt", Door::kKms,
     "--ciphertext-blob!:blob --key-id --encryption-context:structure --encryption-algorithm --grant-tokens:list "
     "--dry-run:flag | --plaintext-out",
     "Decrypts what encrypt or generate-data-key made"},
    KmsCommand{"re-encrypt", Door::kKms,
     "--ciphertext-blob!:blob --source-key-id --source-encryption-context:structure --source-encryption-algorithm "
     "--destination-key-id! --destination-encryption-context:structure --destination-encryption-algorithm "
     "--grant-tokens:list --dry-run:flag",
     "Encrypts under another key or context what another encrypted"},
    KmsCommand{"generate-data-key", Door::kKms,
     "--key-id! --key-spec --number-of-bytes:number --encryption-context:structure --grant-tokens:list --dry-run:flag "
     "| --plaintext-out",
     "Makes a data key, in clear and encrypted"},
    KmsCommand{"generate-data-key-without-plaintext", Door::kKms,
     "--key-id! --key-spec --number-of-bytes:number --encryption-context:structure --grant-tokens:list --dry-run:flag",
     "Makes a data key, encrypted only"},
    KmsCommand{"generate-random", Door::kKms, "--number-of-bytes:number --custom-key-store-id | --plaintext-out", "Makes random bytes"},
    KmsCommand{"create-grant", Door::kKms,
     "--key-id! --grantee-principal! --operations!:list --retiring-principal --constraints:structure --name "
     "--grant-tokens:list --dry-run:flag",
     "Lets a principal use a key"},
    KmsCommand{"list-grants", Door::kKms, "--key-id! --grant-id --grantee-principal --limit:number --marker", "Lists the grants of a key"},
    KmsCommand{"list-retirable-grants", Door::kKms, "--retiring-principal! --limit:number --marker", "Lists the grants that a principal may retire"},
    KmsCommand{"revoke-grant", Door::kKms, "--key-id! --grant-id! --dry-run:flag", "Ends a grant"},
    KmsCommand{"retire-grant", Door::kKms, "--grant-token --key-id --grant-id --dry-run:flag", "Ends a grant that has served"},
    KmsCommand{"tag-resource", Door::kKms, "--key-id! --tags!:structures", "Tags a key"},
    KmsCommand{"untag-resource", Door::kKms, "--key-id! --tag-keys!:list", "Takes tags off a key"},
    KmsCommand{"list-resource-tags", Door::kKms, "--key-id! --limit:number --marker", "Lists the tags of a key"},

    // --- identities ---
    KmsCommand{"create-account", Door::kIdentities, "--account-id", "Makes an account"},
    KmsCommand{"list-accounts", Door::kIdentities, "--marker --max-items:number", "Lists the accounts"},
    KmsCommand{"map-uid", Door::kIdentities, "--account-id --uid!:number --user-name --root:flag", "Says which user a uid of this host is, or of which account the root"},
    KmsCommand{"unmap-uid", Door::kIdentities, "--uid!:number", "Makes a uid of this host nobody again"},
    KmsCommand{"list-uids", Door::kIdentities, "--marker --max-items:number", "Lists the uids of this host that are somebody"},
    KmsCommand{"create-user", Door::kIdentities, "--account-id --user-name! --permissions-boundary --tags:structures", "Makes a user"},
    KmsCommand{"get-user", Door::kIdentities, "--account-id --user-name!", "Shows a user"},
    KmsCommand{"list-users", Door::kIdentities, "--account-id --marker --max-items:number", "Lists the users"},
    KmsCommand{"delete-user", Door::kIdentities, "--account-id --user-name!", "Deletes a user"},
    KmsCommand{"create-group", Door::kIdentities, "--account-id --group-name!", "Makes a group"},
    KmsCommand{"get-group", Door::kIdentities, "--account-id --group-name! --marker --max-items:number", "Shows a group and its members"},
    KmsCommand{"list-groups", Door::kIdentities, "--account-id --marker --max-items:number", "Lists the groups"},
    KmsCommand{"delete-group", Door::kIdentities, "--account-id --group-name!", "Deletes a group"},
    KmsCommand{"add-user-to-group", Door::kIdentities, "--account-id --group-name! --user-name!", "Makes a user a member of a group"},
    KmsCommand{"remove-user-from-group", Door::kIdentities, "--account-id --group-name! --user-name!", "Takes a user out of a group"},
    KmsCommand{"list-groups-for-user", Door::kIdentities, "--account-id --user-name! --marker --max-items:number", "Lists the groups of a user"},
    KmsCommand{"create-role", Door::kIdentities,
     "--account-id --role-name! --assume-role-policy-document! --description --max-session-duration:number --permissions-boundary --tags:structures",
     "Makes a role, and says who may assume it"},
    KmsCommand{"get-role", Door::kIdentities, "--account-id --role-name!", "Shows a role"},
    KmsCommand{"list-roles", Door::kIdentities, "--account-id --marker --max-items:number", "Lists the roles"},
    KmsCommand{"update-role", Door::kIdentities, "--account-id --role-name! --description --max-session-duration:number", "Changes a role"},
    KmsCommand{"update-assume-role-policy", Door::kIdentities, "--account-id --role-name! --policy-document!", "Says anew who may assume a role"},
    KmsCommand{"delete-role", Door::kIdentities, "--account-id --role-name!", "Deletes a role"},
    KmsCommand{"create-access-key", Door::kIdentities,
     "--account-id --user-name",
     "Makes an access key and shows its secret, this once; without a user: of the account's root"},
    KmsCommand{"update-access-key", Door::kIdentities, "--account-id --user-name --access-key-id! --status!", "Makes an access key Active or Inactive"},
    KmsCommand{"delete-access-key", Door::kIdentities, "--account-id --user-name --access-key-id!", "Deletes an access key"},
    KmsCommand{"list-access-keys", Door::kIdentities, "--account-id --user-name --marker --max-items:number", "Lists access keys, without their secrets"},
    KmsCommand{"put-user-policy", Door::kIdentities, "--account-id --user-name! --policy-name! --policy-document!", "Gives a user an inline policy, or replaces it"},
    KmsCommand{"get-user-policy", Door::kIdentities, "--account-id --user-name! --policy-name!", "Shows an inline policy of a user"},
    KmsCommand{"list-user-policies", Door::kIdentities, "--account-id --user-name! --marker --max-items:number", "Lists the inline policies of a user"},
    KmsCommand{"delete-user-policy", Door::kIdentities, "--account-id --user-name! --policy-name!", "Takes an inline policy off a user"},
    KmsCommand{"put-group-policy", Door::kIdentities, "--account-id --group-name! --policy-name! --policy-document!", "Gives a group an inline policy, or replaces it"},
    KmsCommand{"get-group-policy", Door::kIdentities, "--account-id --group-name! --policy-name!", "Shows an inline policy of a group"},
    KmsCommand{"list-group-policies", Door::kIdentities, "--account-id --group-name! --marker --max-items:number", "Lists the inline policies of a group"},
    KmsCommand{"delete-group-policy", Door::kIdentities, "--account-id --group-name! --policy-name!", "Takes an inline policy off a group"},
    KmsCommand{"put-role-policy", Door::kIdentities, "--account-id --role-name! --policy-name! --policy-document!", "Gives a role an inline policy, or replaces it"},
    KmsCommand{"get-role-policy", Door::kIdentities, "--account-id --role-name! --policy-name!", "Shows an inline policy of a role"},
    KmsCommand{"list-role-policies", Door::kIdentities, "--account-id --role-name! --marker --max-items:number", "Lists the inline policies of a role"},
    KmsCommand{"delete-role-policy", Door::kIdentities, "--account-id --role-name! --policy-name!", "Takes an inline policy off a role"},
    KmsCommand{"put-user-permissions-boundary", Door::kIdentities,
     "--account-id --user-name! --permissions-boundary!",
     "Bounds what a user may do, by a policy document"},
    KmsCommand{"delete-user-permissions-boundary", Door::kIdentities, "--account-id --user-name!", "Takes the boundary off a user"},
    KmsCommand{"put-role-permissions-boundary", Door::kIdentities,
     "--account-id --role-name! --permissions-boundary!",
     "Bounds what a role may do, by a policy document"},
    KmsCommand{"delete-role-permissions-boundary", Door::kIdentities, "--account-id --role-name!", "Takes the boundary off a role"},
    KmsCommand{"tag-user", Door::kIdentities, "--account-id --user-name! --tags!:structures", "Tags a user"},
    KmsCommand{"untag-user", Door::kIdentities, "--account-id --user-name! --tag-keys!:list", "Takes tags off a user"},
    KmsCommand{"list-user-tags", Door::kIdentities, "--account-id --user-name! --marker --max-items:number", "Lists the tags of a user"},
    KmsCommand{"tag-role", Door::kIdentities, "--account-id --role-name! --tags!:structures", "Tags a role"},
    KmsCommand{"untag-role", Door::kIdentities, "--account-id --role-name! --tag-keys!:list", "Takes tags off a role"},
    KmsCommand{"list-role-tags", Door::kIdentities, "--account-id --role-name! --marker --max-items:number", "Lists the tags of a role"},
    // clang-format on
};

}  // namespace kmsfs::cli
