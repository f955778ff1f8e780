// What a KMS elsewhere may say, and every lie it may tell.
#include "kmsclient/remote_kms.h"

#include "kms/sigv4.h"
#include "tests/kmsclient/remote_fixture.h"

namespace kmsfs {
namespace {

using namespace test;
using Then = HttpAnswer::Then;

class RemoteKmsTest : public RemoteTest {
 protected:
  // What decrypting says at a server that always answers so.
  Result<DataKey> decrypt_against(const HttpAnswer& answer) {
    server_ = std::make_unique<ScriptedServer>([answer](const auto&, auto) { return answer; });
    return kms(server_->url())->decrypt(kKeyArn, blob_, context_);
  }
  Error error_of(const HttpAnswer& answer) {
    auto result = decrypt_against(answer);
    EXPECT_FALSE(result);
    return result ? error(Kind::kInternal, "it went well") : std::move(result).error();
  }

  const Bytes blob_ = {std::byte{1}, std::byte{2}};
  const EncryptionContext context_ = {{"kmsfs:file", "f"}, {"kmsfs:volume", "v"}};
  std::unique_ptr<ScriptedServer> server_;
};

TEST_F(RemoteKmsTest, DecryptNamesTheKeyAndTheContextAndReturnsTheKey) {
  auto key = decrypt_against(http_answer(200, key_reply()));
  ASSERT_TRUE(key) << text_of(key);
  EXPECT_EQ(as_text(key->reveal()), std::string(32, 'k'));
  const auto request = server_->requests().at(0);
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.target, "/");
  EXPECT_EQ(request.header("x-amz-target"), "TrentService.Decrypt");
  EXPECT_EQ(request.header("content-type"), "application/x-amz-json-1.1");
  EXPECT_EQ(request.body,
            R"({"KeyId":")" + kKeyArn +
                R"(","CiphertextBlob":"AQI=","EncryptionContext":{"kmsfs:file":"f","kmsfs:volume":"v"}})");
}

TEST_F(RemoteKmsTest, ACallOverTcpIsSignedSoThatTheSignatureVerifies) {
  variables_["AWS_SESSION_TOKEN"] = "a session token";
  ASSERT_TRUE(decrypt_against(http_answer(200, key_reply())));
  const auto request = server_->requests().at(0);
  std::vector<kms::HttpHeader> headers;
  for (const auto& [name, value] : request.headers) headers.push_back({name, value});
  const kms::SignableRequest signable{request.method, request.target, headers};
  auto claim = kms::read_claim(signable);
  ASSERT_TRUE(claim) << text_of(claim);
  EXPECT_EQ(claim->access_key_id, "AKIDEXAMPLE");
  EXPECT_EQ(claim->security_token, "a session token");
  EXPECT_TRUE(kms::check_claim(*claim, signable, "eu-west-1", "kms", clock_.wall_time()));
  auto key = kms::derive_signing_key(as_bytes(kSecret), claim->scope);
  ASSERT_TRUE(key);
  EXPECT_TRUE(kms::check_signature(*claim, signable, as_bytes(request.body), *key));
  EXPECT_FALSE(kms::check_signature(*claim, signable, as_bytes(request.body + " "), *key));
}

TEST_F(RemoteKmsTest, OverAUnixSocketNothingIsSignedAndNoCredentialsAreNeeded) {
  variables_ = {{"HOME", "/nonexistent"}};
  const std::string path = (home_.path() / "kms.sock").string();
  ScriptedServer server([](const auto&, auto) { return http_answer(200, key_reply()); }, path);
  auto key = kms("unix:" + path)->decrypt(kKeyArn, blob_, context_);
  ASSERT_TRUE(key) << text_of(key);
  EXPECT_EQ(server.requests().at(0).header("authorization"), "");
}

