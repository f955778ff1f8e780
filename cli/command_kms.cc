// kmsfs kms: the administration of a KMS. The table in kms_command_table.h says what there is; this is how a
// row of it is run.
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/kms_list.h"
#include "cli/kms_request.h"
#include "cli/kms_run.h"
#include "core/process.h"
#include "core/unique_fd.h"
#include "kms/private_file.h"
#include "kms/wire/json_reader.h"

namespace kmsfs::cli {

namespace {

constexpr const char* kPlaintext = "Plaintext";
constexpr const char* kDryRun = "DryRunOperationException";  // AWS's way to say that it would have succeeded

// What to do about it, where that does not go without saying.
std::string_view advice(std::string_view code, std::string_view text) {
  if (text.starts_with("Invalid keyId 'alias/")) {
    return "it takes no alias, but an id or ARN, which `kmsfs kms describe-key` shows";
  }
  if (text.find("by AccountId") != std::string_view::npos) return "--account-id N";
  struct Advice {
    std::string_view code, text;
  };
  static constexpr Advice kAdvice[] = {
      {"AccessDeniedException", "at the KMS's host, `kmsfs kms why` tells why"},
      {"NotFoundException", "`kmsfs kms list-keys` and `list-aliases` show what there is"},
      {"AlreadyExistsException", "`kmsfs kms update-alias` gives an alias to another key"},
      {"DisabledException", "`kmsfs kms enable-key` lets it be used again"},
      {"KMSInvalidStateException", "`kmsfs kms describe-key` shows its state"},
      {"InvalidCiphertextException", "give --encryption-context exactly as when it was encrypted"},
      {"IncorrectKeyException", "leave --key-id out, or name the key that encrypted it"},
      {"UnrecognizedClientException",
       "`kmsfs kms list-users` shows who there is; --principal says who calls"},
      {"NoSuchEntity", "`kmsfs kms list-users`, list-groups, list-roles and list-accounts show who there is"},
      {"DeleteConflict", "first take away what hangs on it: policies, access keys, memberships"},
  };
  for (const Advice& known : kAdvice) {
    if (known.code == code) return known.text;
  }
  return {};
}

Result<void> write_private(const std::string& path, ByteView bytes) {
  if (path == "-") return kms::write_all(STDOUT_FILENO, bytes);
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return Error::from_errno(errno, "opening " + path);
  return kms::write_all(fd.get(), bytes);
}

// The plain text goes where --plaintext-out says, everything else is printed.
Outcome print_without_plaintext(KmsRun& run, const kms::SensitiveBytes& reply) {
  const std::string path = run.arguments.text("--plaintext-out");
  auto document = kms::JsonDocument::parse(reply.reveal());
  const auto member = document ? document->root().member(kPlaintext) : std::nullopt;
  if (!member || !member->blob_size()) {
    return kms_failure(run, error(Kind::kCorrupt, "there is no plain text in the KMS's reply"));
  }
  auto plain = member->secret();
  if (!plain) return kms_failure(run, plain.error());
  if (auto put = write_private(path, plain->reveal()); !put) return kms_failure(run, put.error());
  if (path == "-") return std::nullopt;
  run.output.hidden = kPlaintext;
  return print_reply(run, reply.reveal());
}

Outcome run_operation(KmsRun& run) {
  if (is_paginated(*run.arguments.command()) && !wants_one_page(run.arguments)) {
    auto pages = all_pages(run);
    if (!pages) return kms_failure(run, pages.error());
    return print_reply(run, as_bytes(*pages));
  }
  auto request = kms_request(run.arguments);
  if (!request) return kms_failure(run, request.error());
  auto reply = call_operation(run, request->reveal());
  if (!reply && std::string_view(reply.error().code == nullptr ? "" : reply.error().code) == kDryRun) {
    std::fprintf(stderr, "%s: %s\n", kDryRun, reply.error().text.c_str());
    return std::nullopt;
  }
  if (!reply) return kms_failure(run, reply.error());
  if (run.arguments.given("--plaintext-out")) return print_without_plaintext(run, *reply);
  return print_reply(run, reply->reveal());
}

Outcome create_key(KmsRun& run) {
  for (const char* own : {"--alias", "--admin", "--user", "--external-account"}) {
    if (run.arguments.given(own)) return create_key_for(run);
  }
  return run_operation(run);
}

Outcome get_caller_identity(KmsRun& run) {
  auto principal = run.kms.principal();
  if (!principal) return kms_failure(run, principal.error());
  // arn:aws:iam::ACCOUNT:user/NAME
  const std::size_t colons = principal->find("::");
  nlohmann::ordered_json identity;
  if (colons != std::string::npos) identity["Account"] = principal->substr(colons + 2, 12);
  identity["Arn"] = *principal;
  return print_reply(run, as_bytes(identity.dump()));
}

Outcome help(KmsRun& run) {
  const std::string about = run.arguments.text("COMMAND");
  const KmsCommand* command = about.empty() ? nullptr : find_kms_command(about);
  if (!about.empty() && command == nullptr) {
    return kms_failure(run, error(Kind::kInvalid, "there is no command " + about));
  }
  std::fputs((command == nullptr ? help_of_all_commands() : help_of(*command)).c_str(), stdout);
  return std::nullopt;
}

Outcome dispatch(KmsRun& run) {
  static const std::map<std::string_view, Outcome (*)(KmsRun&)> kSpecial = {
      {"audit", check_audit},
      {"backup", back_up},
      {"create-key", create_key},
      {"get-caller-identity", get_caller_identity},
      {"help", help},
      {"init", init_store},
      {"restore", restore},
      {"seal", ask_server},
      {"seal-status", ask_server},
      {"share", share_key},
      {"unseal", unseal},
      {"unshare", unshare_key},
      {"why", explain_decision},
  };
  const auto found = kSpecial.find(run.arguments.command()->name);
  return found == kSpecial.end() ? run_operation(run) : found->second(run);
}

}  // namespace

Failure kms_failure(const KmsRun& run, const Error& error) {
  std::string text = std::string(run.arguments.command()->name) + ": ";
  const std::string_view code = error.code == nullptr ? "" : error.code;
  if (!code.empty() && !error.text.starts_with(code)) text.append(code).append(": ");
  // The way to a KMS elsewhere names the operation, which the command has named.
  const std::string named = operation_of(*run.arguments.command()) + ": ";
  text += error.text.starts_with(named) ? error.text.substr(named.size()) : error.text;
  const auto what_to_do = advice(code, error.text);
  if (!what_to_do.empty()) text.append(" (").append(what_to_do).append(")");
  return Failure{run.kms.opening_failed() ? exit_code_of_opening_kms(error) : exit_code_of(error),
                 std::move(text)};
}

Outcome print_reply(const KmsRun& run, ByteView json) {
  if (as_text(json) == "{}" && run.output.query.empty()) return std::nullopt;  // done, and nothing to say
  if (auto printed = print_json(STDOUT_FILENO, json, run.output); !printed) {
    return kms_failure(run, printed.error());
  }
  return std::nullopt;
}

Outcome run_kms(std::span<const std::string_view> words) {
  auto arguments = KmsArguments::parse(words);
  if (!arguments) return Failure{ExitCode::kUsage, arguments.error().text};
  if (arguments->command() == nullptr || arguments->help()) {
    std::fputs(
        (arguments->command() == nullptr ? help_of_all_commands() : help_of(*arguments->command())).c_str(),
        stdout);
    return std::nullopt;
  }
  const std::string format = arguments->text("--output");
  if (!format.empty() && format != "json" && format != "text") {
    return Failure{ExitCode::kUsage, "--output is json or text, not " + format};
  }
  if (auto started =
          secure_process({AeadBackend::kAutomatic, arguments->flag("--allow-unlocked-memory") == true});
      !started) {
    return failure(started.error(), arguments->command()->name);
  }
  auto kms = KmsConnection::to(*arguments);
  if (!kms) return failure(kms.error(), arguments->command()->name);
  KmsRun run{*arguments, **kms, {format == "text", arguments->text("--query"), {}}};
  return dispatch(run);
}

}  // namespace kmsfs::cli
