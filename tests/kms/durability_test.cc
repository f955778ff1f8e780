// What a kill, a full disk or a power cut must not do.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <set>
#include <sstream>

#include "kms/grants.h"
#include "tests/kms/kms_fixture.h"

extern char** environ;

namespace kmsfs::kms::test {
namespace {

constexpr int kLimitMs = 30'000;  // for one line of a child that works

// A child of this test; killed at the latest when it goes out of sight.
class Peer {
 public:
  Peer(const std::string& store, const std::string& principal, const std::string& key, const char* command) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    read_ = UniqueFd(ends[0]);
    const UniqueFd write(ends[1]);
    std::vector<std::string> words = {KMS_PEER, store, principal, key, command};
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, write.get(), 1);
    EXPECT_EQ(::posix_spawn(&child_, KMS_PEER, &actions, nullptr, arguments.data(), environ), 0);
    ::posix_spawn_file_actions_destroy(&actions);
  }
  ~Peer() { kill(); }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  // Reads until it has said `lines` lines; false if it ended or took too long.
  bool say(std::size_t lines) {
    while (count() < lines) {
      if (!read_some()) return false;
    }
    return true;
  }
  // In the middle of whatever it does; then what it had said.
  std::vector<std::string> kill() {
    if (child_ > 0) {
      ::kill(child_, SIGKILL);
      ::waitpid(child_, nullptr, 0);
      child_ = -1;
      while (read_some()) {
      }
    }
    std::vector<std::string> lines;
    std::istringstream in(text_.substr(0, text_.rfind('\n') + 1));
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }

 private:
  std::size_t count() const { return static_cast<std::size_t>(std::ranges::count(text_, '\n')); }
  bool read_some() {
    pollfd waiting{read_.get(), POLLIN, 0};
    if (::poll(&waiting, 1, kLimitMs) <= 0) return false;
    std::array<char, 4096> part{};
    const ssize_t got = ::read(read_.get(), part.data(), part.size());
    if (got <= 0) return false;
    text_.append(part.data(), static_cast<std::size_t>(got));
    return true;
  }

  UniqueFd read_;
  pid_t child_ = -1;
  std::string text_;
};

struct Told {
  std::string what, value, key;
};
Told parse(const std::string& line) {
  Told told;
  std::istringstream(line) >> told.what >> told.value >> told.key;
  return told;
}

class DurabilityTest : public KmsTest {
 protected:
  void reopen() {
    service_.reset();
    service_ = open();
    ASSERT_NE(service_, nullptr);
  }

  // Every acknowledged change is there.
  void expect_all(const std::vector<std::string>& lines) {
    std::set<std::string> revoked;
    for (const std::string& line : lines) {
      if (const Told told = parse(line); told.what == "revoked") revoked.insert(told.value);
    }
    for (const std::string& line : lines) {
      const Told told = parse(line);
      auto key = service_->describe_key(alice_, {told.key});
      ASSERT_TRUE(key) << line << ": " << text_of(key);
      const bool gone = told.what == "grant" && revoked.contains(told.value);
      EXPECT_EQ(found(told, key->key), gone ? "InvalidGrantIdException" : told.value) << line;
    }
  }
  // What the store says of it now.
  std::string found(const Told& told, const KeyDescription& key) {
    if (told.what == "key") return key.description;
    if (told.what == "alias") {
      return service_->describe_key(alice_, {told.value})->key.arn == told.key ? told.value : "nothing";
    }
    if (told.what == "material") return key.key_material_id;
    if (told.what == "deletion") return key.state == KeyState::kPendingDeletion ? "30" : "none";
    if (told.what == "tag")
      return service_->list_resource_tags(alice_, {.key_id = told.key})->tags.at(0).value;
    if (told.what == "grant") {
      const std::string code =
          code_of(service_->list_grants(alice_, {.key_id = told.key, .grant_id = told.value}));
      return code == "ok" ? told.value : code;
    }
    return told.value;
  }

