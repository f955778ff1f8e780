#include "fs/volume.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "tests/support/failing_disk.h"
#include "tests/support/fake_kms.h"
#include "tests/support/temporary_directory.h"

namespace kmsfs {
namespace {

using Json = nlohmann::ordered_json;

class VolumeTest : public ::testing::Test {
 protected:
  Result<std::unique_ptr<Volume>> create() {
    return Volume::create(disk_, backing_.get(), kms_, key_, "fake:memory");
  }
  Result<std::unique_ptr<Volume>> open() { return Volume::open(disk_, backing_.get(), kms_); }
  std::unique_ptr<Volume> volume() { return *create(); }

  void change_volume_file(const std::function<void(Json&)>& change) {
    Json document = Json::parse(directory_.read(".kmsfs/volume"));
    change(document);
    directory_.write(".kmsfs/volume", document.dump());
  }

  testing::FakeKmsServer server_;
  testing::FakeKms kms_{server_};
  const std::string key_ = server_.create_key();
  RealDisk disk_;
  testing::TemporaryDirectory directory_;
  const UniqueFd backing_ = directory_.open();
};

TEST_F(VolumeTest, WhatCreateMadeOpenFinds) {
  const auto made = create();
  ASSERT_TRUE(made.ok()) << made.error().text;
  const auto opened = open();
  ASSERT_TRUE(opened.ok()) << opened.error().text;
  EXPECT_EQ((*opened)->parameters().id, (*made)->parameters().id);
  EXPECT_EQ((*opened)->parameters().kms_uri, "fake:memory");
  EXPECT_EQ((*opened)->parameters().allowed_keys, std::vector{key_});
  EXPECT_TRUE((*opened)->allows(key_));
  EXPECT_FALSE((*opened)->allows("alias/kmsfs"));
  EXPECT_FALSE((*opened)->allows(server_.create_key()));

  const DirectoryId directory = DirectoryId::random();
  const auto stored = (*made)->encrypt_name(directory, "a name");
  EXPECT_EQ(*(*opened)->decrypt_name(directory, stored->entry, {}), "a name");
}

TEST_F(VolumeTest, AnAliasBecomesTheKeyArn) {
  server_.set_alias("alias/kmsfs", key_);
  const auto made = Volume::create(disk_, backing_.get(), kms_, "alias/kmsfs", "fake:memory");
  ASSERT_TRUE(made.ok());
  EXPECT_EQ((*made)->parameters().allowed_keys, std::vector{key_});
  EXPECT_EQ((*made)->parameters().volume_key.key_arn, key_);
}

TEST_F(VolumeTest, OpeningAsksTheKmsOnceAndReadingParametersNever) {
  ASSERT_TRUE(create().ok());
  const auto before = server_.counters().all();
  ASSERT_TRUE(Volume::read_parameters(disk_, backing_.get()).ok());
  EXPECT_EQ(server_.counters().all(), before);
  ASSERT_TRUE(open().ok());
  EXPECT_EQ(server_.counters().all(), before + 1);
}

TEST_F(VolumeTest, CreateLeavesNothingButTheVolumeFileAndTheRootsDirectoryId) {
  const auto made = volume();
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_.path())) {
    found.push_back(std::filesystem::relative(entry.path(), directory_.path()).string());
  }
  std::sort(found.begin(), found.end());
  EXPECT_EQ(found, (std::vector<std::string>{".kmsfs", ".kmsfs-dir", ".kmsfs/volume"}));
  const auto id = std::filesystem::read_symlink(directory_.path() / ".kmsfs-dir").string();
  EXPECT_TRUE(made->open_directory_id(id).ok());
}

TEST_F(VolumeTest, AVolumeIsNotMadeAVolumeAgain) {
  ASSERT_TRUE(create().ok());
  const std::string before = directory_.read(".kmsfs/volume");
  EXPECT_EQ(create().error().kind, Kind::kExists);
  EXPECT_EQ(directory_.read(".kmsfs/volume"), before);
}

TEST_F(VolumeTest, ADirectoryThatIsNotEmptyIsNotMadeAVolume) {
  directory_.write("letter.txt", "Dear ...");
  const auto calls = server_.counters().all();
  const auto made = create();
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().kind, Kind::kInvalid);
  EXPECT_NE(made.error().text.find("letter.txt"), std::string::npos);
  EXPECT_EQ(server_.counters().all(), calls);
  std::filesystem::remove(directory_.path() / "letter.txt");
  EXPECT_TRUE(directory_.is_empty());
}

