// Any bytes as a key policy that is shared and unshared: what comes out is a key policy, and nobody of the
// account is left in it.
#include "kms/console_policy.h"

#include "kms/decision/policy.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using kmsfs::fuzz::require;
  using namespace kmsfs::kms;  // NOLINT: a target is one function
  constexpr std::string_view account = "222233334444";
  const auto text = kmsfs::as_text(kmsfs::fuzz::view(data, size));
  const auto unshared = unshare_policy(text, account);
  if (const auto shared = share_policy(text, account)) {
    const auto parsed = parse_policy(*shared, PolicyUse::kKey);
    require(parsed.ok(), "a shared policy is a policy");
    const auto again = share_policy(*shared, account);
    require(again.ok() && *again == *shared, "sharing twice is sharing once");
  }
  if (!unshared) return 0;
  const auto parsed = parse_policy(*unshared, PolicyUse::kKey);
  require(parsed.ok(), "an unshared policy is a policy");
  for (const Statement& statement : parsed->statements) {
    if (statement.effect != Effect::kAllow || statement.not_principal) continue;
    for (const PrincipalPattern& principal : statement.principals) {
      require(principal.form != PrincipalForm::kEveryone, "everyone is not unshared");
      require(principal.account != account, "nobody of the account is left");
    }
  }
  return 0;
}