  // No table says what another does not.
  void expect_no_half_change() {
    Engine& engine = service_->administration().engine();
    auto transaction = engine.read();
    ASSERT_TRUE(transaction);
    std::map<std::string, KeyRecord> keys;
    const auto each = [&](Table table, const std::function<void(std::string_view, ByteView)>& look) {
      auto scanned = (*transaction)->scan(table, {}, {}, [&](std::string_view name, ByteView value) {
        look(name, value);
        return true;
      });
      ASSERT_TRUE(scanned);
    };
    each(Table::kKeys, [&](std::string_view name, ByteView value) {
      auto record = parse_key_record(value);
      ASSERT_TRUE(record);
      keys.emplace(name, std::move(*record));
    });
    std::map<std::string, std::size_t> materials, grants, due, grantees;
    std::size_t aliases = 0, retirers = 0, listed = 0;
    const auto key_part = [](std::string_view name) { return std::string(name.substr(0, KeyId::kSize)); };
    each(Table::kMaterials, [&](std::string_view name, ByteView) { ++materials[key_part(name)]; });
    each(Table::kGrants, [&](std::string_view name, ByteView) { ++grants[key_part(name)]; });
    each(Table::kGrantees, [&](std::string_view name, ByteView) { ++grantees[key_part(name)]; });
    each(Table::kRetirers, [&](std::string_view, ByteView) { ++retirers; });
    each(Table::kAccountKeys, [&](std::string_view, ByteView) { ++listed; });
    each(Table::kDue, [&](std::string_view name, ByteView) {
      const std::string id(name.substr(8));
      ++due[id];
      ASSERT_TRUE(keys.contains(id));
      EXPECT_EQ(static_cast<std::int64_t>(load_be64(as_bytes(name).data())), due_ms(keys.at(id)));
    });
    each(Table::kAliases, [&](std::string_view name, ByteView value) {
      auto alias = parse_alias_record(value);
      ASSERT_TRUE(alias);
      const auto& of_key = keys.at(std::string(as_text(alias->target.view()))).aliases;
      EXPECT_TRUE(std::ranges::find(of_key, name.substr(13)) != of_key.end());
      ++aliases;
    });
    std::size_t aliases_of_keys = 0, all_grants = 0;
    for (const auto& [id, record] : keys) {
      EXPECT_EQ(materials[id], record.materials.size());
      EXPECT_EQ(grants[id], static_cast<std::size_t>(record.grants));
      EXPECT_EQ(grantees[id], static_cast<std::size_t>(record.grants));
      EXPECT_EQ(due[id], due_ms(record) != 0 ? 1U : 0U);
      aliases_of_keys += record.aliases.size();
      all_grants += static_cast<std::size_t>(record.grants);
    }
    EXPECT_EQ(aliases, aliases_of_keys);
    EXPECT_EQ(retirers, all_grants);
    EXPECT_EQ(listed, keys.size());
    EXPECT_EQ(materials.size(), keys.size());
  }
};

TEST_F(DurabilityTest, AKillAtAnyMomentLosesNothingThatWasAcknowledgedAndLeavesNoHalfChange) {
  std::vector<std::string> told;
  for (const std::size_t lines : {1U, 2U, 3U, 4U, 5U, 6U, 7U, 9U, 12U, 17U}) {
    Peer peer(store_path(), alice_.principal, key_, "churn");
    ASSERT_TRUE(peer.say(lines));
    const auto more = peer.kill();
    told.insert(told.end(), more.begin(), more.end());
    ASSERT_GE(more.size(), lines);
    expect_all(told);
    expect_no_half_change();
  }
  expect_sound_log();
  reopen();
  expect_all(told);
  expect_sound_log();
}

TEST_F(DurabilityTest, EveryChangeThatTheStoreHoldsIsInTheLogAfterAKill) {
  for (const std::size_t lines : {2U, 5U, 8U}) {
    Peer peer(store_path(), alice_.principal, key_, "churn");
    ASSERT_TRUE(peer.say(lines));
    peer.kill();
  }
  // The next to come appends what was left behind.
  ASSERT_TRUE(encrypt_as(alice_, key_));
  std::set<std::string> recorded;
  for (const std::string& line : audit_lines()) {
    if (line.find("\"CreateKey\"") == std::string::npos) continue;
    const std::size_t at = line.find("\"ARN\":\"");
    ASSERT_NE(at, std::string::npos);
    recorded.insert(line.substr(at + 7, key_.size()));
  }
  ListRequest request;
  request.limit = 1000;
  auto keys = service_->list_keys(alice_, request);
  ASSERT_TRUE(keys);
  for (const auto& key : keys->keys) EXPECT_TRUE(recorded.contains(key.arn)) << key.arn;
  EXPECT_EQ(recorded.size(), keys->keys.size());
  expect_sound_log();
}

