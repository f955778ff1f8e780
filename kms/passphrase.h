// A passphrase, and where it may come from: a file or the terminal.
//
// Always: its bytes are in locked memory only, from the system call that read them on; at most 1024 of them.
// Threads: a Passphrase as a Secret; sources may be called from any thread, one call at a time.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/secret.h"

namespace kmsfs {

class Passphrase {
 public:
  static constexpr std::size_t kLargest = 1024;

  // Empty, to be filled through fill() and resized to what was filled in.
  static Result<Passphrase> make();
  static Result<Passphrase> copy_of(std::string_view text);  // for tests: the text itself is not wiped

  ByteView reveal() const { return ByteView(memory_.reveal()).first(size_); }
  ByteSpan fill() { return memory_.fill(); }
  void resize(std::size_t size);  // at most kLargest; what is past it is wiped
  std::size_t size() const { return size_; }
  bool same_as(const Passphrase& other) const;

 private:
  using Memory = Secret<kLargest, struct PassphraseTag>;
  explicit Passphrase(Memory memory) : memory_(std::move(memory)) {}
  Memory memory_;
  std::size_t size_ = 0;
};

enum class PassphraseUse {
  kUnseal,   // of a store that exists
  kNewSeal,  // of a store that is being made: a terminal asks twice
};

// An empty function is no source: a store sealed by a passphrase then answers with an error that says what to
// do.
using PassphraseSource = std::function<Result<Passphrase>(PassphraseUse)>;

// The content of a file of the caller's own, mode 0600, never through a symbolic link; one newline at its end
// does not count. Errors name the file; for open permissions the text says `chmod 600`.
PassphraseSource passphrase_from_file(std::string path);

// What passphrase_from_terminal does, on a terminal that is open. Escape from it: Ctrl-C.
Result<Passphrase> read_passphrase(int terminal, const std::string& prompt);

// Asks on the controlling terminal, without echo. kUnsupported, with a text that names the alternatives,
// where the process has none. `what` is named in the prompt: "the key store /home/a/.local/share/kmsfs/kms".
PassphraseSource passphrase_from_terminal(std::string what);

}  // namespace kmsfs
