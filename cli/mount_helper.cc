#include "cli/mount_helper.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <string_view>

#include "cli/commands.h"

namespace kmsfs::cli {

namespace {

constexpr int kMountUsage = 1;
constexpr int kMountFailed = 32;

int complain(const std::string& text, int status) {
  std::fprintf(stderr, "mount.fuse.kmsfs: %s\n", text.c_str());
  return status;
}

}  // namespace

bool is_mount_helper(int argument_count, const char* const* arguments) {
  const std::string_view program = argument_count > 0 ? arguments[0] : "";
  const std::string_view first = argument_count > 1 ? arguments[1] : "";
  // No command starts with a slash.
  return program.substr(program.rfind('/') + 1) == "mount.fuse.kmsfs" || first.starts_with('/');
}

int run_mount_helper(int argument_count, const char* const* arguments) {
  MountRequest request;
  std::vector<std::string> options;
  std::string ignored;
  bool fake = false, read_only = false, without_effect = false;
  CLI::App app("Mounts a kmsfs volume for mount(8); see kmsfs-mount(1) for the options", "mount.fuse.kmsfs");
  app.set_version_flag("--version", std::string("kmsfs ") + KMSFS_VERSION);
  app.add_option("-o", options, "mount options, separated by commas")
      ->type_name("OPTIONS")
      ->allow_extra_args(false);
  app.add_flag("-f", fake, "check the arguments, mount nothing");
  app.add_flag("-r", read_only, "mount read-only");
  app.add_flag("-s,-n,-v,-w", without_effect, "accepted, without effect");
  app.add_option("-t,-N", ignored, "accepted, without effect");
  app.add_option("BACKING", request.backing)->required()->type_name("");
  app.add_option("MOUNTPOINT", request.mount.mountpoint)->required()->type_name("");
  try {
    app.parse(argument_count, arguments);
  } catch (const CLI::Success& asked) {
    return app.exit(asked);
  } catch (const CLI::ParseError& wrong) {
    return complain(wrong.what(), kMountUsage);
  }
  for (const std::string& words : options) {
    if (auto taken = take_options(words, request); !taken) return complain(taken.error().text, kMountUsage);
  }
  request.mount.read_only |= read_only;
  if (fake) return 0;
  if (const Outcome outcome = run_mount(request)) return complain(outcome->text, kMountFailed);
  return 0;
}

}  // namespace kmsfs::cli
