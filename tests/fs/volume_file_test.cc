#include "fs/volume_file.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "fs/volume_keys.h"

namespace kmsfs {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kKeyA = "arn:aws:kms:local-1:111122223333:key/00000000-0000-4000-8000-00000000000a";
constexpr const char* kKeyB = "arn:aws:kms:local-1:111122223333:key/00000000-0000-4000-8000-00000000000b";

VolumeFile sample() {
  VolumeFile file;
  file.parameters.id = *VolumeId::parse_hex("101112131415161718191a1b1c1d1e1f");
  file.parameters.allowed_keys = {kKeyA, kKeyB};
  file.parameters.kms_uri = "local:/var/lib/kms";
  file.parameters.volume_key = {Bytes(100, std::byte{0x5a}), kKeyA};
  file.mac.fill(std::byte{0xab});
  return file;
}

std::string sample_text() { return *write_volume_file(sample()); }

std::string changed(const std::function<void(Json&)>& change) {
  Json document = Json::parse(sample_text());
  change(document);
  return document.dump();
}

void expect_kind(const std::string& text, Kind kind) {
  const auto file = parse_volume_file(text);
  ASSERT_FALSE(file.ok()) << text;
  EXPECT_EQ(file.error().kind, kind) << file.error().text << "\n" << text;
  EXPECT_FALSE(file.error().text.empty());
}

TEST(VolumeFile, WhatIsWrittenIsReadBack) {
  const VolumeFile in = sample();
  const auto out = parse_volume_file(sample_text());
  ASSERT_TRUE(out.ok()) << out.error().text;
  EXPECT_EQ(out->parameters.id, in.parameters.id);
  EXPECT_EQ(out->parameters.format_version, kFormatVersion);
  EXPECT_EQ(out->parameters.suite, kSuiteXaes256Gcm);
  EXPECT_EQ(out->parameters.header_size, kDefaultHeaderSize);
  EXPECT_EQ(out->parameters.allowed_keys, in.parameters.allowed_keys);
  EXPECT_EQ(out->parameters.kms_uri, in.parameters.kms_uri);
  EXPECT_EQ(out->parameters.volume_key.key_arn, in.parameters.volume_key.key_arn);
  EXPECT_EQ(out->parameters.volume_key.blob, in.parameters.volume_key.blob);
  EXPECT_EQ(out->mac, in.mac);
}

TEST(VolumeFile, CutAtAnyByteIsCorrupt) {
  const std::string text = sample_text();
  for (std::size_t size = 0; size + 2 < text.size(); ++size)
    expect_kind(text.substr(0, size), Kind::kCorrupt);
}

TEST(VolumeFile, WithoutAnyOneMemberIsCorrupt) {
  const Json original = Json::parse(sample_text());
  for (const auto& member : original.items()) {
    const std::string& name = member.key();
    expect_kind(changed([&](Json& document) { document.erase(name); }), Kind::kCorrupt);
  }
  for (const char* name : {"key_arn", "wrapped"}) {
    expect_kind(changed([&](Json& document) { document["volume_key"].erase(name); }), Kind::kCorrupt);
  }
}

TEST(VolumeFile, WithAMemberThatDoesNotBelongThereIsCorrupt) {
  expect_kind(changed([](Json& document) { document["comment"] = "mine"; }), Kind::kCorrupt);
  expect_kind(changed([](Json& document) { document["volume_key"]["comment"] = "mine"; }), Kind::kCorrupt);
}

TEST(VolumeFile, WithAMemberTwiceIsCorrupt) {
  std::string text = sample_text();
  text.insert(1, "\"kms\": \"local:/elsewhere\",");
  expect_kind(text, Kind::kCorrupt);
  text = sample_text();
  text.insert(text.find("\"key_arn\""), "\"key_arn\": \"arn:mine\",");
  expect_kind(text, Kind::kCorrupt);
}

TEST(VolumeFile, WithAMemberOfAnotherTypeIsCorrupt) {
  const std::vector<Json> values = {nullptr,
                                    true,
                                    -1,
                                    0.5,
                                    "x",
                                    Json::array(),
                                    Json::object(),
                                    Json::array({1}),
                                    Json::array({Json::array({"arn:x"})})};
  const Json original = Json::parse(sample_text());
  for (const auto& member : original.items()) {
    const std::string& name = member.key();
    const Json& value = member.value();
    for (const Json& other : values) {
      if (other.type() == value.type() && name == "kms") continue;  // any text is a KMS URI
      if (name == "mode" && other.is_string()) continue;            // a mode that a newer version may know
      expect_kind(changed([&](Json& document) { document[name] = other; }), Kind::kCorrupt);
    }
  }
}

TEST(VolumeFile, OfANewerFormatIsUnsupportedWhateverItsMembers) {
  expect_kind(changed([](Json& document) {
                document["format_version"] = 2;
                document["tree"] = "new";
                document.erase("mac");
              }),
              Kind::kUnsupported);
  expect_kind(changed([](Json& document) { document["format_version"] = 70000; }), Kind::kUnsupported);
  expect_kind(changed([](Json& document) { document["format_version"] = 65537; }), Kind::kUnsupported);
  expect_kind(changed([](Json& document) { document["format_version"] = 0; }), Kind::kCorrupt);
}

TEST(VolumeFile, OfAnUnknownSuiteOrModeIsUnsupported) {
  expect_kind(changed([](Json& document) { document["suite"] = 2; }), Kind::kUnsupported);
  expect_kind(changed([](Json& document) { document["suite"] = 65537; }), Kind::kUnsupported);
  expect_kind(changed([](Json& document) { document["mode"] = "twig"; }), Kind::kUnsupported);
  expect_kind(changed([](Json& document) { document["mode"] = "Branch"; }), Kind::kUnsupported);
  expect_kind(changed([](Json& document) { document["mode"] = ""; }), Kind::kUnsupported);
}

TEST(VolumeFile, OfEitherModeIsReadAsItWasWritten) {
  for (const KeyMode mode : {KeyMode::kPerFile, KeyMode::kBranch}) {
    VolumeFile file = sample();
    file.parameters.mode = mode;
    const auto text = write_volume_file(file);
    ASSERT_TRUE(text.ok()) << text.error().text;
    const auto read = parse_volume_file(*text);
    ASSERT_TRUE(read.ok()) << read.error().text;
    EXPECT_EQ(read->parameters.mode, mode);
  }
}

TEST(VolumeFile, WithSizesOutOfRangeIsCorrupt) {
  for (std::uint64_t size : {0ULL, 1ULL, 512ULL, 1000ULL, 1025ULL, 4096ULL, 1ULL << 32 | 1024, ~0ULL}) {
    expect_kind(changed([&](Json& document) { document["header_size"] = size; }), Kind::kCorrupt);
  }
  expect_kind(changed([](Json& document) { document["kms"] = std::string(5000, 'x'); }), Kind::kCorrupt);
  expect_kind(changed([](Json& document) { document["volume_key"]["wrapped"] = std::string(8196, 'A'); }),
              Kind::kCorrupt);
  expect_kind(std::string(kMaxVolumeFile + 1, ' '), Kind::kCorrupt);
}

TEST(VolumeFile, WithKeysThatContradictEachOtherIsCorrupt) {
  expect_kind(changed([](Json& document) { document["allowed_keys"] = Json::array(); }), Kind::kCorrupt);
  expect_kind(changed([](Json& document) {
                document["allowed_keys"] = Json::array({kKeyA, kKeyA});
              }),
              Kind::kCorrupt);
  expect_kind(changed([](Json& document) {
                document["allowed_keys"] = Json::array({kKeyA, "alias/mine"});
              }),
              Kind::kCorrupt);
  expect_kind(changed([](Json& document) { document["allowed_keys"] = Json::array({kKeyB}); }),
              Kind::kCorrupt);
  Json many = Json::array({kKeyA});
  for (int i = 0; i < 256; ++i) many.push_back("arn:aws:kms:x:1:key/" + std::to_string(i));
  expect_kind(changed([&](Json& document) { document["allowed_keys"] = many; }), Kind::kCorrupt);
}

TEST(VolumeFile, WithIdsAndBytesThatAreNoneIsCorrupt) {
  for (const char* id : {"", "10", "101112131415161718191a1b1c1d1e1g", "00000000000000000000000000000000"}) {
    expect_kind(changed([&](Json& document) { document["volume_id"] = id; }), Kind::kCorrupt);
  }
  expect_kind(changed([](Json& document) { document["mac"] = std::string(62, 'a'); }), Kind::kCorrupt);
  expect_kind(changed([](Json& document) { document["mac"] = std::string(64, 'x'); }), Kind::kCorrupt);
  for (const char* wrapped : {"", "A", "====", "AAA", "AA==AA==", "!!!!"}) {
    expect_kind(changed([&](Json& document) { document["volume_key"]["wrapped"] = wrapped; }),
                Kind::kCorrupt);
  }
}

TEST(VolumeFile, ThatIsNoObjectOrOtherTextIsCorrupt) {
  const std::string deep(100'000, '[');
  std::string deep_objects;
  for (int i = 0; i < 20'000; ++i) deep_objects += "{\"a\":";
  for (const std::string& text :
       {std::string(), std::string("null"), std::string("[]"), std::string("{}"), deep, deep_objects,
        std::string("\0", 1), sample_text() + "x", "x" + sample_text(), std::string("{\"format\":\"other\"}"),
        std::string("\xff\xfe")}) {
    expect_kind(text, Kind::kCorrupt);
  }
}

TEST(VolumeFile, WhatCouldNotBeReadIsNotWritten) {
  VolumeFile file = sample();
  file.parameters.kms_uri = "local:/caf\xe9";
  EXPECT_EQ(write_volume_file(file).error().kind, Kind::kInvalid);
  file = sample();
  file.parameters.kms_uri = std::string(5000, 'x');
  EXPECT_EQ(write_volume_file(file).error().kind, Kind::kInvalid);
  file = sample();
  file.parameters.allowed_keys.clear();
  EXPECT_EQ(write_volume_file(file).error().kind, Kind::kInvalid);
  file = sample();
  file.parameters.volume_key.blob.resize(6145);
  EXPECT_EQ(write_volume_file(file).error().kind, Kind::kInvalid);
}

TEST(VolumeFile, TheMacChangesWithEveryParameter) {
  const MacKey key = *MacKey::random();
  const VolumeParameters original = sample().parameters;
  std::set<Sha256> macs = {volume_file_mac(key, original)};
  const auto expect_other = [&](const std::function<void(VolumeParameters&)>& change) {
    VolumeParameters parameters = original;
    change(parameters);
    EXPECT_TRUE(macs.insert(volume_file_mac(key, parameters)).second);
  };
  expect_other([](VolumeParameters& p) { p.id.bytes[0] ^= std::byte{1}; });
  expect_other([](VolumeParameters& p) { ++p.format_version; });
  expect_other([](VolumeParameters& p) { ++p.suite; });
  expect_other([](VolumeParameters& p) { p.header_size += 512; });
  expect_other([](VolumeParameters& p) { p.mode = KeyMode::kBranch; });
  expect_other([](VolumeParameters& p) { p.allowed_keys.pop_back(); });
  expect_other([](VolumeParameters& p) { std::swap(p.allowed_keys[0], p.allowed_keys[1]); });
  expect_other([](VolumeParameters& p) { p.kms_uri += "x"; });
  expect_other([](VolumeParameters& p) { p.volume_key.key_arn = kKeyB; });
  // The same characters, cut elsewhere.
  expect_other([](VolumeParameters& p) { p.allowed_keys = {std::string(kKeyA) + kKeyB}; });
  expect_other([](VolumeParameters& p) {
    p.allowed_keys[0] += p.allowed_keys[1][0];
    p.allowed_keys[1].erase(0, 1);
  });
  EXPECT_NE(volume_file_mac(*MacKey::random(), original), volume_file_mac(key, original));
}

// The sample of docs/FORMAT.md, "Volume file".
TEST(VolumeFile, TheMacIsThatOfTheFormat) {
  std::array<std::byte, 32> volume_key{};
  for (std::size_t i = 0; i < volume_key.size(); ++i) volume_key[i] = static_cast<std::byte>(i);
  const VolumeParameters parameters = sample().parameters;
  const MacKey key = *derive_from_volume_key<MacKey>(volume_key, label::kVolumeFile, 1, parameters.id);
  EXPECT_EQ(to_hex(volume_file_mac(key, parameters)),
            "991ecf3615ad34ed39036814c043e1ba5c9d3dc40eac8ef0198413610a6a30e2");
}

}  // namespace
}  // namespace kmsfs
