#include "kms/wire/json_reader.h"

#include <gtest/gtest.h>

namespace kmsfs::kms {
namespace {

bool parses(std::string_view text) {
  const auto document = JsonDocument::parse(as_bytes(text));
  if (!document) {
    EXPECT_STREQ(document.error().code, "SerializationException");
  }
  return document.ok();
}

TEST(JsonReader, ReadsWhatRfc8259Allows) {
  for (const char* text : {"{}", " {\t\r\n} ", "[]", "null", "true", "-0", "0.5", "1e9", "-1.25E-3", R"("")",
                           R"({"":""})", R"(["\"\\\/\b\f\n\r\t\u00e9\ud83d\udd11"])",
                           R"({"a":{"b":[{"c":[]}]}})", "\"\xc3\xa9\xf0\x9f\x94\x91\""}) {
    EXPECT_TRUE(parses(text)) << text;
  }
}

TEST(JsonReader, RefusesWhatRfc8259DoesNotAllow) {
  for (const char* text : {"",
                           " ",
                           "{",
                           "}",
                           "[",
                           "[1",
                           "[1,",
                           "[1,]",
                           "{,}",
                           R"({"a")",
                           R"({"a":})",
                           R"({"a":1,})",
                           R"({a:1})",
                           R"({'a':1})",
                           "01",
                           "-",
                           "+1",
                           ".5",
                           "1.",
                           "1e",
                           "0x1",
                           "NaN",
                           "tru",
                           "nulll",
                           "{} {}",
                           "{}x",
                           "\"",
                           "\"\t\"",
                           R"("\x")",
                           R"("\u12")",
                           R"("\u12g4")",
                           "// c\n{}",
                           "{}//",
                           "\xef\xbb\xbf{}"}) {
    EXPECT_FALSE(parses(text)) << text;
  }
  EXPECT_FALSE(parses(std::string_view("{}\0", 3)));
}

TEST(JsonReader, RefusesInvalidUtf8AndLoneSurrogates) {
  for (const char* text : {"\"\x80\"", "\"\xc0\xaf\"", "\"\xc3\"", "\"\xe0\x80\xaf\"", "\"\xed\xa0\x80\"",
                           "\"\xf0\x80\x80\xaf\"", "\"\xf4\x90\x80\x80\"", "\"\xff\"", R"("\ud800")",
                           R"("\udc00")", R"("\ud800x")", R"("\ud800\u0041")", R"("\ud800\ud800")"}) {
    EXPECT_FALSE(parses(text)) << text;
  }
}

TEST(JsonReader, RefusesANameTwiceAtAnyDepth) {
  EXPECT_FALSE(parses(R"({"KeyId":"a","KeyId":"b"})"));
  EXPECT_FALSE(parses(R"({"KeyId":"a","Key\u0049d":"b"})"));
  EXPECT_FALSE(parses(R"({"x":[{"EncryptionContext":{"a":"1","b":"2","a":"1"}}]})"));
  EXPECT_FALSE(parses(R"({"unknown":{"a":null,"a":null}})"));
  EXPECT_TRUE(parses(R"({"a":{"a":{"a":1}},"A":1})"));
}

TEST(JsonReader, RefusesWhatIsNestedTooDeep) {
  EXPECT_TRUE(parses(std::string(32, '[') + std::string(32, ']')));
  EXPECT_FALSE(parses(std::string(34, '[') + std::string(34, ']')));
  EXPECT_FALSE(parses(std::string(90'000, '[')));
}

TEST(JsonReader, ReadsTextsAsTheyAreMeant) {
  const auto document =
      JsonDocument::parse(as_bytes(R"({"a":"x\"\\\/\b\f\n\r\t\u0000\u00e9\u20ac\ud83d\udd11","b":"x"})"));
  ASSERT_TRUE(document);
  EXPECT_EQ(document->root().member("a")->text(),
            std::string("x\"\\/\b\f\n\r\t\0\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\x91", 19));
}

TEST(JsonReader, NullIsAsGoodAsAbsent) {
  const auto document = JsonDocument::parse(as_bytes(R"({"a":null,"b":1})"));
  ASSERT_TRUE(document);
  EXPECT_FALSE(document->root().member("a"));
  EXPECT_FALSE(document->root().member("c"));
  EXPECT_TRUE(document->root().member("b"));
}

TEST(JsonReader, FindsMembersByWhatTheirNamesMean) {
  const auto document = JsonDocument::parse(as_bytes(R"({"nested":{"KeyId":"no"},"\u004beyId":"yes"})"));
  ASSERT_TRUE(document);
  EXPECT_EQ(document->root().member("KeyId")->text(), "yes");
}

TEST(JsonReader, OnlyWholeNumbersAreIntegers) {
  const auto integer = [](const char* text) {
    const auto document = JsonDocument::parse(as_bytes(std::string_view(text)));
    return document ? document->root().integer() : std::nullopt;
  };
  EXPECT_EQ(integer("42"), 42);
  EXPECT_EQ(integer("-7"), -7);
  for (const char* text : {"1.0", "1e2", "9223372036854775808", "true", "\"1\""}) {
    EXPECT_FALSE(integer(text)) << text;
  }
}

TEST(JsonReader, DecodesBase64StraightIntoLockedMemory) {
  const auto escaped = JsonDocument::parse(as_bytes(R"("aGVs\/\u0047\/w")"));
  ASSERT_TRUE(escaped);
  EXPECT_EQ(to_base64(escaped->root().blob()), "aGVs/G/w");
  const auto good = JsonDocument::parse(as_bytes(R"("aGVs\u0062G8=")"));
  ASSERT_TRUE(good);
  EXPECT_EQ(good->root().blob_size(), 5U);
  const auto secret = good->root().secret();
  ASSERT_TRUE(secret);
  EXPECT_EQ(as_text(secret->reveal()), "hello");
  EXPECT_TRUE(LockedMemory::contains(secret->reveal().data()));
}

TEST(JsonReader, RefusesWhatNoBase64EncoderWrites) {
  const auto size = [](const std::string& base64) {
    const std::string text = "\"" + base64 + "\"";
    const auto document = JsonDocument::parse(as_bytes(text));
    return document ? document->root().blob_size() : std::nullopt;
  };
  EXPECT_EQ(size(""), 0U);
  EXPECT_EQ(size("QQ=="), 1U);
  EXPECT_EQ(size("QUI="), 2U);
  EXPECT_EQ(size("QUJD"), 3U);
  for (const char* base64 : {"Q", "QQ", "QQ=", "QUI", "QQ==QQ==", "QQ==A", "QR==", "QUJ=", "=",
                             "====", "QQ===", "Q Q=", "QUJD ", "QU-_", "Q=Q="}) {
    EXPECT_FALSE(size(base64)) << base64;
  }
}

}  // namespace
}  // namespace kmsfs::kms
