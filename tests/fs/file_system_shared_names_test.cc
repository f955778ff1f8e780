// Two mounts of one directory make and remove the same directories and long names at the same time: what one
// of them was told is done is there, under its name, for both and for whoever comes later.
#include <atomic>
#include <random>
#include <set>
#include <thread>

#include "tests/fs/file_system_fixture.h"

namespace kmsfs {
namespace {

class FileSystemSharedNames : public FileSystemTest {
 protected:
  FileSystemSharedNames() {
    unmount();
    options_.shared = true;
    mount();
    auto other =
        FileSystem::make(disk_, directory_.open(), *volume_, *keys_, clock_, make_null_logger(), options_);
    EXPECT_TRUE(other.ok());
    if (other) other_ = std::move(*other);
  }
  ~FileSystemSharedNames() override { leave_alone(); }

  // The other mount ends, and whoever comes later finds this.
  void leave_alone() {
    if (other_ != nullptr) other_->shut_down();
    other_.reset();
  }
  void remount_alone() {
    leave_alone();
    remount();
  }

  // Each mount in a thread, from the same moment on.
  template <typename Deed>
  void at_both(Deed deed) {
    std::atomic<int> ready{0};
    std::vector<std::thread> threads;
    for (FileSystem* system : {fs_.get(), other_.get()}) {
      threads.emplace_back([&, system] {
        ++ready;
        while (ready < 2) std::this_thread::yield();
        deed(*system, system == fs_.get() ? 0 : 1);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  // A file; 0 if it was made.
  int make_in(FileSystem& system, NodeId directory, const std::string& name) {
    auto created = system.create(directory, name, 0644, O_RDWR | O_EXCL, caller_);
    if (!created) return errno_of(created);
    system.release(created->entry.node, created->handle);
    return 0;
  }

  std::set<std::string> all_names(NodeId directory) {
    const auto all = names(directory);
    return {all.begin(), all.end()};
  }

  std::unique_ptr<FileSystem> other_;
};

TEST_F(FileSystemSharedNames, OneOfTwoMakesADirectoryAndBothAreInIt) {
  for (int round = 0; round < 200; ++round) {
    const std::string name = std::to_string(round) + std::string(round % 2 == 0 ? 200 : 0, 'n');
    std::atomic<int> made{0};
    at_both([&](FileSystem& system, int which) {
      auto directory = system.make_directory(kRootNode, name, 0755, caller_);
      if (directory) ++made;
      EXPECT_TRUE(directory.ok() || errno_of(directory) == EEXIST) << errno_of(directory);
      auto found = system.lookup(kRootNode, name);
      ASSERT_TRUE(found.ok()) << errno_of(found);
      EXPECT_EQ(make_in(system, found->node, "by " + std::to_string(which)), 0);
    });
    EXPECT_EQ(made, 1);
    for (FileSystem* system : {fs_.get(), other_.get()}) {
      const NodeId directory = system->lookup(kRootNode, name)->node;
      EXPECT_TRUE(system->lookup(directory, "by 0").ok());
      EXPECT_TRUE(system->lookup(directory, "by 1").ok());
    }
  }
  remount_alone();
  EXPECT_EQ(names().size(), 200U);
  EXPECT_EQ(fs_->figures().unreadable_names, 0U);
}

// One makes files in a directory that the other removes again and again.
TEST_F(FileSystemSharedNames, NoFileIsLostInADirectoryThatAnotherMountTriesToRemove) {
  std::set<std::string> kept;
  std::atomic<int> removed{0};
  std::atomic<bool> done{false};
  at_both([&](FileSystem& system, int which) {
    if (which == 1) {
      while (!done) {
        auto gone = system.remove_directory(kRootNode, "directory");
        if (gone) ++removed;
        const int error = errno_of(gone);
        EXPECT_TRUE(error == 0 || error == ENOTEMPTY || error == ENOENT) << error;
      }
      return;
    }
    // 1,500 rounds, and more where the other mount had no turn in which the directory was empty.
    for (int round = 0; round < 1500 || (removed == 0 && round < 100'000); ++round) {
      auto made = system.make_directory(kRootNode, "directory", 0755, caller_);
      auto found = system.lookup(kRootNode, "directory");
      if (!found) continue;
      const std::string name = std::to_string(round) + std::string(round % 3 == 0 ? 200 : 0, 'n');
      const int error = make_in(system, found->node, name);
      EXPECT_TRUE(error == 0 || error == ENOENT || error == ESTALE) << error;
      if (error != 0) continue;
      auto there = system.lookup(found->node, name);
      EXPECT_TRUE(there.ok()) << name << " is gone: " << errno_of(there);
      if (round % 50 == 49 && removed > 0) {
        kept.insert(name);
        break;
      }
      EXPECT_EQ(errno_of(system.unlink(found->node, name)), 0);
    }
    done = true;
  });
  EXPECT_GT(removed, 0);
  remount_alone();
  EXPECT_TRUE(kept.empty() || all_names(node_of("directory")) == kept);
  EXPECT_EQ(fs_->figures().unreadable_names, 0U);
}

TEST_F(FileSystemSharedNames, ALongNameThatOneRemovesAndTheOtherMakesIsReadable) {
  const std::string name(250, 'l');
  at_both([&](FileSystem& system, int which) {
    for (int round = 0; round < 500; ++round) {
      const int error =
          which == 0 ? make_in(system, kRootNode, name) : errno_of(system.unlink(kRootNode, name));
      EXPECT_TRUE(error == 0 || error == (which == 0 ? EEXIST : ENOENT)) << error;
      if (which == 0 && round % 2 == 0) {
        auto moved = system.rename(kRootNode, name, kRootNode, std::string(249, 'm'), 0);
        EXPECT_TRUE(moved.ok() || errno_of(moved) == ENOENT);
      }
    }
  });
  (void)make_in(*fs_, kRootNode, name);
  remount_alone();
  EXPECT_EQ(all_names(kRootNode), (std::set<std::string>{name, std::string(249, 'm')}));
  EXPECT_EQ(fs_->figures().unreadable_names, 0U);
}

// As when the other died between taking the id and removing the directory.
TEST_F(FileSystemSharedNames, ADirectoryWhoseIdWasTakenAwayTakesFilesOfBoth) {
  const NodeId directory = make_directory(kRootNode, "directory");
  const NodeId as_seen_there = other_->lookup(kRootNode, "directory")->node;
  std::filesystem::remove(stored(directory) / ".kmsfs-dir");
  // ESTALE: the kernel asks once more.
  const auto make = [&](FileSystem& system, NodeId in, const std::string& name) {
    const int error = make_in(system, in, name);
    return error == ESTALE ? make_in(system, in, name) : error;
  };
  EXPECT_EQ(make(*other_, as_seen_there, "theirs"), 0);
  EXPECT_EQ(make(*fs_, directory, "mine"), 0);
  remount_alone();
  EXPECT_EQ(all_names(node_of("directory")), (std::set<std::string>{"mine", "theirs"}));
  EXPECT_EQ(fs_->figures().unreadable_names, 0U);
}

}  // namespace
}  // namespace kmsfs