TEST_F(DurabilityTest, AKillAmidDueDeletionsAndRotationsLeavesEachKeyWholeOrGone) {
  // The test's clock stands in 2023, the peer's does not: there all of this is overdue.
  std::vector<std::string> doomed, turning;
  for (int n = 0; n < 12; ++n) {
    doomed.push_back(new_key());
    ASSERT_TRUE(service_->create_alias(alice_, {"alias/doomed-" + std::to_string(n), doomed.back()}));
    ASSERT_TRUE(service_->create_grant(alice_, {.key_id = doomed.back(),
                                                .grantee_principal = alice_.principal,
                                                .operations = {"Decrypt"},
                                                .retiring_principal = alice_.principal}));
    ASSERT_TRUE(
        service_->schedule_key_deletion(alice_, {.key_id = doomed.back(), .pending_window_in_days = 7}));
    turning.push_back(new_key());
    ASSERT_TRUE(
        service_->enable_key_rotation(alice_, {.key_id = turning.back(), .rotation_period_in_days = 90}));
  }
  auto old = encrypt_as(alice_, turning.back());
  ASSERT_TRUE(old);
  const auto events = [&] {
    return std::ranges::count_if(audit_lines(), [](const std::string& line) {
      return line.find("AwsServiceEvent") != std::string::npos;
    });
  };
  for (const int wanted : {3, 15}) {
    Peer peer(store_path(), alice_.principal, key_, "due");
    const auto limit = std::chrono::steady_clock::now() + std::chrono::milliseconds(kLimitMs);
    while (events() < wanted && std::chrono::steady_clock::now() < limit) ::poll(nullptr, 0, 1);
    peer.kill();
    EXPECT_GE(events(), wanted);
    expect_no_half_change();
  }
  ASSERT_TRUE(service_->run_due());
  expect_no_half_change();
  for (const std::string& key : doomed)
    EXPECT_EQ(code_of(service_->describe_key(alice_, {key})), "NotFoundException");
  for (const std::string& key : turning) {
    EXPECT_EQ(service_->list_key_rotations(alice_, {.key_id = key})->rotations.size(), 1U);
  }
  EXPECT_TRUE(decrypt(old->ciphertext));
  EXPECT_EQ(events(), 24);
  expect_sound_log();
}

TEST_F(DurabilityTest, AFullDiskRefusesChangesWithARetriableErrorAndChangesNothing) {
  ASSERT_TRUE(service_->create_alias(alice_, {"alias/main", key_}));
  const std::string before = service_->describe_key(alice_, {key_})->key.key_material_id;
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &limit), 0);
  rlimit full = limit;
  full.rlim_cur = 0;
  std::vector<Error> errors;
  const auto note = [&](const auto& result) {
    if (!result) errors.push_back(result.error());
  };
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
  note(service_->create_key(alice_, {}));
  note(service_->rotate_key_on_demand(alice_, {key_}));
  note(service_->disable_key(alice_, {key_}));
  note(service_->create_grant(
      alice_, {.key_id = key_, .grantee_principal = alice_.principal, .operations = {"Decrypt"}}));
  note(service_->delete_alias(alice_, {"alias/main"}));
  note(service_->list_keys(alice_, {}));  // no record, no answer
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  ASSERT_EQ(errors.size(), 6U);
  for (const Error& error : errors) {
    EXPECT_STREQ(error.code, "KMSInternalException") << error.text;
    EXPECT_TRUE(error.kind == Kind::kUnavailable || error.kind == Kind::kNoSpace) << error.text;
  }
  reopen();
  EXPECT_EQ(service_->describe_key(alice_, {"alias/main"})->key.key_material_id, before);
  EXPECT_EQ(state_of(key_), KeyState::kEnabled);
  EXPECT_EQ(service_->list_keys(alice_, {})->keys.size(), 1U);
  EXPECT_TRUE(service_->list_grants(alice_, {.key_id = key_})->grants.empty());
  expect_no_half_change();
  expect_sound_log();
}

