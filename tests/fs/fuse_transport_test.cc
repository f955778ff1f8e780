#include "fs/fuse_transport.h"

#include <gtest/gtest.h>

#include "fs/fuse_figures.h"

namespace kmsfs {
namespace {

// A request whose body ends in the given extensions.
class RequestWithExtensions {
 public:
  explicit RequestWithExtensions(const std::vector<std::uint32_t>& words, std::size_t size_in_words) {
    for (std::uint32_t word : words) {
      const auto bytes = std::as_bytes(std::span(&word, 1));
      body_.insert(body_.end(), bytes.begin(), bytes.end());
    }
    header_.total_extlen = static_cast<std::uint16_t>(size_in_words * 4 / 8);
    request_.header = &header_;
    request_.tells_groups = true;
    request_.body = body_;
  }
  std::vector<gid_t> groups() const { return request_.groups().value(); }
  FuseRequest& request() { return request_; }

 private:
  fuse_in_header header_{};
  Bytes body_;
  FuseRequest request_;
};

TEST(FuseRequest, TellsTheGroupsOfItsExtension) {
  const RequestWithExtensions request({1, 2, 3, 4, 16, wire::kGroupsExtension, 1, 2000}, 4);
  EXPECT_EQ(request.groups(), std::vector<gid_t>{2000});
}

TEST(FuseRequest, SaysNothingOfGroupsWhenTheKernelDoesNotTellThem) {
  RequestWithExtensions request({16, wire::kGroupsExtension, 1, 2000}, 4);
  request.request().tells_groups = false;
  EXPECT_FALSE(request.request().groups().has_value());
}

TEST(FuseRequest, FindsTheGroupsBehindAnotherExtension) {
  const RequestWithExtensions request({16, 7, 0, 0, 20, wire::kGroupsExtension, 2, 10, 11, 0}, 10);
  EXPECT_EQ(request.groups(), (std::vector<gid_t>{10, 11}));
}

TEST(FuseRequest, HasNoGroupsWithoutExtension) {
  EXPECT_TRUE(RequestWithExtensions({16, wire::kGroupsExtension, 1, 2000}, 0).groups().empty());
}

TEST(FuseRequest, NeverReadsPastTheEndOfABrokenExtension) {
  // More groups than there is room for; an extension longer than the request; one shorter than its own
  // header.
  EXPECT_EQ(RequestWithExtensions({16, wire::kGroupsExtension, 1000, 2000}, 4).groups(),
            std::vector<gid_t>{2000});
  EXPECT_TRUE(RequestWithExtensions({400, wire::kGroupsExtension, 1, 2000}, 4).groups().empty());
  EXPECT_TRUE(RequestWithExtensions({0, wire::kGroupsExtension, 1, 2000}, 4).groups().empty());
  EXPECT_TRUE(RequestWithExtensions({16, wire::kGroupsExtension}, 4).groups().empty());
}

TEST(FuseRequest, GivesNoStructureThatIsLongerThanItsBody) {
  Bytes body(sizeof(fuse_open_in));
  FuseRequest request;
  request.body = body;
  EXPECT_NE(request.as<fuse_open_in>(), nullptr);
  EXPECT_EQ(request.as<fuse_write_in>(), nullptr);
}

TEST(FuseCounters, AddUpByName) {
  FuseCounters one, two;
  one.count_request(FUSE_LOOKUP);
  two.count_request(FUSE_LOOKUP);
  two.count_request(4000000000U);
  two.count_error(EIO);
  two.count_error(1 << 20);
  FuseFigures figures;
  one.add_to(figures);
  two.add_to(figures);
  EXPECT_EQ(figures.operations.at("lookup"), 2U);
  EXPECT_EQ(figures.operations.at("other"), 1U);
  EXPECT_EQ(figures.errors.at("EIO"), 1U);
}

}  // namespace
}  // namespace kmsfs
