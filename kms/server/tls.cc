#include "kms/server/tls.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>

#include "core/openssl_memory.h"
#include "core/unique_fd.h"

namespace kmsfs::kms {

namespace {

constexpr const char* kTls12Ciphers =
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256:"
    "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

// What OpenSSL noticed first; its error queue is empty afterwards.
std::string openssl_words() {
  const unsigned long code = ::ERR_peek_error();
  ::ERR_clear_error();
  const char* words = code == 0 ? nullptr : ::ERR_reason_error_string(code);
  return words == nullptr ? "no reason given" : words;
}

Error bad_file(const std::string& what, const std::string& file) {
  return error(Kind::kInvalid, what + " " + file + " cannot be used: " + openssl_words());
}

Result<void> check_file(const std::string& what, const std::string& file, bool secret) {
  const UniqueFd opened(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (!opened || ::fstat(opened.get(), &status) != 0) return Error::from_errno(errno, what + " " + file);
  if (!S_ISREG(status.st_mode)) return error(Kind::kInvalid, what + " " + file + " is not a regular file");
  if (secret && (status.st_mode & S_IRWXO) != 0) {
    return error(Kind::kDenied, what + " " + file + " is open to everybody; run: chmod o= " + file);
  }
  return {};
}

// A key that is encrypted has no place here: nobody could be asked for its passphrase at a reload.
int refuse_passphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

int choose_http_1_1(ssl_st*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                    unsigned int in_size, void*) {
  static constexpr std::array<unsigned char, 9> kHttp11 = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* chosen = nullptr;
  if (::SSL_select_next_proto(&chosen, out_size, kHttp11.data(), kHttp11.size(), in, in_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

Result<void> check_validity(const X509* certificate, const std::string& file) {
  if (::X509_cmp_current_time(::X509_get0_notAfter(certificate)) < 0) {
    return error(Kind::kInvalid, "the certificate " + file + " has expired");
  }
  if (::X509_cmp_current_time(::X509_get0_notBefore(certificate)) > 0) {
    return error(Kind::kInvalid, "the certificate " + file + " is not valid yet");
  }
  return {};
}

}  // namespace

Result<TlsCertificate::Context> TlsCertificate::make_context(const std::string& certificate_file,
                                                             const std::string& key_file) {
  KMSFS_TRY(check_file("the certificate", certificate_file, false));
  KMSFS_TRY(check_file("the key", key_file, true));
  ::ERR_clear_error();
  const SecureScope scope;  // the private key is in locked memory from its file on
  Context context(::SSL_CTX_new(::TLS_server_method()), ::SSL_CTX_free);
  if (context == nullptr) return error(Kind::kNoMemory, "TLS cannot be set up: " + openssl_words());
  bool asked_for_passphrase = false;
  ::SSL_CTX_set_default_passwd_cb(context.get(), refuse_passphrase);
  ::SSL_CTX_set_default_passwd_cb_userdata(context.get(), &asked_for_passphrase);
  if (::SSL_CTX_use_certificate_chain_file(context.get(), certificate_file.c_str()) != 1) {
    return bad_file("the certificate", certificate_file);
  }
  if (::SSL_CTX_use_PrivateKey_file(context.get(), key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    const unsigned long code = ::ERR_peek_error();
    if (ERR_GET_LIB(code) == ERR_LIB_X509 && ERR_GET_REASON(code) == X509_R_KEY_VALUES_MISMATCH) {
      ::ERR_clear_error();
      return error(Kind::kInvalid,
                   "the key " + key_file + " is not the one of the certificate " + certificate_file);
    }
    if (asked_for_passphrase) {
      ::ERR_clear_error();
      return error(Kind::kInvalid, "the key " + key_file + " is encrypted; decrypt it (openssl pkey)");
    }
    return bad_file("the key", key_file);
  }
  if (::SSL_CTX_check_private_key(context.get()) != 1) {
    ::ERR_clear_error();
    return error(Kind::kInvalid,
                 "the key " + key_file + " is not the one of the certificate " + certificate_file);
  }
  ::SSL_CTX_set_default_passwd_cb_userdata(context.get(), nullptr);
  KMSFS_TRY(check_validity(::SSL_CTX_get0_certificate(context.get()), certificate_file));
  ::SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  ::SSL_CTX_set_cipher_list(context.get(), kTls12Ciphers);
  ::SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
                                           SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION |
                                           SSL_OP_CLEANSE_PLAINTEXT);
  ::SSL_CTX_set_num_tickets(context.get(), 0);
  ::SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  // An idle connection keeps no buffers; a write that did not get through is repeated from where it stands.
  ::SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  ::SSL_CTX_set_alpn_select_cb(context.get(), choose_http_1_1, nullptr);
  return context;
}

Result<std::unique_ptr<TlsCertificate>> TlsCertificate::load(std::string certificate_file,
                                                             std::string key_file) {
  auto context = make_context(certificate_file, key_file);
  if (!context) return std::move(context).error();
  return std::unique_ptr<TlsCertificate>(
      new TlsCertificate(std::move(certificate_file), std::move(key_file), std::move(*context)));
}

Result<void> TlsCertificate::reload() {
  auto context = make_context(certificate_file_, key_file_);
  if (!context) return std::move(context).error();
  context_.with([&](Context& current) { current.swap(*context); });
  return {};
}

Result<std::unique_ptr<TlsSession>> TlsCertificate::accept(int socket) const {
  const Context context = context_.with([](const Context& current) { return current; });
  ssl_st* session = ::SSL_new(context.get());
  if (session == nullptr) return error(Kind::kNoMemory, "a TLS connection: " + openssl_words());
  auto owner = std::make_unique<TlsSession>(session);
  if (::SSL_set_fd(session, socket) != 1)
    return error(Kind::kNoMemory, "a TLS connection: " + openssl_words());
  ::SSL_set_accept_state(session);
  return owner;
}

TlsSession::~TlsSession() { ::SSL_free(session_); }

IoOutcome TlsSession::outcome(int returned) const {
  if (returned > 0) return {IoOutcome::State::kDone, static_cast<std::size_t>(returned)};
  const int reason = ::SSL_get_error(session_, returned);
  ::ERR_clear_error();
  if (reason == SSL_ERROR_WANT_READ) return {IoOutcome::State::kWantRead, 0};
  if (reason == SSL_ERROR_WANT_WRITE) return {IoOutcome::State::kWantWrite, 0};
  return {IoOutcome::State::kClosed, 0};
}

IoOutcome TlsSession::handshake() {
  ::ERR_clear_error();
  return outcome(::SSL_do_handshake(session_));
}

IoOutcome TlsSession::read(ByteSpan into) {
  ::ERR_clear_error();
  return outcome(
      ::SSL_read(session_, into.data(), static_cast<int>(std::min<std::size_t>(into.size(), INT_MAX))));
}

IoOutcome TlsSession::write(ByteView bytes) {
  ::ERR_clear_error();
  return outcome(
      ::SSL_write(session_, bytes.data(), static_cast<int>(std::min<std::size_t>(bytes.size(), INT_MAX))));
}

bool TlsSession::has_pending() const { return ::SSL_has_pending(session_) == 1; }

void TlsSession::close() {
  ::ERR_clear_error();
  if (::SSL_is_init_finished(session_) == 1) ::SSL_shutdown(session_);
  ::ERR_clear_error();
}

}  // namespace kmsfs::kms
