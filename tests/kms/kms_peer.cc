// A second process on a store, for tests: kms_peer DIRECTORY PRINCIPAL KEY COMMAND [N]
//   disable, enable   changes the key's state
//   generate N        generates N data keys, and prints how many succeeded
//   die N             as generate, then leaves without closing anything
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "core/clock.h"
#include "core/log.h"
#include "core/xaes.h"
#include "kms/service.h"

int main(int argc, char** argv) {
  using namespace kmsfs;  // NOLINT(google-build-using-namespace): a main of few lines
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
