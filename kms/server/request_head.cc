#include "kms/server/request_head.h"

#include <boost/beast/http/basic_parser.hpp>
#include <limits>

namespace kmsfs::kms {

namespace {

namespace http = boost::beast::http;
using boost::beast::error_code;

constexpr std::size_t kMostHeaders = 100;
constexpr Refusal kMalformed{400, "MalformedHttpRequestException", "The request is not well-formed HTTP."};

// Fills in a RequestHead; bodies never reach it.
class HeadParser final : public http::basic_parser<true> {
 public:
  HeadParser(RequestHead& head, std::size_t size) : head_(head) {
    head_.text.reserve(size);
    header_limit(std::numeric_limits<std::uint32_t>::max());
    skip(true);
  }
  int version() const { return version_; }
  int hosts() const { return hosts_; }
  bool has_body_coding() const { return body_coding_; }
  bool has_other_expectation() const { return other_expectation_; }
  bool has_too_many_headers() const { return too_many_; }

 private:
  std::string_view keep(std::string_view part) {
    const std::size_t at = head_.text.size();
    head_.text.append(part);
    return std::string_view(head_.text).substr(at);
  }
  void on_request_impl(http::verb, boost::beast::string_view method, boost::beast::string_view target,
                       int version, error_code&) override {
    head_.method = keep({method.data(), method.size()});
    head_.target = keep({target.data(), target.size()});
    version_ = version;
  }
  void on_field_impl(http::field name, boost::beast::string_view name_string, boost::beast::string_view value,
                     error_code& failed) override {
    if (head_.headers.size() == kMostHeaders) {
      too_many_ = true;
      failed = http::error::header_limit;
      return;
    }
    head_.headers.push_back(
        {keep({name_string.data(), name_string.size()}), keep({value.data(), value.size()})});
    if (name == http::field::host) ++hosts_;
    if (name == http::field::transfer_encoding) body_coding_ = true;
    if (name == http::field::expect) {
      const bool known = boost::beast::iequals(value, "100-continue");
      head_.wants_continue |= known;
      other_expectation_ |= !known;
    }
  }
  void on_response_impl(int, boost::beast::string_view, int, error_code&) override {}
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(boost::beast::string_view, error_code&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, boost::beast::string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, boost::beast::string_view, error_code&) override { return 0; }
  void on_finish_impl(error_code&) override {}

  RequestHead& head_;
  int version_ = 0, hosts_ = 0;
  bool body_coding_ = false, other_expectation_ = false, too_many_ = false;
};

HeadOutcome refuse(std::size_t size, Refusal refusal) { return {size, nullptr, refusal}; }

}  // namespace

HeadOutcome parse_request_head(ByteView bytes, std::uint64_t largest_body) {
  constexpr std::string_view kEnd = "\r\n\r\n";
  const auto end = as_text(bytes).find(kEnd);
  if (end == std::string_view::npos) return {};
  const std::size_t size = end + kEnd.size();

  auto head = std::make_unique<RequestHead>();
  HeadParser parser(*head, size);
  error_code failed;
  parser.put(boost::asio::const_buffer(bytes.data(), size), failed);
  if (parser.has_too_many_headers()) {
    return refuse(size, {431, "RequestHeaderFieldsTooLargeException", "The request has too many headers."});
  }
  if (failed == http::error::bad_version) {
    return refuse(size,
                  {505, "HttpVersionNotSupportedException", "This server speaks HTTP/1.1 and HTTP/1.0."});
  }
  if (parser.has_body_coding()) {
    return refuse(size, {411, "MissingContentLength", "Send the body whole, with a Content-Length."});
  }
  if (failed || !parser.is_header_done()) return refuse(size, kMalformed);
  if (parser.has_other_expectation()) {
    return refuse(size, {417, "ExpectationFailedException", "Of expectations, 100-continue is known."});
  }
  if (parser.version() >= 11 ? parser.hosts() != 1 : parser.hosts() > 1) return refuse(size, kMalformed);
  head->body_size = parser.content_length().value_or(0);
  if (head->body_size > largest_body) {
    return refuse(size, {413, "RequestEntityTooLargeException", "The body of the request is too large."});
  }
  head->http_1_0 = parser.version() < 11;
  head->keep_alive = parser.keep_alive();
  return {size, std::move(head), std::nullopt};
}

}  // namespace kmsfs::kms