TEST_F(RemoteKmsTest, TheRegionIsThatOfTheKeyArnIfNothingElseNamesOne) {
  variables_.erase("AWS_REGION");
  ASSERT_TRUE(decrypt_against(http_answer(200, key_reply())));
  EXPECT_NE(server_->requests().at(0).header("authorization").find("/eu-west-1/kms/aws4_request"),
            std::string::npos);
  KmsAccess by_key;
  by_key.uri = server_->url();
  by_key.key = "arn:aws:kms:ap-south-1:123456789012:key/x";
  auto hinted = make(by_key);
  ASSERT_TRUE(hinted);
  EXPECT_TRUE((*hinted)->call("DescribeKey", as_bytes(R"({"KeyId":"alias/x"})")));
  EXPECT_NE(server_->requests().back().header("authorization").find("/ap-south-1/kms/"), std::string::npos);
  auto unnamed = kms(server_->url())->describe_key("alias/x");
  ASSERT_FALSE(unnamed);
  EXPECT_NE(unnamed.error().text.find("AWS_REGION"), std::string::npos);
}

TEST_F(RemoteKmsTest, AllOperationsReadTheirAnswers) {
  ScriptedServer server([](const HttpRequest& request, auto) {
    if (request.header("x-amz-target") == "TrentService.DescribeKey") {
      return http_answer(
          200, R"({"KeyMetadata":{"Arn":")" + kKeyArn +
                   R"(","KeyId":"12345678-1234-4234-8234-123456789abc","AWSAccountId":"123456789012",)"
                   R"("Description":"dé\"","KeyState":"PendingDeletion","KeyManager":"AWS",)"
                   R"("CreationDate":1593622000.191,"Unknown":[1,{"a":null}]}})");
    }
    if (request.header("x-amz-target") == "TrentService.ReEncrypt") {
      return http_answer(200, R"({"CiphertextBlob":"AAEC","KeyId":")" + kOtherArn + R"(","SourceKeyId":")" +
                                  kKeyArn + "\"}");
    }
    return http_answer(200, key_reply());
  });
  auto remote = kms(server.url());
  auto described = remote->describe_key("alias/a");
  ASSERT_TRUE(described) << text_of(described);
  EXPECT_EQ(described->arn, kKeyArn);
  EXPECT_EQ(described->description, "dé\"");
  EXPECT_EQ(described->state, KeyState::kPendingDeletion);
  EXPECT_EQ(described->manager, KeyManager::kService);
  EXPECT_EQ(described->created_ms, 1593622000191);
  auto generated = remote->generate_data_key("alias/a", context_);
  ASSERT_TRUE(generated) << text_of(generated);
  EXPECT_EQ(generated->wrapped.key_arn, kKeyArn);
  EXPECT_EQ(generated->wrapped.blob.size(), 4U);
  EXPECT_TRUE(remote->generate_data_key_without_plaintext("alias/a", context_));
  auto moved = remote->re_encrypt(blob_, kKeyArn, context_, kOtherArn, context_);
  ASSERT_TRUE(moved) << text_of(moved);
  EXPECT_EQ(moved->key_arn, kOtherArn);
  EXPECT_EQ(server.connections(), 1U) << "a connection is used again";
}

TEST_F(RemoteKmsTest, AReplyByAnotherKeyIsCorruptAndNeverAKey) {
  EXPECT_EQ(error_of(http_answer(200, key_reply(kOtherArn))).kind, Kind::kCorrupt);
  auto remote = kms(server_->url());
  EXPECT_EQ(remote->generate_data_key(kKeyArn, context_).error().kind, Kind::kCorrupt);
  EXPECT_EQ(remote->generate_data_key_without_plaintext(kKeyArn, context_).error().kind, Kind::kCorrupt);
  EXPECT_EQ(remote->re_encrypt(blob_, kKeyArn, context_, kKeyArn, context_).error().kind, Kind::kCorrupt);
}

TEST_F(RemoteKmsTest, APlaintextOfAnotherLengthIsCorrupt) {
  for (const std::size_t size : {0U, 1U, 31U, 33U, 64U, 4096U}) {
    EXPECT_EQ(error_of(http_answer(200, key_reply(kKeyArn, std::string(size, 'k')))).kind, Kind::kCorrupt)
        << size;
  }
}

