// kmsfs mount: serves a volume from a process in the background, or with --foreground from this one.
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>

#include "cli/background.h"
#include "cli/commands.h"
#include "cli/mount_session.h"
#include "cli/signals.h"
#include "core/process.h"

namespace kmsfs::cli {

namespace {

// `background` hears how the start went; nullptr in the foreground.
Outcome serve(const MountRequest& request, Background* background) {
  ::umask(0);
  block_signals();
  raise_descriptor_limit();
  share_one_heap();
  const Logger logger = make_logger(background != nullptr, request.debug);
  if (auto secured = secure_process({request.backend, request.allow_unlocked_memory}); !secured) {
    return failure(secured.error(), "cannot mount " + request.backing);
  }
  MountSession session(request, logger);
  if (auto failed = session.start()) return failed;
  if (background != nullptr) {
    // The terminal is still ours; the log is not where who mounts looks.
    if (const std::string& why = session.read_only_because(); !why.empty()) {
      std::fprintf(stderr,
                   "kmsfs: %s is mounted read-only, because its principal may not make data keys: %s\n",
                   request.backing.c_str(), why.c_str());
    }
    if (auto detached = background->detach(); !detached) {
      session.stop();
      return failure(detached.error(), "cannot go to the background");
    }
    background->report(std::nullopt);
  }
  logger->info("{} is mounted on {}", request.backing, request.mount.mountpoint);
  Outcome outcome;
  {
    const SignalThread signals([&](int signal) {
      logger->info("signal {}: unmounting {}", signal, request.mount.mountpoint);
      session.stop();
    });
    outcome = session.run();
  }
  if (background != nullptr && outcome) logger->error("{}", outcome->text);
  logger->info("{} is unmounted", request.backing);
  return outcome;
}

}  // namespace

Outcome run_mount(const MountRequest& request) {
  if (request.foreground) return serve(request, nullptr);
  auto background = Background::fork();
  if (!background) return failure(background.error(), "cannot mount " + request.backing);
  if (background->in_parent()) return background->wait();
  // The child: what it has to say goes through the pipe or the log, never twice to the terminal.
  const Outcome outcome = serve(request, &*background);
  background->report(outcome);
  std::exit(static_cast<int>(outcome ? outcome->code : ExitCode::kOk));
}

}  // namespace kmsfs::cli
