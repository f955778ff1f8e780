// A second process on a store, for tests: kms_peer DIRECTORY PRINCIPAL KEY COMMAND [N]
//   disable, enable   changes the key's state
//   generate N        generates N data keys, and prints how many succeeded
//   die N             as generate, then leaves without closing anything
//   due               deletes and rotates what is due by the clock of the machine
//   churn             changes the store in all ways until it is killed; tells of each change that was
//   acknowledged
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "core/clock.h"
#include "core/log.h"
#include "core/xaes.h"
#include "kms/service.h"

namespace {

using namespace kmsfs;  // NOLINT(google-build-using-namespace): a program of its own

// One line per change that was acknowledged: what it made, and of which key.
void tell(const char* what, const std::string& value, const std::string& key) {
  std::printf("%s %s %s\n", what, value.c_str(), key.c_str());
  std::fflush(stdout);
}

int churn(kms::Service& service, const kms::Invocation& from) {
  for (int n = 0;; ++n) {
    const std::string tag = std::to_string(::getpid()) + "-" + std::to_string(n);
    auto key = service.create_key(from, {.description = tag, .policy = {}});
    if (!key) return 6;
    const std::string& arn = key->key.arn;
    tell("key", tag, arn);
    if (service.create_alias(from, {"alias/" + tag, arn})) tell("alias", "alias/" + tag, arn);
    auto grant = service.create_grant(from, {.key_id = arn,
                                             .grantee_principal = from.principal,
                                             .operations = {"Decrypt"},
                                             .retiring_principal = from.principal});
    if (grant) tell("grant", grant->grant_id, arn);
    if (service.rotate_key_on_demand(from, {arn})) {
      auto described = service.describe_key(from, {arn});
      if (described) tell("material", described->key.key_material_id, arn);
    }
    if (service.tag_resource(from, {.key_id = arn, .tags = {{"tag", tag}}})) tell("tag", tag, arn);
    if (service.enable_key_rotation(from, {.key_id = arn})) tell("rotation", "365", arn);
    if (n % 3 == 0 && service.schedule_key_deletion(from, {.key_id = arn})) tell("deletion", "30", arn);
    if (n % 3 == 1 && grant && service.revoke_grant(from, {.key_id = arn, .grant_id = grant->grant_id})) {
      tell("revoked", grant->grant_id, arn);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  LockedMemory::Options options;
  options.allow_unlocked = true;
  if (!LockedMemory::start(options) || !start_crypto()) return 3;
  const SystemClock clock;
  auto service = kms::Service::open(argv[1], {}, clock, make_null_logger());
  if (!service) {
    std::fprintf(stderr, "%s\n", service.error().text.c_str());
    return 4;
  }
  kms::Invocation from;
  from.principal = argv[2];
  from.user_agent = "peer";
  const std::string command = argv[4];
  if (command == "disable") return (*service)->disable_key(from, {argv[3]}) ? 0 : 5;
  if (command == "enable") return (*service)->enable_key(from, {argv[3]}) ? 0 : 5;
  if (command == "due") return (*service)->run_due() ? 0 : 5;
  if (command == "churn") return churn(**service, from);
  int succeeded = 0;
  for (int n = argc > 5 ? std::atoi(argv[5]) : 0; n > 0; --n) {
    if ((*service)->generate_data_key(from, {.key_id = argv[3], .context = {}, .key_spec = "AES_256"}))
      ++succeeded;
  }
  std::printf("%d\n", succeeded);
  std::fflush(stdout);
  if (command == "die") ::_exit(0);
  return 0;
}
