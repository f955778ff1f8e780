// Who is let in, and with which words the others are sent away.
#include <algorithm>

#include "tests/kms/wire/protocol_fixture.h"

namespace kmsfs::kms::test {
namespace {

class Authentication : public ProtocolTest {
 protected:
  std::string code_of(const SentRequest& request) { return send(request).code; }
};

TEST_F(Authentication, ASignedRequestIsByTheOwnerOfItsAccessKey) {
  const WireAnswer answer =
      send_signed(SentRequest::kms("DescribeKey", R"({"KeyId":")" + key_ + R"("})"), alices_key_);
  ASSERT_EQ(answer.status, 200) << answer.text;
  EXPECT_NE(audit_lines().back().find(alice_.principal), std::string::npos);
  EXPECT_NE(audit_lines().back().find(alices_key_.id), std::string::npos);
  EXPECT_NE(audit_lines().back().find("192.0.2.1"), std::string::npos);
}

TEST_F(Authentication, ASecondRequestWithTheSameKeyIsJudgedAsTheFirst) {
  EXPECT_EQ(send_signed(SentRequest::kms("ListKeys"), alices_key_).status, 200);
  EXPECT_EQ(send_signed(SentRequest::kms("ListKeys"), alices_key_).status, 200);
  EXPECT_EQ(send_signed(SentRequest::kms("ListKeys"), {alices_key_.id, std::string(40, 'x'), ""}).code,
            "InvalidSignatureException");
}

TEST_F(Authentication, AnUnsignedRequestOverTcpIsRefused) {
  const WireAnswer answer = send(SentRequest::kms("ListKeys"));
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.code, "MissingAuthenticationTokenException");
  EXPECT_EQ(answer.message, "Request is missing Authentication Token");
}

TEST_F(Authentication, AnUnknownAccessKeyIsRefused) {
  const WireAnswer answer =
      send_signed(SentRequest::kms("ListKeys"), {"AKIAUNKNOWNUNKNOWN00", alices_key_.secret, ""});
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.code, "UnrecognizedClientException");
  EXPECT_EQ(answer.message, "The security token included in the request is invalid.");
}

TEST_F(Authentication, AnInactiveOrDeletedAccessKeyIsRefusedAtOnce) {
  const json key = {{"UserName", "alice"}, {"AccountId", account_}, {"AccessKeyId", alices_key_.id}};
  EXPECT_EQ(send_signed(SentRequest::kms("ListKeys"), alices_key_).status, 200);
  json inactive = key;
  inactive["Status"] = "Inactive";
  administrate("UpdateAccessKey", inactive);
  EXPECT_EQ(send_signed(SentRequest::kms("ListKeys"), alices_key_).code, "UnrecognizedClientException");
  inactive["Status"] = "Active";
  administrate("UpdateAccessKey", inactive);
  EXPECT_EQ(send_signed(SentRequest::kms("ListKeys"), alices_key_).status, 200);
  administrate("DeleteAccessKey", key);
  EXPECT_EQ(send_signed(SentRequest::kms("ListKeys"), alices_key_).code, "UnrecognizedClientException");
}

TEST_F(Authentication, AWrongSecretIsRefused) {
  const WireAnswer answer = send_signed(SentRequest::kms("ListKeys"), {alices_key_.id, "wrong", ""});
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.code, "InvalidSignatureException");
  EXPECT_EQ(
      answer.message,
      "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
      "Access Key and signing method. Consult the service documentation for details.");
}

TEST_F(Authentication, ATokenThatWasNotAskedForIsRefused) {
  Credentials with_token = alices_key_;
  with_token.token = "AAAA";
  EXPECT_EQ(send_signed(SentRequest::kms("ListKeys"), with_token).code, "UnrecognizedClientException");
}

TEST_F(Authentication, ASignatureForAnotherServiceIsRefused) {
  SentRequest request = SentRequest::kms("ListKeys");
  EXPECT_EQ(code_of(sign(request, alices_key_, "sts")), "InvalidSignatureException");
  SentRequest form = SentRequest::sts("Action=GetCallerIdentity&Version=2011-06-15");
  const HttpAnswer answer = http(sign(form, alices_key_, "kms"), tcp());
  EXPECT_EQ(answer.status, 403);
  EXPECT_NE(as_text(answer.body.view()).find("<Code>SignatureDoesNotMatch</Code>"), std::string::npos);
}

TEST_F(Authentication, OnlyStsTakesASignatureForTheGlobalRegion) {
  SentRequest form = SentRequest::sts("Action=GetCallerIdentity&Version=2011-06-15");
  EXPECT_EQ(http(sign(form, alices_key_, "sts", {}, "us-east-1"), tcp()).status, 200);
  SentRequest elsewhere = SentRequest::sts("Action=GetCallerIdentity&Version=2011-06-15");
  EXPECT_EQ(http(sign(elsewhere, alices_key_, "sts", {}, "eu-west-1"), tcp()).status, 403);
  SentRequest request = SentRequest::kms("ListKeys");
  EXPECT_EQ(code_of(sign(request, alices_key_, "kms", {}, "us-east-1")), "InvalidSignatureException");
}

