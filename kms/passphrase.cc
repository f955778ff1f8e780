#include "kms/passphrase.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/kdf.h"
#include "core/unique_fd.h"
#include "kms/private_file.h"

namespace kmsfs {

Result<Passphrase> Passphrase::make() {
  auto memory = Memory::make();
  if (!memory) return std::move(memory).error();
  return Passphrase(std::move(*memory));
}

Result<Passphrase> Passphrase::copy_of(std::string_view text) {
  if (text.size() > kLargest) return error(Kind::kInvalid, "a passphrase has at most 1024 bytes");
  auto passphrase = make();
  if (!passphrase) return passphrase;
  std::memcpy(passphrase->fill().data(), text.data(), text.size());
  passphrase->resize(text.size());
  return passphrase;
}

void Passphrase::resize(std::size_t size) {
  assert(size <= kLargest && "a passphrase does not outgrow its memory");
  const ByteSpan unused = memory_.fill().subspan(size);
  ::explicit_bzero(unused.data(), unused.size());
  size_ = size;
}

bool Passphrase::same_as(const Passphrase& other) const {
  return equal_in_constant_time(memory_.reveal(), other.memory_.reveal());
}

namespace {

using SecretByte = Secret<1, struct SecretByteTag>;

Result<Passphrase> read_file(const std::string& path) {
  auto fd = kms::open_private_file(path, "the passphrase file", O_RDONLY);
  if (!fd) return std::move(fd).error();
  auto passphrase = Passphrase::make();
  if (!passphrase) return passphrase;
  auto size = kms::read_up_to(fd->get(), passphrase->fill());
  if (!size) return std::move(size).error().during("the passphrase file " + path);
  auto beyond = SecretByte::make();
  if (!beyond) return std::move(beyond).error();
  auto more = kms::read_up_to(fd->get(), beyond->fill());
  if (!more) return std::move(more).error().during("the passphrase file " + path);
  if (*more > 0) return error(Kind::kInvalid, "the passphrase file " + path + " is longer than 1024 bytes");
  if (*size > 0 && passphrase->fill()[*size - 1] == std::byte{'\n'}) --*size;
  passphrase->resize(*size);
  if (*size == 0) return error(Kind::kInvalid, "the passphrase file " + path + " is empty");
  return passphrase;
}

// Byte by byte, without echo and without signals, so that no way out leaves the terminal silent.
class SilentTerminal {
 public:
  explicit SilentTerminal(int fd) : fd_(fd), usable_(::tcgetattr(fd, &before_) == 0) {
    if (!usable_) return;
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL | ICANON | ISIG);
    silent.c_cc[VMIN] = 1;
    silent.c_cc[VTIME] = 0;
    usable_ = ::tcsetattr(fd, TCSAFLUSH, &silent) == 0;
  }
  ~SilentTerminal() {
    if (usable_) ::tcsetattr(fd_, TCSADRAIN, &before_);
  }
  SilentTerminal(const SilentTerminal&) = delete;
  SilentTerminal& operator=(const SilentTerminal&) = delete;
  bool usable() const { return usable_; }

 private:
  int fd_;
  termios before_{};
  bool usable_;
};

}  // namespace

Result<Passphrase> read_passphrase(int terminal, const std::string& prompt) {
  constexpr std::byte kCancel{3}, kEndOfInput{4}, kBackspace{8}, kEraseLine{21}, kDelete{127};
  const SilentTerminal silent(terminal);
  if (!silent.usable()) return error(Kind::kUnsupported, "cannot switch the terminal's echo off");
  KMSFS_TRY(kms::write_all(terminal, as_bytes(prompt)));
  auto passphrase = Passphrase::make();
  if (!passphrase) return passphrase;
  std::size_t size = 0;
  for (;;) {
    if (size == Passphrase::kLargest) return error(Kind::kInvalid, "a passphrase has less than 1024 bytes");
    std::byte& typed = passphrase->fill()[size];
    auto got = kms::read_up_to(terminal, ByteSpan(&typed, 1));
    if (!got) return std::move(got).error().during("asking for the passphrase");
    if (*got == 0 || typed == kEndOfInput || typed == std::byte{'\n'} || typed == std::byte{'\r'}) break;
    if (typed == kCancel) {
      KMSFS_TRY(kms::write_all(terminal, as_bytes("\n")));
      return error(Kind::kInvalid, "asking for the passphrase was cancelled");
    }
    if (typed == kEraseLine) {
      size = 0;
    } else if (typed == kBackspace || typed == kDelete) {
      if (size > 0) --size;
    } else {
      ++size;
    }
  }
  passphrase->resize(size);
  KMSFS_TRY(kms::write_all(terminal, as_bytes("\n")));
  if (size == 0) return error(Kind::kInvalid, "the passphrase is empty");
  return passphrase;
}

PassphraseSource passphrase_from_file(std::string path) {
  return [path = std::move(path)](PassphraseUse) { return read_file(path); };
}

PassphraseSource passphrase_from_terminal(std::string what) {
  return [what = std::move(what)](PassphraseUse use) -> Result<Passphrase> {
    const UniqueFd terminal(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
    if (!terminal) {
      return error(Kind::kUnsupported,
                   "a passphrase is needed for " + what +
                       " and there is no terminal to ask on; give --passphrase-file FILE (mode 0600)");
    }
    if (use == PassphraseUse::kUnseal) return read_passphrase(terminal.get(), "Passphrase of " + what + ": ");
    auto first = read_passphrase(terminal.get(), "New passphrase for " + what + ": ");
    if (!first) return first;
    auto second = read_passphrase(terminal.get(), "The same again: ");
    if (!second) return second;
    if (!first->same_as(*second)) return error(Kind::kInvalid, "the two passphrases differ");
    return first;
  };
}

}  // namespace kmsfs
