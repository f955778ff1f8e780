#include "cli/kms_request.h"

#include <fcntl.h>

#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/shorthand.h"
#include "core/unique_fd.h"
#include "kms/base64.h"
#include "kms/private_file.h"

namespace kmsfs::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kLargestText = std::size_t{1} << 20;
constexpr std::size_t kLargestBlob = 6144;  // what the KMS takes: a ciphertext; a plain text has at most 4096
constexpr std::string_view kTextFile = "file://", kBytesFile = "fileb://";

Result<UniqueFd> open_named_file(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return Error::from_errno(errno, "opening " + path);
  return fd;
}

Result<kms::SensitiveBytes> read_blob_file(const std::string& path) {
  auto fd = open_named_file(path);
  if (!fd) return std::move(fd).error();
  auto whole = kms::SensitiveBytes::make(kLargestBlob + 1);
  if (!whole) return whole;
  auto size = kms::read_up_to(fd->get(), whole->fill());
  if (!size) return std::move(size).error().during("reading " + path);
  if (*size > kLargestBlob) {
    return error(Kind::kInvalid, path + " has more than the " + std::to_string(kLargestBlob) +
                                     " bytes that a KMS takes; encrypt the data with a data key "
                                     "(generate-data-key), and that with the KMS");
  }
  auto bytes = kms::SensitiveBytes::make(*size);
  if (bytes && *size > 0) std::memcpy(bytes->fill().data(), whole->reveal().data(), *size);
  return bytes;
}

// A base64 string with its quotes, in locked memory.
Result<kms::SensitiveBytes> blob_value(const KmsParameter& parameter, const std::string& typed) {
  if (typed.starts_with(kBytesFile)) {
    auto bytes = read_blob_file(typed.substr(kBytesFile.size()));
    if (!bytes) return bytes;
    auto quoted = kms::SensitiveBytes::make(kms::base64_size(bytes->size()) + 2);
    if (!quoted) return quoted;
    quoted->fill().front() = quoted->fill().back() = std::byte{'"'};
    kms::write_base64(bytes->reveal(), quoted->fill().subspan(1, quoted->size() - 2));
    return quoted;
  }
  auto text = resolved_text(typed);
  if (!text) return std::move(text).error();
  std::string_view base64 = *text;
  while (base64.ends_with('\n')) base64.remove_suffix(1);
  if (base64.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=") !=
      std::string_view::npos) {
    return error(Kind::kInvalid, parameter.name + " is not base64; fileb://FILE takes the bytes of a file");
  }
  auto quoted = kms::SensitiveBytes::make(base64.size() + 2);
  if (!quoted) return quoted;
  ByteWriter out(quoted->fill());
  for (const std::string_view part : {std::string_view("\""), base64, std::string_view("\"")}) {
    out.bytes(as_bytes(part));
  }
  return quoted;
}

Result<Json> number_value(const std::string& typed) {
  std::int64_t number = 0;
  const auto [end, failed] = std::from_chars(typed.data(), typed.data() + typed.size(), number);
  if (failed != std::errc() || end != typed.data() + typed.size()) {
    return error(Kind::kInvalid, "'" + typed + "' is no number");
  }
  return Json(number);
}

// Several values, or one that is a JSON array.
template <typename Parse>
Result<Json> list_value(std::span<const std::string> typed, const Parse& parse) {
  if (typed.size() == 1) {
    auto text = resolved_text(typed.front());
    if (!text) return std::move(text).error();
    if (text->find_first_not_of(" \n\t") != std::string::npos &&
        (*text)[text->find_first_not_of(" \n\t")] == '[') {
      auto json = Json::parse(*text, nullptr, false);
      if (json.is_discarded()) return error(Kind::kInvalid, "it begins as a JSON array, and is none");
      return json;
    }
  }
  Json list = Json::array();
  for (const std::string& one : typed) {
    auto value = parse(one);
    if (!value) return std::move(value).error();
    list.push_back(std::move(*value));
  }
  return list;
}

Result<Json> text_value(const std::string& typed) {
  auto text = resolved_text(typed);
  if (!text) return std::move(text).error();
  return Json(std::move(*text));
}

Result<Json> value_of(const KmsParameter& parameter, std::span<const std::string> typed) {
  switch (parameter.form) {
    case Form::kNumber:
      return number_value(typed.front());
    case Form::kFlag:
      return Json(typed.front() == "true");
    case Form::kList:
    case Form::kEach:
      return list_value(typed, text_value);
    case Form::kStructure:
      return parse_structure(typed.front());
    case Form::kStructures:
      return list_value(typed, parse_structure);
    case Form::kText:
    case Form::kBlob:
      break;
  }
  return text_value(typed.front());
}

// The members of an object, put together in locked memory.
class RequestWriter {
 public:
  void add(const std::string& member, std::string json) { pieces_.push_back({member, std::move(json), {}}); }
  void add(const std::string& member, kms::SensitiveBytes json) {
    pieces_.push_back({member, {}, std::move(json)});
  }

  Result<kms::SensitiveBytes> finish() const {
    std::size_t size = 2;
    for (const Piece& piece : pieces_) size += piece.member.size() + 4 + piece.value().size();
    auto request = kms::SensitiveBytes::make(size - (pieces_.empty() ? 0 : 1));
    if (!request) return request;
    ByteWriter out(request->fill());
    out.bytes(as_bytes("{"));
    for (const Piece& piece : pieces_) {
      out.bytes(as_bytes(&piece == pieces_.data() ? "\"" : ",\""));
      out.bytes(as_bytes(piece.member));
      out.bytes(as_bytes("\":"));
      out.bytes(piece.value());
    }
    out.bytes(as_bytes("}"));
    return request;
  }

 private:
  struct Piece {
    std::string member;
    std::string open;
    std::optional<kms::SensitiveBytes> locked;
    ByteView value() const { return locked ? locked->reveal() : as_bytes(open); }
  };
  std::vector<Piece> pieces_;
};

}  // namespace

Result<std::string> resolved_text(const std::string& typed) {
  if (!typed.starts_with(kTextFile)) return typed;
  const std::string path = typed.substr(kTextFile.size());
  auto fd = open_named_file(path);
  if (!fd) return std::move(fd).error();
  std::string text(kLargestText + 1, '\0');
  auto size = kms::read_up_to(fd->get(), std::as_writable_bytes(std::span(text)));
  if (!size) return std::move(size).error().during("reading " + path);
  if (*size > kLargestText) return error(Kind::kInvalid, path + " has more than 1 MiB");
  text.resize(*size);
  return text;
}

Result<nlohmann::ordered_json> parse_structure(const std::string& typed) {
  auto text = resolved_text(typed);
  if (!text) return std::move(text).error();
  return parse_shorthand(*text);
}

Result<kms::SensitiveBytes> kms_request(const KmsArguments& arguments) {
  RequestWriter request;
  for (const KmsParameter& parameter : parameters_of(*arguments.command())) {
    if (parameter.member.empty() || !arguments.given(parameter.name)) continue;
    const auto typed = arguments.all(parameter.name);
    if (parameter.form == Form::kBlob) {
      auto blob = blob_value(parameter, typed.front());
      if (!blob) return std::move(blob).error();
      request.add(parameter.member, std::move(*blob));
      continue;
    }
    auto value = value_of(parameter, typed);
    if (!value) return std::move(value).error().during(parameter.name);
    std::string json = value->dump(-1, ' ', false, Json::error_handler_t::strict);
    request.add(parameter.member, std::move(json));
  }
  return request.finish();
}

}  // namespace kmsfs::cli