TEST_F(VolumeTest, WhenTheKmsRefusesNothingIsLeftBehind) {
  server_.deny(kms_.name(), key_);
  EXPECT_EQ(create().error().kind, Kind::kDenied);
  EXPECT_TRUE(directory_.is_empty());
  server_.set_reachable(false);
  EXPECT_EQ(create().error().kind, Kind::kUnavailable);
  EXPECT_TRUE(directory_.is_empty());
}

TEST_F(VolumeTest, WhateverFailsWhileItIsMadeNothingIsLeftBehind) {
  testing::FailingDisk disk;
  for (int step = 0;; ++step) {
    disk.fail_change(step, ENOSPC);
    const auto made = Volume::create(disk, backing_.get(), kms_, key_, "fake:memory");
    if (!disk.has_failed()) {
      EXPECT_TRUE(made.ok());
      EXPECT_GT(step, 8) << "make, create, write, sync, sync, create, write, sync, sync, rename, sync";
      break;
    }
    ASSERT_FALSE(made.ok()) << "step " << step;
    EXPECT_EQ(made.error().kind, Kind::kNoSpace);
    EXPECT_TRUE(directory_.is_empty()) << "step " << step;
  }
}

TEST_F(VolumeTest, AKmsUriThatCannotBeWrittenDownLeavesNothingBehind) {
  const auto made = Volume::create(disk_, backing_.get(), kms_, key_, "local:/caf\xe9");
  EXPECT_EQ(made.error().kind, Kind::kInvalid);
  EXPECT_TRUE(directory_.is_empty());
}

TEST_F(VolumeTest, WhatTheKmsSaysOfTheKeyIsSaidOfTheVolume) {
  ASSERT_TRUE(create().ok());
  server_.deny(kms_.name(), key_);
  EXPECT_EQ(open().error().kind, Kind::kDenied);
  server_.allow(kms_.name(), key_);
  server_.disable(key_);
  EXPECT_EQ(open().error().kind, Kind::kDisabled);
  server_.enable(key_);
  server_.set_reachable(false);
  EXPECT_EQ(open().error().kind, Kind::kUnavailable);
  server_.set_reachable(true);
  EXPECT_TRUE(open().ok());
  server_.remove(key_);
  EXPECT_EQ(open().error().kind, Kind::kKeyGone);
}

TEST_F(VolumeTest, AKmsThatAnswersWithAnotherKeyIsNotBelieved) {
  ASSERT_TRUE(create().ok());
  server_.set_lying(true);
  EXPECT_EQ(open().error().kind, Kind::kCorrupt);
}

TEST_F(VolumeTest, ADirectoryThatIsNotAVolumeIsNotFound) {
  const auto opened = open();
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().kind, Kind::kNotFound);
  EXPECT_NE(opened.error().text.find("not a kmsfs volume"), std::string::npos);
  std::filesystem::create_directory(directory_.path() / ".kmsfs");
  EXPECT_EQ(open().error().kind, Kind::kNotFound);
}

TEST_F(VolumeTest, AVolumeFileWithAnyParameterChangedIsRefused) {
  ASSERT_TRUE(create().ok());
  const std::string original = directory_.read(".kmsfs/volume");
  const std::string other_key = server_.create_key();
  const std::vector<std::function<void(Json&)>> changes = {
      [](Json& d) { d["header_size"] = 2048; },
      [](Json& d) { d["kms"] = "local:/elsewhere"; },
      [&](Json& d) { d["allowed_keys"].push_back(other_key); },
      [&](Json& d) {
        d["allowed_keys"] = Json::array({other_key, key_});
      },
      [](Json& d) { d["volume_id"] = VolumeId::random().hex(); },
      [](Json& d) { d["mac"] = std::string(64, '0'); },
      [](Json& d) { d["volume_key"]["wrapped"] = to_base64(Bytes(80, std::byte{1})); },
      [&](Json& d) {
        d["allowed_keys"] = Json::array({other_key});
        d["volume_key"]["key_arn"] = other_key;
      },
  };
  for (std::size_t i = 0; i < changes.size(); ++i) {
    directory_.write(".kmsfs/volume", original);
    change_volume_file(changes[i]);
    const auto opened = open();
    ASSERT_FALSE(opened.ok()) << "change " << i;
    EXPECT_EQ(opened.error().kind, Kind::kCorrupt) << "change " << i << ": " << opened.error().text;
  }
  directory_.write(".kmsfs/volume", original);
  EXPECT_TRUE(open().ok());
}

