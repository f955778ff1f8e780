#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/kms/kms_fixture.h"

namespace kmsfs::kms::test {
namespace {

class AuditTest : public KmsTest {
 protected:
  std::string log_path() const { return store_path() + "/audit.log"; }
  void write_lines(const std::vector<std::string>& lines) const {
    std::string text;
    for (const std::string& line : lines) text += line + "\n";
    write_text(log_path(), text);
  }
  std::optional<std::string> problem() const {
    auto verdict = verify_audit_log(store_path());
    if (!verdict) return verdict.error().text;
    return verdict->problem;
  }
};

TEST_F(AuditTest, EveryDecisionIsOneLineAllowedOrDenied) {
  const EncryptionContext context = {{"kmsfs:file", "\"quoted\"\n\x01\xff"}};
  const Bytes blob = encrypt("hello", context);
  const std::size_t before = audit_lines().size();
  ASSERT_TRUE(decrypt(blob, context, key_));
  const Invocation bob = new_user("bob", account_);  // one line
  ASSERT_FALSE(decrypt_as(bob, blob, context, key_));
  ASSERT_FALSE(decrypt(blob, {}, key_));
  const auto lines = audit_lines();
  ASSERT_EQ(lines.size(), before + 4);

  const auto allowed = nlohmann::json::parse(lines[before]);
  EXPECT_EQ(allowed["eventName"], "Decrypt");
  EXPECT_EQ(allowed["userIdentity"]["arn"], alice_.principal);
  EXPECT_EQ(allowed["userIdentity"]["accountId"], account_);
  EXPECT_EQ(allowed["requestParameters"]["encryptionContext"]["kmsfs:file"], "\"quoted\"\n\x01\xef\xbf\xbd");
  EXPECT_EQ(allowed["requestParameters"]["encryptionAlgorithm"], "SYMMETRIC_DEFAULT");
  EXPECT_EQ(allowed["resources"][0]["ARN"], key_);
  EXPECT_EQ(allowed["awsRegion"], "local-1");
  EXPECT_EQ(allowed["eventTime"], "2023-11-14T22:13:20Z");  // the manual clock's
  EXPECT_TRUE(allowed["readOnly"].get<bool>());
  EXPECT_FALSE(allowed.contains("errorCode"));
  const auto denied = nlohmann::json::parse(lines[before + 2]);
  EXPECT_EQ(denied["errorCode"], "AccessDeniedException");
  EXPECT_EQ(denied["userIdentity"]["userName"], "bob");
  EXPECT_EQ(nlohmann::json::parse(lines[before + 3])["errorCode"], "InvalidCiphertextException");
  EXPECT_EQ(problem(), std::nullopt);
}

TEST_F(AuditTest, NeitherPlaintextNorCiphertextStandsInTheLog) {
  const std::string plain = "a-plaintext-that-is-easy-to-find";
  const Bytes blob = encrypt(plain);
  ASSERT_TRUE(decrypt(blob));
  const std::string log = read_text(log_path());
  EXPECT_EQ(log.find(plain), std::string::npos);
  for (const std::string& form : {to_base64(blob), to_hex(blob), std::string(as_text(blob)),
                                  to_base64(as_bytes(plain)), to_hex(as_bytes(plain))}) {
    EXPECT_EQ(log.find(form.substr(0, 32)), std::string::npos);
  }
}

TEST_F(AuditTest, AnyEditedRemovedAddedOrMovedLineIsFound) {
  for (int i = 0; i < 4; ++i) encrypt("x", {{"n", std::to_string(i)}});
  const auto lines = audit_lines();
  ASSERT_GE(lines.size(), 5U);
  ASSERT_EQ(problem(), std::nullopt);
  for (std::size_t at = 0; at < lines.size(); ++at) {
    auto edited = lines;
    edited[at].replace(edited[at].find("local-1"), 7, "local-2");
    write_lines(edited);
    EXPECT_NE(problem(), std::nullopt) << "edited " << at;

    auto removed = lines;
    removed.erase(removed.begin() + static_cast<std::ptrdiff_t>(at));
    write_lines(removed);
    EXPECT_NE(problem(), std::nullopt) << "removed " << at;

    auto doubled = lines;
    doubled.insert(doubled.begin() + static_cast<std::ptrdiff_t>(at), lines[at]);
    write_lines(doubled);
    EXPECT_NE(problem(), std::nullopt) << "doubled " << at;

    auto swapped = lines;
    std::swap(swapped[at], swapped[(at + 1) % swapped.size()]);
    write_lines(swapped);
    EXPECT_NE(problem(), std::nullopt) << "swapped " << at;
  }
  write_lines({});
  EXPECT_NE(problem(), std::nullopt);
  write_lines(lines);
  EXPECT_EQ(problem(), std::nullopt);
}

TEST_F(AuditTest, LinesCutFromTheEndStayMissedAfterFurtherLines) {
  for (int i = 0; i < 3; ++i) encrypt("x");
  service_.reset();
  auto lines = audit_lines();
  lines.pop_back();
  write_lines(lines);
  service_ = open();
  encrypt("y");
  const auto found = problem();
  ASSERT_NE(found, std::nullopt);
  EXPECT_NE(found->find("line " + std::to_string(lines.size() + 1)), std::string::npos) << *found;
}

TEST_F(AuditTest, HalfALineOfAProcessThatDiedIsCutOffAndTheChainGoesOn) {
  encrypt("x");
  service_.reset();
  const auto before = audit_lines();
  write_text(log_path(), read_text(log_path()) + R"({"sequence":99,"previ)");
  service_ = open();
  encrypt("y");
  EXPECT_EQ(audit_lines().size(), before.size() + 1);
  EXPECT_EQ(problem(), std::nullopt);
}

TEST_F(AuditTest, AChangeWhoseProcessDiedBeforeTheLogWasWrittenIsRecordedByTheNext) {
  ASSERT_TRUE(service_->disable_key(alice_, {key_}));
  service_.reset();
  auto lines = audit_lines();
  const std::string last = lines.back();
  lines.pop_back();
  write_lines(lines);
  // What the head said before: nothing can be concluded from it but that it is not settled.
  write_text(store_path() + "/audit.head", std::string(56, '\0'));
  service_ = open();
  EXPECT_EQ(service_->describe_key(alice_, {key_})->key.state, KeyState::kDisabled);
  const auto now = audit_lines();
  ASSERT_EQ(now.size(), lines.size() + 2);
  EXPECT_EQ(now[lines.size()], last);
  EXPECT_EQ(problem(), std::nullopt);
}

TEST_F(AuditTest, WithoutARecordNoKeyIsUsed) {
  const Bytes blob = encrypt("hello");
  const std::string log = read_text(log_path());
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  for (const rlim_t room : {0U, 10U}) {  // not a byte; half a line
    rlimit limit = before;
    limit.rlim_cur = log.size() + room;
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
    auto opened = decrypt(blob);
    auto generated =
        service_->generate_data_key(alice_, {.key_id = key_, .context = {}, .key_spec = "AES_256"});
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    ASSERT_FALSE(opened);
    EXPECT_TRUE(opened.error().kind == Kind::kUnavailable || opened.error().kind == Kind::kNoSpace);
    EXPECT_STREQ(opened.error().code, "KMSInternalException");
    EXPECT_FALSE(generated);
    EXPECT_EQ(read_text(log_path()), log);
  }
  EXPECT_TRUE(decrypt(blob));
  EXPECT_EQ(problem(), std::nullopt);
}

TEST_F(AuditTest, ALogRemovedUnderUseEndsTheUseOfKeys) {
  const Bytes blob = encrypt("hello");
  ASSERT_EQ(::unlink(log_path().c_str()), 0);
  // Noticed with the next sync, within 100 ms; the limit is for slow machines.
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  Result<std::string> opened = decrypt(blob);
  while (opened && std::chrono::steady_clock::now() < limit) opened = decrypt(blob);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, Kind::kUnavailable);
}

TEST_F(AuditTest, ARequestByAnotherAccountIsLoggedForBoth) {
  const Invocation carol = new_administrator("carol");
  const Bytes blob = encrypt("hello");
  const std::size_t before = audit_lines().size();
  ASSERT_FALSE(decrypt_as(carol, blob, {}, key_));
  ASSERT_TRUE(service_->create_grant(
      alice_,
      {.key_id = key_, .grantee_principal = carol.principal, .operations = {"Decrypt", "RetireGrant"}}));
  ASSERT_TRUE(decrypt_as(carol, blob, {}, key_));
  auto grants = service_->list_grants(alice_, {.key_id = key_});
  ASSERT_TRUE(service_->retire_grant(carol, {.key_id = key_, .grant_id = grants->grants[0].grant_id}));
  const auto lines = audit_lines();
  ASSERT_EQ(lines.size(), before + 8);  // three times two, and alice's two
  for (const std::size_t at : {before, before + 3, before + 6}) {
    const auto first = nlohmann::json::parse(lines[at]), second = nlohmann::json::parse(lines[at + 1]);
    EXPECT_EQ(first["recipientAccountId"], account_of(carol));
    EXPECT_EQ(second["recipientAccountId"], account_);
    EXPECT_EQ(first["userIdentity"], second["userIdentity"]);
    EXPECT_EQ(first["sharedEventID"], second["sharedEventID"]);
    EXPECT_EQ(first["requestID"], second["requestID"]);
    EXPECT_NE(first["eventID"], second["eventID"]);
    EXPECT_EQ(first.contains("errorCode"), at == before);
  }
  EXPECT_FALSE(nlohmann::json::parse(lines[before + 2]).contains("sharedEventID"));
  EXPECT_EQ(problem(), std::nullopt);
}

TEST_F(AuditTest, AForeignChangeWhoseProcessDiedAfterHalfItsLinesIsCompletedByTheNext) {
  const Invocation carol = new_user("carol");
  auto grant = service_->create_grant(
      alice_, {.key_id = key_, .grantee_principal = carol.principal, .operations = {"RetireGrant"}});
  ASSERT_TRUE(grant);
  ASSERT_TRUE(service_->retire_grant(carol, {.grant_token = grant->grant_token}));
  service_.reset();
  const auto whole = audit_lines();
  for (const std::size_t missing : {1U, 2U}) {
    write_lines({whole.begin(), whole.end() - missing});
    write_text(store_path() + "/audit.head", std::string(56, '\0'));
    service_ = open();
    EXPECT_EQ(state_of(key_), KeyState::kEnabled);
    service_.reset();
    const auto now = audit_lines();
    ASSERT_EQ(now.size(), whole.size() + 1);
    EXPECT_TRUE(std::equal(whole.begin(), whole.end(), now.begin()));
    EXPECT_EQ(problem(), std::nullopt);
  }
}

TEST_F(AuditTest, TheIdOfTheRequestIsTheOneThatTheCallerIsTold) {
  Invocation asked = alice_;
  asked.request_id = "12345678-1234-4234-8234-123456789abc";
  ASSERT_TRUE(encrypt_as(asked, key_));
  EXPECT_EQ(nlohmann::json::parse(audit_lines().back())["requestID"], asked.request_id);
}

TEST_F(AuditTest, ANewKeyIsDescribedInItsRecord) {
  const std::string key = new_key({.description = "of note", .policy = {}});
  const auto record = nlohmann::json::parse(audit_lines().back());
  EXPECT_EQ(record["eventName"], "CreateKey");
  EXPECT_EQ(record["responseElements"]["keyMetadata"]["arn"], key);
  EXPECT_EQ(record["responseElements"]["keyMetadata"]["description"], "of note");
  EXPECT_EQ(record["requestParameters"]["bypassPolicyLockoutSafetyCheck"], false);
  EXPECT_FALSE(record["readOnly"].get<bool>());
}

TEST_F(AuditTest, ManyThreadsMakeOneChain) {
  const Bytes blob = encrypt("hello");
  const std::size_t before = audit_lines().size();
  auto second = open();  // a second log on the same file, as another mount of this process has
  ASSERT_NE(second, nullptr);
  std::vector<std::thread> threads;
  std::atomic<int> failed{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      Service& mine = i % 2 == 0 ? *service_ : *second;
      for (int n = 0; n < 50; ++n) {
        if (!mine.decrypt(alice_, {.key_id = key_, .ciphertext = blob, .context = {}})) ++failed;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(audit_lines().size(), before + 200);
  EXPECT_EQ(problem(), std::nullopt);
}

}  // namespace
}  // namespace kmsfs::kms::test
