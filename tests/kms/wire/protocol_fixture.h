// A store behind its protocol, and a client that signs.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kms/identities/administration_call.h"
#include "kms/sigv4.h"
#include "kms/wire/protocol.h"
#include "tests/kms/wire/wire_fixture.h"

namespace kmsfs::kms::test {

struct Credentials {
  std::string id, secret, token;
};

// A request as it goes over the line; sign() adds what a client adds, and it can be changed after that.
struct SentRequest {
  std::string method = "POST", target = "/", body = "{}";
  std::vector<OwnedHeader> headers = {
      {"Host", "localhost:8443"}, {"Content-Type", "application/x-amz-json-1.1"}, {"User-Agent", "test/1"}};

  static SentRequest kms(const std::string& operation, const std::string& body = "{}") {
    SentRequest request;
    request.headers.push_back({"X-Amz-Target", "TrentService." + operation});
    request.body = body;
    return request;
  }
  static SentRequest sts(const std::string& form) {
    SentRequest request;
    request.headers[1].value = "application/x-www-form-urlencoded; charset=utf-8";
    request.body = form;
    return request;
  }
  std::vector<HttpHeader> views() const {
    std::vector<HttpHeader> all;
    for (const OwnedHeader& header : headers) all.push_back({header.name, header.value});
    return all;
  }
};

class ProtocolTest : public WireTest {
 protected:
  void SetUp() override {
    WireTest::SetUp();
    protocol_ = std::make_unique<Protocol>(*service_, clock_, make_null_logger());
    alices_key_ = access_key("alice", account_);
  }

  json administrate(std::string_view operation, const json& request) {
    auto answer = administration_call(service_->administration(), operation, request.dump());
    EXPECT_TRUE(answer) << operation << ": " << text_of(answer);
    return answer ? json::parse(as_text(answer->reveal()), nullptr, false) : json();
  }
  Credentials access_key(const std::string& user, const std::string& account) {
    const json made = administrate("CreateAccessKey", {{"UserName", user}, {"AccountId", account}});
    const json& key = made.contains("AccessKey") ? made["AccessKey"] : made;
    EXPECT_TRUE(key.contains("SecretAccessKey"));
    return {key.value("AccessKeyId", ""), key.value("SecretAccessKey", ""), ""};
  }

  SentRequest& sign(SentRequest& request, const Credentials& by, const std::string& service = "kms",
                    std::chrono::seconds late = {}, const std::string& region = "local-1") {
    auto headers = request.views();
    std::erase_if(headers, [](const HttpHeader& header) { return header.name == "User-Agent"; });
    auto added =
        kms::sign({request.method, request.target, headers}, as_bytes(request.body),
                  {by.id, as_bytes(by.secret), by.token}, region, service, clock_.wall_time() + late);
    EXPECT_TRUE(added);
    request.headers.insert(request.headers.end(), added->begin(), added->end());
    return request;
  }
  HttpAnswer http(const SentRequest& request, const Peer& peer) {
    const auto headers = request.views();
    return protocol_->handle({request.method, request.target, headers, as_bytes(request.body)}, peer);
  }
  static Peer tcp() {
    Peer peer;
    peer.source_ip = "192.0.2.1";
    return peer;
  }
  static Peer unix_peer(std::string principal, std::uint32_t uid = 1000) {
    Peer peer;
    peer.unix_socket = true;
    peer.principal = std::move(principal);
    peer.uid = uid;
    return peer;
  }
  WireAnswer send(const SentRequest& request) { return send(request, tcp()); }
  WireAnswer send(const SentRequest& request, const Peer& peer) {
    const HttpAnswer answer = http(request, peer);
    return read_answer(answer.status, answer.body.view());
  }
  WireAnswer send_signed(SentRequest request, const Credentials& by) { return send(sign(request, by)); }

  static std::string header(const HttpAnswer& answer, std::string_view name) {
    for (const OwnedHeader& one : answer.headers) {
      if (one.name == name) return one.value;
    }
    return {};
  }

  std::unique_ptr<Protocol> protocol_;
  Credentials alices_key_;
};

}  // namespace kmsfs::kms::test
