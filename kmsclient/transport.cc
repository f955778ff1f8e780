#include "kmsclient/transport.h"

#include <curl/curl.h>
#include <malloc.h>
#include <openssl/ssl.h>
#include <strings.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <vector>

#include "core/guarded.h"

namespace kmsfs {

namespace {

constexpr std::size_t kHeaderLimit = std::size_t{64} << 10;
constexpr std::size_t kFirstBody = 2048;  // what most replies fit in
constexpr std::size_t kIdleHandles = 64;  // as many as calls at once; the rest is closed after use

// What passes through libcurl passes through its allocations: they are wiped when they are freed.
void wiping_free(void* memory) {
  if (memory == nullptr) return;
  ::explicit_bzero(memory, ::malloc_usable_size(memory));
  std::free(memory);
}
void* wiping_realloc(void* memory, std::size_t size) {
  if (memory == nullptr) return std::malloc(size);
  void* grown = std::malloc(size);
  if (grown == nullptr) return nullptr;
  std::memcpy(grown, memory, std::min(size, ::malloc_usable_size(memory)));
  wiping_free(memory);
  return grown;
}

void start_curl() {
  static const CURLcode started = ::curl_global_init_mem(CURL_GLOBAL_DEFAULT, std::malloc, wiping_free,
                                                         wiping_realloc, ::strdup, std::calloc);
  (void)started;  // if it failed, curl_easy_init does
}

struct FreeList {
  void operator()(curl_slist* list) const { ::curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, FreeList>;

// `Name: value`; the text is wiped, for it may be a session token.
bool append(HeaderList& list, const kms::OwnedHeader& header) {
  std::string line = header.name + (header.value.empty() ? ":" : ": ") + header.value;
  curl_slist* longer = ::curl_slist_append(list.get(), line.c_str());
  ::explicit_bzero(line.data(), line.size());
  if (longer == nullptr) return false;
  (void)list.release();
  list.reset(longer);
  return true;
}

// A reply while it comes in.
struct Incoming {
  std::optional<kms::SensitiveBytes> body;
  std::size_t size = 0;
  std::size_t header_size = 0;
  std::optional<std::chrono::milliseconds> retry_after;
  std::string date, error_type;
  const char* refused = nullptr;  // why it was cut off
  bool full = false;              // locked memory is

  bool grow(std::size_t needed) {
    if (body && needed <= body->size()) return true;
    const std::size_t room = std::max(needed, body ? std::min(body->size() * 2, kReplyLimit) : kFirstBody);
    auto larger = kms::SensitiveBytes::make(room);
    if (!larger) {
      full = true;
      return false;
    }
    if (body) std::memcpy(larger->fill().data(), body->reveal().data(), size);
    body = std::move(*larger);
    return true;
  }
};

std::size_t take_body(char* data, std::size_t one, std::size_t size, void* user) {
  (void)one;
  auto& incoming = *static_cast<Incoming*>(user);
  if (size > kReplyLimit - incoming.size) {
    incoming.refused = "its reply is longer than 1 MiB";
    return CURL_WRITEFUNC_ERROR;
  }
  if (!incoming.grow(incoming.size + size)) return CURL_WRITEFUNC_ERROR;
  std::memcpy(incoming.body->fill().data() + incoming.size, data, size);
  incoming.size += size;
  ::explicit_bzero(data, size);  // libcurl's buffer lives as long as its handle, and looks at it no more
  return size;
}

std::optional<std::string_view> value_of(std::string_view line, std::string_view name) {
  if (line.size() <= name.size() || line[name.size()] != ':') return std::nullopt;
  if (::strncasecmp(line.data(), name.data(), name.size()) != 0) return std::nullopt;
  line.remove_prefix(name.size() + 1);
  while (!line.empty() && std::strchr(" \t\r\n", line.front()) != nullptr) line.remove_prefix(1);
  while (!line.empty() && std::strchr(" \t\r\n", line.back()) != nullptr) line.remove_suffix(1);
  return line;
}

std::size_t take_header(char* data, std::size_t one, std::size_t size, void* user) {
  (void)one;
  auto& incoming = *static_cast<Incoming*>(user);
  incoming.header_size += size;
  if (incoming.header_size > kHeaderLimit) {
    incoming.refused = "the header of its reply is longer than 64 KiB";
    return CURL_WRITEFUNC_ERROR;
  }
  const std::string_view line(data, size);
  if (const auto date = value_of(line, "date")) incoming.date = *date;
  if (const auto type = value_of(line, "x-amzn-errortype")) incoming.error_type = *type;
  if (const auto after = value_of(line, "x-amz-retry-after")) {
    std::uint32_t milliseconds = 0;
    const auto parsed = std::from_chars(after->data(), after->data() + after->size(), milliseconds);
    if (parsed.ec == std::errc()) incoming.retry_after = std::chrono::milliseconds(milliseconds);
  }
  return size;
}

// OpenSSL then wipes what it decrypted as soon as it was read.
CURLcode cleanse_plaintext(CURL*, void* context, void*) {
  ::SSL_CTX_set_options(static_cast<SSL_CTX*>(context), SSL_OP_CLEANSE_PLAINTEXT);
  return CURLE_OK;
}

bool worth_a_retry(CURLcode code) {
  switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_OUT_OF_MEMORY:
    case CURLE_WRITE_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_CIPHER:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return false;
    default:
      return true;
  }
}

}  // namespace

class Transport::Handle {
 public:
  Handle() : easy_(::curl_easy_init()) {}
  ~Handle() { ::curl_easy_cleanup(easy_); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  CURL* get() { return easy_; }
  char message[CURL_ERROR_SIZE] = {};

 private:
  CURL* const easy_;
};

class Transport::Handles {
 public:
  std::unique_ptr<Handle> take() {
    auto idle = idle_.with([](auto& handles) {
      std::unique_ptr<Handle> last;
      if (!handles.empty()) {
        last = std::move(handles.back());  // the one with the youngest connection
        handles.pop_back();
      }
      return last;
    });
    return idle ? std::move(idle) : std::make_unique<Handle>();
  }
  void give_back(std::unique_ptr<Handle> handle) {
    idle_.with([&](auto& handles) {
      if (handles.size() < kIdleHandles) handles.push_back(std::move(handle));
    });
  }

