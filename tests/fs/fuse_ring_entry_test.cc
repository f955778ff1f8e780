// The place that kernel and server share for one request: what the kernel writes there, and what it finds.
#include "fs/fuse_ring_entry.h"

#include <gtest/gtest.h>

#include <cstring>

namespace kmsfs {
namespace {

class Entry : public ::testing::Test {
 protected:
  // As the kernel does it: header, fixed part, and the rest in the payload.
  void put(std::uint32_t length, const std::string& operation, const std::string& rest,
           std::uint32_t payload_size) {
    fuse_in_header in{};
    in.len = length;
    in.opcode = FUSE_LOOKUP;
    in.unique = 42;
    std::memcpy(headers().in_out, &in, sizeof in);
    std::memcpy(headers().operation, operation.data(), operation.size());
    std::memcpy(entry().payload().data(), rest.data(), rest.size());
    headers().state = {0, 42, payload_size, 0, 0};
  }
  void put(const std::string& operation, const std::string& rest) {
    put(static_cast<std::uint32_t>(sizeof(fuse_in_header) + operation.size() + rest.size()), operation, rest,
        static_cast<std::uint32_t>(rest.size()));
  }
  ssize_t reply(std::uint64_t unique, std::uint32_t length, std::string body) {
    fuse_out_header out{length, 0, unique};
    const iovec parts[] = {{&out, sizeof out}, {body.data(), body.size()}};
    return entry().set_reply(parts, 2);
  }
  RingEntry& entry() { return entries_->all().front(); }
  wire::RingHeaders& headers() { return *static_cast<wire::RingHeaders*>(entry().shared()[0].iov_base); }

  std::unique_ptr<RingEntries> entries_ = std::move(RingEntries::make(3, 2).value());
};

TEST_F(Entry, GivesARequestInOnePiece) {
  put("fixed...", "name");
  const ByteView request = entry().request();
  ASSERT_EQ(request.size(), sizeof(fuse_in_header) + 12);
  EXPECT_EQ(std::memcmp(request.data() + sizeof(fuse_in_header), "fixed...name", 12), 0);
  EXPECT_EQ(entry().commit_id(), 42U);
  EXPECT_EQ(entry().queue(), 3U);
}

TEST_F(Entry, NeverReadsPastItsMemoryWhateverTheLengthsSay) {
  const auto all = static_cast<std::uint32_t>(sizeof(fuse_in_header));
  for (const auto& [length, payload] : {std::pair<std::uint32_t, std::uint32_t>{all, 1},
                                        {0, 0},
                                        {all + 129, 0},
                                        {all + kMaxWrite + 1, kMaxWrite + 1},
                                        {~0U, kMaxWrite},
                                        {~0U, ~0U}}) {
    put(length, "", "", payload);
    EXPECT_TRUE(entry().request().empty()) << length << ", " << payload;
  }
}

TEST_F(Entry, TakesTheReplyOfItsOwnRequestOnly) {
  put("", "name");
  static_cast<void>(entry().request());
  EXPECT_EQ(reply(41, sizeof(fuse_out_header) + 4, "body"), -1);
  EXPECT_EQ(reply(42, sizeof(fuse_out_header) + 5, "body"), -1);
  EXPECT_EQ(reply(42, sizeof(fuse_out_header) + 4, "body"), 20);
  EXPECT_EQ(std::memcmp(entry().payload().data(), "body", 4), 0);
  EXPECT_EQ(headers().state.payload_size, 4U);
}

TEST_F(Entry, TakesNoReplyLongerThanThePayload) {
  put("", "");
  static_cast<void>(entry().request());
  EXPECT_EQ(reply(42, sizeof(fuse_out_header) + kMaxWrite + 1, std::string(kMaxWrite + 1, 'x')), -1);
  EXPECT_GT(reply(42, sizeof(fuse_out_header) + kMaxWrite, std::string(kMaxWrite, 'x')), 0);
}

TEST_F(Entry, FailsWithoutABody) {
  put("", "name");
  static_cast<void>(entry().request());
  entry().set_failed(EIO);
  fuse_out_header out;
  std::memcpy(&out, headers().in_out, sizeof out);
  EXPECT_EQ(out.error, -EIO);
  EXPECT_EQ(out.unique, 42U);
  EXPECT_EQ(headers().state.payload_size, 0U);
}

TEST_F(Entry, KeepsItsReplyWhenItGivesMemoryBack) {
  put("", "name");
  static_cast<void>(entry().request());
  ASSERT_GT(reply(42, sizeof(fuse_out_header) + 5000, std::string(5000, 'x')), 0);
  entry().trim();
  EXPECT_EQ(entry().payload()[4999], std::byte{'x'});
  EXPECT_EQ(entry().payload()[8192], std::byte{0});
}

}  // namespace
}  // namespace kmsfs
