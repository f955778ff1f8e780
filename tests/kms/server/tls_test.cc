// TLS: which versions, which certificates, and what a reload changes.
#include "kms/server/tls.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/kms/server/scripted_server.h"
#include "tests/kms/server/tls_client.h"

namespace kmsfs::testing {
namespace {

class Tls : public ScriptedServer {
 protected:
  void SetUp() override { make_certificate(path("cert"), path("key"), "first"); }
  std::string path(const std::string& name) const { return (directory_.path() / name).string(); }
  void serve() {
    auto loaded = kms::TlsCertificate::load(path("cert"), path("key"));
    ASSERT_TRUE(loaded) << loaded.error().text;
    certificate_ = std::move(*loaded);
    start({}, 4, 64, certificate_.get());
  }
  std::string refusal() const {
    auto loaded = kms::TlsCertificate::load(path("cert"), path("key"));
    return loaded ? "none" : loaded.error().text;
  }
  ~Tls() override { stop(); }

  std::unique_ptr<kms::TlsCertificate> certificate_;
};

TEST_F(Tls, NothingOlderThanVersionTwelveIsSpoken) {
  serve();
  EXPECT_FALSE(TlsClient(port_, TLS1_VERSION, TLS1_VERSION).connected());
  EXPECT_FALSE(TlsClient(port_, TLS1_1_VERSION, TLS1_1_VERSION).connected());
  EXPECT_EQ(TlsClient(port_, TLS1_2_VERSION, TLS1_2_VERSION).version(), "TLSv1.2");
  EXPECT_EQ(TlsClient(port_, TLS1_3_VERSION, TLS1_3_VERSION).version(), "TLSv1.3");
}

TEST_F(Tls, RequestsGoThroughInEveryVersionAndSize) {
  serve();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient client(port_, version, version);
    EXPECT_TRUE(client.ask(get("/")).starts_with("HTTP/1.1 200"));
    EXPECT_TRUE(client.ask(post("/", std::string(80'000, 'x'))).starts_with("HTTP/1.1 200"));
    EXPECT_TRUE(client.ask(post("/", std::string(200'000, 'x'))).starts_with("HTTP/1.1 413"));
  }
}

TEST_F(Tls, RequestsSentAheadInOneRecordAreAllAnswered) {
  serve();
  TlsClient client(port_);
  EXPECT_EQ(client.ask_for(3, get("/") + get("/") + get("/")), 3);
  EXPECT_TRUE(client.ask(get("/")).starts_with("HTTP/1.1 200"));
}

TEST_F(Tls, WhoSpeaksPlainHttpToItIsHungUpOn) {
  serve();
  auto client = connect_tcp();
  const auto reply = client.ask(get("/"));
  EXPECT_EQ(reply.status, 0);
}

TEST_F(Tls, AReloadIsForConnectionsToCome) {
  serve();
  TlsClient before(port_);
  EXPECT_EQ(before.server_name(), "first");
  make_certificate(path("cert"), path("key"), "second");
  ASSERT_TRUE(certificate_->reload());
  EXPECT_EQ(TlsClient(port_).server_name(), "second");
  EXPECT_TRUE(before.ask(get("/")).starts_with("HTTP/1.1 200"));
}

TEST_F(Tls, AReloadThatFailsLeavesTheOldCertificate) {
  serve();
  directory_.write("cert", "nothing");
  const auto reloaded = certificate_->reload();
  ASSERT_FALSE(reloaded);
  EXPECT_NE(reloaded.error().text.find(path("cert")), std::string::npos) << reloaded.error().text;
  EXPECT_EQ(TlsClient(port_).server_name(), "first");
}

TEST_F(Tls, WhatIsWrongWithACertificateIsSaid) {
  EXPECT_EQ(refusal(), "none");
  ::chmod(path("key").c_str(), 0644);
  EXPECT_NE(refusal().find("chmod o="), std::string::npos) << refusal();
  ::chmod(path("key").c_str(), 0640);
  EXPECT_EQ(refusal(), "none");
  make_certificate(path("other-cert"), path("key"), "other");
  EXPECT_NE(refusal().find("is not the one of the certificate"), std::string::npos) << refusal();
  make_certificate(path("cert"), path("key"), "first");
  ASSERT_EQ(
      run_script("openssl ec -aes256 -passout pass:secret -in " + quoted(path("key")) + " -out " +
                 quoted(path("key")) + ".new && mv " + quoted(path("key")) + ".new " + quoted(path("key")))
          .status,
      0);
  ::chmod(path("key").c_str(), 0600);
  EXPECT_NE(refusal().find("encrypted"), std::string::npos) << refusal();
  directory_.write("key", "nothing");
  EXPECT_NE(refusal().find("the key " + path("key") + " cannot be used"), std::string::npos) << refusal();
  std::filesystem::remove(path("key"));
  EXPECT_NE(refusal().find("the key " + path("key")), std::string::npos) << refusal();
  std::filesystem::remove(path("cert"));
  EXPECT_NE(refusal().find("the certificate " + path("cert")), std::string::npos) << refusal();
}

TEST_F(Tls, ACertificateThatHasExpiredIsNotServed) {
  const auto made = run_script("cd " + quoted(directory_.path().string()) +
                                   " && openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 "
                                   "-nodes -subj /CN=old -keyout key -out "
                                   "request && openssl x509 -req -in request -signkey key -days -1 -out cert",
                               60);
  ASSERT_EQ(made.status, 0) << made.output;
  ::chmod(path("key").c_str(), 0600);
  EXPECT_NE(refusal().find("has expired"), std::string::npos) << refusal();
}

TEST_F(Tls, AnIdleHandshakeEnds) {
  auto loaded = kms::TlsCertificate::load(path("cert"), path("key"));
  ASSERT_TRUE(loaded);
  certificate_ = std::move(*loaded);
  kms::HttpLimits limits;
  limits.handshake = std::chrono::milliseconds(200);
  start(limits, 4, 64, certificate_.get());
  auto client = connect_tcp();
  EXPECT_TRUE(client.is_ended());
}

}  // namespace
}  // namespace kmsfs::testing