TEST_F(DurabilityTest, AStoreOnAFullFileSystemRefusesUntilThereIsRoomAndLosesNothing) {
  // In a mount namespace of this process: whatever becomes of the test, the mount goes with it.
  const std::string small = directory_ / "small";
  ASSERT_EQ(::mkdir(small.c_str(), 0700), 0);
  if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("tmpfs", small.c_str(), "tmpfs", 0, "size=4m,mode=0700") != 0) {
    GTEST_SKIP() << "making a small file system takes root";
  }
  const std::string store = small + "/kms", ballast = small + "/ballast";
  {
    ASSERT_TRUE(Service::create_store(store, {key_file_seal(), "local-1"}, {}));
    auto opened = Service::open(store, {}, clock_, make_null_logger());
    ASSERT_TRUE(opened) << text_of(opened);
    Service& service = **opened;
    const Invocation owner = from(*service.administration().ensure_user_of_uid(1000, "owner"));
    auto first = service.create_key(owner, {});
    ASSERT_TRUE(first);
    const std::string key = first->key.arn;
    auto blob = service.encrypt(owner, {.key_id = key, .plaintext = as_bytes("hello"), .context = {}});
    ASSERT_TRUE(blob);
    write_text(ballast, std::string(1 << 20, 'x'));
    std::set<std::string> made = {key};
    Result<KeyReply> last = error(Kind::kInternal, "not tried");
    for (int n = 0; n < 2000; ++n) {
      last = service.create_key(owner, {.description = std::string(8192, 'd'), .policy = {}});
      if (!last) break;
      made.insert(last->key.arn);
    }
    ASSERT_FALSE(last);
    EXPECT_EQ(code_of(last), "KMSInternalException") << text_of(last);
    // To the last byte: then no use of a key is recorded either, and so none happens.
    std::ofstream(small + "/rest", std::ios::binary) << std::string(4 << 20, 'x');
    for (int n = 0; n < 64; ++n) {
      auto opens = service.decrypt(owner, {.key_id = {}, .ciphertext = blob->ciphertext, .context = {}});
      if (opens) continue;  // the last page of the log had room
      EXPECT_EQ(code_of(opens), "KMSInternalException");
      EXPECT_EQ(opens.error().kind, Kind::kNoSpace);
    }
    EXPECT_FALSE(service.decrypt(owner, {.key_id = {}, .ciphertext = blob->ciphertext, .context = {}}));
    // A change may still find room inside the store, which keeps its record for the log.
    const bool disabled = service.disable_key(owner, {key}).ok();
    std::filesystem::remove(small + "/rest");
    std::filesystem::remove(ballast);
    EXPECT_EQ(service.describe_key(owner, {key})->key.state,
              disabled ? KeyState::kDisabled : KeyState::kEnabled);
    const std::string log = read_text(store + "/audit.log");
    EXPECT_EQ(log.find("\"DisableKey\"") != std::string::npos, disabled);
    EXPECT_TRUE(service.enable_key(owner, {key}));
    EXPECT_TRUE(service.decrypt(owner, {.key_id = {}, .ciphertext = blob->ciphertext, .context = {}}));
    EXPECT_TRUE(service.create_key(owner, {}));
    ListRequest request;
    request.limit = 1000;
    EXPECT_EQ(service.list_keys(owner, request)->keys.size(), made.size() + 1);
    auto verdict = verify_audit_log(store);
    ASSERT_TRUE(verdict);
    EXPECT_EQ(verdict->problem, std::nullopt) << *verdict->problem;
  }
  EXPECT_EQ(::umount2(small.c_str(), MNT_DETACH), 0);
}

}  // namespace
}  // namespace kmsfs::kms::test
