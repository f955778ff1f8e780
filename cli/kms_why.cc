// kmsfs kms why: any decision, explained statement by statement, for people or as JSON.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/kms_request.h"
#include "cli/kms_run.h"

namespace kmsfs::cli {

namespace {

using Json = nlohmann::ordered_json;

// --context KEY=VALUE: a key given again has several values.
Result<Json> context_of(std::span<const std::string> given) {
  Json context = Json::object();
  for (const std::string& pair : given) {
    const std::size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0) {
      return error(Kind::kInvalid, "--context takes KEY=VALUE, as in aws:SourceIp=192.0.2.1");
    }
    const std::string key = pair.substr(0, equals);
    if (!context.contains(key)) context[key] = Json::array();
    context[key].push_back(pair.substr(equals + 1));
  }
  for (auto& values : context) {
    if (values.size() == 1) values = Json(values.front());
  }
  return context;
}

Result<Json> question_of(const KmsArguments& arguments) {
  Json question = {{"Principal", arguments.text("PRINCIPAL")}, {"Action", arguments.text("ACTION")}};
  if (arguments.given("KEY")) question["Key"] = arguments.text("KEY");
  if (arguments.given("--account-id")) question["AccountId"] = arguments.text("--account-id");
  if (arguments.given("--resource")) question["Resource"] = arguments.text("--resource");
  if (arguments.given("--grant-tokens")) question["GrantTokens"] = arguments.all("--grant-tokens");
  auto context = context_of(arguments.all("--context"));
  if (!context) return context;
  if (!context->empty()) question["Context"] = std::move(*context);
  if (arguments.given("--encryption-context")) {
    auto encryption_context = parse_structure(arguments.text("--encryption-context"));
    if (!encryption_context) return std::move(encryption_context).error().during("--encryption-context");
    question["EncryptionContext"] = std::move(*encryption_context);
  }
  if (arguments.given("--session-policy")) {
    auto policy = resolved_text(arguments.text("--session-policy"));
    if (!policy) return std::move(policy).error();
    question["SessionPolicy"] = std::move(*policy);
  }
  return question;
}

void print_for_people(const Json& answer) {
  const auto text = [](const Json& of, const char* member) { return of.value(member, std::string()); };
  std::printf("%s\n\n", text(answer, "Summary").c_str());
  for (const auto& [label, member] : {std::pair{"principal", "Principal"},
                                      {"action", "Action"},
                                      {"resource", "Resource"},
                                      {"key state", "KeyState"}}) {
    if (answer.contains(member)) std::printf("%-10s %s\n", label, text(answer, member).c_str());
  }
  const Json statements = answer.value("Statements", Json::array());
  std::printf(statements.empty() ? "\nNo statement of any policy bears on it.\n"
                                 : "\nEvery statement that bears on it (+ applies, - does not):\n");
  for (const Json& statement : statements) {
    std::printf("  %c %-5s %s, %s: %s\n", statement.value("Matched", false) ? '+' : '-',
                text(statement, "Effect").c_str(), text(statement, "Policy").c_str(),
                text(statement, "Statement").c_str(), text(statement, "Explanation").c_str());
  }
  if (answer.contains("Note")) std::printf("\n%s\n", text(answer, "Note").c_str());
}

}  // namespace

Outcome explain_decision(KmsRun& run) {
  auto question = question_of(run.arguments);
  if (!question) return kms_failure(run, question.error());
  auto reply = run.kms.administer("Why", as_bytes(question->dump()));
  if (!reply) return kms_failure(run, reply.error());
  const auto answer = Json::parse(as_text(reply->reveal()), nullptr, false);
  if (!answer.is_object()) return kms_failure(run, error(Kind::kCorrupt, "the answer cannot be understood"));
  if (run.arguments.flag("--json") == true || run.arguments.given("--output") || !run.output.query.empty()) {
    if (auto failed = print_reply(run, reply->reveal())) return failed;
  } else {
    print_for_people(answer);
  }
  if (answer.value("Decision", std::string()) == "allowed") return std::nullopt;
  return Failure{ExitCode::kDenied, {}};  // said already
}

}  // namespace kmsfs::cli
