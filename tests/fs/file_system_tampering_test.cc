// What Mallory does to the backing directory: never other data, never another file, never a hang.
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <atomic>
#include <thread>

#include "tests/fs/file_system_fixture.h"

namespace kmsfs {
namespace {

namespace filesystem = std::filesystem;

class FileSystemTampering : public FileSystemTest {
 protected:
  // Closed, so that the state slot says clean.
  filesystem::path make_victim(const std::string& name, const std::string& text) {
    const filesystem::path path = stored(make_file(name, text));
    remount();
    return path;
  }
  void expect_corrupt(const std::string& name, const std::string& what) {
    auto found = entry_of(name);
    ASSERT_TRUE(found.ok()) << what;
    const auto handle = open(found->node);
    if (!handle) {
      EXPECT_EQ(errno_of(handle), EIO) << what;
      return;
    }
    // Some blocks may be whole: they read as what they are, and one of them does not read.
    bool failed = false;
    for (std::uint64_t offset = 0; offset < text_.size(); offset += 500) {
      const auto piece = read_at(found->node, *handle, offset, 500);
      if (piece) {
        EXPECT_TRUE(*piece == text_.substr(offset, 500)) << what;
      }
      failed |= !piece;
      if (!piece) {
        EXPECT_EQ(errno_of(piece), EIO) << what;
      }
    }
    EXPECT_TRUE(failed) << what;
    fs_->release(found->node, *handle);
  }
  const std::string text_ = pattern(20000);
};

TEST_F(FileSystemTampering, AFlippedByteIsEIO) {
  const auto path = make_victim("victim", text_);
  const std::string whole = bytes_of(path);
  for (std::size_t at = 0; at < whole.size() / 4096 * 4096; at += at < 1024 ? 37 : 997) {
    if (at >= 152 && at < 512) continue;  // zeros of the key section's room are looked at below
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    set_bytes(path, changed);
    expect_corrupt("victim", "byte " + std::to_string(at));
    remount();
  }
  set_bytes(path, whole);
  EXPECT_EQ(*content("victim"), text_);
}

TEST_F(FileSystemTampering, BlocksSwappedMovedCopiedOrZeroedAreEIO) {
  const auto path = make_victim("victim", text_);
  const auto other = make_victim("other", pattern(20000, 9));
  const std::string whole = bytes_of(path);
  const auto page = [](const std::string& bytes, std::size_t index) {
    return bytes.substr(index * 4096, 4096);
  };
  const auto with_page = [&](std::size_t index, const std::string& bytes) {
    return std::string(whole).replace(index * 4096, 4096, bytes);
  };
  set_bytes(path, std::string(with_page(1, page(whole, 2))).replace(2 * 4096, 4096, page(whole, 1)));
  expect_corrupt("victim", "swapped");
  set_bytes(path, with_page(1, page(bytes_of(other), 1)));
  expect_corrupt("victim", "copied from another file");
  set_bytes(path, with_page(3, std::string(4096, '\0')));
  expect_corrupt("victim", "zeroed");
  set_bytes(path, with_page(0, std::string(4096, '\0')));
  expect_corrupt("victim", "header zeroed");
  set_bytes(path, std::string(whole).replace(0, 1024, bytes_of(other).substr(0, 1024)));
  expect_corrupt("victim", "header of another file");
}

TEST_F(FileSystemTampering, AFileCutOrGrownIsEIO) {
  const auto path = make_victim("victim", text_);
  const std::string whole = bytes_of(path);
  for (const std::size_t size :
       {0UL, 1UL, 1024UL, 4095UL, 4096UL, 4097UL, 8192UL, 12288UL, whole.size() - 1}) {
    set_bytes(path, whole.substr(0, size));
    remount();
    ASSERT_TRUE(entry_of("victim").ok());
    EXPECT_EQ(errno_of(content("victim")), EIO) << size;
  }
  for (const std::size_t more : {1UL, 100UL, 4096UL, 100000UL}) {
    set_bytes(path, whole + std::string(more, '\0'));
    remount();
    EXPECT_EQ(errno_of(content("victim")), EIO) << more;
  }
  EXPECT_TRUE(fs_->unlink(kRootNode, "victim").ok()) << "what is corrupt can still be removed";
}

TEST_F(FileSystemTampering, AWrappedDataKeyOfAnotherFileIsEIO) {
  const auto path = make_victim("victim", text_);
  const auto other = make_victim("other", text_);
  // The key section stands after the fixed fields.
  std::string changed = bytes_of(path);
  changed.replace(152, 360, bytes_of(other).substr(152, 360));
  set_bytes(path, changed);
  expect_corrupt("victim", "another file's wrapped data key");
}

TEST_F(FileSystemTampering, AMasterKeyThatTheVolumeDoesNotAllowIsRefusedBeforeTheKmsIsAsked) {
  const auto path = make_victim("victim", text_);
  const std::string foreign = server_.create_key();
  ASSERT_EQ(foreign.size(), key_.size());
  std::string changed = bytes_of(path);
  const auto at = changed.find(key_);
  ASSERT_NE(at, std::string::npos);
  set_bytes(path, changed.replace(at, foreign.size(), foreign));
  const auto before = kms_calls();
  EXPECT_EQ(errno_of(content("victim")), EIO);
  EXPECT_EQ(kms_calls(), before);
}

TEST_F(FileSystemTampering, AFileOfAnotherVolumeIsEIO) {
  const auto path = make_victim("victim", text_);
  testing::TemporaryDirectory elsewhere;
  const UniqueFd there = elsewhere.open();
  auto volume = Volume::create(disk_, there.get(), kms_, key_, "fake:memory");
  ASSERT_TRUE(volume.ok());
  auto other =
      FileSystem::make(disk_, elsewhere.open(), **volume, *keys_, clock_, make_null_logger(), options_);
  ASSERT_TRUE(other.ok());
  auto created = (*other)->create(kRootNode, "foreign", 0644, O_RDWR, caller_);
  ASSERT_TRUE(created.ok());
  ASSERT_TRUE((*other)->write(created->entry.node, created->handle, 0, as_bytes(text_)).ok());
  (*other)->release(created->entry.node, created->handle);
  for (const auto& entry : filesystem::directory_iterator(elsewhere.path())) {
    if (entry.path().filename().string()[0] != '.') set_bytes(path, bytes_of(entry.path()));
  }
  expect_corrupt("victim", "another volume's file");
}

TEST_F(FileSystemTampering, AKmsThatLiesIsFoundOutByTheCommitment) {
  make_victim("victim", text_);
  server_.set_lying(true);
  EXPECT_EQ(errno_of(content("victim")), EIO);
}

TEST_F(FileSystemTampering, WhatIsPlantedInAFilesPlaceIsNeverOpened) {
  const auto path = make_victim("victim", text_);
  const filesystem::path outside = filesystem::temp_directory_path() / "kmsfs-outside";
  set_bytes(outside, pattern(5000));
  const NodeId node = node_of("victim");
  const auto replaced = [&](auto&& plant, mode_t type) {
    filesystem::remove(path);
    plant();
    EXPECT_EQ(errno_of(open(node, O_RDWR)), ESTALE) << type;
    auto found = entry_of("victim");
    ASSERT_TRUE(found.ok());
    EXPECT_NE(found->node, node);
    EXPECT_EQ(found->attributes.st_mode & S_IFMT, type);
    EXPECT_NE(errno_of(open(found->node, O_RDWR)), 0);
    if (type == S_IFLNK) {
      EXPECT_EQ(errno_of(fs_->read_link(found->node)), EIO);
    }
  };
  replaced([&] { ::mkfifo(path.c_str(), 0666); }, S_IFIFO);
  replaced([&] { filesystem::create_symlink(outside, path); }, S_IFLNK);
  replaced([&] { filesystem::create_directory(path); }, S_IFDIR);
  if (::geteuid() == 0) replaced([&] { ::mknod(path.c_str(), S_IFCHR | 0666, makedev(1, 5)); }, S_IFCHR);
  EXPECT_EQ(bytes_of(outside), pattern(5000));
  filesystem::remove(outside);
}

TEST_F(FileSystemTampering, ARacerThatPlantsThingsIsNeverFollowed) {
  const auto path = make_victim("victim", text_);
  const filesystem::path aside = path.string() + ".aside", fifo = path.string() + ".fifo";
  const filesystem::path link = path.string() + ".link";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0666), 0);
  filesystem::create_symlink("/etc/passwd", link);
  std::atomic<bool> stop{false};
  std::thread racer([&] {
    while (!stop) {
      for (const auto& planted : {fifo, link}) {
        ::rename(path.c_str(), aside.c_str());
        ::rename(planted.c_str(), path.c_str());
        ::rename(path.c_str(), planted.c_str());
        ::rename(aside.c_str(), path.c_str());
      }
      std::this_thread::yield();
    }
  });
  int whole = 0;
  // 3,000 rounds, and more where the racer, not the reader, always had the processor while the file was in
  // its place.
  for (int round = 0; round < 3000 || (whole == 0 && round < 1'000'000); ++round) {
    auto found = entry_of("victim");
    if (!found) continue;
    const auto text = content(found->node);
    if (text) {
      EXPECT_TRUE(text_.starts_with(*text));  // short if its size could not be asked in between
      ++whole;
    }
  }
  stop = true;
  racer.join();
  EXPECT_EQ(*content("victim"), text_);
  EXPECT_GT(whole, 0);
}

