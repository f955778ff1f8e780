#include <nlohmann/json.hpp>

#include "tests/kms/kms_fixture.h"

namespace kmsfs::kms::test {
namespace {

using std::chrono::hours;

class DeletionTest : public KmsTest {
 protected:
  void days_pass(int days) { clock_.advance(hours(24 * days)); }
  void schedule(std::int64_t days) {
    auto scheduled =
        service_->schedule_key_deletion(alice_, {.key_id = key_, .pending_window_in_days = days});
    ASSERT_TRUE(scheduled) << text_of(scheduled);
    EXPECT_EQ(scheduled->key_arn, key_);
    EXPECT_EQ(scheduled->pending_window_in_days, days);
    EXPECT_EQ(scheduled->deletion_ms, service_->describe_key(alice_, {key_})->key.deletion_ms);
  }
  void reopen() {
    service_.reset();
    service_ = open();
    ASSERT_NE(service_, nullptr);
  }
  std::string describe() { return code_of(service_->describe_key(alice_, {key_})); }
};

TEST_F(DeletionTest, TheWindowIsSevenToThirtyDaysAndThirtyWhenNotGiven) {
  for (const int days : {6, 31, 0, -7, 365}) {
    auto refused = service_->schedule_key_deletion(alice_, {.key_id = key_, .pending_window_in_days = days});
    EXPECT_EQ(code_of(refused), "ValidationException") << days;
  }
  EXPECT_EQ(state_of(key_), KeyState::kEnabled);
  auto scheduled = service_->schedule_key_deletion(alice_, {.key_id = key_});
  ASSERT_TRUE(scheduled);
  EXPECT_EQ(scheduled->pending_window_in_days, 30);
  EXPECT_EQ(scheduled->deletion_ms, 1'700'000'000'000 + std::int64_t{30} * 86'400'000);
}

TEST_F(DeletionTest, AKeyPendingDeletionIsNeitherUsedNorScheduledAgainAndACancelLeavesItDisabled) {
  const Bytes blob = encrypt("hello");
  schedule(7);
  EXPECT_EQ(state_of(key_), KeyState::kPendingDeletion);
  EXPECT_EQ(code_of(decrypt(blob, {}, key_)), "KMSInvalidStateException");
  EXPECT_EQ(code_of(service_->schedule_key_deletion(alice_, {.key_id = key_})), "KMSInvalidStateException");
  EXPECT_EQ(code_of(service_->enable_key(alice_, {key_})), "KMSInvalidStateException");
  auto cancelled = service_->cancel_key_deletion(alice_, {key_});
  ASSERT_TRUE(cancelled) << text_of(cancelled);
  EXPECT_EQ(cancelled->key_id, key_);
  EXPECT_EQ(state_of(key_), KeyState::kDisabled);
  EXPECT_FALSE(service_->describe_key(alice_, {key_})->key.deletion_ms);
  EXPECT_EQ(code_of(service_->cancel_key_deletion(alice_, {key_})), "KMSInvalidStateException");
  days_pass(40);
  ASSERT_TRUE(service_->run_due());
  ASSERT_TRUE(service_->enable_key(alice_, {key_}));
  EXPECT_TRUE(decrypt(blob));
}

TEST_F(DeletionTest, AtItsTimeTheKeyGoesWithAliasesGrantsTagsAndMaterial) {
  const std::string other = new_key();
  ASSERT_TRUE(service_->create_alias(alice_, {"alias/gone", key_}));
  const Invocation bob = new_user("bob", account_);
  auto grant = service_->create_grant(alice_, {.key_id = key_,
                                               .grantee_principal = bob.principal,
                                               .operations = {"Decrypt"},
                                               .retiring_principal = bob.principal});
  ASSERT_TRUE(grant);
  put_policy(bob, policy_of({allow("\"kms:ListRetirableGrants\"")}));
  ASSERT_EQ(service_->list_retirable_grants(bob, {.retiring_principal = bob.principal})->grants.size(), 1U);
  const Bytes blob = encrypt("hello");
  ASSERT_TRUE(service_->rotate_key_on_demand(alice_, {key_}));
  schedule(7);
  days_pass(6);
  ASSERT_TRUE(service_->run_due());
  EXPECT_EQ(describe(), "ok");
  days_pass(1);
  ASSERT_TRUE(service_->run_due());
  EXPECT_EQ(describe(), "NotFoundException");
  EXPECT_EQ(code_of(decrypt(blob)), "AccessDeniedException");
  EXPECT_EQ(code_of(service_->cancel_key_deletion(alice_, {key_})), "NotFoundException");
  EXPECT_TRUE(service_->list_aliases(alice_, {})->aliases.empty());
  EXPECT_TRUE(service_->list_retirable_grants(bob, {.retiring_principal = bob.principal})->grants.empty());
  EXPECT_EQ(code_of(service_->retire_grant(bob, {.grant_token = grant->grant_token})),
            "InvalidGrantTokenException");
  auto keys = service_->list_keys(alice_, {});
  ASSERT_EQ(keys->keys.size(), 1U);
  EXPECT_EQ(keys->keys[0].arn, other);
  ASSERT_TRUE(service_->create_alias(alice_, {"alias/gone", other}));
  // Nothing of it is left in any table.
  auto transaction = service_->administration().engine().read();
  ASSERT_TRUE(transaction);
  const auto id = parse_key_id(key_.substr(key_.size() - 36));
  for (const Table table : {Table::kMaterials, Table::kGrants, Table::kGrantees, Table::kKeys}) {
    int left = 0;
    ASSERT_TRUE((*transaction)->scan(table, as_text(id->view()), {}, [&](std::string_view, ByteView) {
      return ++left, true;
    }));
    EXPECT_EQ(left, 0);
  }
  for (const Table table : {Table::kRetirers, Table::kDue}) {
    int left = 0;
    ASSERT_TRUE(
        (*transaction)->scan(table, {}, {}, [&](std::string_view, ByteView) { return ++left, true; }));
    EXPECT_EQ(left, 0);
  }
}

TEST_F(DeletionTest, PastItsDeadlineAKeyIsGoneAlsoIfNobodyRanWhatIsDue) {
  const Bytes blob = encrypt("hello");
  ASSERT_TRUE(service_->create_alias(alice_, {"alias/gone", key_}));
  schedule(7);
  days_pass(7);
  EXPECT_EQ(code_of(service_->cancel_key_deletion(alice_, {key_})), "NotFoundException");
  EXPECT_EQ(describe(), "NotFoundException");
  EXPECT_EQ(code_of(decrypt(blob)), "AccessDeniedException");
  EXPECT_EQ(code_of(service_->describe_key(alice_, {"alias/gone"})), "NotFoundException");
  EXPECT_TRUE(service_->list_keys(alice_, {})->keys.empty());
  EXPECT_TRUE(service_->list_aliases(alice_, {})->aliases.empty());
}

TEST_F(DeletionTest, ListsTellOfNoKeyPastItsDeadline) {
  schedule(7);
  days_pass(7);
  EXPECT_TRUE(service_->list_keys(alice_, {})->keys.empty());
}

TEST_F(DeletionTest, TheDeadlineHoldsAcrossRestarts) {
  const Bytes blob = encrypt("hello");
  schedule(10);
  days_pass(5);
  reopen();
  EXPECT_EQ(state_of(key_), KeyState::kPendingDeletion);
  days_pass(4);
  reopen();
  EXPECT_EQ(describe(), "ok");
  days_pass(1);
  reopen();
  EXPECT_EQ(code_of(service_->cancel_key_deletion(alice_, {key_})), "NotFoundException");
  EXPECT_FALSE(decrypt(blob));
}

TEST_F(DeletionTest, AClockThatIsSetBackRevivesNothing) {
  const WallTime start = clock_.wall_time();
  schedule(7);
  days_pass(7);
  EXPECT_EQ(describe(), "NotFoundException");
  clock_.set_wall_time(start);
  EXPECT_EQ(describe(), "NotFoundException");
  reopen();
  EXPECT_EQ(describe(), "NotFoundException");

  // Nor does it give a key more time than it had: what a change or run_due() saw counts, in another process
  // too.
  key_ = new_key();
  clock_.set_wall_time(start + hours(24 * 7));
  schedule(7);
  clock_.set_wall_time(start + hours(24 * 13));
  ASSERT_TRUE(service_->run_due());
  clock_.set_wall_time(start);
  reopen();
  EXPECT_EQ(describe(), "ok");
  clock_.set_wall_time(start + hours(24 * 14));
  EXPECT_EQ(describe(), "NotFoundException");
}

TEST_F(DeletionTest, TimeNeverRunsBackwardsInTheStore) {
  days_pass(100);
  const std::string later = new_key();
  const std::int64_t made = service_->describe_key(alice_, {later})->key.created_ms;
  clock_.advance(-hours(24 * 50));
  reopen();
  const std::int64_t anew = service_->describe_key(alice_, {new_key()})->key.created_ms;
  EXPECT_GE(anew, made);
  // It does not stand still either: what is to end does end.
  clock_.advance(hours(24 * 7));
  EXPECT_GE(service_->describe_key(alice_, {new_key()})->key.created_ms, anew + 7 * 86'400'000);
}

TEST_F(DeletionTest, TheEndOfAKeyIsAnEventOfTheKmsItself) {
  schedule(7);
  days_pass(8);
  ASSERT_TRUE(service_->run_due());
  const auto event = nlohmann::json::parse(audit_lines().back());
  EXPECT_EQ(event["eventName"], "DeleteKey");
  EXPECT_EQ(event["eventType"], "AwsServiceEvent");
  EXPECT_EQ(event["userIdentity"]["invokedBy"], "AWS Internal");
  EXPECT_EQ(event["userIdentity"]["accountId"], account_);
  EXPECT_EQ(event["recipientAccountId"], account_);
  EXPECT_EQ(event["resources"][0]["ARN"], key_);
  EXPECT_EQ(event["serviceEventDetails"]["keyId"], key_.substr(key_.size() - 36));
  const std::size_t lines = audit_lines().size();
  ASSERT_TRUE(service_->run_due());
  EXPECT_EQ(audit_lines().size(), lines);
  expect_sound_log();
}

}  // namespace
}  // namespace kmsfs::kms::test