TEST_F(RemoteKmsTest, AnAnswerThatIsNoKmsAnswerIsAnOutageAndNotAskedForAgain) {
  const std::string key_id = R"({"KeyId":")" + kKeyArn + "\"";
  const std::string deep(100000, '[');
  for (const std::string& body :
       {std::string("<html>hello</html>"), std::string("{"), std::string("[]"), std::string("null"),
        std::string(), std::string("{}"), std::string("{\"KeyId\":1}"), key_id + "}",
        key_id + R"(,"Plaintext":null})", key_id + R"(,"Plaintext":"%%%"})",
        key_id + R"(,"Plaintext":["a"]})", key_reply() + "x", deep, std::string("{\"a\":1,\"a\":2}"),
        std::string("\xff\xfe{}")}) {
    const Error failed = error_of(http_answer(200, body));
    EXPECT_EQ(failed.kind, Kind::kUnavailable) << body.substr(0, 80);
    EXPECT_EQ(server_->count(), 1U) << body.substr(0, 80);
  }
}

TEST_F(RemoteKmsTest, ABodyOfTenMegabytesOrWithoutEndIsCutOff) {
  const std::string huge = R"({"KeyId":")" + std::string(10 << 20, 'x') + "\"}";
  Error failed = error_of(http_answer(200, huge));
  EXPECT_EQ(failed.kind, Kind::kUnavailable);
  EXPECT_NE(failed.text.find("1 MiB"), std::string::npos) << failed.text;
  EXPECT_EQ(server_->count(), 1U);
  failed = error_of({"HTTP/1.1 200 OK\r\n\r\n", Then::kEndless});
  EXPECT_EQ(failed.kind, Kind::kUnavailable);
  EXPECT_NE(failed.text.find("1 MiB"), std::string::npos) << failed.text;
  failed = error_of({"HTTP/1.1 200 OK\r\nX: ", Then::kEndless});
  EXPECT_EQ(failed.kind, Kind::kUnavailable);
}

TEST_F(RemoteKmsTest, ARedirectIsNotFollowed) {
  ScriptedServer other([](const auto&, auto) { return http_answer(200, key_reply()); });
  for (const int status : {301, 302, 307, 308}) {
    const Error failed = error_of(http_answer(status, "", "Location: " + other.url() + "/\r\n"));
    EXPECT_EQ(failed.kind, Kind::kUnavailable);
    EXPECT_NE(failed.text.find("redirect"), std::string::npos);
  }
  EXPECT_EQ(other.count(), 0U);
}

TEST_F(RemoteKmsTest, AVerdictNeedsAnErrorOfAws) {
  // A proxy, a wrong server: what they say is no word of the KMS.
  for (const int status : {400, 401, 403, 404, 407, 418}) {
    EXPECT_EQ(error_of(http_answer(status, "<html>Forbidden</html>")).kind, Kind::kUnavailable) << status;
  }
  EXPECT_EQ(error_of(http_answer(403, R"({"message":"Forbidden"})")).kind, Kind::kUnavailable);
}

TEST_F(RemoteKmsTest, EveryErrorOfAwsHasTheKindThatCallersDecideOn) {
  const struct {
    const char* code;
    Kind kind;
  } cases[] = {
      {"AccessDeniedException", Kind::kDenied},
      {"UnrecognizedClientException", Kind::kDenied},
      {"InvalidSignatureException", Kind::kDenied},
      {"ExpiredTokenException", Kind::kDenied},
      {"DisabledException", Kind::kDisabled},
      {"KMSInvalidStateException", Kind::kDisabled},
      {"NotFoundException", Kind::kKeyGone},
      {"InvalidCiphertextException", Kind::kCorrupt},
      {"IncorrectKeyException", Kind::kCorrupt},
      {"ValidationException", Kind::kInvalid},
      {"UnsupportedOperationException", Kind::kUnsupported},
      {"com.amazonaws.kms#DisabledException:http://internal", Kind::kDisabled},
      {"SomethingNew", Kind::kInvalid},
  };
  for (const auto& [code, kind] : cases) {
    const Error failed = error_of(aws_error(400, code, "because of x"));
    EXPECT_EQ(failed.kind, kind) << code;
    EXPECT_NE(failed.text.find("because of x"), std::string::npos) << failed.text;
    EXPECT_EQ(server_->count(), 1U) << code << " is not tried again";
  }
  EXPECT_STREQ(error_of(aws_error(400, "NotFoundException")).code, "NotFoundException");
  const Error fresh = error_of(aws_error(403, "SomethingNew"));
  EXPECT_EQ(fresh.kind, Kind::kDenied);
  EXPECT_EQ(fresh.code, nullptr);
  EXPECT_NE(fresh.text.find("SomethingNew"), std::string::npos);
  // An error in a header, as some services do it, and one without a message.
  EXPECT_EQ(error_of(http_answer(400, "", "x-amzn-ErrorType: DisabledException:x\r\n")).kind,
            Kind::kDisabled);
  EXPECT_EQ(error_of(http_answer(400, R"({"__type":"InvalidCiphertextException"})")).kind, Kind::kCorrupt);
}