TEST_F(FileSystemTampering, AnUndecryptableNameIsShownAndCanBeRemoved) {
  make_file("good", "text");
  directory_.write("AAAA-not-one-of-ours", "x");
  directory_.write(std::string(255, 'B'), "x");
  directory_.write(".kmsfs-long." + std::string(43, 'C'), "no side link");
  filesystem::create_directory(directory_.path() / "planted");
  const auto shown = names();
  ASSERT_EQ(shown.size(), 5U);
  EXPECT_EQ(std::count(shown.begin(), shown.end(), "good"), 1);
  EXPECT_EQ(fs_->figures().unreadable_names, 4U);
  for (const auto& name : shown) {
    if (name == "good") continue;
    EXPECT_EQ(name.rfind(".kmsfs-unreadable.", 0), 0U) << name;
    EXPECT_LE(name.size(), 255U);
    auto found = fs_->lookup(kRootNode, name);
    ASSERT_TRUE(found.ok()) << name;
    if (S_ISDIR(found->attributes.st_mode)) {
      EXPECT_TRUE(fs_->remove_directory(kRootNode, name).ok());
    } else {
      EXPECT_EQ(errno_of(open(found->node)), EIO);
      EXPECT_TRUE(fs_->unlink(kRootNode, name).ok());
    }
  }
  EXPECT_EQ(names(), std::vector<std::string>{"good"});
  EXPECT_EQ(errno_of(fs_->lookup(kRootNode, ".kmsfs-unreadable.AAAA-not-one-of-ours")), ENOENT);
  const NodeId own = make_file(".kmsfs-unreadable.mine", "a user's own");
  EXPECT_EQ(fs_->lookup(kRootNode, ".kmsfs-unreadable.mine")->node, own);
}

