// The one door to administration: an operation by name, JSON in, JSON out.
//
// Who comes through it is the owner of the store, or an administrator of its host: no policy is asked. Names
// and members are those of AWS IAM, as `aws iam` takes and prints them, and AccountId (12 digits) beside
// them, which may be left out while the store has one account only. Policies are documents, given as text and
// answered as JSON. Times are ISO 8601 in UTC. Lists take Marker and MaxItems (1 to 1000; 100 if not given)
// and answer IsTruncated and, if it is true, Marker. A member that an operation does not know is refused.
//
// Accounts   CreateAccount [AccountId], ListAccounts
// Uids       MapUid Uid, UserName | Root: true; UnmapUid Uid; ListUids
// Users      CreateUser UserName [PermissionsBoundary, Tags], GetUser, ListUsers, DeleteUser
// Groups     CreateGroup GroupName, GetGroup (lists its members), ListGroups, DeleteGroup,
//            AddUserToGroup GroupName, UserName; RemoveUserFromGroup; ListGroupsForUser UserName
// Roles      CreateRole RoleName, AssumeRolePolicyDocument [Description, MaxSessionDuration,
//            PermissionsBoundary, Tags]; GetRole, ListRoles, UpdateRole [Description, MaxSessionDuration],
//            UpdateAssumeRolePolicy RoleName, PolicyDocument; DeleteRole
// Access     CreateAccessKey UserName (none: the account's root), UpdateAccessKey AccessKeyId, Status
// keys       (Active | Inactive), DeleteAccessKey AccessKeyId, ListAccessKeys [UserName]
// Policies,  PutUserPolicy UserName, PolicyName, PolicyDocument; GetUserPolicy, ListUserPolicies,
// inline     DeleteUserPolicy; the same with Group and Role for User
// Boundaries PutUserPermissionsBoundary UserName, PermissionsBoundary (a document),
//            DeleteUserPermissionsBoundary; the same with Role
// Tags       TagUser UserName, Tags [{Key, Value}]; UntagUser UserName, TagKeys; ListUserTags; the same with
//            Role
// Decisions  Why Principal (ARN of a user, role, session or account root; user/NAME, role/NAME, root),
// Action,
//            Key (id, ARN or alias; none: the operation names no key) [Resource, Context {key: value or
//            list}, EncryptionContext {name: value}, GrantTokens, SessionPolicy]; changes nothing
//
// Errors carry IAM's code: NoSuchEntity, EntityAlreadyExists, DeleteConflict, MalformedPolicyDocument,
// LimitExceeded, InvalidInput, ValidationError, InvalidAction (no such operation).
// Always: a change is one transaction with its audit record (identity type StoreOwner), and whatever is read
// leaves its record before the answer does. The answer is in locked memory, as that of CreateAccessKey holds
// a secret. Threads: any, together.
#pragma once

#include <unistd.h>

#include <span>
#include <string_view>

#include "kms/administration.h"
#include "kms/sensitive_bytes.h"

namespace kmsfs::kms {

// `by`: the uid of whoever asks, for the record.
Result<SensitiveBytes> administration_call(Administration& administration, std::string_view operation,
                                           std::string_view json, uid_t by = ::geteuid());

// All operations of the door, sorted.
std::span<const std::string_view> administration_operations();

}  // namespace kmsfs::kms
