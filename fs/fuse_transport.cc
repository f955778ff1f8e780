#include "fs/fuse_transport.h"

#include <cassert>

#include "fs/fuse_library.h"

namespace kmsfs {
namespace {

thread_local const FuseRequest* request_at_work = nullptr;

}  // namespace

void SessionCloser::operator()(fuse_session* session) const { fuse_session_destroy(session); }

const FuseRequest& current_request() {
  assert(request_at_work != nullptr && "only a handler has a request");
  return *request_at_work;
}

void set_current_request(const FuseRequest* request) { request_at_work = request; }

std::optional<std::vector<gid_t>> FuseRequest::groups() const {
  if (!tells_groups) return std::nullopt;
  std::vector<gid_t> groups;
  const std::size_t size = std::size_t{header->total_extlen} * 8;  // at the end of the request
  if (size > body.size()) return groups;
  ByteView rest = body.last(size);
  fuse_ext_header extension{};
  while (rest.size() >= sizeof extension) {
    std::memcpy(&extension, rest.data(), sizeof extension);
    if (extension.size < sizeof extension || extension.size > rest.size()) return groups;
    ByteView content = rest.subspan(sizeof extension, extension.size - sizeof extension);
    wire::SupplementaryGroups list{};
    if (extension.type == wire::kGroupsExtension && content.size() >= sizeof list) {
      std::memcpy(&list, content.data(), sizeof list);
      content = content.subspan(sizeof list);
      groups.resize(std::min<std::size_t>(list.count, content.size() / sizeof(gid_t)));
      std::memcpy(groups.data(), content.data(), groups.size() * sizeof(gid_t));
    }
    rest = rest.subspan(std::min<std::size_t>(rest.size(), FUSE_REC_ALIGN(extension.size)));
  }
  return groups;
}

}  // namespace kmsfs
