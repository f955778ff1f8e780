#include "cli/kms_list.h"

#include <nlohmann/json.hpp>

#include "cli/kms_request.h"

namespace kmsfs::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr int kMostPages = 100'000;  // more than any KMS has keys for

// How the two sorts of list name the same things.
struct PageNames {
  const char* size;
  const char* more;
  const char* next;
};
constexpr PageNames kKmsNames{"Limit", "Truncated", "NextMarker"};
constexpr PageNames kIdentityNames{"MaxItems", "IsTruncated", "Marker"};

Error unintelligible() { return error(Kind::kCorrupt, "the KMS's list cannot be understood"); }

void join(Json& whole, Json page) {
  for (auto& [name, value] : page.items()) {
    if (value.is_array() && whole.contains(name) && whole[name].is_array()) {
      for (auto& element : value) whole[name].push_back(std::move(element));
    } else {
      whole[name] = std::move(value);
    }
  }
}

}  // namespace

bool wants_one_page(const KmsArguments& arguments) {
  return arguments.given("--no-paginate") || arguments.given("--limit") || arguments.given("--max-items") ||
         arguments.given("--marker");
}

Result<kms::SensitiveBytes> call_operation(KmsRun& run, ByteView json) {
  const KmsCommand& command = *run.arguments.command();
  const std::string operation = operation_of(command);
  return command.door == Door::kIdentities ? run.kms.administer(operation, json)
                                           : run.kms.call(operation, json);
}

Result<std::string> all_pages(KmsRun& run) {
  const PageNames& names = run.arguments.command()->door == Door::kIdentities ? kIdentityNames : kKmsNames;
  auto typed = kms_request(run.arguments);
  if (!typed) return std::move(typed).error();
  Json request = Json::parse(as_text(typed->reveal()));
  if (run.arguments.given("--page-size")) {
    auto size = Json::parse(run.arguments.text("--page-size"), nullptr, false);
    if (!size.is_number_unsigned()) return error(Kind::kInvalid, "--page-size takes a number");
    request[names.size] = std::move(size);
  }
  Json whole = Json::object();
  for (int i = 0; i < kMostPages; ++i) {
    const std::string text = request.dump();
    auto reply = call_operation(run, as_bytes(text));
    if (!reply) return std::move(reply).error();
    auto page = Json::parse(as_text(reply->reveal()), nullptr, false);
    if (!page.is_object()) return unintelligible();
    const bool more = page.value(names.more, false);
    const Json next = page.value(names.next, Json());
    for (const char* name : {names.more, names.next}) page.erase(name);
    join(whole, std::move(page));
    if (!more) return whole.dump();
    if (!next.is_string() || next == request.value("Marker", Json())) return unintelligible();
    request["Marker"] = next;
  }
  return unintelligible();
}

}  // namespace kmsfs::cli
