#include <set>

#include "tests/kms/kms_fixture.h"

namespace kmsfs::kms::test {
namespace {

using std::chrono::hours;

class RotationTest : public KmsTest {
 protected:
  void days_pass(int days) { clock_.advance(hours(24 * days)); }
  std::string material() { return service_->describe_key(alice_, {key_})->key.key_material_id; }
  std::size_t rotations() {
    auto listed = service_->list_key_rotations(alice_, {.key_id = key_});
    EXPECT_TRUE(listed) << text_of(listed);
    return listed ? listed->rotations.size() : 0;
  }
  std::size_t lines_with(std::string_view text) const {
    std::size_t count = 0;
    for (const std::string& line : audit_lines()) count += line.find(text) != std::string::npos ? 1 : 0;
    return count;
  }
};

TEST_F(RotationTest, RotationChangesTheMaterialAndOldBlobsStillOpen) {
  const Bytes before = encrypt("before", {{"a", "b"}});
  const std::string first = material();
  EXPECT_EQ(first.size(), 64U);
  auto rotated = service_->rotate_key_on_demand(alice_, {key_});
  ASSERT_TRUE(rotated) << text_of(rotated);
  EXPECT_EQ(rotated->key_id, key_.substr(key_.size() - 36));
  EXPECT_NE(material(), first);
  const Bytes after = encrypt("after");
  // Bytes 18 to 33 of a blob name the material.
  EXPECT_FALSE(std::equal(before.begin() + 18, before.begin() + 34, after.begin() + 18));
  EXPECT_TRUE(std::equal(before.begin(), before.begin() + 18, after.begin()));
  auto old = service_->decrypt(alice_, {.key_id = key_, .ciphertext = before, .context = {{"a", "b"}}});
  ASSERT_TRUE(old) << text_of(old);
  EXPECT_EQ(as_text(old->plaintext.reveal()), "before");
  EXPECT_EQ(old->key_material_id, first);
  EXPECT_EQ(service_->decrypt(alice_, {.key_id = key_, .ciphertext = after, .context = {}})->key_material_id,
            material());
}

TEST_F(RotationTest, OldMaterialIsFoundByItsIdAndNeverByTryingOneAfterTheOther) {
  const Bytes before = encrypt("before");
  ASSERT_TRUE(service_->rotate_key_on_demand(alice_, {key_}));
  const Bytes after = encrypt("after");
  // The old message under the new material's name, and the other way round: neither opens.
  Bytes forged = before;
  std::copy_n(after.begin() + 18, 16, forged.begin() + 18);
  EXPECT_EQ(code_of(decrypt(forged, {}, key_)), "InvalidCiphertextException");
  forged = after;
  std::copy_n(before.begin() + 18, 16, forged.begin() + 18);
  EXPECT_EQ(code_of(decrypt(forged, {}, key_)), "InvalidCiphertextException");
  // Nor does one of a material that the key never had.
  forged = before;
  forged[20] ^= std::byte{1};
  EXPECT_EQ(code_of(decrypt(forged, {}, key_)), "InvalidCiphertextException");
}

TEST_F(RotationTest, TwentyFiveRotationsOnDemandAndNoMoreAndAllBlobsOpen) {
  std::vector<Bytes> blobs = {encrypt("0")};
  for (int i = 1; i <= 25; ++i) {
    ASSERT_TRUE(service_->rotate_key_on_demand(alice_, {key_}));
    blobs.push_back(encrypt(std::to_string(i)));
  }
  EXPECT_EQ(code_of(service_->rotate_key_on_demand(alice_, {key_})), "LimitExceededException");
  for (std::size_t i = 0; i < blobs.size(); ++i) EXPECT_EQ(*decrypt(blobs[i]), std::to_string(i));
  service_.reset();
  service_ = open();
  for (std::size_t i = 0; i < blobs.size(); ++i) EXPECT_EQ(*decrypt(blobs[i]), std::to_string(i));

  KeyListRequest request{.key_id = key_, .limit = 10};
  std::set<std::string> ids;
  std::size_t listed = 0;
  for (int pages = 0; pages < 5; ++pages) {
    auto page = service_->list_key_rotations(alice_, request);
    ASSERT_TRUE(page) << text_of(page);
    listed += page->rotations.size();
    for (const auto& rotation : page->rotations) {
      ids.insert(rotation.key_material_id);
      EXPECT_EQ(rotation.rotation_type, "ON_DEMAND");
      EXPECT_GT(rotation.rotation_ms, 0);
    }
    if (page->next_marker.empty()) break;
    request.marker = page->next_marker;
  }
  EXPECT_EQ(listed, 25U);
  EXPECT_EQ(ids.size(), 25U);
  auto all =
      service_->list_key_rotations(alice_, {.key_id = key_, .include_key_material = "ALL_KEY_MATERIAL"});
  ASSERT_EQ(all->rotations.size(), 26U);
  EXPECT_EQ(all->rotations.front().rotation_type, "");
  EXPECT_EQ(all->rotations.back().key_material_state, "CURRENT");
  EXPECT_EQ(all->rotations.back().key_material_id, material());
}

TEST_F(RotationTest, TheStatusTellsPeriodAndNextDateAndNothingOfThemWhenOff) {
  auto off = service_->get_key_rotation_status(alice_, {key_});
  ASSERT_TRUE(off) << text_of(off);
  EXPECT_FALSE(off->enabled);
  EXPECT_FALSE(off->rotation_period_in_days || off->next_rotation_ms);
  EXPECT_EQ(off->key_id, key_.substr(key_.size() - 36));
  ASSERT_TRUE(service_->enable_key_rotation(alice_, {.key_id = key_}));
  auto on = service_->get_key_rotation_status(alice_, {key_});
  EXPECT_TRUE(on->enabled);
  EXPECT_EQ(on->rotation_period_in_days, 365);
  const std::int64_t day = 86'400'000;
  EXPECT_EQ(on->next_rotation_ms, 1'700'000'000'000 + 365 * day);
  ASSERT_TRUE(service_->enable_key_rotation(alice_, {.key_id = key_, .rotation_period_in_days = 90}));
  EXPECT_EQ(service_->get_key_rotation_status(alice_, {key_})->next_rotation_ms,
            1'700'000'000'000 + 90 * day);
  for (const int days : {89, 2561, 0, -1}) {
    EXPECT_EQ(
        code_of(service_->enable_key_rotation(alice_, {.key_id = key_, .rotation_period_in_days = days})),
        "ValidationException");
  }
  ASSERT_TRUE(service_->disable_key_rotation(alice_, {key_}));
  EXPECT_FALSE(service_->get_key_rotation_status(alice_, {key_})->enabled);
}

TEST_F(RotationTest, AnAutomaticRotationIsDoneWhenItIsDueByWhoeverComesFirst) {
  const Bytes blob = encrypt("before");
  const std::string first = material();
  ASSERT_TRUE(service_->enable_key_rotation(alice_, {.key_id = key_, .rotation_period_in_days = 90}));
  days_pass(89);
  ASSERT_TRUE(service_->run_due());
  EXPECT_EQ(material(), first);
  days_pass(1);
  ASSERT_TRUE(service_->run_due());
  EXPECT_EQ(rotations(), 1U);
  const std::string second = material();
  EXPECT_NE(second, first);
  // The next one by a use of the key, without run_due().
  days_pass(90);
  const Bytes newer = encrypt("newer");
  EXPECT_EQ(rotations(), 2U);
  EXPECT_EQ(service_->decrypt(alice_, {.key_id = {}, .ciphertext = newer, .context = {}})->key_material_id,
            material());
  EXPECT_NE(material(), second);
  EXPECT_EQ(*decrypt(blob), "before");
  EXPECT_EQ(service_->list_key_rotations(alice_, {.key_id = key_})->rotations[0].rotation_type, "AUTOMATIC");
  EXPECT_EQ(lines_with("\"RotateKey\""), 2U);
  EXPECT_EQ(lines_with("AwsServiceEvent"), 2U);
  expect_sound_log();
}

TEST_F(RotationTest, ARotationOnDemandDoesNotMoveTheAutomaticOneAndNeverComesRightBeforeIt) {
  ASSERT_TRUE(service_->enable_key_rotation(alice_, {.key_id = key_, .rotation_period_in_days = 90}));
  const auto next = service_->get_key_rotation_status(alice_, {key_})->next_rotation_ms;
  ASSERT_TRUE(service_->rotate_key_on_demand(alice_, {key_}));
  EXPECT_EQ(service_->get_key_rotation_status(alice_, {key_})->next_rotation_ms, next);
  days_pass(90);
  clock_.advance(-std::chrono::minutes(19));
  EXPECT_EQ(code_of(service_->rotate_key_on_demand(alice_, {key_})), "ConflictException");
}

TEST_F(RotationTest, ADisabledKeyDoesNotRotateAndAnOverdueOneDoesWhenItIsEnabled) {
  ASSERT_TRUE(service_->enable_key_rotation(alice_, {.key_id = key_, .rotation_period_in_days = 90}));
  const std::string first = material();
  ASSERT_TRUE(service_->disable_key(alice_, {key_}));
  EXPECT_EQ(code_of(service_->rotate_key_on_demand(alice_, {key_})), "DisabledException");
  EXPECT_EQ(code_of(service_->disable_key_rotation(alice_, {key_})), "DisabledException");
  days_pass(200);
  ASSERT_TRUE(service_->run_due());
  EXPECT_EQ(material(), first);
  EXPECT_TRUE(service_->get_key_rotation_status(alice_, {key_})->enabled);
  ASSERT_TRUE(service_->enable_key(alice_, {key_}));
  EXPECT_EQ(rotations(), 1U);
  EXPECT_NE(material(), first);
}

TEST_F(RotationTest, WhilePendingDeletionTheStatusIsOffAndACancelRestoresIt) {
  ASSERT_TRUE(service_->enable_key_rotation(alice_, {.key_id = key_}));
  ASSERT_TRUE(service_->schedule_key_deletion(alice_, {.key_id = key_}));
  EXPECT_FALSE(service_->get_key_rotation_status(alice_, {key_})->enabled);
  ASSERT_TRUE(service_->cancel_key_deletion(alice_, {key_}));
  EXPECT_TRUE(service_->get_key_rotation_status(alice_, {key_})->enabled);
}

TEST_F(RotationTest, AnotherAccountSeesTheStatusByArnWhenItIsAllowedTo) {
  const Invocation carol = new_administrator("carol");
  EXPECT_EQ(code_of(service_->get_key_rotation_status(carol, {key_})), "AccessDeniedException");
  ASSERT_TRUE(service_->put_key_policy(alice_, {.key_id = key_,
                                                .policy = policy_of({allow("\"kms:*\"", root_of(alice_)),
                                                                     allow("\"kms:*\"", root_of(carol))})}));
  EXPECT_EQ(code_of(service_->get_key_rotation_status(carol, {key_})), "ok");
  EXPECT_EQ(code_of(service_->rotate_key_on_demand(carol, {key_})), "AccessDeniedException");
  EXPECT_EQ(code_of(service_->list_key_rotations(carol, {.key_id = key_})), "AccessDeniedException");
}

}  // namespace
}  // namespace kmsfs::kms::test