TEST_F(VolumeTest, AVolumeFileFlippedAtAnyByteIsNeverAnotherVolume) {
  const auto made = volume();
  const std::string original = directory_.read(".kmsfs/volume");
  for (std::size_t i = 0; i < original.size(); ++i) {
    std::string changed = original;
    changed[i] =
        static_cast<char>(changed[i] ^ 0x20);  // a letter stays a letter: what a parser likes to overlook
    directory_.write(".kmsfs/volume", changed);
    const auto opened = open();
    if (!opened) continue;
    // White space and the case of hexadecimal digits mean nothing; all that means something is as it was.
    EXPECT_EQ((*opened)->parameters().id, made->parameters().id);
    EXPECT_EQ((*opened)->parameters().allowed_keys, made->parameters().allowed_keys);
    EXPECT_EQ((*opened)->parameters().kms_uri, made->parameters().kms_uri);
  }
}

TEST_F(VolumeTest, AWrapOfAnotherVolumeIsRefused) {
  ASSERT_TRUE(create().ok());
  const testing::TemporaryDirectory other_directory;
  const UniqueFd other = other_directory.open();
  ASSERT_TRUE(Volume::create(disk_, other.get(), kms_, key_, "fake:memory").ok());
  const Json theirs = Json::parse(other_directory.read(".kmsfs/volume"));
  change_volume_file([&](Json& d) { d["volume_key"] = theirs["volume_key"]; });
  EXPECT_EQ(open().error().kind, Kind::kCorrupt);
}

// A rotator that may only re-encrypt has no volume key to make a MAC with.
TEST_F(VolumeTest, TheSameVolumeKeyWrappedAnewOpens) {
  const auto made = volume();
  const auto& wrapped = made->parameters().volume_key;
  const auto context = volume_context(made->parameters().id);
  const auto again = kms_.re_encrypt(wrapped.blob, key_, context, key_, context);
  ASSERT_TRUE(again.ok());
  ASSERT_NE(again->blob, wrapped.blob);
  change_volume_file([&](Json& d) { d["volume_key"]["wrapped"] = to_base64(again->blob); });
  EXPECT_TRUE(open().ok());
}

TEST_F(VolumeTest, WhatIsPlantedInPlaceOfTheVolumeFileIsRefusedWithoutWaiting) {
  ASSERT_TRUE(create().ok());
  const auto path = directory_.path() / ".kmsfs" / "volume";
  std::filesystem::rename(path, directory_.path() / "kept");
  ASSERT_EQ(::mkfifo(path.c_str(), 0644), 0);
  EXPECT_EQ(open().error().kind, Kind::kCorrupt);
  std::filesystem::remove(path);
  std::filesystem::create_symlink("../kept", path);
  EXPECT_FALSE(open().ok());
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  EXPECT_EQ(open().error().kind, Kind::kCorrupt);
}

TEST_F(VolumeTest, DirectoryIdsChangedCutOrOfAnotherVolumeAreCorrupt) {
  const auto made = volume();
  const DirectoryId id = DirectoryId::random();
  const std::string target = made->seal_directory_id(id);
  EXPECT_EQ(target.size(), 54U);
  EXPECT_EQ(*made->open_directory_id(target), id);
  for (std::size_t i = 0; i < target.size() * 8; ++i) {
    std::string changed = target;
    changed[i / 8] = static_cast<char>(changed[i / 8] ^ (1U << (i % 8)));
    EXPECT_EQ(made->open_directory_id(changed).error().kind, Kind::kCorrupt);
  }
  for (std::size_t size = 0; size < target.size(); ++size) {
    EXPECT_EQ(made->open_directory_id(target.substr(0, size)).error().kind, Kind::kCorrupt);
  }
  for (const char* more : {"A", "=", "==", "AAAA"}) {
    EXPECT_EQ(made->open_directory_id(target + more).error().kind, Kind::kCorrupt);
  }
  // One id is written in one way: the last character has bits that say nothing.
  for (const char last : std::string("BCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")) {
    if (last == target.back()) continue;
    EXPECT_EQ(made->open_directory_id(target.substr(0, 53) + last).error().kind, Kind::kCorrupt);
  }

  const testing::TemporaryDirectory other_directory;
  const UniqueFd other = other_directory.open();
  const auto theirs = Volume::create(disk_, other.get(), kms_, key_, "fake:memory");
  EXPECT_EQ((*theirs)->open_directory_id(target).error().kind, Kind::kCorrupt);
}

