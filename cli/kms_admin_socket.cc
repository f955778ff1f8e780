#include "cli/kms_admin_socket.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <utility>
#include <variant>

#include "core/unique_fd.h"
#include "kmsclient/answers.h"
#include "kmsclient/transport.h"

namespace kmsfs::cli {

namespace {

constexpr std::chrono::milliseconds kPatience{30'000};  // an unsealing or a backup takes its time

bool somebody_listens(const std::string& path) {
  sockaddr_un address{};
  if (path.size() >= sizeof address.sun_path) return false;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return fd && ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

// Codes that no KMS answers: so that the command ends as it does without a kmsd.
Error with_kind(Error error) {
  struct KnownCode {
    const char* code;
    Kind kind;
  };
  for (const KnownCode& known :
       {KnownCode{"NoSuchEntity", Kind::kNotFound}, KnownCode{"EntityAlreadyExists", Kind::kExists},
        KnownCode{"DeleteConflict", Kind::kInvalid}}) {
    if (error.code != nullptr || !error.text.starts_with(known.code)) continue;
    error.code = known.code;
    error.kind = known.kind;
  }
  return error;
}

}  // namespace

std::optional<AdminSocket> AdminSocket::of(const std::string& directory) {
  std::string path = directory + "/admin.sock";
  if (!somebody_listens(path)) return std::nullopt;
  return AdminSocket(std::move(path));
}

Result<kms::SensitiveBytes> AdminSocket::call(std::string_view operation, ByteView json) const {
  const kms::OwnedHeader headers[] = {
      {"Content-Type", "application/x-amz-json-1.1"},
      {"X-Amz-Target", "KmsfsAdmin." + std::string(operation)},
  };
  HttpCall call;
  call.url = "http://localhost/";
  call.unix_socket = path_;
  call.headers = headers;
  call.body = json;
  call.deadline = kPatience;
  auto answered = Transport().send(call);
  if (auto* failed = std::get_if<TransportFailure>(&answered)) {
    return std::move(failed->error).during("kmsd at " + path_);
  }
  auto& reply = std::get<HttpReply>(answered);
  if (reply.status / 100 == 2) return std::move(reply.body);
  return with_kind(error_of_json(reply.status, reply.error_type, reply.body.reveal()));
}

}  // namespace kmsfs::cli
