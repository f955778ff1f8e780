#include <sys/stat.h>

#include <atomic>
#include <thread>

#include "kms/backup.h"
#include "tests/kms/kms_fixture.h"

namespace kmsfs::kms::test {
namespace {

class BackupTest : public KmsTest {
 protected:
  std::string copy_path() const { return directory_ / "copy"; }
  std::unique_ptr<Service> open_copy() {
    auto service = Service::open(copy_path(), {}, clock_, make_null_logger());
    EXPECT_TRUE(service) << text_of(service);
    return service ? std::move(*service) : nullptr;
  }
  static mode_t mode_of(const std::string& path) {
    struct stat status {};
    EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777;
  }
};

TEST_F(BackupTest, ACopyOpensAsAStoreWithAllKeysAndASoundLog) {
  const Bytes blob = encrypt("hello", {{"a", "b"}});
  ASSERT_TRUE(service_->rotate_key_on_demand(alice_, {key_}));
  ASSERT_TRUE(service_->create_alias(alice_, {"alias/main", key_}));
  auto done = service_->backup(copy_path());
  ASSERT_TRUE(done) << text_of(done);
  EXPECT_EQ(mode_of(copy_path()), 0700U);
  for (const char* file : {"/store.mdb", "/audit.log", "/audit.head", "/seal.key"}) {
    EXPECT_EQ(mode_of(copy_path() + file), 0600U) << file;
  }
  // What happens afterwards is not in it.
  ASSERT_TRUE(service_->disable_key(alice_, {key_}));
  auto restored = open_copy();
  ASSERT_NE(restored, nullptr);
  auto opened =
      restored->decrypt(alice_, {.key_id = "alias/main", .ciphertext = blob, .context = {{"a", "b"}}});
  ASSERT_TRUE(opened) << text_of(opened);
  EXPECT_EQ(as_text(opened->plaintext.reveal()), "hello");
  EXPECT_TRUE(restored->create_key(alice_, {}));
  auto verdict = verify_audit_log(copy_path());
  ASSERT_TRUE(verdict) << text_of(verdict);
  EXPECT_EQ(verdict->problem, std::nullopt) << *verdict->problem;
  const std::string log = read_text(copy_path() + "/audit.log");
  EXPECT_NE(log.find("\"CreateAlias\""), std::string::npos);
  EXPECT_EQ(log.find("\"DisableKey\""), std::string::npos);
  EXPECT_NE(read_text(store_path() + "/audit.log").find("\"BackupStore\""), std::string::npos);
  expect_sound_log();
}

TEST_F(BackupTest, ACopyThatOpensNoSealLeavesALineAllTheSame) {
  ASSERT_TRUE(service_->disable_key(alice_, {key_}));
  const std::size_t before = audit_lines().size();
  auto copied = back_up_store(store_path(), copy_path(), make_null_logger());
  ASSERT_TRUE(copied) << text_of(copied);
  const auto lines = audit_lines();
  ASSERT_EQ(lines.size(), before + 1);
  EXPECT_NE(lines.back().find("\"BackupStore\""), std::string::npos) << lines.back();
  EXPECT_NE(lines.back().find(copy_path()), std::string::npos) << lines.back();
  // The chain goes on from there, here and in the copy.
  ASSERT_TRUE(service_->enable_key(alice_, {key_}));
  expect_sound_log();
  auto restored = open_copy();
  ASSERT_NE(restored, nullptr);
  EXPECT_TRUE(restored->create_key(alice_, {}));
  auto verdict = verify_audit_log(copy_path());
  ASSERT_TRUE(verdict) << text_of(verdict);
  EXPECT_EQ(verdict->problem, std::nullopt) << *verdict->problem;
}

TEST_F(BackupTest, NothingIsOverwritten) {
  ASSERT_TRUE(service_->backup(copy_path()));
  const std::string before = read_text(copy_path() + "/audit.log");
  auto again = service_->backup(copy_path());
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind, Kind::kExists);
  EXPECT_EQ(read_text(copy_path() + "/audit.log"), before);
  EXPECT_FALSE(service_->backup(store_path()));
  EXPECT_FALSE(service_->backup(directory_ / "no/such/place"));
}

TEST_F(BackupTest, ACopyOfAStoreSealedByAPassphraseIsSealedByIt) {
  const std::string store = directory_ / "sealed";
  ASSERT_TRUE(Service::create_store(store, {cheap_passphrase_seal(), "local-1"}, passphrase("right")));
  auto service = Service::open(store, passphrase("right"), clock_, make_null_logger());
  ASSERT_TRUE(service) << text_of(service);
  ASSERT_TRUE((*service)->administration().create_account());
  ASSERT_TRUE((*service)->backup(copy_path()));
  EXPECT_FALSE(std::filesystem::exists(copy_path() + "/seal.key"));
  EXPECT_EQ(Service::open(copy_path(), passphrase("wrong"), clock_, make_null_logger()).error().kind,
            Kind::kDenied);
  EXPECT_TRUE(Service::open(copy_path(), passphrase("right"), clock_, make_null_logger()));
}

TEST_F(BackupTest, ACopyTakenWhileKeysAreUsedAndChangedIsOneMomentOfTheStore) {
  const Bytes blob = encrypt("hello");
  std::atomic<bool> stop{false};
  std::atomic<int> changes{0}, failures{0};
  std::thread changer([&] {
    while (!stop) {
      if (!service_->create_key(alice_, {})) ++failures;
      ++changes;
    }
  });
  std::thread user([&] {
    while (!stop) {
      if (!service_->decrypt(alice_, {.key_id = {}, .ciphertext = blob, .context = {}})) ++failures;
    }
  });
  for (int n = 0; n < 5; ++n) {
    while (changes < 3 * n) std::this_thread::yield();
    const std::string path = copy_path() + std::to_string(n);
    auto done = service_->backup(path);
    EXPECT_TRUE(done) << text_of(done);
  }
  stop = true;
  changer.join();
  user.join();
  EXPECT_EQ(failures, 0);
  for (int n = 0; n < 5; ++n) {
    const std::string path = copy_path() + std::to_string(n);
    auto restored = Service::open(path, {}, clock_, make_null_logger());
    ASSERT_TRUE(restored) << text_of(restored);
    // Each key of the copy has its line in the copy's log, and the other way round.
    ListRequest request;
    request.limit = 1000;
    auto keys = (*restored)->list_keys(alice_, request);
    ASSERT_TRUE(keys) << text_of(keys);
    const std::string log = read_text(path + "/audit.log");
    std::size_t made = 0;
    for (std::size_t at = log.find("\"CreateKey\""); at != std::string::npos;
         at = log.find("\"CreateKey\"", at + 1)) {
      ++made;
    }
    EXPECT_EQ(made, keys->keys.size());
    auto verdict = verify_audit_log(path);
    ASSERT_TRUE(verdict);
    EXPECT_EQ(verdict->problem, std::nullopt) << *verdict->problem;
  }
}

}  // namespace
}  // namespace kmsfs::kms::test
