// kmsfs info: what is known of files in a mount: id, master key, sizes, state.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "cli/commands.h"
#include "cli/control_client.h"
#include "cli/mount_table.h"
#include "cli/text.h"

namespace kmsfs::cli {

namespace {

using nlohmann::json;

Result<json> information_on(const std::vector<MountEntry>& table, const std::string& path) {
  // Held until the answer is there, so that the daemon knows the inode that it is asked about.
  const UniqueFd file(::open(path.c_str(), O_PATH | O_CLOEXEC));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) return Error::from_errno(errno);
  const auto mount = find_mount(table, status.st_dev);
  if (!mount || !mount->is_fuse()) return error(Kind::kNotFound, "it is not in a kmsfs mount");
  if (!S_ISREG(status.st_mode)) {
    return error(Kind::kInvalid, "it is not a regular file; only those have a data key");
  }
  auto client = ControlClient::connect(*mount);
  if (!client) return std::move(client).error();
  return client->ask({{"request", "information"}, {"inode", status.st_ino}});
}

void print(const std::string& path, const json& information) {
  const auto text = [&](const char* name) { return information.value(name, std::string()); };
  const auto size = [&](const char* name) { return information.value(name, std::uint64_t{0}); };
  std::printf("%s\n  file id      %s\n  master key   %s\n", path.c_str(), text("file_id").c_str(),
              text("master_key").c_str());
  if (!text("branch").empty()) std::printf("  branch       %s\n", text("branch").c_str());
  std::printf("  plain size   %s\n  backing size %s\n", readable_size(size("plain_size")).c_str(),
              readable_size(size("backing_size")).c_str());
  std::printf("  state        %s%s\n", text("state").c_str(),
              information.value("sparse", false) ? ", sparse" : "");
  if (!text("stored_name").empty()) std::printf("  stored name  %s\n", text("stored_name").c_str());
}

}  // namespace

Outcome run_info(const InfoRequest& request) {
  auto table = read_mount_table();
  if (!table) return failure(table.error(), "no information");
  Outcome outcome;
  json all = json::array();
  for (const std::string& path : request.paths) {
    auto information = information_on(*table, path);
    if (!information) {
      const bool elsewhere = information.error().kind == Kind::kNotFound;
      Failure failed = failure(elsewhere ? ExitCode::kNotMounted : exit_code_of(information.error()),
                               information.error(), "no information on " + path);
      // All are tried. The caller prints one failure; the others are printed here.
      if (outcome) std::fprintf(stderr, "kmsfs: %s\n", outcome->text.c_str());
      outcome = std::move(failed);
      continue;
    }
    (*information)["path"] = path;
    if (request.json) {
      all.push_back(std::move(*information));
    } else {
      print(path, *information);
    }
  }
  if (request.json) std::printf("%s\n", all.dump(2, ' ', false, json::error_handler_t::replace).c_str());
  return outcome;
}

}  // namespace kmsfs::cli