TEST_F(RemoteKmsTest, AMessageOfTheServerCannotForgeALogLine) {
  const Error failed = error_of(aws_error(400, "AccessDeniedException", "a\\nINFO all is well\\u001b[2J"));
  EXPECT_EQ(failed.text.find('\n'), std::string::npos);
  EXPECT_EQ(failed.text.find('\x1b'), std::string::npos);
  const std::string long_message(100000, 'm');
  EXPECT_LT(error_of(aws_error(400, "AccessDeniedException", long_message)).text.size(), 2000U);
}

TEST_F(RemoteKmsTest, GarbageAndCutAnswersAreAnOutage) {
  for (const std::string& bytes :
       {std::string("garbage\r\n\r\n"), std::string("HTTP/9.9 xyz\r\n\r\n"), std::string("\0\0\0\0", 4),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")}) {
    limits_.attempts = 2;
    EXPECT_EQ(error_of({bytes, Then::kClose}).kind, Kind::kUnavailable) << bytes;
  }
}

TEST_F(RemoteKmsTest, ThePrincipalIsAskedForOnce) {
  ScriptedServer server([](const HttpRequest& request, auto) {
    EXPECT_EQ(request.body, "Action=GetCallerIdentity&Version=2011-06-15");
    return http_answer(
        200,
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
        "<GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/bob</Arn><UserId>AIDA</UserId>"
        "<Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>");
  });
  auto remote = kms(server.url());
  for (int i = 0; i < 2; ++i) EXPECT_EQ(*remote->principal(), "arn:aws:iam::123456789012:user/bob");
  EXPECT_EQ(server.count(), 1U);
  EXPECT_NE(server.requests().at(0).header("authorization").find("/eu-west-1/sts/aws4_request"),
            std::string::npos);
  EXPECT_EQ(remote->endpoint(), server.url());
}

TEST_F(RemoteKmsTest, APrincipalThatIsNoArnIsAnOutageAndARefusalIsARefusal) {
  for (const char* body : {"", "<Arn></Arn>", "<Arn>bob</Arn>", "<Arn>arn:aws:iam::1"}) {
    ScriptedServer server([body](const auto&, auto) { return http_answer(200, body); });
    EXPECT_EQ(kms(server.url())->principal().error().kind, Kind::kUnavailable) << body;
  }
  ScriptedServer server([](const auto&, auto) {
    return http_answer(403,
                       "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidClientTokenId</Code>"
                       "<Message>The security token included in the request is invalid.</Message></Error>"
                       "</ErrorResponse>");
  });
  EXPECT_EQ(kms(server.url())->principal().error().kind, Kind::kDenied);
}

TEST_F(RemoteKmsTest, AKeyThatIsNotNamedByItsArnIsNotDecryptedWith) {
  auto remote = kms("http://127.0.0.1:1");
  EXPECT_EQ(remote->decrypt("", blob_, context_).error().kind, Kind::kInvalid);
  EXPECT_EQ(remote->decrypt("alias/x", blob_, context_).error().kind, Kind::kInvalid);
  EXPECT_EQ(remote->re_encrypt(blob_, "", {}, kKeyArn, {}).error().kind, Kind::kInvalid);
}

}  // namespace
}  // namespace kmsfs
