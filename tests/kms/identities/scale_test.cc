// A store with many identities: one look-up reads one record, one page reads one page.
#include "kms/identities/principals.h"
#include "tests/kms/identities/door_fixture.h"

namespace kmsfs::kms::test {

class ScaleTest : public DoorTest {
 protected:
  static constexpr int kUsers = 100'000;

  // All in one change: what is tried is reading.
  void fill() {
    AuditRecord record;
    record.event = "Fill";
    auto filled = engine().change(record, [&](WriteTransaction& transaction, AuditRecord&) -> Result<void> {
      for (int i = 0; i < kUsers; ++i) {
        PrincipalRecord wish;
        wish.account = kFirst;
        wish.name = "user" + std::to_string(100'000 + i);
        if (auto added = add_principal(engine(), transaction, std::move(wish)); !added) {
          return std::move(added).error();
        }
      }
      return {};
    });
    ASSERT_TRUE(filled) << text_of(filled);
  }
};

TEST_F(ScaleTest, OneOfAHundredThousandUsersIsFoundAndPagesBeginWhereTheLastOneEnded) {
  fill();
  const Json key = done("CreateAccessKey", {{"UserName", "user150000"}})["AccessKey"];
  for (int i = 0; i < 1000; ++i) {
    auto found = find_credential(engine(), key["AccessKeyId"].get<std::string>(), {});
    ASSERT_TRUE(found) << text_of(found);
    ASSERT_EQ(found->principal, "arn:aws:iam::111122223333:user/user150000");
  }
  const Json first = done("ListUsers", {{"MaxItems", 1000}});
  EXPECT_EQ(first["Users"][0]["UserName"], "user100000");
  EXPECT_EQ(first["Users"][999]["UserName"], "user100999");
  const Json second = done("ListUsers", {{"MaxItems", 10}, {"Marker", first["Marker"]}});
  EXPECT_EQ(second["Users"][0]["UserName"], "user101000");
  const std::string near_the_end = to_base64url(as_bytes("user199989"));
  const Json last = done("ListUsers", {{"MaxItems", 1000}, {"Marker", near_the_end}});
  EXPECT_EQ(last["Users"].size(), 10U);
  EXPECT_EQ(last["IsTruncated"], false);
}

}  // namespace kmsfs::kms::test
