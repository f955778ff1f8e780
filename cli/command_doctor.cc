// kmsfs doctor: tells what is wrong before, or while, a mount does not work.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/doctor_examination.h"
#include "core/process.h"

namespace kmsfs::cli {

namespace {

constexpr std::chrono::seconds kPatience{60};  // the questions to a KMS end within half of it by themselves

std::string line_of(const Finding& finding) {
  std::string text = finding.detail + (finding.advice.empty() ? "" : "; " + finding.advice);
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return text;
}

void print(const Findings& findings) {
  for (const Finding& finding : findings) {
    std::printf("%-4s  %-15s  %s\n", to_string(finding.verdict).data(), finding.what.c_str(),
                line_of(finding).c_str());
  }
}

void print_json(const Findings& findings) {
  nlohmann::json all = nlohmann::json::array();
  for (const Finding& finding : findings) {
    all.push_back({{"verdict", to_string(finding.verdict)},
                   {"what", finding.what},
                   {"detail", finding.detail},
                   {"advice", finding.advice}});
  }
  std::printf("%s\n", all.dump(2, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
}

}  // namespace

Outcome run_doctor(const DoctorRequest& request) {
  std::optional<Error> not_secured;
  if (auto secured = secure_process({}); !secured) not_secured = std::move(secured).error();
  const Examined examined = examine_within(kPatience, [request, not_secured](Notes& notes) {
    notes.begin("this host");
    notes.add(judge_host(look_at_host(not_secured)));
    std::optional<VolumeParameters> volume;
    if (!request.backing.empty()) {
      notes.begin("the backing directory " + request.backing);
      VolumeFacts facts = look_at_volume(request.backing);
      notes.add(judge_volume(facts));
      if (!facts.error) {
        volume = std::move(facts.parameters);
      } else if (request.kms_uri.empty()) {
        return;  // its KMS is not known
      }
    }
    if (not_secured) {
      notes.add({{Verdict::kWarn, "KMS", "not asked: there is no memory for its secrets"}});
      return;
    }
    ask_kms(request, volume, notes);
  });
  request.json ? print_json(examined.findings) : print(examined.findings);
  const ExitCode code = exit_code_of(examined.findings);
  if (!examined.ended) {
    std::fflush(stdout);
    ::_exit(static_cast<int>(code));
  }
  if (code == ExitCode::kOk) return std::nullopt;
  return Failure{code, ""};  // all is said
}

}  // namespace kmsfs::cli
