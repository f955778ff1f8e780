// What kmsfs kms prints of a reply.
#include "cli/kms_output.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "core/unique_fd.h"
#include "tests/support/crypto_environment.h"

namespace kmsfs::cli {
namespace {

struct Printed {
  std::string text;
  std::optional<Error> error;
};

// At most what a pipe holds.
Printed print(std::string_view json, const OutputChoice& choice = {}) {
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const UniqueFd out(ends[0]);
  Printed printed;
  {
    const UniqueFd in(ends[1]);
    if (auto result = print_json(in.get(), as_bytes(json), choice); !result) printed.error = result.error();
  }
  char buffer[4096];
  for (ssize_t got = 0; (got = ::read(out.get(), buffer, sizeof buffer)) > 0;) {
    printed.text.append(buffer, static_cast<std::size_t>(got));
  }
  return printed;
}

TEST(KmsOutput, IsLaidOutAsAwsDoes) {
  EXPECT_EQ(print(R"({"Keys":[{"KeyId":"a","KeyArn":"b"}],"Empty":{},"None":[], "Truncated" : false})").text,
            "{\n    \"Keys\": [\n        {\n            \"KeyId\": \"a\",\n            \"KeyArn\": \"b\"\n   "
            "     }\n    ],\n"
            "    \"Empty\": {},\n    \"None\": [],\n    \"Truncated\": false\n}\n");
  EXPECT_EQ(print("").text, "");
}

TEST(KmsOutput, EscapesAreWrittenAsAwsWritesThem) {
  EXPECT_EQ(print(R"({"A":"a\u000ab\/c\\u000a\"\u0001\u00e9\t"})").text,
            "{\n    \"A\": \"a\\nb/c\\\\u000a\\\"\\u0001\\u00e9\\t\"\n}\n");
}

TEST(KmsOutput, DatesArePrintedAsTimes) {
  EXPECT_EQ(print(R"({"CreationDate":1764337695.5,"N":1764337695})").text,
            "{\n    \"CreationDate\": \"2025-11-28T13:48:15.500000+00:00\",\n    \"N\": 1764337695\n}\n");
  EXPECT_EQ(
      print(R"({"NextRotationDate":1764337695})", {.text = true, .query = "NextRotationDate", .hidden = {}})
          .text,
      "2025-11-28T13:48:15+00:00\n");
  EXPECT_EQ(print(R"({"CreateDate":"2025-11-28T13:48:15+00:00"})").text,
            "{\n    \"CreateDate\": \"2025-11-28T13:48:15+00:00\"\n}\n");
}

TEST(KmsOutput, AQueryNamesOneValue) {
  const char* reply =
      R"({"KeyMetadata":{"KeyId":"k","Tags":["a","b"]},"Keys":[{"KeyArn":"x"},{"KeyArn":"y\"z"}]})";
  const auto query = [&](const char* path, bool text) { return print(reply, {text, path, {}}); };
  EXPECT_EQ(query("KeyMetadata.KeyId", false).text, "\"k\"\n");
  EXPECT_EQ(query("KeyMetadata.KeyId", true).text, "k\n");
  EXPECT_EQ(query("Keys[1].KeyArn", true).text, "y\"z\n");
  EXPECT_EQ(query("KeyMetadata.Tags", true).text, "a\tb\n");
  EXPECT_EQ(query("Nothing.There", true).text, "None\n");
  EXPECT_EQ(query("Keys[7]", false).text, "null\n");
  for (const char* wrong : {"Keys[", "Keys[x]", "Keys[*]", "a..b", "a.", "length(Keys)"}) {
    EXPECT_TRUE(query(wrong, false).error) << wrong;
  }
  EXPECT_TRUE(query("", true).error);
  EXPECT_TRUE(query("Keys", true).error);
}

TEST(KmsOutput, AHiddenMemberIsLeftOutOfTheWholeOnly) {
  EXPECT_EQ(
      print(R"({"Plaintext":"s","KeyId":"k","Inner":{"Plaintext":"t"}})", {false, {}, "Plaintext"}).text,
      "{\n    \"KeyId\": \"k\",\n    \"Inner\": {\n        \"Plaintext\": \"t\"\n    }\n}\n");
  EXPECT_EQ(print(R"({"Plaintext":"s"})", {false, {}, "Plaintext"}).text, "{}\n");
}

TEST(KmsOutput, WhatIsNoJsonIsNotPrinted) {
  for (const char* text : {"{", "{\"a\":}", "<html>", "{} {}", "{\"a\":1,\"a\":2}", "nul"}) {
    const Printed printed = print(text);
    ASSERT_TRUE(printed.error) << text;
    EXPECT_EQ(printed.error->kind, Kind::kCorrupt) << text;
    EXPECT_EQ(printed.text, "") << text;
  }
}

TEST(KmsOutput, AReplyLargerThanTheBufferIsWhole) {
  const std::string value(20'000, 'x');
  EXPECT_EQ(print("{\"A\":\"" + value + "\"}", {true, "A", {}}).text, value + "\n");
}

TEST(KmsOutput, AnOutputThatTakesNothingIsAnError) {
  const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(full);
  EXPECT_FALSE(print_json(full.get(), as_bytes("{}"), {}));
}

}  // namespace
}  // namespace kmsfs::cli
