// Requests as botocore signs them, one per file in vectors/sigv4; vectors/make_sigv4_vectors.py made them.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "core/kdf.h"
#include "kms/sigv4.h"

namespace kmsfs::kms {
namespace {

struct Vector {
  std::string name;
  std::map<std::string, std::string> facts;
  std::string method, target, canonical, to_sign, authorization;
  Bytes body;
  std::vector<OwnedHeader> headers;

  std::vector<HttpHeader> views() const {
    std::vector<HttpHeader> all;
    for (const OwnedHeader& header : headers) all.push_back({header.name, header.value});
    return all;
  }
  SigningScope scope() const {
    return {facts.at("date").substr(0, 8), facts.at("region"), facts.at("service")};
  }
  std::string token() const { return facts.contains("token") ? facts.at("token") : ""; }
};

std::map<std::string, std::string> sections(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::map<std::string, std::string> found;
  std::string* section = nullptr;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("--- ")) {
      section = &found[line.substr(4)];
    } else if (section != nullptr) {
      *section += line + "\n";
    }
  }
  for (auto& [name, text] : found) {
    if (!text.empty()) text.pop_back();
  }
  return found;
}

Vector read_vector(const std::filesystem::path& path) {
  Vector vector;
  vector.name = path.stem();
  auto found = sections(path);
  std::istringstream facts(found["case"]);
  for (std::string name, value; facts >> name >> value;) vector.facts[name] = value;
  std::istringstream request(found["request"]);
  request >> vector.method >> vector.target;
  std::string line;
  std::getline(request, line);
  while (std::getline(request, line)) {
    const std::size_t colon = line.find(':');
    vector.headers.push_back({line.substr(0, colon), line.substr(colon + 1)});
  }
  vector.body = *from_hex(found["body"]);
  vector.canonical = found["canonical request"];
  vector.to_sign = found["string to sign"];
  vector.authorization = found["authorization"];
  return vector;
}

class SigV4Vectors : public ::testing::TestWithParam<std::filesystem::path> {};

TEST_P(SigV4Vectors, IsSignedAsBotocoreSignsIt) {
  const Vector vector = read_vector(GetParam());
  const auto headers = vector.views();
  const std::string token = vector.token(), secret = vector.facts.at("secret-key");
  const auto signed_headers =
      sign({vector.method, vector.target, headers}, vector.body,
           {vector.facts.at("access-key"), as_bytes(secret), token}, vector.facts.at("region"),
           vector.facts.at("service"), *parse_amz_date(vector.facts.at("date")));
  ASSERT_TRUE(signed_headers) << signed_headers.error().text;
  EXPECT_EQ(signed_headers->back().value, vector.authorization);
}

TEST_P(SigV4Vectors, HasBotocoresCanonicalRequestAndStringToSign) {
  Vector vector = read_vector(GetParam());
  vector.headers.push_back({"X-Amz-Date", vector.facts.at("date")});
  if (!vector.token().empty()) vector.headers.push_back({"X-Amz-Security-Token", vector.token()});
  vector.headers.push_back({"Authorization", vector.authorization});
  const auto headers = vector.views();
  const SignableRequest request{vector.method, vector.target, headers};
  const auto claim = read_claim(request);
  ASSERT_TRUE(claim) << claim.error().text;
  const std::string canonical =
      canonical_request(request, claim->signed_headers, to_hex(sha256(vector.body)));
  EXPECT_EQ(canonical, vector.canonical);
  EXPECT_EQ(string_to_sign(claim->amz_date, claim->scope, canonical), vector.to_sign);
}

TEST_P(SigV4Vectors, IsAcceptedAsBotocoreSignsIt) {
  Vector vector = read_vector(GetParam());
  vector.headers.push_back({"X-Amz-Date", vector.facts.at("date")});
  if (!vector.token().empty()) vector.headers.push_back({"X-Amz-Security-Token", vector.token()});
  vector.headers.push_back({"Authorization", vector.authorization});
  const auto headers = vector.views();
  const SignableRequest request{vector.method, vector.target, headers};
  const auto claim = read_claim(request);
  ASSERT_TRUE(claim) << claim.error().text;
  EXPECT_EQ(claim->security_token, vector.token());
  const auto checked = check_claim(*claim, request, vector.facts.at("region"), vector.facts.at("service"),
                                   *parse_amz_date(vector.facts.at("date")));
  EXPECT_TRUE(checked) << checked.error().text;
  const std::string secret = vector.facts.at("secret-key");
  const auto key = derive_signing_key(as_bytes(secret), vector.scope());
  ASSERT_TRUE(key);
  const auto genuine = check_signature(*claim, request, vector.body, *key);
  EXPECT_TRUE(genuine) << genuine.error().text;
}

std::vector<std::filesystem::path> vectors() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(SIGV4_VECTORS)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

INSTANTIATE_TEST_SUITE_P(Files, SigV4Vectors, ::testing::ValuesIn(vectors()), [](const auto& given) {
  std::string name = given.param.stem();
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace kmsfs::kms