TEST_F(Authentication, ClocksMayDifferByFiveMinutesAndNoMore) {
  for (const int late : {-299, 299}) {
    SentRequest request = SentRequest::kms("ListKeys");
    EXPECT_EQ(send(sign(request, alices_key_, "kms", std::chrono::seconds(late))).status, 200) << late;
  }
  for (const int late : {-301, 301}) {
    SentRequest request = SentRequest::kms("ListKeys");
    EXPECT_EQ(code_of(sign(request, alices_key_, "kms", std::chrono::seconds(late))),
              "InvalidSignatureException")
        << late;
  }
}

TEST_F(Authentication, AnAgeingRequestStopsBeingGood) {
  SentRequest request = SentRequest::kms("ListKeys");
  sign(request, alices_key_);
  clock_.advance(std::chrono::seconds(300));
  EXPECT_EQ(send(request).status, 200);
  clock_.advance(std::chrono::seconds(1));
  const WireAnswer answer = send(request);
  EXPECT_EQ(answer.code, "InvalidSignatureException");
  EXPECT_EQ(answer.message.substr(0, 19), "Signature expired: ");
}

TEST_F(Authentication, ATamperedBodyIsRefused) {
  SentRequest request = SentRequest::kms("ScheduleKeyDeletion", R"({"KeyId":")" + key_ + R"("})");
  sign(request, alices_key_);
  request.body = R"({"KeyId":")" + new_key() + R"("})";
  EXPECT_EQ(code_of(request), "InvalidSignatureException");
}

TEST_F(Authentication, ATargetThatIsNotSignedIsRefused) {
  SentRequest request;
  request.body = R"({"KeyId":")" + key_ + R"("})";
  sign(request, alices_key_);
  request.headers.push_back({"X-Amz-Target", "TrentService.ScheduleKeyDeletion"});
  EXPECT_EQ(code_of(request), "InvalidSignatureException");
  EXPECT_EQ(done("DescribeKey", {{"KeyId", key_}}).body["KeyMetadata"]["KeyState"], "Enabled");
}

TEST_F(Authentication, ASignatureInTheQueryIsRefused) {
  SentRequest request = SentRequest::kms("ListKeys");
  request.target = "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A&X-Amz-Signature=00";
  EXPECT_EQ(code_of(request), "IncompleteSignatureException");
  EXPECT_EQ(send(request, unix_peer(alice_.principal)).code, "IncompleteSignatureException");
}

TEST_F(Authentication, NothingOfAnUnauthenticatedRequestReachesTheAuditLog) {
  const std::size_t before = audit_lines().size();
  send(SentRequest::kms("ListKeys"));
  send_signed(SentRequest::kms("ListKeys"), {"AKIAUNKNOWNUNKNOWN00", "x", ""});
  send_signed(SentRequest::kms("ListKeys"), {alices_key_.id, "wrong", ""});
  EXPECT_EQ(audit_lines().size(), before);
  EXPECT_EQ(protocol_->unauthenticated_requests(), 3U);
}

// --- Unix sockets ---

TEST_F(Authentication, AnUnsignedRequestOverAUnixSocketIsByThePeersPrincipal) {
  const WireAnswer answer = send(SentRequest::kms("ListKeys"), unix_peer(alice_.principal));
  ASSERT_EQ(answer.status, 200) << answer.text;
  EXPECT_NE(audit_lines().back().find(alice_.principal), std::string::npos);
}

TEST_F(Authentication, AnUnmappedUidHearsHowItIsMapped) {
  const WireAnswer answer = send(SentRequest::kms("ListKeys"), unix_peer("", 4711));
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.code, "UnrecognizedClientException");
  EXPECT_NE(answer.message.find("map-uid --uid 4711"), std::string::npos) << answer.message;
}

TEST_F(Authentication, ASignedRequestOverAUnixSocketIsJudgedByItsSignature) {
  const Invocation bob = new_user("bob", account_);
  SentRequest request = SentRequest::kms("ListKeys");
  EXPECT_EQ(send(sign(request, alices_key_), unix_peer(bob.principal)).status, 200);
  SentRequest forged = SentRequest::kms("ListKeys");
  EXPECT_EQ(send(sign(forged, {alices_key_.id, "wrong", ""}), unix_peer(alice_.principal)).code,
            "InvalidSignatureException");
}

TEST_F(Authentication, HalfASignatureOverAUnixSocketDoesNotFallBackToThePeer) {
  SentRequest request = SentRequest::kms("ListKeys");
  request.headers.push_back({"Authorization", "AWS4-HMAC-SHA256 Credential=A"});
  EXPECT_EQ(send(request, unix_peer(alice_.principal)).code, "IncompleteSignatureException");
  SentRequest token_only = SentRequest::kms("ListKeys");
  token_only.headers.push_back({"X-Amz-Security-Token", "AAAA"});
  EXPECT_EQ(send(token_only, unix_peer(alice_.principal)).code, "MissingAuthenticationTokenException");
}

}  // namespace
}  // namespace kmsfs::kms::test
