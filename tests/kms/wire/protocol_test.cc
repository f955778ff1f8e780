// What surrounds a call: methods, targets, headers of answers, health, sealing.
#include <regex>

#include "tests/kms/wire/protocol_fixture.h"

namespace kmsfs::kms::test {
namespace {

class ProtocolAnswers : public ProtocolTest {};

TEST_F(ProtocolAnswers, HealthNeedsNoSignatureAndSaysNothing) {
  SentRequest request;
  request.method = "GET";
  request.target = "/health";
  request.body.clear();
  const HttpAnswer answer = http(request, tcp());
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body.size(), 0U);
  EXPECT_TRUE(answer.headers.empty());
  const auto headers = request.views();
  const HttpAnswer sealed = answer_while_sealed({"GET", "/health", headers, {}}, clock_);
  EXPECT_EQ(sealed.status, 200);
  EXPECT_EQ(sealed.body.size(), 0U);
}

TEST_F(ProtocolAnswers, HaveRequestIdDateAndType) {
  SentRequest request = SentRequest::kms("ListKeys");
  for (const HttpAnswer& answer :
       {http(sign(request, alices_key_), tcp()), http(SentRequest::kms("ListKeys"), tcp())}) {
    EXPECT_TRUE(
        std::regex_match(header(answer, "x-amzn-RequestId"),
                         std::regex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")));
    EXPECT_EQ(header(answer, "Date"), "Tue, 14 Nov 2023 22:13:20 GMT");
    EXPECT_EQ(header(answer, "Content-Type"), "application/x-amz-json-1.1");
  }
}

TEST_F(ProtocolAnswers, TheRequestIdStandsInTheAuditLog) {
  SentRequest request = SentRequest::kms("ListKeys");
  const std::string id = header(http(sign(request, alices_key_), tcp()), "x-amzn-RequestId");
  EXPECT_NE(audit_lines().back().find("\"requestID\":\"" + id + "\""), std::string::npos);
}

TEST_F(ProtocolAnswers, OperationsWithoutOutputAnswerNothing) {
  SentRequest request = SentRequest::kms("DisableKey", R"({"KeyId":")" + key_ + R"("})");
  const HttpAnswer answer = http(sign(request, alices_key_), tcp());
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body.size(), 0U);
}

TEST_F(ProtocolAnswers, UnknownTargetsAreUnknownOperations) {
  for (const char* target :
       {"TrentService.Fly", "TrentService.", "TrentService.listkeys", "Trent.ListKeys", "ListKeys",
        "DynamoDB_20120810.ListTables", "TrentService.ListKeys,TrentService.ListKeys"}) {
    SentRequest request;
    request.headers.push_back({"X-Amz-Target", target});
    const WireAnswer answer = send_signed(request, alices_key_);
    EXPECT_EQ(answer.status, 400) << target;
    EXPECT_EQ(answer.code, "UnknownOperationException") << target;
  }
  EXPECT_EQ(send_signed(SentRequest(), alices_key_).code, "UnknownOperationException");
}

TEST_F(ProtocolAnswers, TwoTargetsAreNone) {
  SentRequest request = SentRequest::kms("ListKeys");
  request.headers.push_back({"X-Amz-Target", "TrentService.ListAliases"});
  EXPECT_EQ(send_signed(request, alices_key_).code, "UnknownOperationException");
}

TEST_F(ProtocolAnswers, OtherMethodsAndPathsAreNotFound) {
  for (const auto& [method, target] :
       {std::pair("GET", "/"), std::pair("PUT", "/"), std::pair("POST", "/keys"),
        std::pair("POST", "/health"), std::pair("GET", "/health/x"), std::pair("OPTIONS", "*")}) {
    SentRequest request = SentRequest::kms("ListKeys");
    request.method = method;
    request.target = target;
    const WireAnswer answer = send_signed(request, alices_key_);
    EXPECT_EQ(answer.status, 404) << method << " " << target;
    EXPECT_EQ(answer.code, "UnknownOperationException") << method << " " << target;
  }
}

TEST_F(ProtocolAnswers, AnOversizedBodyIsRefusedUnread) {
  SentRequest request = SentRequest::kms("ListKeys", std::string(kHttpBodyLimit + 1, ' '));
  EXPECT_EQ(send(request).status, 413);
}

TEST_F(ProtocolAnswers, ASealedServerAsksToRetryAndTellsNothing) {
  const SentRequest request = SentRequest::kms("DescribeKey", R"({"KeyId":")" + key_ + R"("})");
  const auto headers = request.views();
  const HttpAnswer answer = answer_while_sealed({"POST", "/", headers, as_bytes(request.body)}, clock_);
  EXPECT_EQ(answer.status, 500);
  const std::string body(as_text(answer.body.view()));
  EXPECT_NE(body.find("KMSInternalException"), std::string::npos);
  EXPECT_EQ(body.find(key_id()), std::string::npos);
}

TEST_F(ProtocolAnswers, APlainTextIsInLockedMemoryOnItsWayOut) {
  for (const std::string operation : {"GenerateDataKey", "GenerateRandom"}) {
    SentRequest request = SentRequest::kms(
        operation, operation == "GenerateRandom" ? R"({"NumberOfBytes":32})"
                                                 : R"({"KeySpec":"AES_256","KeyId":")" + key_ + R"("})");
    const HttpAnswer answer = http(sign(request, alices_key_), tcp());
    ASSERT_EQ(answer.status, 200) << as_text(answer.body.view());
    EXPECT_TRUE(LockedMemory::contains(answer.body.view().data())) << operation;
  }
}

}  // namespace
}  // namespace kmsfs::kms::test
