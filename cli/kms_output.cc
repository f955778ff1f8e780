#include "cli/kms_output.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "kms/private_file.h"
#include "kms/sensitive_bytes.h"
#include "kms/wire/json_reader.h"

namespace kmsfs::cli {

namespace {

using kms::JsonDocument;
using kms::JsonType;
using kms::JsonValue;

constexpr int kIndent = 4;

// Collects in locked memory and writes when that is full.
class LockedOutput {
 public:
  static Result<LockedOutput> to(int fd) {
    auto buffer = kms::SensitiveBytes::make(4096);
    if (!buffer) return std::move(buffer).error();
    return LockedOutput(fd, std::move(*buffer));
  }

  void put(std::string_view text) {
    while (!text.empty() && result_) {
      if (used_ == buffer_.size()) flush();
      const std::size_t size = std::min(text.size(), buffer_.size() - used_);
      std::memcpy(buffer_.fill().data() + used_, text.data(), size);
      used_ += size;
      text.remove_prefix(size);
    }
  }
  void line(int depth) {
    put("\n");
    for (int i = 0; i < depth * kIndent; ++i) put(" ");
  }
  Result<void> finish() {
    flush();
    return std::move(result_);
  }

 private:
  LockedOutput(int fd, kms::SensitiveBytes buffer) : fd_(fd), buffer_(std::move(buffer)) {}
  void flush() {
    if (result_) result_ = kms::write_all(fd_, buffer_.reveal().first(used_));
    used_ = 0;
  }

  int fd_;
  kms::SensitiveBytes buffer_;
  std::size_t used_ = 0;
  Result<void> result_;
};

bool is_time(std::string_view name) { return name.ends_with("Date") || name == "Expiration"; }

// Seconds since the epoch as AWS's command line prints them; nothing if it is no such number.
std::optional<std::string> time_text(std::string_view number) {
  double seconds = 0;
  const auto [end, failed] = std::from_chars(number.data(), number.data() + number.size(), seconds);
  if (failed != std::errc() || end != number.data() + number.size()) return std::nullopt;
  if (!(seconds >= 0 && seconds < 253402300800.0)) return std::nullopt;  // the year 9999
  const auto microseconds = static_cast<std::int64_t>(std::llround(seconds * 1e6));
  const std::time_t whole = microseconds / 1000000;
  std::tm parts{};
  ::gmtime_r(&whole, &parts);
  std::array<char, 64> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::string out = text.data();
  if (microseconds % 1000000 != 0) {
    std::snprintf(text.data(), text.size(), ".%06d", static_cast<int>(microseconds % 1000000));
    out += text.data();
  }
  return out + "+00:00";
}

class Layout {
 public:
  Layout(LockedOutput& out, std::string_view hidden) : out_(out), hidden_(hidden) {}

  void value(const JsonValue& value, int depth, std::string_view name) {
    if (value.is(JsonType::kObject) || value.is(JsonType::kList)) return container(value, depth, name);
    if (value.is(JsonType::kString)) return quoted(value.raw());
    const auto time = is_time(name) ? time_text(value.raw()) : std::nullopt;
    if (time) return quoted(*time);
    out_.put(value.raw());
  }

 private:
  // Escapes as AWS's command line writes them: what has a letter is written with it.
  void quoted(std::string_view raw) {
    struct Escape {
      std::string_view long_form, short_form;
    };
    static constexpr Escape kEscapes[] = {{"\\u0008", "\\b"}, {"\\u0009", "\\t"}, {"\\u000a", "\\n"},
                                          {"\\u000c", "\\f"}, {"\\u000d", "\\r"}, {"\\/", "/"}};
    out_.put("\"");
    while (!raw.empty()) {
      const std::string_view run = raw.substr(0, raw.find('\\'));
      out_.put(run);
      raw.remove_prefix(run.size());
      if (raw.empty()) break;
      const auto* found = std::find_if(std::begin(kEscapes), std::end(kEscapes), [&](const Escape& escape) {
        return raw.starts_with(escape.long_form);
      });
      const bool is_long = found != std::end(kEscapes);
      out_.put(is_long ? found->short_form : raw.substr(0, 2));
      raw.remove_prefix(is_long ? found->long_form.size() : std::min<std::size_t>(2, raw.size()));
    }
    out_.put("\"");
  }

