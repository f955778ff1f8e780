// A store, its first user, and calls as the wire carries them: JSON in, status, code and JSON out.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "kms/wire/dispatcher.h"
#include "tests/kms/kms_fixture.h"

namespace kmsfs::kms::test {

using nlohmann::json;

struct WireAnswer {
  int status = 0;
  std::string code;     // __type of an error; empty: it succeeded
  std::string message;  // of an error
  std::string text;     // the body as it is
  json body;            // null if the body is empty

  std::string operator[](const char* member) const {
    const auto found = body.find(member);
    return found != body.end() && found->is_string() ? found->get<std::string>() : std::string();
  }
  std::set<std::string> members() const {
    std::set<std::string> names;
    if (body.is_object()) {
      for (const auto& [name, value] : body.items()) names.insert(name);
    }
    return names;
  }
};

inline WireAnswer read_answer(int status, ByteView body) {
  WireAnswer answer;
  answer.status = status;
  answer.text = as_text(body);
  if (answer.text.empty()) return answer;
  answer.body = json::parse(answer.text, nullptr, false);
  EXPECT_FALSE(answer.body.is_discarded()) << answer.text;
  if (status == 200) return answer;
  answer.code = answer["__type"];
  answer.message = answer["message"];
  return answer;
}

class WireTest : public KmsTest {
 protected:
  WireAnswer call_as(const Invocation& from, std::string_view operation, std::string_view request) {
    Dispatcher dispatcher(*service_);
    const auto answer = dispatcher.call(operation, as_bytes(request), from);
    WireAnswer read = read_answer(answer.status, answer.body.view());
    EXPECT_EQ(read.code, answer.error_code != nullptr ? answer.error_code : "");
    return read;
  }
  WireAnswer call(std::string_view operation, const json& request = json::object()) {
    return call_as(alice_, operation, request.dump());
  }
  // Succeeds, or the test says why not.
  WireAnswer done(std::string_view operation, const json& request = json::object()) {
    WireAnswer answer = call(operation, request);
    EXPECT_EQ(answer.status, 200) << operation << " " << request.dump() << " → " << answer.text;
    return answer;
  }
  std::string key_id() const { return key_.substr(key_.rfind('/') + 1); }
  std::string new_key() { return done("CreateKey").body["KeyMetadata"]["KeyId"]; }
  std::string arn_of(const std::string& id) const { return "arn:aws:kms:local-1:" + account_ + ":key/" + id; }
};

}  // namespace kmsfs::kms::test
