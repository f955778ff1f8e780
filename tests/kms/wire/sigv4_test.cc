#include "kms/sigv4.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/kdf.h"
#include "tests/support/crypto_environment.h"

namespace kmsfs::kms {
namespace {

constexpr std::string_view kSecret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const WallTime kNow = std::chrono::seconds(1'800'000'000);

// A request that can be changed after it was signed.
struct Signed {
  std::string method = "POST", target = "/", body = R"({"KeyId":"alias/a"})";
  std::vector<OwnedHeader> headers = {{"Host", "localhost:8443"},
                                      {"Content-Type", "application/x-amz-json-1.1"},
                                      {"X-Amz-Target", "TrentService.DescribeKey"}};

  static Signed make(WallTime at = kNow) { return Signed().sign_again(at); }
  Signed& sign_again(WallTime at = kNow) {
    auto added = sign({method, target, views()}, as_bytes(body), {"AKIDEXAMPLE", as_bytes(kSecret), ""},
                      "eu-west-1", "kms", at);
    EXPECT_TRUE(added);
    headers.insert(headers.end(), added->begin(), added->end());
    return *this;
  }
  const std::vector<HttpHeader>& views() {
    views_.clear();
    for (const OwnedHeader& header : headers) views_.push_back({header.name, header.value});
    return views_;
  }
  OwnedHeader& header(std::string_view name) {
    const auto found =
        std::find_if(headers.begin(), headers.end(), [&](const auto& one) { return one.name == name; });
    EXPECT_NE(found, headers.end()) << name;
    return *found;
  }
  std::string& authorization() { return header("Authorization").value; }
  void replace(std::string_view what, std::string_view with) {
    const std::size_t at = authorization().find(what);
    ASSERT_NE(at, std::string::npos) << what;
    authorization().replace(at, what.size(), with);
  }

  // "ok", or the code that it is refused with.
  std::string judged(WallTime now = kNow) {
    const auto refusal = verify(now);
    return refusal ? refusal->code : "ok";
  }
  std::string refusal(WallTime now = kNow) {
    const auto refusal = verify(now);
    return refusal ? refusal->text : "ok";
  }

 private:
  std::optional<Error> verify(WallTime now) {
    const SignableRequest request{method, target, views()};
    auto claim = read_claim(request);
    if (!claim) return claim.error();
    auto checked = check_claim(*claim, request, "eu-west-1", "kms", now);
    if (!checked) return checked.error();
    auto key = derive_signing_key(as_bytes(kSecret), claim->scope);
    EXPECT_TRUE(key);
    auto genuine = check_signature(*claim, request, as_bytes(body), *key);
    if (!genuine) return genuine.error();
    return std::nullopt;
  }
  std::vector<HttpHeader> views_;
};

TEST(SigV4, ASignedRequestIsAccepted) { EXPECT_EQ(Signed::make().judged(), "ok"); }

TEST(SigV4, AnyChangedByteOfTheBodyIsNoticed) {
  const Signed genuine = Signed::make();
  for (std::size_t i = 0; i < genuine.body.size(); ++i) {
    Signed request = genuine;
    request.body[i] = static_cast<char>(request.body[i] ^ 1);
    EXPECT_EQ(request.judged(), "InvalidSignatureException") << i;
  }
  Signed longer = genuine;
  longer.body += ' ';
  EXPECT_EQ(longer.judged(), "InvalidSignatureException");
}

TEST(SigV4, AnyChangedSignedHeaderIsNoticed) {
  for (const std::string_view name : {"Host", "Content-Type", "X-Amz-Target"}) {
    Signed request = Signed::make();
    request.header(name).value += "x";
    EXPECT_EQ(request.judged(), "InvalidSignatureException") << name;
    Signed without = Signed::make();
    std::erase_if(without.headers, [&](const auto& header) { return header.name == name; });
    EXPECT_EQ(without.judged(), "InvalidSignatureException") << name;
    Signed twice = Signed::make();
    const OwnedHeader again = twice.header(name);
    twice.headers.push_back(again);
    EXPECT_EQ(twice.judged(), "InvalidSignatureException") << name;
  }
}

TEST(SigV4, AnyChangedDigitOfTheSignatureIsNoticed) {
  const Signed genuine = Signed::make();
  for (std::size_t from_end = 1; from_end <= 64; ++from_end) {
    Signed request = genuine;
    char& digit = request.authorization()[request.authorization().size() - from_end];
    digit = digit == '0' ? '1' : '0';
    EXPECT_EQ(request.judged(), "InvalidSignatureException") << from_end;
  }
  Signed shorter = genuine;
  shorter.authorization().pop_back();
  EXPECT_EQ(shorter.judged(), "InvalidSignatureException");
}

TEST(SigV4, AnotherMethodOrTargetIsNoticed) {
  Signed method = Signed::make();
  method.method = "PUT";
  EXPECT_EQ(method.judged(), "InvalidSignatureException");
  for (const char* target : {"/x", "/?a=b", "/x/"}) {
    Signed request = Signed::make();
    request.target = target;
    EXPECT_EQ(request.judged(), "InvalidSignatureException") << target;
  }
}

TEST(SigV4, EveryPartOfTheScopeMustBeTheRightOne) {
  const std::string date = amz_date(kNow).substr(0, 8);
  struct Case {
    std::string what, with, code;
  };
  for (const Case& one : {Case{"/" + date + "/", "/20270116/", "InvalidSignatureException"},
                          Case{"/eu-west-1/", "/us-east-1/", "InvalidSignatureException"},
                          Case{"/kms/", "/sts/", "InvalidSignatureException"},
                          Case{"/aws4_request", "/aws5_request", "InvalidSignatureException"},
                          Case{"/aws4_request", "", "IncompleteSignatureException"},
                          Case{"AKIDEXAMPLE/", "/", "IncompleteSignatureException"}}) {
    Signed request = Signed::make();
    request.replace(one.what, one.with);
    EXPECT_EQ(request.judged(), one.code) << one.with;
  }
}

TEST(SigV4, AScopeOfAnotherRegionIsToldAsSuch) {
  Signed request = Signed::make();
  request.replace("/eu-west-1/", "/us-east-1/");
  EXPECT_EQ(request.refusal(), "Credential should be scoped to a valid region, not 'us-east-1'.");
}

TEST(SigV4, ClocksMayDifferByFiveMinutesAndNoMore) {
  using std::chrono::seconds;
  EXPECT_EQ(Signed::make(kNow - seconds(299)).judged(), "ok");
  EXPECT_EQ(Signed::make(kNow + seconds(299)).judged(), "ok");
  EXPECT_EQ(
      Signed::make(kNow - seconds(301)).refusal(),
      "Signature expired: 20270115T075459Z is now earlier than 20270115T075500Z (20270115T080000Z - 5 min.)");
  EXPECT_EQ(Signed::make(kNow + seconds(301)).refusal(),
            "Signature not yet current: 20270115T080501Z is still later than 20270115T080500Z "
            "(20270115T080000Z + 5 "
            "min.)");
}

TEST(SigV4, TheSameRequestMayComeTwice) {
  Signed request = Signed::make();
  EXPECT_EQ(request.judged(), "ok");
  EXPECT_EQ(request.judged(), "ok");
}

// An unsigned X-Amz-Target would let anybody on the way turn DescribeKey into ScheduleKeyDeletion.
TEST(SigV4, WhatSteersTheCallMustBeSigned) {
  for (const char* name : {"X-Amz-Target", "x-amz-anything", "X-AMZ-SECURITY-TOKEN"}) {
    Signed request;
    std::erase_if(request.headers, [](const auto& header) { return header.name == "X-Amz-Target"; });
    request.sign_again();
    EXPECT_EQ(request.judged(), "ok");
    request.headers.push_back({name, "TrentService.ScheduleKeyDeletion"});
    EXPECT_EQ(request.judged(), "InvalidSignatureException") << name;
  }
  for (const char* name : {"host;", ";x-amz-date", ";x-amz-target"}) {
    Signed request = Signed::make();
    request.replace(name, "");
    EXPECT_EQ(request.judged(), "InvalidSignatureException") << name;
    EXPECT_NE(request.refusal().find("must be a 'SignedHeader'"), std::string::npos) << name;
  }
}

TEST(SigV4, WithoutAuthorizationATokenIsMissing) {
  Signed request;
  EXPECT_EQ(request.judged(), "MissingAuthenticationTokenException");
}

TEST(SigV4, HalfASignatureIsIncomplete) {
  for (const char* authorization :
       {"", " ", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 ", "Basic dXNlcjpwYXNz", "AWS4-HMAC-SHA256 Credential",
        "AWS4-HMAC-SHA256 Credential=A/20270115/eu-west-1/kms/aws4_request",
        "AWS4-HMAC-SHA256 Credential=A/20270115/eu-west-1/kms/aws4_request, SignedHeaders=host",
        "AWS4-HMAC-SHA256 Credential=A/20270115/eu-west-1/kms/aws4_request, Signature=00",
        "AWS4-HMAC-SHA256 Credential=A/20270115/eu-west-1/kms, SignedHeaders=host, Signature=00",
        "AWS4-HMAC-SHA256 Credential=A/b/20270115/eu-west-1/kms/aws4_request, SignedHeaders=host, "
        "Signature=00",
        "AWS4-HMAC-SHA256 Credential=A/20270115/eu-west-1/kms/aws4_request, SignedHeaders=, Signature=00",
        "AWS4-HMAC-SHA256 Credential=A/20270115/eu-west-1/kms/aws4_request, SignedHeaders=host;, "
        "Signature=00",
        "AWS4-HMAC-SHA256 Credential=A/20270115/eu-west-1/kms/aws4_request, SignedHeaders=Host, Signature=00",
        "AWS4-HMAC-SHA256 Credential=A/20270115/eu-west-1/kms/aws4_request, SignedHeaders=host;host, "
        "Signature=00",
        "AWS4-HMAC-SHA256 Credential=A/20270115/eu-west-1/kms/aws4_request, SignedHeaders=x;host, "
        "Signature=00",
        "AWS4-HMAC-SHA256 Credential=A/1/r/kms/aws4_request, SignedHeaders=host, Signature=00, Signature=00",
        "AWS4-HMAC-SHA256 Credential=A/1/r/kms/aws4_request, SignedHeaders=host, Signature=00, Extra=1",
        "AWS4-ECDSA-P256-SHA256 Credential=A/1/r/kms/aws4_request, SignedHeaders=host, Signature=00"}) {
    Signed request = Signed::make();
    request.authorization() = authorization;
    EXPECT_EQ(request.judged(), "IncompleteSignatureException") << authorization;
  }
  Signed twice = Signed::make();
  const OwnedHeader again = twice.header("Authorization");
  twice.headers.push_back(again);
  EXPECT_EQ(twice.judged(), "IncompleteSignatureException");
}

TEST(SigV4, ADateMustBeThereOnceAndBeADate) {
  for (const char* date : {"", "20270115", "20270115T080000", "2027-01-15T08:00:00Z", "20270132T080000Z",
                           "20270115T080060Z", "20270115T250000Z", "00000115T080000Z", "x0270115T080000Z"}) {
    Signed request = Signed::make();
    request.header("X-Amz-Date").value = date;
    EXPECT_EQ(request.judged(), "IncompleteSignatureException") << date;
  }
  Signed twice = Signed::make();
  const OwnedHeader again = twice.header("X-Amz-Date");
  twice.headers.push_back(again);
  EXPECT_EQ(twice.judged(), "IncompleteSignatureException");
}

TEST(SigV4, AnySpacingBetweenThePartsIsAccepted) {
  for (const char* spacing : {",", ",   ", " ,\t"}) {
    Signed request = Signed::make();
    for (std::size_t at = request.authorization().find(", "); at != std::string::npos;
         at = request.authorization().find(", ", at + 4)) {
      request.authorization().replace(at, 2, spacing);
    }
    EXPECT_EQ(request.judged(), "ok") << request.authorization();
  }
}

TEST(SigV4, TheHashOfTheBodyMustBeTheRightOneIfItIsGiven) {
  Signed right;
  right.headers.push_back({"X-Amz-Content-Sha256", to_hex(sha256(as_bytes(right.body)))});
  EXPECT_EQ(right.sign_again().judged(), "ok");
  for (const char* hash : {"UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "",
                           "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}) {
    Signed request;
    request.headers.push_back({"X-Amz-Content-Sha256", hash});
    EXPECT_EQ(request.sign_again().judged(), "InvalidSignatureException") << hash;
  }
}

TEST(SigV4, TheSignatureOfAnotherSecretIsNoticed) {
  Signed request;
  auto added = sign({request.method, request.target, request.views()}, as_bytes(request.body),
                    {"AKIDEXAMPLE", as_bytes("another secret"), ""}, "eu-west-1", "kms", kNow);
  ASSERT_TRUE(added);
  request.headers.insert(request.headers.end(), added->begin(), added->end());
  EXPECT_EQ(request.judged(), "InvalidSignatureException");
}

TEST(SigV4, SigningKeysAreInLockedMemory) {
  const auto key = derive_signing_key(as_bytes(kSecret), {"20150830", "us-east-1", "iam"});
  ASSERT_TRUE(key);
  EXPECT_TRUE(LockedMemory::contains(key->reveal().data()));
}

}  // namespace
}  // namespace kmsfs::kms
