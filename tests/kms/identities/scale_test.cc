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

TEST_F(ScaleTest, AHundredThousandUsersAreListedOnceEachAndFoundOneByOne) {
  fill();
  const Json key = done("CreateAccessKey", {{"UserName", "user150000"}})["AccessKey"];
  for (int i = 0; i < 1000; ++i) {
    auto found = find_credential(engine(), key["AccessKeyId"].get<std::string>(), {});
    ASSERT_TRUE(found) << text_of(found);
    ASSERT_EQ(found->principal, "arn:aws:iam::111122223333:user/user150000");
  }
  Json request{{"MaxItems", 1000}};
  int seen = 0, pages = 0;
  std::string last;
  for (; pages <= kUsers / 1000; ++pages) {
    const Json page = done("ListUsers", request);
    for (const Json& user : page["Users"]) {
      const auto name = user["UserName"].get<std::string>();
      ASSERT_GT(name, last);
      last = name;
      ++seen;
    }
    if (!page["IsTruncated"].get<bool>()) break;
    request["Marker"] = page["Marker"];
  }
  EXPECT_EQ(seen, kUsers);
  EXPECT_EQ(pages, kUsers / 1000 - 1);
}

}  // namespace kmsfs::kms::test
