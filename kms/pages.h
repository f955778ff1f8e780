// Pages of lists.
//
// A marker is the last name of the page before, with the kind of list, in base64url: opaque to callers,
// checked when it comes back, and never a way out of what the list is about. Private to the service.
#pragma once

#include <string>
#include <utility>

#include "kms/call.h"
#include "kms/errors.h"

namespace kmsfs::kms {

struct PageLimits {
  std::int64_t usual = 0, most = 0;
};

class Page {
 public:
  // `kind` tells the lists apart, and what they are about.
  static Result<Page> make(std::string_view kind, std::optional<std::int64_t> limit, std::string_view marker,
                           PageLimits limits) {
    Page page;
    page.kind_ = kind;
    const std::int64_t size = limit.value_or(limits.usual);
    KMSFS_TRY(check_number("limit", size, 1, limits.most));
    page.limit_ = static_cast<std::size_t>(size);
    if (marker.empty()) return page;
    const Error invalid = answer(Kind::kInvalid, "InvalidMarkerException", "the marker is not one of ours");
    auto text = from_base64url(marker);
    if (!text) return invalid;
    std::string_view name = as_text(*text);
    if (!name.starts_with(kind) || name.size() <= kind.size() || name.size() > kind.size() + kLongestName) {
      return invalid;
    }
    page.after_ = name.substr(kind.size());
    return page;
  }

  std::size_t limit() const { return limit_; }
  const std::string& after() const { return after_; }  // empty: from the start
  std::string marker(std::string_view last) const {
    return to_base64url(as_bytes(kind_ + std::string(last)));
  }

 private:
  static constexpr std::size_t kLongestName = 384;  // aliases are the longest
  std::string kind_;
  std::size_t limit_ = 0;
  std::string after_;
};

// Calls `take(name, value)` for the page's entries of a table, their names without `prefix`; it says whether
// the entry counts. Gives the next marker.
template <typename Take>
Result<std::string> walk(const Transaction& transaction, Table table, const std::string& prefix,
                         const Page& page, const Take& take) {
  std::size_t taken = 0;
  std::string last, next;
  Result<void> failed;
  const std::string after = page.after().empty() ? std::string() : prefix + page.after();
  auto scanned = transaction.scan(table, prefix, after, [&](std::string_view key, ByteView value) {
    const std::string_view name = key.substr(prefix.size());
    Result<bool> counts = taken == page.limit() ? Result<bool>(true) : take(name, value);
    if (!counts) {
      failed = std::move(counts).error();
      return false;
    }
    if (*counts && taken == page.limit()) {
      next = page.marker(last);
      return false;
    }
    if (*counts) ++taken;
    last = name;
    return true;
  });
  if (!scanned) return internal_failure(std::move(scanned).error());
  if (!failed) return std::move(failed).error();
  return next;
}

// The same over what is in memory, in order; `name(entry)` is a text that sorts as the entries do.
template <typename Entries, typename Name, typename Take>
std::string walk(const Entries& entries, const Page& page, const Name& name, const Take& take) {
  std::size_t taken = 0;
  std::string last;
  for (const auto& entry : entries) {
    std::string own = name(entry);
    if (!page.after().empty() && own <= page.after()) continue;
    if (taken == page.limit()) return page.marker(last);
    take(entry);
    ++taken;
    last = std::move(own);
  }
  return {};
}

}  // namespace kmsfs::kms
