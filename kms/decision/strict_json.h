// JSON of outside origin, where a name that stands twice in one object is an error: it means two things to
// two readers. Included by .cc files only.
//
// Always: bounded in depth. Threads: any.
#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace kmsfs::kms {

// What is wrong goes into `complaint` ("is not valid JSON"); it stays empty if nothing is.
template <typename Json>
Json parse_strict_json(std::string_view text, std::string& complaint) {
  constexpr int deepest = 64;
  std::vector<std::set<std::string>> names;
  const auto watch = [&](int depth, typename Json::parse_event_t event, Json& parsed) {
    if (depth > deepest) complaint = "is nested too deeply";
    if (event == Json::parse_event_t::object_start) names.emplace_back();
    if (event == Json::parse_event_t::object_end) names.pop_back();
    if (event == Json::parse_event_t::key) {
      auto name = parsed.template get<std::string>();
      if (!names.back().insert(name).second) complaint = "has the name '" + name + "' twice in one object";
    }
    return depth <= deepest;
  };
  Json document = Json::parse(text, watch, /*allow_exceptions=*/false);
  if (document.is_discarded() && complaint.empty()) complaint = "is not valid JSON";
  return document;
}

}  // namespace kmsfs::kms