TEST_F(VolumeTest, TargetsUpTo3031BytesFitIntoALinkAndComeBack) {
  const auto made = volume();
  for (std::size_t size : {1UL, 2UL, 3UL, 4UL, 5UL, 100UL, 1000UL, 3029UL, 3030UL, 3031UL}) {
    const std::string target(size, 't');
    const auto stored = made->seal_target(target);
    ASSERT_TRUE(stored.ok());
    EXPECT_LE(stored->size(), 4095U);
    EXPECT_EQ(Volume::plain_target_size(stored->size()), size);
    EXPECT_EQ(stored->find('/'), std::string::npos);
    EXPECT_EQ(*made->open_target(*stored), target);
  }
  EXPECT_EQ(made->seal_target(std::string(3032, 't')).error().system_errno, ENAMETOOLONG);
  EXPECT_EQ(made->seal_target("").error().kind, Kind::kInvalid);
  EXPECT_EQ(Volume::plain_target_size(0), 0U);
  EXPECT_EQ(Volume::plain_target_size(53), 0U);
}

TEST_F(VolumeTest, OneTargetNeverLooksTheSameTwice) {
  const auto made = volume();
  EXPECT_NE(*made->seal_target("/etc/passwd"), *made->seal_target("/etc/passwd"));
}

TEST_F(VolumeTest, ATargetChangedOrOfAnotherVolumeIsCorrupt) {
  const auto made = volume();
  const std::string stored = *made->seal_target("/usr/share");
  for (std::size_t i = 0; i < stored.size(); ++i) {
    std::string changed = stored;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_EQ(made->open_target(changed).error().kind, Kind::kCorrupt);
    EXPECT_EQ(made->open_target(stored.substr(0, i)).error().kind, Kind::kCorrupt);
  }
  for (const std::string& foreign :
       {std::string("/etc/passwd"), std::string(4096, 'A'), std::string(60, 'A')}) {
    EXPECT_EQ(made->open_target(foreign).error().kind, Kind::kCorrupt);
  }
  const testing::TemporaryDirectory other_directory;
  const UniqueFd other = other_directory.open();
  const auto theirs = Volume::create(disk_, other.get(), kms_, key_, "fake:memory");
  EXPECT_EQ((*theirs)->open_target(stored).error().kind, Kind::kCorrupt);
}

// The samples of docs/FORMAT.md: what a writer of that format made must open, and come out the same where it
// is deterministic.
TEST_F(VolumeTest, SealedThingsAreThoseOfTheFormat) {
  std::array<std::byte, 32> volume_key{};
  for (std::size_t i = 0; i < volume_key.size(); ++i) volume_key[i] = static_cast<std::byte>(i);
  VolumeParameters parameters;
  parameters.id = *VolumeId::parse_hex("101112131415161718191a1b1c1d1e1f");
  const auto sample = *Volume::make(std::move(parameters), volume_key);
  const DirectoryId id = *DirectoryId::parse_hex("202122232425262728292a2b2c2d2e2f");

  EXPECT_EQ(sample->seal_directory_id(id), "ICEiIyQlJicoKSorLC0uL-ybKFxsAcTm1lZCOu1bWUsipPG1MfU0XA");
  EXPECT_EQ(sample->encrypt_name(id, "hello.txt")->entry, "yJDykg8Uz1e4oBiNCEwYezmZSJWYn3uEWg");
  EXPECT_EQ(*sample->open_target("QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXtcl_wBbd3g12mQrD0f-Py2RrIjI2lx_np9BIClqL"),
            "/usr/share/doc");
  EXPECT_EQ(*sample->seal_xattr_name(id.view(), "user.color"), "user.kmsfs.uVrCCMArDbFBJknyBfDqQCzebNmT");
  const Bytes value =
      *from_hex("404142434445464748494a4b4c4d4e4f5051525354555657d3da7a3428a2ccda2e274ed180351bc5902ab772");
  EXPECT_EQ(as_text(*sample->open_xattr_value(id.view(), "user.color", value)), "blue");
}

