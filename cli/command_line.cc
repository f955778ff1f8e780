#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "cli/kms_uri.h"
#include "cli/mount_helper.h"

namespace kmsfs::cli {

namespace {

constexpr const char* kKmsHelp =
    "KMS URI: local:DIR, unix:PATH, http(s)://HOST:PORT, aws:REGION (default: this user's local KMS)";
constexpr const char* kUserHelp = "act as this user, or ARN, of the local KMS (default: this uid's own)";
constexpr const char* kProfileHelp = "profile of the AWS configuration whose credentials sign";
constexpr const char* kInsecureHelp = "plain http to another host: everybody on the way reads the keys";
constexpr const char* kPassphraseHelp = "file with the passphrase of the local KMS, mode 0600";

// What a command needs to be run, filled in by the parser. One of each lives as long as the parser.
struct Requests {
  InitRequest init;
  MountRequest mount;
  std::string seal, mode = "per-file", options, backend = "auto", key_age = "300", probe_interval = "30",
                    outage_grace = "0";
  bool read_only = false;
  UmountRequest umount;
  StatusRequest status;
  InfoRequest info;
  RevokeRequest revoke;
  DoctorRequest doctor;
};

void add_remote_options(CLI::App& command, std::string& profile, bool& insecure_http) {
  command.add_option("--profile", profile, kProfileHelp)->type_name("NAME");
  command.add_flag("--insecure-http", insecure_http, kInsecureHelp);
}

void add_init(CLI::App& app, Requests& requests) {
  InitRequest& request = requests.init;
  auto* command = app.add_subcommand("init", "Make an empty directory a volume");
  command->add_option("--kms", request.kms_uri, kKmsHelp)->type_name("URI");
  command->add_option("--user", request.kms_user, kUserHelp)->type_name("NAME");
  add_remote_options(*command, request.profile, request.insecure_http);
  command->add_option("--key", request.key, "master key: alias, id or ARN (default: alias/aws/kmsfs)")
      ->type_name("KEY");
  command->add_option("--mode", requests.mode, "what wraps the data key of a file: see kmsfs-init(1)")
      ->check(CLI::IsMember({"per-file", "branch"}))
      ->type_name("per-file|branch");
  command->add_option("--seal", requests.seal, "how a new local KMS is sealed")
      ->check(CLI::IsMember({"keyfile", "passphrase"}))
      ->type_name("keyfile|passphrase");
  command->add_option("--passphrase-file", request.passphrase_file, kPassphraseHelp)->type_name("FILE");
  command->add_flag("--allow-unlocked-memory", request.allow_unlocked_memory)->group("");
  command->add_option("BACKING", request.backing, "directory for the ciphertext; made if it is missing")
      ->required()
      ->type_name("");
}

void add_mount(CLI::App& app, Requests& requests) {
  MountRequest& request = requests.mount;
  auto* command = app.add_subcommand("mount", "Show a volume as a directory of ordinary files");
  command->add_option("-o", requests.options, "mount options, separated by commas; see kmsfs-mount(1)")
      ->type_name("OPTIONS");
  command->add_option("--kms", request.kms_uri, kKmsHelp)->type_name("URI");
  command->add_option("--user", request.kms_user, kUserHelp)->type_name("NAME");
  add_remote_options(*command, request.profile, request.insecure_http);
  command->add_option("--passphrase-file", request.passphrase_file, kPassphraseHelp)->type_name("FILE");
  command->add_flag("--foreground", request.foreground, "stay in the foreground and log to standard error");
  command->add_flag("--ro", requests.read_only, "mount read-only");
  command->add_flag("--shared", request.mount.shared, "other mounts may change the volume meanwhile");
  command->add_option("--backend", requests.backend, "bulk encryption: auto, ipsec-mb or openssl")
      ->type_name("NAME");
  command
      ->add_option("--key-age", requests.key_age, "seconds that a data key may be used after the KMS gave it")
      ->type_name("SECONDS");
  command
      ->add_option("--probe-interval", requests.probe_interval,
                   "seconds between questions whether the KMS still permits the use of a key")
      ->type_name("SECONDS");
  command
      ->add_option("--outage-grace", requests.outage_grace,
                   "seconds that keys serve beyond their age while the KMS cannot be reached")
      ->type_name("SECONDS");
  command->add_flag("--debug", request.debug, "log more");
  command->add_flag("--allow-unlocked-memory", request.allow_unlocked_memory)->group("");
  command->add_option("BACKING", request.backing, "directory of the ciphertext")->required()->type_name("");
  command->add_option("MOUNTPOINT", request.mount.mountpoint, "empty directory")->required()->type_name("");
}

void add_umount(CLI::App& app, Requests& requests) {
  UmountRequest& request = requests.umount;
  auto* command = app.add_subcommand("umount", "Unmount, and wait until everything is written");
  command->add_flag("--lazy", request.lazy, "take it from sight now, though it is in use");
  command->add_flag("--unguard", request.unguard,
                    "also let programs write into the directory again; works on one that is not mounted");
  command->add_option("MOUNTPOINT", request.mountpoint)->required()->type_name("");
}

void add_status(CLI::App& app, Requests& requests) {
  auto* command = app.add_subcommand("status", "Show what a mount, or every mount, says of itself");
  command->add_flag("--json", requests.status.json, "for programs");
  command->add_option("MOUNTPOINT", requests.status.mountpoint)->type_name("");
}

void add_info(CLI::App& app, Requests& requests) {
  auto* command = app.add_subcommand("info", "Show file id, master key, sizes and state of mounted files");
  command->add_flag("--json", requests.info.json, "for programs");
  command->add_option("PATH", requests.info.paths)->required()->type_name("...");
}

void add_revoke(CLI::App& app, Requests& requests) {
  auto* command = app.add_subcommand("revoke", "Take every data key from a mount now; the KMS decides anew");
  command->add_option("MOUNTPOINT", requests.revoke.mountpoint)->required()->type_name("");
}

void add_doctor(CLI::App& app, Requests& requests) {
  DoctorRequest& request = requests.doctor;
  auto* command =
      app.add_subcommand("doctor", "Tell what keeps a volume from being mounted; changes nothing");
  command->add_option("--kms", request.kms_uri, kKmsHelp)->type_name("URI");
  command->add_option("--user", request.kms_user, kUserHelp)->type_name("NAME");
  add_remote_options(*command, request.profile, request.insecure_http);
  command->add_option("--passphrase-file", request.passphrase_file, kPassphraseHelp)->type_name("FILE");
  command->add_option("--key", request.key, "master key to ask for (default: those of the volume)")
      ->type_name("KEY");
  command->add_flag("--json", request.json, "for programs");
  command->add_option("BACKING", request.backing, "directory of the ciphertext")->type_name("");
}

Outcome usage(const Error& error) { return Failure{ExitCode::kUsage, error.text + " (kmsfs --help)"}; }

Outcome init(Requests& requests) {
  InitRequest& request = requests.init;
  request.mode = parse_key_mode(requests.mode).value_or(KeyMode::kPerFile);  // the parser let no other pass
  auto uri = absolute_kms_uri(request.kms_uri);
  if (!uri) return usage(uri.error());
  request.kms_uri = std::move(*uri);
  if (requests.seal == "keyfile") request.seal = SealChoice::kKeyFile;
  if (requests.seal == "passphrase" || !request.passphrase_file.empty()) {
    if (request.seal == SealChoice::kKeyFile) {
      return usage(error(Kind::kInvalid, "--seal keyfile and --passphrase-file exclude each other"));
    }
    request.seal = SealChoice::kPassphrase;
  }
  return run_init(request);
}

Outcome mount(Requests& requests) {
  MountRequest& request = requests.mount;
  auto backend = parse_backend(requests.backend);
  if (!backend) return usage(backend.error());
  request.backend = *backend;
  auto key_age = parse_key_age(requests.key_age);
  if (!key_age) return usage(key_age.error());
  request.key_age = *key_age;
  auto probe_interval = parse_probe_interval(requests.probe_interval);
  if (!probe_interval) return usage(probe_interval.error());
  request.probe_interval = *probe_interval;
  auto outage_grace = parse_outage_grace(requests.outage_grace);
  if (!outage_grace) return usage(outage_grace.error());
  request.outage_grace = *outage_grace;
  auto uri = absolute_kms_uri(request.kms_uri);
  if (!uri) return usage(uri.error());
  request.kms_uri = std::move(*uri);
  if (auto taken = take_options(requests.options, request); !taken) return usage(taken.error());
  request.mount.read_only |= requests.read_only;
  return run_mount(request);
}

Outcome doctor(DoctorRequest& request) {
  auto uri = absolute_kms_uri(request.kms_uri);
  if (!uri) return usage(uri.error());
  request.kms_uri = std::move(*uri);
  return run_doctor(request);
}

int report(const Outcome& outcome) {
  if (!outcome) return static_cast<int>(ExitCode::kOk);
  if (!outcome->text.empty()) std::fprintf(stderr, "kmsfs: %s\n", outcome->text.c_str());
  return static_cast<int>(outcome->code);
}

}  // namespace

int run_command_line(int argument_count, const char* const* arguments) {
  if (is_mount_helper(argument_count, arguments)) return run_mount_helper(argument_count, arguments);

  CLI::App app("kmsfs: a directory of ciphertext, mounted as ordinary files, with keys from a KMS", "kmsfs");
  app.set_version_flag("--version", std::string("kmsfs ") + KMSFS_VERSION);
  app.require_subcommand(1);
  Requests requests;
  add_init(app, requests);
  add_mount(app, requests);
  add_umount(app, requests);
  add_status(app, requests);
  add_info(app, requests);
  add_revoke(app, requests);
  add_doctor(app, requests);
  app.add_subcommand("kms", "Administer a KMS: keys, policies, identities; see kmsfs kms help");
  const std::string_view first = argument_count > 1 ? arguments[1] : "";
  if (first == "kms") {  // a table of its own
    const std::vector<std::string_view> words(arguments + 2, arguments + argument_count);
    return report(run_kms(words));
  }
  const auto is_first = [&](const CLI::App* command) { return command->get_name() == first; };
  if (!first.starts_with('-') && std::as_const(app).get_subcommands(is_first).empty()) {
    return report(usage(error(Kind::kInvalid, first.empty() ? "say what to do: kmsfs COMMAND ..."
                                                            : "there is no command " + std::string(first))));
  }
  try {
    app.parse(argument_count, arguments);
  } catch (const CLI::Success& asked) {  // --help, --version
    return app.exit(asked);
  } catch (const CLI::ParseError& wrong) {
    return report(usage(error(Kind::kInvalid, wrong.what())));
  }

  const std::map<std::string_view, std::function<Outcome()>> commands = {
      {"init", [&] { return init(requests); }},
      {"mount", [&] { return mount(requests); }},
      {"umount", [&] { return run_umount(requests.umount); }},
      {"status", [&] { return run_status(requests.status); }},
      {"info", [&] { return run_info(requests.info); }},
      {"revoke", [&] { return run_revoke(requests.revoke); }},
      {"doctor", [&] { return doctor(requests.doctor); }},
  };
  return report(commands.at(app.get_subcommands().front()->get_name())());
}

}  // namespace kmsfs::cli