TEST_F(FileSystemTampering, ADirectoryThatLostItsIdListsAndEmptiesButTakesNothingNew) {
  const NodeId directory = make_directory(kRootNode, "directory");
  make_file(directory, "file", "text");
  filesystem::remove(stored(directory) / ".kmsfs-dir");
  remount();
  const NodeId again = node_of("directory");
  EXPECT_EQ(errno_of(fs_->lookup(again, "file")), EIO);
  EXPECT_EQ(errno_of(create(again, "new")), EIO);
  const auto shown = names(again);
  ASSERT_EQ(shown.size(), 1U);
  EXPECT_TRUE(fs_->unlink(again, shown[0]).ok());
  EXPECT_TRUE(fs_->remove_directory(kRootNode, "directory").ok());
}

TEST_F(FileSystemTampering, AnEmptyDirectoryWithoutAnIdGetsOneAndKeepsIt) {
  make_directory(kRootNode, "directory");
  const auto at = stored(node_of("directory"));
  filesystem::remove(at / ".kmsfs-dir");
  remount();
  EXPECT_TRUE(names(node_of("directory")).empty());
  EXPECT_FALSE(filesystem::exists(filesystem::symlink_status(at / ".kmsfs-dir"))) << "a listing wrote";
  EXPECT_EQ(errno_of(entry_of("directory/x")), ENOENT);
  make_file(node_of("directory"), "file", "text");
  const auto id = filesystem::read_symlink(at / ".kmsfs-dir");
  remount();
  EXPECT_EQ(*content("directory/file"), "text");
  EXPECT_EQ(filesystem::read_symlink(at / ".kmsfs-dir"), id);
}

TEST_F(FileSystemTampering, NoIdIsMadeWhereEntriesStand) {
  const NodeId directory = make_directory(kRootNode, "directory");
  make_file(directory, "file", "text");
  const auto at = stored(directory);
  filesystem::remove(at / ".kmsfs-dir");
  remount();
  EXPECT_EQ(errno_of(create(node_of("directory"), "new")), EIO);
  EXPECT_EQ(names(node_of("directory")).size(), 1U);
  EXPECT_FALSE(filesystem::exists(filesystem::symlink_status(at / ".kmsfs-dir")));
}

TEST_F(FileSystemTampering, SwappedDirectoryIdsMakeNamesUnreadableAndNotOthers) {
  const NodeId a = make_directory(kRootNode, "a");
  const NodeId b = make_directory(kRootNode, "b");
  make_file(a, "in a", "text");
  make_file(b, "in b", "text");
  const auto id_of_a = stored(a) / ".kmsfs-dir", id_of_b = stored(b) / ".kmsfs-dir";
  const auto aside = stored(a) / ".kmsfs-name.aside";
  remount();
  filesystem::rename(id_of_a, aside);
  filesystem::rename(id_of_b, id_of_a);
  filesystem::rename(aside, id_of_b);
  for (const char* directory : {"a", "b"}) {
    const auto shown = names(node_of(directory));
    ASSERT_EQ(shown.size(), 1U);
    EXPECT_EQ(shown[0].rfind(".kmsfs-unreadable.", 0), 0U);
  }
  EXPECT_EQ(errno_of(fs_->lookup(node_of("a"), "in a")), ENOENT);
}

