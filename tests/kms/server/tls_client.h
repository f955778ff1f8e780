// A TLS client over one connection, and certificates made for a test by the openssl command.
#pragma once

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "tests/kms/server/http_client.h"
#include "tests/support/shell.h"

namespace kmsfs::testing {

// Self-signed, for `name`.
inline void make_certificate(const std::string& certificate, const std::string& key,
                             const std::string& name) {
  const auto made = run_script(
      "umask 077; openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj " +
          quoted("/CN=" + name) + " -out " + quoted(certificate) + " -keyout " + quoted(key),
      60);
  ASSERT_EQ(made.status, 0) << made.output;
}

class TlsClient {
 public:
  // Versions: TLS1_1_VERSION and so on.
  explicit TlsClient(std::uint16_t port, int oldest = TLS1_2_VERSION, int newest = TLS1_3_VERSION)
      : connection_(HttpClient::to_loopback(port)),
        context_(::SSL_CTX_new(::TLS_client_method()), ::SSL_CTX_free),
        session_(::SSL_new(context_.get()), ::SSL_free) {
    ::SSL_set_security_level(session_.get(), 0);  // or this client would not even ask for what is too old
    ::SSL_set_min_proto_version(session_.get(), oldest);
    ::SSL_set_max_proto_version(session_.get(), newest);
    ::SSL_set_fd(session_.get(), connection_.descriptor());
    connected_ = connection_.connected() && ::SSL_connect(session_.get()) == 1;
  }

  bool connected() const { return connected_; }
  std::string version() const { return ::SSL_get_version(session_.get()); }
  std::string server_name() const {  // that its certificate gives it
    const std::unique_ptr<X509, decltype(&::X509_free)> certificate(
        ::SSL_get1_peer_certificate(session_.get()), ::X509_free);
    char name[256] = {};
    ::X509_NAME_get_text_by_NID(::X509_get_subject_name(certificate.get()), NID_commonName, name,
                                sizeof name);
    return name;
  }
  // The first bytes of the answer: its status line, at least.
  std::string ask(std::string_view request) {
    if (!connected_ || ::SSL_write(session_.get(), request.data(), static_cast<int>(request.size())) <= 0)
      return {};
    std::string answer;
    char buffer[4096];
    while (answer.find("\r\n\r\n") == std::string::npos) {
      const int got = ::SSL_read(session_.get(), buffer, sizeof buffer);
      if (got <= 0) break;
      answer.append(buffer, static_cast<std::size_t>(got));
    }
    return answer;
  }
  // How many answers came, of `expected`; all without a body.
  int ask_for(int expected, std::string_view requests) {
    std::string answers = ask(requests);
    const auto count = [&answers] {
      int found = 0;
      for (auto at = answers.find("\r\n\r\n"); at != std::string::npos;
           at = answers.find("\r\n\r\n", at + 1)) {
        ++found;
      }
      return found;
    };
    char buffer[4096];
    for (int got = 1; count() < expected && got > 0;) {
      got = ::SSL_read(session_.get(), buffer, sizeof buffer);
      if (got > 0) answers.append(buffer, static_cast<std::size_t>(got));
    }
    return count();
  }

 private:
  HttpClient connection_;
  std::unique_ptr<SSL_CTX, decltype(&::SSL_CTX_free)> context_;
  std::unique_ptr<SSL, decltype(&::SSL_free)> session_;
  bool connected_ = false;
};

}  // namespace kmsfs::testing
