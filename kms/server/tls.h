// TLS for a server: its certificate, and one connection's cipher state. The door to libssl.
//
// Always: TLS 1.2 or newer, ciphers with forward secrecy and authentication only. A reload replaces the
// certificate for connections to come; those that are there keep theirs. A certificate that cannot be used
// changes nothing, and the error names the file and what is wrong with it.
// Threads: TlsCertificate any, together; a TlsSession one thread at a time.
#pragma once

#include <memory>
#include <string>

#include "core/bytes.h"
#include "core/guarded.h"

struct ssl_st;
struct ssl_ctx_st;

namespace kmsfs::kms {

// What became of a read or write that does not wait.
struct IoOutcome {
  enum class State {
    kDone,       // `size` bytes, more than none
    kWantRead,   // nothing yet: again when the socket is readable
    kWantWrite,  // or writable
    kClosed,     // the peer has ended the connection, or it is broken
  };
  State state = State::kClosed;
  std::size_t size = 0;
};

class TlsSession {
 public:
  explicit TlsSession(ssl_st* session) : session_(session) {}
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  IoOutcome handshake();
  IoOutcome read(ByteSpan into);
  IoOutcome write(ByteView bytes);
  bool has_pending() const;  // bytes that the socket will not announce
  void close();              // tells the peer, if that does not wait

 private:
  IoOutcome outcome(int returned) const;
  ssl_st* const session_;
};

class TlsCertificate {
 public:
  // PEM: the certificate with its chain, and the key, which others than owner and group must not read.
  static Result<std::unique_ptr<TlsCertificate>> load(std::string certificate_file, std::string key_file);

  Result<void> reload();  // reads both files again
  // For a connection on `socket`, which must outlive it.
  Result<std::unique_ptr<TlsSession>> accept(int socket) const;

 private:
  using Context = std::shared_ptr<ssl_ctx_st>;
  TlsCertificate(std::string certificate_file, std::string key_file, Context context)
      : certificate_file_(std::move(certificate_file)),
        key_file_(std::move(key_file)),
        context_(std::move(context)) {}
  static Result<Context> make_context(const std::string& certificate_file, const std::string& key_file);

  const std::string certificate_file_, key_file_;
  Guarded<Context> context_;
};

}  // namespace kmsfs::kms
