#include "kms/names.h"

#include <gtest/gtest.h>

namespace kmsfs::kms {
namespace {

TEST(KeyName, AnIdAnAliasAndTheirArnsAreTakenApart) {
  const std::string id = "12345678-1234-4234-8234-123456789abc";
  EXPECT_EQ(uuid_of(*parse_key_name(id)->id), id);
  auto arn = parse_key_name("arn:aws:kms:local-1:123456789012:key/" + id);
  ASSERT_TRUE(arn);
  EXPECT_EQ(arn->region, "local-1");
  EXPECT_EQ(arn->account, "123456789012");
  EXPECT_EQ(uuid_of(*arn->id), id);
  EXPECT_EQ(key_arn(arn->region, arn->account, *arn->id), "arn:aws:kms:local-1:123456789012:key/" + id);
  EXPECT_EQ(parse_key_name("alias/a/b")->alias, "alias/a/b");
  auto alias = parse_key_name("arn:aws:kms:r:123456789012:alias/x");
  ASSERT_TRUE(alias);
  EXPECT_EQ(alias->alias, "alias/x");
  EXPECT_FALSE(alias->id);
}

TEST(KeyName, WhatIsNotWellFormedIsRefused) {
  for (const char* wrong :
       {"", "x", "alias/", "alias/a b", "12345678-1234-4234-8234-123456789ab",
        "12345678-1234-4234-8234-123456789ABC", "12345678_1234-4234-8234-123456789abc",
        "arn:aws:kms:r:123456789012:12345678-1234-4234-8234-123456789abc",
        "arn:aws:iam:r:123456789012:key/12345678-1234-4234-8234-123456789abc",
        "arn:aws:kms:r:12345678901:key/12345678-1234-4234-8234-123456789abc",
        "arn:aws:kms::123456789012:key/12345678-1234-4234-8234-123456789abc", "arn:aws:kms", "arn:::::"}) {
    EXPECT_FALSE(parse_key_name(wrong)) << wrong;
  }
}

TEST(KeyId, AFreshOneIsAVersionFourUuid) {
  const std::string uuid = uuid_of(new_key_id());
  EXPECT_EQ(uuid.size(), 36U);
  EXPECT_EQ(uuid[14], '4');
  EXPECT_NE(std::string("89ab").find(uuid[19]), std::string::npos);
  EXPECT_NE(uuid, uuid_of(new_key_id()));
}

TEST(UserName, OnlyWhatAnArnCanCarry) {
  EXPECT_TRUE(is_user_name("alice.b+c=d,e@f_g-h"));
  for (const auto& wrong :
       {std::string(), std::string("a/b"), std::string("a:b"), std::string("a b"), std::string(65, 'x')}) {
    EXPECT_FALSE(is_user_name(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace kmsfs::kms