 private:
  Guarded<std::vector<std::unique_ptr<Handle>>> idle_;
};

Transport::Transport() : handles_(std::make_unique<Handles>()) { start_curl(); }
Transport::~Transport() = default;

namespace {

void set_up(CURL* easy, const HttpCall& call, curl_slist* headers, Incoming& incoming) {
  ::curl_easy_reset(easy);  // options only: connections stay
  ::curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  ::curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);  // a name that is not resolved in time is not waited for
  ::curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  ::curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  ::curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  ::curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
  ::curl_easy_setopt(easy, CURLOPT_URL, call.url.c_str());
  ::curl_easy_setopt(easy, CURLOPT_PROXY, call.proxy.c_str());  // empty: none, whatever the environment says
  ::curl_easy_setopt(easy, CURLOPT_NOPROXY, call.no_proxy.c_str());
  if (!call.unix_socket.empty()) ::curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, call.unix_socket.c_str());
  if (!call.ca_bundle.empty()) ::curl_easy_setopt(easy, CURLOPT_CAINFO, call.ca_bundle.c_str());
  ::curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  ::curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, cleanse_plaintext);
  ::curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
  ::curl_easy_setopt(easy, CURLOPT_USERAGENT, "kmsfs/" KMSFS_VERSION);
  ::curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(call.deadline.count()));
  ::curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(call.deadline.count()));
  ::curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
  ::curl_easy_setopt(easy, CURLOPT_WRITEDATA, &incoming);
  ::curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
  ::curl_easy_setopt(easy, CURLOPT_HEADERDATA, &incoming);
  if (call.method == "GET") {
    ::curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    return;
  }
  ::curl_easy_setopt(easy, CURLOPT_POST, 1L);
  ::curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call.method.c_str());
  ::curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, static_cast<long>(call.body.size()));
  ::curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call.body.empty() ? "" : as_text(call.body).data());
}

TransportFailure failure_of(CURLcode code, const HttpCall& call, const char* message, long os_errno,
                            const Incoming& incoming) {
  if (incoming.full) return {error(Kind::kNoMemory, "locked memory is full; raise RLIMIT_MEMLOCK"), false};
  if (incoming.refused != nullptr) return {error(Kind::kUnavailable, incoming.refused), false};
  if (code == CURLE_OPERATION_TIMEDOUT) return {error(Kind::kUnavailable, "it did not answer in time"), true};
  // Of a socket libcurl would say "localhost port 80".
  if (code == CURLE_COULDNT_CONNECT && !call.unix_socket.empty()) {
    return {error(Kind::kUnavailable,
                  "cannot connect: " +
                      std::error_code(static_cast<int>(os_errno), std::generic_category()).message()),
            true};
  }
  std::string text = message[0] != '\0' ? message : ::curl_easy_strerror(code);
  return {error(Kind::kUnavailable, std::move(text)), worth_a_retry(code)};
}

}  // namespace

std::variant<HttpReply, TransportFailure> Transport::send(const HttpCall& call) {
  const TransportFailure out_of_memory{error(Kind::kUnavailable, "libcurl is out of memory"), false};
  HeaderList headers;
  // What libcurl would add by itself, and what we do not want of it.
  if (!append(headers, {"Expect", ""}) || !append(headers, {"Accept", ""})) return out_of_memory;
  for (const kms::OwnedHeader& header : call.headers) {
    if (!append(headers, header)) return out_of_memory;
  }
  auto handle = handles_->take();
  if (handle->get() == nullptr) return out_of_memory;
  Incoming incoming;
  set_up(handle->get(), call, headers.get(), incoming);
  handle->message[0] = '\0';
  ::curl_easy_setopt(handle->get(), CURLOPT_ERRORBUFFER, handle->message);
  const CURLcode code = ::curl_easy_perform(handle->get());
  long status = 0;
  ::curl_easy_getinfo(handle->get(), CURLINFO_RESPONSE_CODE, &status);
  if (code != CURLE_OK) {  // and its connection is closed
    long os_errno = 0;
    ::curl_easy_getinfo(handle->get(), CURLINFO_OS_ERRNO, &os_errno);
    return failure_of(code, call, handle->message, os_errno, incoming);
  }
  ::curl_easy_reset(handle->get());  // it must not point at what dies here
  handles_->give_back(std::move(handle));

  auto body = kms::SensitiveBytes::make(incoming.size);
  if (!body) return TransportFailure{std::move(body).error(), false};
  if (incoming.size != 0) std::memcpy(body->fill().data(), incoming.body->reveal().data(), incoming.size);
  return HttpReply{static_cast<int>(status), std::move(*body), incoming.retry_after, std::move(incoming.date),
                   std::move(incoming.error_type)};
}

}  // namespace kmsfs