class Attributes : public VolumeTest {
 protected:
  const std::unique_ptr<Volume> made_ = volume();
  const FileId owner_ = FileId::random();
  const FileId other_owner_ = FileId::random();
};

TEST_F(Attributes, NamesAndValuesComeBack) {
  for (std::size_t size : {6UL, 7UL, 20UL, 171UL, 172UL}) {
    const std::string name = "user." + std::string(size - 5, 'n');
    const auto stored = made_->seal_xattr_name(owner_.view(), name);
    ASSERT_TRUE(stored.ok());
    EXPECT_LE(stored->size(), 255U);
    EXPECT_EQ(stored->find("nnn"), std::string::npos);
    EXPECT_EQ(*made_->open_xattr_name(owner_.view(), *stored), name);
  }
  for (std::size_t size : {0UL, 1UL, 65536UL}) {
    const Bytes value(size, std::byte{7});
    const auto stored = made_->seal_xattr_value(owner_.view(), "user.n", value);
    ASSERT_TRUE(stored.ok());
    EXPECT_EQ(*made_->open_xattr_value(owner_.view(), "user.n", *stored), value);
  }
}

TEST_F(Attributes, NamesPast172BytesAreRefusedAsOutOfRange) {
  const auto stored = made_->seal_xattr_name(owner_.view(), "user." + std::string(168, 'n'));
  EXPECT_EQ(stored.error().system_errno, ERANGE);
}

TEST_F(Attributes, NamesThatAreNotOfUsersAreNotSealed) {
  for (const char* name :
       {"", "user.", "user", "trusted.x", "security.capability", "system.posix_acl_access"}) {
    EXPECT_EQ(made_->seal_xattr_name(owner_.view(), name).error().kind, Kind::kInvalid) << name;
  }
}

TEST_F(Attributes, StoredNamesThatAreNotOursAreNotFoundAndDamagedOnesAreCorrupt) {
  for (const char* stored : {"", "user.", "user.kmsfs", "user.mine", "security.capability"}) {
    EXPECT_EQ(made_->open_xattr_name(owner_.view(), stored).error().kind, Kind::kNotFound) << stored;
  }
  const std::string stored = *made_->seal_xattr_name(owner_.view(), "user.color");
  for (std::size_t i = std::string("user.kmsfs.").size(); i < stored.size(); ++i) {
    std::string changed = stored;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    EXPECT_EQ(made_->open_xattr_name(owner_.view(), changed).error().kind, Kind::kCorrupt);
    EXPECT_EQ(made_->open_xattr_name(owner_.view(), stored.substr(0, i)).error().kind, Kind::kCorrupt);
  }
}

TEST_F(Attributes, ANameOfAnotherFileIsCorrupt) {
  const std::string stored = *made_->seal_xattr_name(owner_.view(), "user.color");
  EXPECT_NE(stored, *made_->seal_xattr_name(other_owner_.view(), "user.color"));
  EXPECT_EQ(made_->open_xattr_name(other_owner_.view(), stored).error().kind, Kind::kCorrupt);
}

TEST_F(Attributes, AValueOfAnotherFileOrNameIsCorrupt) {
  const Bytes stored = *made_->seal_xattr_value(owner_.view(), "user.color", as_bytes("blue"));
  EXPECT_EQ(made_->open_xattr_value(other_owner_.view(), "user.color", stored).error().kind, Kind::kCorrupt);
  EXPECT_EQ(made_->open_xattr_value(owner_.view(), "user.colour", stored).error().kind, Kind::kCorrupt);
  EXPECT_TRUE(made_->open_xattr_value(owner_.view(), "user.color", stored).ok());
}

TEST_F(Attributes, AValueChangedInAnyBitOrCutIsCorrupt) {
  const Bytes stored = *made_->seal_xattr_value(owner_.view(), "user.color", as_bytes("blue"));
  for (std::size_t i = 0; i < stored.size() * 8; ++i) {
    Bytes changed = stored;
    changed[i / 8] ^= static_cast<std::byte>(1U << (i % 8));
    EXPECT_EQ(made_->open_xattr_value(owner_.view(), "user.color", changed).error().kind, Kind::kCorrupt);
  }
  for (std::size_t size = 0; size < stored.size(); ++size) {
    const ByteView cut = ByteView(stored).first(size);
    EXPECT_EQ(made_->open_xattr_value(owner_.view(), "user.color", cut).error().kind, Kind::kCorrupt);
  }
}

}  // namespace
}  // namespace kmsfs
