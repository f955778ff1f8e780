// kmsfs kms create-key for somebody, share, unshare: key policies that nobody needs to write by hand.
//
// They are made of operations of the KMS, so that they work on any, and are decided and recorded as those.
#include <nlohmann/json.hpp>

#include "cli/kms_request.h"
#include "cli/kms_run.h"
#include "kms/console_policy.h"

namespace kmsfs::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kAliasPrefix = "alias/";

// Replies to these hold no secret.
Result<Json> call_for_json(KmsRun& run, std::string_view operation, const Json& request) {
  const std::string text = request.dump();
  auto reply = run.kms.call(operation, as_bytes(text));
  if (!reply) return std::move(reply).error();
  if (reply->size() == 0) return Json::object();
  auto json = Json::parse(as_text(reply->reveal()), nullptr, false);
  if (!json.is_object()) return error(Kind::kCorrupt, "the KMS's reply is not JSON");
  return json;
}

Result<std::string> text_in(const Json& reply, const char* member) {
  const auto found = reply.find(member);
  if (found == reply.end() || !found->is_string()) {
    return error(Kind::kCorrupt, std::string("the KMS's reply has no ") + member);
  }
  return found->get<std::string>();
}

Result<std::string> account_of_caller(KmsRun& run) {
  auto principal = run.kms.principal();
  if (!principal) return principal;
  const std::size_t colons = principal->find("::");  // arn:aws:iam::ACCOUNT:user/NAME
  if (colons == std::string::npos || principal->size() < colons + 14) {
    return error(Kind::kUnsupported, "the account of " + *principal + " is not known; give --policy");
  }
  return principal->substr(colons + 2, 12);
}

std::vector<std::string> listed(std::span<const std::string> values) {
  return {values.begin(), values.end()};
}

// With what is common to all key policies of the console; nothing if nobody is to be let in.
Result<std::optional<std::string>> wished_policy(KmsRun& run) {
  kms::ConsolePolicy wishes;
  wishes.administrators = listed(run.arguments.all("--admin"));
  wishes.users = listed(run.arguments.all("--user"));
  wishes.external_accounts = listed(run.arguments.all("--external-account"));
  if (wishes.administrators.empty() && wishes.users.empty() && wishes.external_accounts.empty()) {
    return std::optional<std::string>();
  }
  if (run.arguments.given("--policy")) {
    return error(Kind::kInvalid, "--policy says all; --admin, --user and --external-account write one");
  }
  auto account = account_of_caller(run);
  if (!account) return std::move(account).error();
  wishes.account = std::move(*account);
  auto policy = kms::console_policy(wishes);
  if (!policy) return std::move(policy).error();
  return std::optional(std::move(*policy));
}

std::string alias_name(std::string typed) {
  if (!typed.empty() && !typed.starts_with(kAliasPrefix)) typed.insert(0, kAliasPrefix);
  return typed;
}

Result<Json> make_key_and_alias(KmsRun& run) {
  auto typed = kms_request(run.arguments);
  if (!typed) return std::move(typed).error();
  Json request = Json::parse(as_text(typed->reveal()));
  auto policy = wished_policy(run);
  if (!policy) return std::move(policy).error();
  if (*policy) request["Policy"] = std::move(**policy);
  const std::string alias = alias_name(run.arguments.text("--alias"));
  // Asked first, lest a key be made that has no name.
  if (!alias.empty() && call_for_json(run, "DescribeKey", {{"KeyId", alias}}).ok()) {
    return Error{Kind::kExists, 0, "there is " + alias + " already", "AlreadyExistsException"};
  }
  auto made = call_for_json(run, "CreateKey", request);
  if (!made || alias.empty()) return made;
  auto key = text_in(made->value("KeyMetadata", Json::object()), "KeyId");
  if (!key) return std::move(key).error();
  if (auto named = call_for_json(run, "CreateAlias", {{"AliasName", alias}, {"TargetKeyId", *key}}); !named) {
    return std::move(named).error().during("the key " + *key + " was made, but not its alias");
  }
  return made;
}

using Edit = Result<std::string> (*)(std::string_view policy, std::string_view account);

Result<Json> edit_policy(KmsRun& run, Edit edit) {
  auto key = call_for_json(run, "DescribeKey", {{"KeyId", run.arguments.text("KEY")}});
  if (!key) return key;
  auto arn = text_in(key->value("KeyMetadata", Json::object()), "Arn");
  if (!arn) return std::move(arn).error();
  auto reply = call_for_json(run, "GetKeyPolicy", {{"KeyId", *arn}, {"PolicyName", "default"}});
  if (!reply) return reply;
  auto policy = text_in(*reply, "Policy");
  if (!policy) return std::move(policy).error();
  for (const std::string& account : run.arguments.all("--external-account")) {
    policy = edit(*policy, account);
    if (!policy) return std::move(policy).error();
  }
  auto put =
      call_for_json(run, "PutKeyPolicy", {{"KeyId", *arn}, {"PolicyName", "default"}, {"Policy", *policy}});
  if (!put) return put;
  return Json{{"KeyId", *arn}, {"Policy", Json::parse(*policy, nullptr, false)}};
}

Outcome printed(KmsRun& run, const Result<Json>& reply) {
  if (!reply) return kms_failure(run, reply.error());
  return print_reply(run, as_bytes(reply->dump()));
}

}  // namespace

Outcome create_key_for(KmsRun& run) { return printed(run, make_key_and_alias(run)); }
Outcome share_key(KmsRun& run) { return printed(run, edit_policy(run, kms::share_policy)); }
Outcome unshare_key(KmsRun& run) { return printed(run, edit_policy(run, kms::unshare_policy)); }

}  // namespace kmsfs::cli