  void container(const JsonValue& value, int depth, std::string_view name) {
    const bool is_object = value.is(JsonType::kObject);
    out_.put(is_object ? "{" : "[");
    bool empty = true;
    for (const JsonValue& child : value.children()) {
      const std::string member = is_object ? child.name() : std::string(name);
      if (depth == 0 && is_object && member == hidden_) continue;
      if (!std::exchange(empty, false)) out_.put(",");
      out_.line(depth + 1);
      if (is_object) {
        // A name is never a secret.
        out_.put(nlohmann::json(member).dump());
        out_.put(": ");
      }
      this->value(child, depth + 1, member);
    }
    if (!empty) out_.line(depth);
    out_.put(is_object ? "}" : "]");
  }

  LockedOutput& out_;
  const std::string_view hidden_;
};

// What the query names; nothing where the reply has no such thing.
struct Found {
  std::optional<JsonValue> value;
  std::string name;  // of the last member on the way
};
// kInvalid: it cannot be understood.
Result<Found> find(const JsonValue& root, std::string_view query) {
  Found found{root, {}};
  const auto wrong = [&] {
    return error(Kind::kInvalid,
                 "--query takes a path of members, as in KeyMetadata.KeyId or Keys[0].KeyArn");
  };
  while (!query.empty()) {
    if (query.front() == '[') {
      std::size_t index = 0;
      const auto [end, failed] = std::from_chars(query.data() + 1, query.data() + query.size(), index);
      if (failed != std::errc() || end == query.data() + query.size() || *end != ']') return wrong();
      query.remove_prefix(static_cast<std::size_t>(end - query.data()) + 1);
      const auto elements = found.value && found.value->is(JsonType::kList) ? found.value->children()
                                                                            : std::vector<JsonValue>();
      found.value = index < elements.size() ? std::optional(elements[index]) : std::nullopt;
    } else {
      found.name = query.substr(0, query.find_first_of(".["));
      if (found.name.empty() || found.name.find_first_of("]*?|@()") != std::string::npos) return wrong();
      query.remove_prefix(found.name.size());
      found.value =
          found.value && found.value->is(JsonType::kObject) ? found.value->member(found.name) : std::nullopt;
    }
    if (query.starts_with('.')) {
      query.remove_prefix(1);
      if (query.empty()) return wrong();
    }
  }
  return found;
}

// Without quotes and escapes. Secrets are base64, which has none: they stay where they are.
void put_plain(LockedOutput& out, const JsonValue& value, std::string_view name) {
  const std::string_view raw = value.raw();
  if (value.is(JsonType::kNull)) return out.put("None");
  if (value.is(JsonType::kString)) {
    return raw.find('\\') == std::string_view::npos ? out.put(raw) : out.put(value.text());
  }
  const auto time = is_time(name) ? time_text(raw) : std::nullopt;
  out.put(time ? std::string_view(*time) : raw);
}

Result<void> put_text(LockedOutput& out, const Found& found) {
  const auto is_plain = [](const JsonValue& one) {
    return !one.is(JsonType::kObject) && !one.is(JsonType::kList);
  };
  if (!found.value) {
    out.put("None");
    return {};
  }
  const bool is_list = found.value->is(JsonType::kList);
  const auto values = is_list ? found.value->children() : std::vector<JsonValue>{*found.value};
  if (!std::all_of(values.begin(), values.end(), is_plain)) {
    return error(Kind::kInvalid,
                 "--output text prints one value, or a list of them; name it: --query MEMBER");
  }
  for (const JsonValue& value : values) {
    if (&value != values.data()) out.put("\t");
    put_plain(out, value, found.name);
  }
  return {};
}

}  // namespace

Result<void> print_json(int fd, ByteView json, const OutputChoice& choice) {
  if (json.empty()) return {};
  auto document = JsonDocument::parse(json);
  if (!document) return error(Kind::kCorrupt, "the KMS's reply is not JSON");
  auto found = find(document->root(), choice.query);
  if (!found) return std::move(found).error();
  auto out = LockedOutput::to(fd);
  if (!out) return std::move(out).error();
  if (choice.text) {
    KMSFS_TRY(put_text(*out, *found));
  } else if (found->value) {
    Layout(*out, choice.hidden).value(*found->value, 0, found->name);
  } else {
    out->put("null");
  }
  out->put("\n");
  return out->finish();
}

}  // namespace kmsfs::cli
