#include "kms/audit_record.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>

#include "kms/names.h"

namespace kmsfs::kms {

namespace {

constexpr std::string_view kSequence = "{\"sequence\":";
constexpr std::string_view kPrevious = ",\"previousHash\":\"";

// The length of the well-formed UTF-8 sequence at the start of `text`; 0 if there is none.
std::size_t utf8_length(std::string_view text) {
  const auto at = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const auto continues = [&](std::size_t i) { return (at(i) & 0xc0) == 0x80; };
  const unsigned lead = at(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return continues(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    const bool overlong = lead == 0xe0 && at(1) < 0xa0;
    const bool surrogate = lead == 0xed && at(1) >= 0xa0;
    return continues(1) && continues(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    const bool overlong = lead == 0xf0 && at(1) < 0x90;
    const bool too_large = lead == 0xf4 && at(1) >= 0x90;
    return continues(1) && continues(2) && continues(3) && !overlong && !too_large ? 4 : 0;
  }
  return 0;
}

bool is_plain(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\';
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const auto plain = static_cast<std::size_t>(std::ranges::find_if_not(text, is_plain) - text.begin());
    out.append(text.substr(0, plain));
    text.remove_prefix(plain);
    if (text.empty()) break;
    const auto c = static_cast<unsigned char>(text.front());
    std::size_t used = 1;
    if (c == '"' || c == '\\') {
      out += '\\';
      out += text.front();
    } else if (c < 0x80) {
      std::array<char, 8> escaped{};
      std::snprintf(escaped.data(), escaped.size(), "\\u%04x", c);
      out += escaped.data();
    } else if (const std::size_t length = utf8_length(text); length > 0) {
      out.append(text.substr(0, length));
      used = length;
    } else {
      out += "\xef\xbf\xbd";
    }
    text.remove_prefix(used);
  }
  out += '"';
}

void write_identity(JsonWriter& json, const AuditRecord::Identity& identity) {
  json.begin("userIdentity");
  const auto if_known = [&](std::string_view name, std::string_view value) {
    if (!value.empty()) json.text(name, value);
  };
  if_known("type", identity.type);
  if_known("principalId", identity.principal_id);
  if_known("arn", identity.arn);
  if_known("accountId", identity.account);
  if_known("accessKeyId", identity.access_key_id);
  if_known("userName", identity.user_name);
  if (!identity.session_context.empty()) json.json("sessionContext", identity.session_context);
  if_known("invokedBy", identity.invoked_by);
  json.end();
}

// An account, not the caller's, whose key the call was about.
const std::string* other_account(const AuditRecord& record) {
  if (record.identity.account.empty()) return nullptr;
  for (const auto& resource : record.resources) {
    if (!resource.account.empty() && resource.account != record.identity.account) return &resource.account;
  }
  return nullptr;
}

struct EventIds {
  std::string_view request, event;
  bool shared = false;
};

void append_line(std::string& line, const AuditRecord& record, const ChainPosition& after,
                 std::string_view recipient, const EventIds& ids) {
  line.reserve(line.size() + 1536);
  JsonWriter json(line);
  json.begin();
  json.number("sequence", static_cast<std::int64_t>(after.sequence + 1))
      .text("previousHash", to_hex(after.hash));
  json.text("eventVersion", "1.09");
  write_identity(json, record.identity);
  json.text("eventTime", iso_time(record.time_ms)).text("eventSource", record.source);
  json.text("eventName", record.event).text("awsRegion", record.region);
  json.text("sourceIPAddress", record.source_ip.empty() ? std::string_view("local") : record.source_ip);
  json.text("userAgent", record.user_agent);
  if (!record.error_code.empty()) {
    json.text("errorCode", record.error_code).text("errorMessage", record.error_message);
  }
  json.json("requestParameters", record.request_parameters)
      .json("responseElements", record.response_elements);
  json.text("requestID", ids.request).text("eventID", ids.event).boolean("readOnly", record.read_only);
  json.begin_list("resources");
  for (const auto& resource : record.resources) {
    json.begin()
        .text("accountId", resource.account)
        .text("type", resource.type)
        .text("ARN", resource.arn)
        .end();
  }
  json.end_list();
  json.text("eventType", record.event_type).boolean("managementEvent", true);
  json.text("recipientAccountId", recipient);
  if (!record.service_event_details.empty()) json.json("serviceEventDetails", record.service_event_details);
  if (ids.shared) json.text("sharedEventID", ids.request);
  json.text("eventCategory", "Management");
  json.end();
  line += '\n';
}

}  // namespace

AuditRecord record_of_owner(uid_t by, std::string_view event, std::string request_parameters) {
  AuditRecord record;
  record.identity.type = "StoreOwner";
  record.identity.principal_id = std::to_string(by);
  record.event = event;
  record.user_agent = "kmsfs";
  record.request_parameters = std::move(request_parameters);
  return record;
}

std::string iso_time(std::int64_t milliseconds) {
  using namespace std::chrono;
  const auto at =
      floor<seconds>(sys_time<std::chrono::milliseconds>(std::chrono::milliseconds(milliseconds)));
  const auto day = floor<days>(at);
  const year_month_day date(day);
  const hh_mm_ss time(at - day);
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                static_cast<int>(time.seconds().count()));
  return text.data();
}

void JsonWriter::member(std::string_view name) {
  if (!first_) out_ += ',';
  first_ = false;
  if (name.empty()) return;
  out_ += '"';
  out_ += name;
  out_ += "\":";
}

JsonWriter& JsonWriter::begin(std::string_view name) {
  member(name);
  out_ += '{';
  first_ = true;
  return *this;
}
JsonWriter& JsonWriter::end() {
  out_ += '}';
  first_ = false;
  return *this;
}
JsonWriter& JsonWriter::begin_list(std::string_view name) {
  member(name);
  out_ += '[';
  first_ = true;
  return *this;
}
JsonWriter& JsonWriter::end_list() {
  out_ += ']';
  first_ = false;
  return *this;
}
JsonWriter& JsonWriter::text(std::string_view name, std::string_view value) {
  member(name);
  append_quoted(out_, value);
  return *this;
}
JsonWriter& JsonWriter::number(std::string_view name, std::int64_t value) {
  member(name);
  out_ += std::to_string(value);
  return *this;
}
JsonWriter& JsonWriter::boolean(std::string_view name, bool value) {
  member(name);
  out_ += value ? "true" : "false";
  return *this;
}
JsonWriter& JsonWriter::json(std::string_view name, std::string_view json) {
  member(name);
  out_ += json;
  return *this;
}
JsonWriter& JsonWriter::texts(std::string_view name, const EncryptionContext& pairs) {
  member(name);
  out_ += '{';
  bool first = true;
  for (const auto& [key, value] : pairs) {
    if (!first) out_ += ',';
    first = false;
    append_quoted(out_, key);
    out_ += ':';
    append_quoted(out_, value);
  }
  out_ += '}';
  return *this;
}

AuditLines audit_lines(const AuditRecord& record, const ChainPosition& after) {
  const std::string id = record.request_id.empty() ? new_uuid() : record.request_id;
  const bool shared = other_account(record) != nullptr;
  AuditLines lines{{}, after.sequence + 1};
  // One request is one event here, unless two accounts hear of it.
  append_line(lines.text, record, after, record.identity.account, {id, id, shared});
  if (!shared) return lines;
  const ChainPosition first{lines.last, sha256(as_bytes(lines.text).first(lines.text.size() - 1))};
  ++lines.last;
  append_line(lines.text, record, first, *other_account(record), {id, new_uuid(), shared});
  return lines;
}

bool read_chain(std::string_view line, std::uint64_t& sequence, Sha256& previous) {
  if (!line.starts_with(kSequence) || line.back() != '}') return false;
  const char* const end = line.data() + line.size();
  const auto [after, failed] = std::from_chars(line.data() + kSequence.size(), end, sequence);
  if (failed != std::errc() || sequence == 0) return false;
  std::string_view rest(after, static_cast<std::size_t>(end - after));
  if (!rest.starts_with(kPrevious)) return false;
  rest.remove_prefix(kPrevious.size());
  auto hash = from_hex(rest.substr(0, 64));
  if (!hash || hash->size() != previous.size() || !rest.substr(64).starts_with("\",")) return false;
  std::copy(hash->begin(), hash->end(), previous.begin());
  return true;
}

bool read_position(std::string_view line, ChainPosition& position) {
  Sha256 previous{};
  if (!read_chain(line, position.sequence, previous)) return false;
  position.hash = sha256(as_bytes(line));
  return true;
}

}  // namespace kmsfs::kms
