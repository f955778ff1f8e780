// kmsfs kms init, audit, backup, restore, unseal, seal-status: the store of a local KMS as a thing on disk.
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/kms_admin_socket.h"
#include "cli/kms_run.h"
#include "kms/audit_log.h"
#include "kms/backup.h"
#include "kms/names.h"
#include "kms/service.h"

namespace kmsfs::cli {

namespace {

using Json = nlohmann::ordered_json;

Outcome print_object(const KmsRun& run, const Json& object) {
  return print_reply(run, as_bytes(object.dump()));
}

// Denied and invalid are about the seal here, as nobody asks the KMS for anything.
Failure opening_failure(const KmsRun& run, const Error& error) {
  Failure failed = kms_failure(run, error);
  failed.code = exit_code_of_opening_kms(error);
  return failed;
}

Result<kms::AuditVerdict> intact_audit(const std::string& directory) {
  auto verdict = kms::verify_audit_log(directory);
  if (verdict && verdict->problem) {
    return error(Kind::kCorrupt, "the audit log is not as it was written: " + *verdict->problem);
  }
  return verdict;
}

Outcome print_copy(const KmsRun& run, const std::string& to, const Result<kms::BackupReport>& report) {
  if (!report) return opening_failure(run, report.error());
  return print_object(run, {{"Directory", std::filesystem::absolute(to).lexically_normal().string()},
                            {"Records", report->records},
                            {"AuditLines", report->audit_lines}});
}

Result<AdminSocket> admin_socket(const KmsRun& run) {
  auto directory = run.kms.store_directory("unsealed");
  if (!directory) return std::move(directory).error();
  auto socket = AdminSocket::of(*directory);
  if (!socket) {
    return error(Kind::kNotFound, "no kmsd serves the store in " + *directory +
                                      "; without one, each kmsfs unseals it for itself");
  }
  return *socket;
}

}  // namespace

Outcome init_store(KmsRun& run) {
  auto directory = run.kms.store_directory("made");
  if (!directory) return kms_failure(run, directory.error());
  const std::string seal = run.arguments.text("--seal");
  if (!seal.empty() && seal != "keyfile" && seal != "passphrase") {
    return kms_failure(run, error(Kind::kInvalid, "--seal is keyfile or passphrase, not " + seal));
  }
  if (seal == "keyfile" && run.arguments.given("--passphrase-file")) {
    return kms_failure(run, error(Kind::kInvalid, "--seal keyfile and --passphrase-file exclude each other"));
  }
  kms::Service::NewStore store;
  store.seal.kind = seal == "keyfile" ? kms::SealKind::kKeyFile : kms::SealKind::kPassphrase;
  if (run.arguments.given("--region")) store.region = run.arguments.text("--region");
  if (!kms::is_region(store.region)) {
    return kms_failure(run, error(Kind::kInvalid, "a region has lower-case letters, digits and -, unlike '" +
                                                      store.region + "'"));
  }
  if (auto made = kms::Service::create_store(*directory, store, run.kms.passphrase()); !made) {
    return opening_failure(run, made.error());
  }
  return print_object(run, {{"Kms", "local:" + *directory},
                            {"Region", store.region},
                            {"Seal", seal == "keyfile" ? "keyfile" : "passphrase"}});
}

Outcome check_audit(KmsRun& run) {
  if (run.arguments.text("WHAT") != "verify") {
    return kms_failure(run, error(Kind::kInvalid, "there is audit verify, and nothing else"));
  }
  auto directory = run.kms.store_directory("audited");
  if (!directory) return kms_failure(run, directory.error());
  auto verdict = intact_audit(*directory);
  if (!verdict) return opening_failure(run, verdict.error());
  return print_object(run, {{"Lines", verdict->lines}, {"Intact", true}});
}

Outcome back_up(KmsRun& run) {
  auto directory = run.kms.store_directory("backed up");
  if (!directory) return kms_failure(run, directory.error());
  const std::string to = run.arguments.text("DIR");
  return print_copy(run, to, kms::back_up_store(*directory, to, run.kms.logger()));
}

Outcome restore(KmsRun& run) {
  // A backup that does not open, or whose log was changed, becomes no store.
  const auto opens = [&](const std::string& copy) -> Result<void> {
    auto service = kms::Service::open(copy, run.kms.passphrase(), run.kms.clock(), run.kms.logger());
    if (!service) return std::move(service).error().during("trying the backup");
    auto audit = intact_audit(copy);
    if (!audit) return std::move(audit).error().during("trying the backup");
    return {};
  };
  const std::string to = run.arguments.text("TO");
  return print_copy(run, to, kms::copy_store(run.arguments.text("FROM"), to, run.kms.logger(), opens));
}

Outcome unseal(KmsRun& run) {
  auto socket = admin_socket(run);
  if (!socket) return opening_failure(run, socket.error());
  auto passphrase = run.kms.passphrase()(PassphraseUse::kUnseal);
  if (!passphrase) return opening_failure(run, passphrase.error());
  auto reply = socket->call("Unseal", passphrase->reveal());
  if (!reply) return opening_failure(run, reply.error());
  return print_reply(run, reply->reveal());
}

Outcome ask_server(KmsRun& run) {
  auto socket = admin_socket(run);
  if (!socket) return opening_failure(run, socket.error());
  auto reply = socket->call(operation_of(*run.arguments.command()), as_bytes("{}"));
  if (!reply) return kms_failure(run, reply.error());
  return print_reply(run, reply->reveal());
}

}  // namespace kmsfs::cli
