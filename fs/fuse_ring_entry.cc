#include "fs/fuse_ring_entry.h"

#include <sys/mman.h>

#include <cassert>
#include <cerrno>
#include <cstring>

namespace kmsfs {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kSize = kPage + kMaxWrite;

}  // namespace

RingEntry::RingEntry(std::uint16_t queue, std::byte* memory, wire::RingHeaders& headers)
    : queue_(queue), headers_(headers), shared_{{&headers, sizeof headers}, {memory + kPage, kMaxWrite}} {}

ByteSpan RingEntry::payload() const { return {static_cast<std::byte*>(shared_[1].iov_base), kMaxWrite}; }

ByteSpan RingEntry::request() {
  commit_id_ = headers_.state.commit_id;
  fuse_in_header header;
  std::memcpy(&header, headers_.in_out, sizeof header);
  unique_ = header.unique;
  const std::size_t behind = headers_.state.payload_size;
  if (behind > kMaxWrite || header.len < sizeof header + behind) return {};
  const std::size_t operation = header.len - sizeof header - behind;
  if (operation > sizeof headers_.operation) return {};
  std::byte* const at = payload().data() - operation - sizeof header;
  std::memcpy(at, &header, sizeof header);
  std::memcpy(at + sizeof header, headers_.operation, operation);
  return {at, header.len};
}

ssize_t RingEntry::set_reply(const iovec* parts, int count) {
  const auto* header = static_cast<const fuse_out_header*>(parts[0].iov_base);
  std::size_t size = 0;
  for (int i = 0; i < count; ++i) size += parts[i].iov_len;
  if (header->unique != unique_ || header->len != size || size > sizeof *header + kMaxWrite) {
    errno = EINVAL;
    return -1;
  }
  std::byte* at = payload().data();
  for (int i = 1; i < count; ++i) {
    // A large reply was made where it has to be.
    if (parts[i].iov_base != at) std::memmove(at, parts[i].iov_base, parts[i].iov_len);
    at += parts[i].iov_len;
  }
  std::memcpy(headers_.in_out, header, sizeof *header);
  headers_.state.payload_size = header->len - static_cast<std::uint32_t>(sizeof *header);
  return header->len;
}

void RingEntry::set_failed(int error_number) {
  const fuse_out_header header{sizeof header, -error_number, unique_};
  std::memcpy(headers_.in_out, &header, sizeof header);
  headers_.state.payload_size = 0;
}

void RingEntry::trim() const {
  const std::size_t kept = (headers_.state.payload_size + kPage - 1) / kPage * kPage;
  ::madvise(payload().data() + kept, kMaxWrite - kept, MADV_DONTNEED);
}

Result<std::unique_ptr<RingEntries>> RingEntries::make(std::uint16_t queue, std::size_t count) {
  auto requests = FuseBuffer::make(count * kSize);
  if (!requests) return std::move(requests).error();
  auto headers = FuseBuffer::make(count * sizeof(wire::RingHeaders));
  if (!headers) return std::move(headers).error();
  // A huge page for each small request would be a waste.
  ::madvise(requests->data(), count * kSize, MADV_NOHUGEPAGE);
  std::unique_ptr<RingEntries> made(new RingEntries(std::move(*requests), std::move(*headers)));
  auto* header = reinterpret_cast<wire::RingHeaders*>(made->headers_.data());  // NOLINT
  for (std::size_t i = 0; i < count; ++i)
    made->entries_.emplace_back(queue, made->requests_.data() + i * kSize, header[i]);
  return made;
}

}  // namespace kmsfs