TEST_F(FileSystemTampering, IdAndSideLinksThatAreFifosOrLeadElsewhereDoNotHang) {
  const NodeId directory = make_directory(kRootNode, "directory");
  const std::string long_name(255, 'L');
  const NodeId file = make_file(directory, long_name, "text");
  const auto at = stored(directory);
  const auto side = at / Volume::side_link_of(stored(file).filename().string());
  ASSERT_TRUE(filesystem::is_symlink(side));
  remount();
  filesystem::remove(side);
  ASSERT_EQ(::mkfifo(side.c_str(), 0666), 0);
  EXPECT_EQ(names(node_of("directory"))[0].rfind(".kmsfs-unreadable.", 0), 0U);
  EXPECT_EQ(*content("directory/" + long_name), "text") << "its name says where it is";
  filesystem::remove(side);
  filesystem::create_symlink("/etc/passwd", side);
  EXPECT_EQ(names(node_of("directory"))[0].rfind(".kmsfs-unreadable.", 0), 0U);
  filesystem::remove(at / ".kmsfs-dir");
  ASSERT_EQ(::mkfifo((at / ".kmsfs-dir").c_str(), 0666), 0);
  remount();
  EXPECT_EQ(errno_of(entry_of("directory/x")), EIO);
  filesystem::remove(at / ".kmsfs-dir");
  filesystem::create_symlink("/etc/passwd", at / ".kmsfs-dir");
  EXPECT_EQ(errno_of(entry_of("directory/x")), EIO);
  EXPECT_EQ(names(node_of("directory")).size(), 1U);
}

TEST_F(FileSystemTampering, XattrsMovedBetweenFilesDoNotOpen) {
  const NodeId one = make_file("one"), two = make_file("two");
  if (!fs_->set_xattr(one, "user.name", as_bytes("value"), 0)) GTEST_SKIP() << "no xattrs below";
  const UniqueFd from(::open(stored(one).c_str(), O_RDONLY)), to(::open(stored(two).c_str(), O_RDONLY));
  const auto name = disk_.list_xattr(from.get())->front();
  ASSERT_TRUE(disk_.set_xattr(to.get(), name, *disk_.get_xattr(from.get(), name), 0).ok());
  EXPECT_TRUE(fs_->list_xattr(two)->empty());
  EXPECT_EQ(errno_of(fs_->get_xattr(two, "user.name")), ENODATA);
  ASSERT_TRUE(fs_->set_xattr(two, "user.name", as_bytes("other"), 0).ok());
  const auto names_of_two = *disk_.list_xattr(to.get());
  for (const auto& stored_name : names_of_two) {
    if (stored_name != name) {
      ASSERT_TRUE(disk_.set_xattr(to.get(), stored_name, *disk_.get_xattr(from.get(), name), 0).ok());
    }
  }
  EXPECT_EQ(errno_of(fs_->get_xattr(two, "user.name")), EIO);
}

TEST_F(FileSystemTampering, ACrashOfThisHostIsRepairedAndOnlyWithinItsTime) {
  const auto path = make_victim("victim", text_);
  auto created = create(kRootNode, "never written");
  const auto fresh = stored(created->entry.node);
  crash();
  // The last block reached the disk, the size did not; and a file that was made lost its first write.
  std::string whole = bytes_of(path);
  set_bytes(path, whole.substr(0, 8192 + 100));
  set_bytes(fresh, "");
  mount();
  EXPECT_EQ(errno_of(content("victim")), EIO);
  EXPECT_EQ(errno_of(content("never written")), EIO);
  unmount();
  options_.recover = true;
  options_.recover_since = {4102444800, 0};  // later than both
  mount();
  EXPECT_EQ(errno_of(content("victim")), EIO);
  unmount();
  options_.recover_since = {0, 0};
  mount();
  EXPECT_EQ(*content("never written"), "");
  EXPECT_EQ(content("victim")->size(), 3032U + 100);
  EXPECT_EQ(fs_->figures().repaired, 2U);
  unmount();
  options_.recover = false;
  mount();
  EXPECT_EQ(*content("never written"), "");
  EXPECT_EQ(content("victim")->size(), 3032U + 100);
}

}  // namespace
}  // namespace kmsfs
