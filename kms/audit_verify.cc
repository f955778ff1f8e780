#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "kms/audit_log.h"
#include "kms/private_file.h"
#include "kms/store.h"

namespace kmsfs::kms {

namespace {

constexpr std::size_t kPiece = 1 << 20;

// Walks the chain line by line.
class Chain {
 public:
  // False: this line shows that the log is not as it was written; verdict() says how.
  bool follow(std::string_view line) {
    ++verdict_.lines;
    std::uint64_t sequence = 0;
    Sha256 previous{};
    if (!read_chain(line, sequence, previous) || !nlohmann::json::accept(line))
      return fail("is not a record");
    if (sequence != last_.sequence + 1) {
      return fail("has sequence " + std::to_string(sequence) + " where " +
                  std::to_string(last_.sequence + 1) +
                  " belongs: lines before it were removed, added or moved");
    }
    if (previous != last_.hash)
      return fail("does not follow from the line before it: one of the two was changed");
    last_ = ChainPosition{sequence, sha256(as_bytes(line))};
    return true;
  }

  // The log's end, against where the chain stood.
  void end(const ChainPosition& head) {
    if (verdict_.problem) return;
    if (head.sequence > last_.sequence) {
      verdict_.problem = "after line " + std::to_string(verdict_.lines) + ": the last " +
                         std::to_string(head.sequence - last_.sequence) + " lines were removed";
    } else if (head.sequence == last_.sequence && head.hash != last_.hash) {
      fail("was changed");
    }
  }

  bool fail(const std::string& what) {
    verdict_.problem = "line " + std::to_string(verdict_.lines) + ": " + what;
    return false;
  }
  const AuditVerdict& verdict() const { return verdict_; }

 private:
  ChainPosition last_;
  AuditVerdict verdict_;
};

}  // namespace

Result<AuditVerdict> verify_audit_log(const std::string& directory) {
  auto log = open_private_file(directory + "/audit.log", "the audit log", O_RDONLY);
  if (!log) return std::move(log).error();
  auto head_file = open_private_file(directory + "/audit.head", "the audit log's head", O_RDWR);
  if (!head_file) return std::move(head_file).error();
  auto store = Store::open(directory);
  if (!store) return std::move(store).error();
  std::uint64_t size = 0;
  ChainPosition position;
  {
    // Size and head of one moment; what is appended later is not read.
    auto writer = (*store)->write();
    if (!writer) return std::move(writer).error();
    auto head = AuditHead::map(head_file->get());
    if (!head) return std::move(head).error();
    struct stat status {};
    if (::fstat(log->get(), &status) != 0) return Error::from_errno(errno, "the audit log");
    size = static_cast<std::uint64_t>(status.st_size);
    position = head->position();
  }

  Chain chain;
  std::string rest;
  Bytes piece(kPiece);
  for (std::uint64_t left = size; left > 0;) {
    auto got = read_up_to(log->get(), ByteSpan(piece).first(std::min<std::uint64_t>(left, piece.size())));
    if (!got) return std::move(got).error().during("the audit log");
    if (*got == 0) break;
    left -= *got;
    rest.append(as_text(ByteView(piece).first(*got)));
    std::size_t start = 0;
    for (std::size_t end = rest.find('\n'); end != std::string::npos; end = rest.find('\n', start)) {
      if (!chain.follow(std::string_view(rest).substr(start, end - start))) return chain.verdict();
      start = end + 1;
    }
    rest.erase(0, start);
  }
  if (!rest.empty() && !chain.follow("")) return chain.verdict();  // cut short: no record
  chain.end(position);
  return chain.verdict();
}

}  // namespace kmsfs::kms
