// A file system on a real directory, with a KMS in memory and a clock that stands still: what a mount is,
// without the kernel.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "fs/errno.h"
#include "fs/file_system.h"
#include "tests/support/failing_disk.h"
#include "tests/support/fake_kms.h"
#include "tests/support/temporary_directory.h"

namespace kmsfs {

template <typename T>
int errno_of(const Result<T>& result) {
  return result ? 0 : to_errno(result.error());
}

inline std::string pattern(std::size_t size, unsigned seed = 1) {
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>('a' + (seed = seed * 1103515245 + 12345) / 65536 % 26);
  return text;
}

class FileSystemTest : public ::testing::Test {
 protected:
  explicit FileSystemTest(KeyMode mode = KeyMode::kPerFile) {
    options_.maintenance_thread = false;
    auto made = Volume::create(disk_, backing_.get(), kms_, key_, "fake:memory", mode);
    EXPECT_TRUE(made.ok()) << (made ? "" : made.error().text);
    mount();
  }
  ~FileSystemTest() override { unmount(); }

  void mount() {
    auto volume = Volume::open(disk_, backing_.get(), kms_);
    ASSERT_TRUE(volume.ok()) << volume.error().text;
    volume_ = std::move(*volume);
    KeyCache::Options cache;
    cache.maintenance_thread = false;
    auto keys = KeyCache::make(kms_, clock_, make_null_logger(), cache);
    ASSERT_TRUE(keys.ok()) << keys.error().text;
    keys_ = std::move(*keys);
    auto system =
        FileSystem::make(disk_, directory_.open(), *volume_, *keys_, clock_, make_null_logger(), options_);
    ASSERT_TRUE(system.ok()) << system.error().text;
    fs_ = std::move(*system);
  }
  void unmount() {
    if (fs_ != nullptr) fs_->shut_down();
    fs_.reset();
    keys_.reset();
    volume_.reset();
  }
  void remount() {
    unmount();
    mount();
  }
  // As after kill -9: nothing is written any more.
  void crash() {
    fs_.reset();
    keys_.reset();
    volume_.reset();
  }

  // The node of a path below the root; the lookups are never given back.
  Result<Entry> entry_of(const std::string& path) {
    Entry entry;
    entry.node = kRootNode;
    auto root = fs_->get_attributes(kRootNode);
    if (!root) return std::move(root).error();
    entry.attributes = *root;
    for (const auto& name : std::filesystem::path(path)) {
      auto found = fs_->lookup(entry.node, name.string());
      if (!found) return found;
      entry = *found;
    }
    return entry;
  }
  NodeId node_of(const std::string& path) {
    auto found = entry_of(path);
    EXPECT_TRUE(found.ok()) << path;
    return found ? found->node : 0;
  }

  Result<Created> create(NodeId parent, const std::string& name, mode_t mode = 0644,
                         int flags = O_RDWR | O_EXCL) {
    return fs_->create(parent, name, mode, flags, caller_);
  }
  Result<void> write_at(NodeId node, HandleId handle, std::uint64_t offset, std::string_view text) {
    return fs_->write(node, handle, offset, as_bytes(text));
  }
  Result<std::string> read_at(NodeId node, HandleId handle, std::uint64_t offset, std::size_t size) {
    Bytes buffer(size);
    auto got = fs_->read(node, handle, offset, buffer);
    if (!got) return std::move(got).error();
    return std::string(as_text(ByteView(buffer).first(*got)));
  }
  // Made, written and closed.
  NodeId make_file(NodeId parent, const std::string& name, std::string_view content = {},
                   mode_t mode = 0644) {
    auto created = create(parent, name, mode);
    EXPECT_TRUE(created.ok()) << name << ": " << (created ? "" : created.error().text);
    if (!created) return 0;
    if (!content.empty()) {
      EXPECT_TRUE(write_at(created->entry.node, created->handle, 0, content).ok());
    }
    fs_->release(created->entry.node, created->handle);
    return created->entry.node;
  }
  NodeId make_file(const std::string& name, std::string_view content = {}) {
    return make_file(kRootNode, name, content);
  }
  NodeId make_directory(NodeId parent, const std::string& name, mode_t mode = 0755) {
    auto made = fs_->make_directory(parent, name, mode, caller_);
    EXPECT_TRUE(made.ok()) << name << ": " << (made ? "" : made.error().text);
    return made ? made->node : 0;
  }
  Result<HandleId> open(NodeId node, int flags = O_RDONLY) { return fs_->open(node, flags); }
  Result<std::string> content(NodeId node) {
    auto handle = open(node);
    if (!handle) return std::move(handle).error();
    auto attributes = fs_->get_attributes(node);
    auto text =
        read_at(node, *handle, 0, attributes ? static_cast<std::size_t>(attributes->st_size) + 100 : 100);
    fs_->release(node, *handle);
    return text;
  }
  Result<std::string> content(const std::string& path) {
    auto found = entry_of(path);
    if (!found) return std::move(found).error();
    return content(found->node);
  }
  std::map<std::string, mode_t> list(NodeId directory) {
    std::map<std::string, mode_t> names;
    auto handle = fs_->open_directory(directory);
    EXPECT_TRUE(handle.ok());
    if (!handle) return names;
    auto done = fs_->read_directory(directory, *handle, 0, false, [&](const DirectoryEntry& entry) {
      names[std::string(entry.name)] = entry.type;
      return true;
    });
    EXPECT_TRUE(done.ok()) << (done ? "" : done.error().text);
    fs_->release_directory(directory, *handle);
    return names;
  }
  std::vector<std::string> names(NodeId directory = kRootNode) {
    std::vector<std::string> out;
    for (const auto& [name, type] : list(directory)) {
      if (name != "." && name != "..") out.push_back(name);
    }
    return out;
  }

  // Where a node's bytes stand in the backing directory.
  std::filesystem::path stored(NodeId node) {
    auto attributes = fs_->get_attributes(node);
    EXPECT_TRUE(attributes.ok());
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_.path())) {
      struct stat found {};
      if (::lstat(entry.path().c_str(), &found) == 0 && attributes && found.st_ino == attributes->st_ino) {
        return entry.path();
      }
    }
    ADD_FAILURE() << "a node that stands nowhere";
    return {};
  }
  static std::string bytes_of(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // In place: the file keeps its inode.
  static void set_bytes(const std::filesystem::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }
  std::uint64_t kms_calls() const { return server_.counters().all(); }

  testing::FakeKmsServer server_;
  testing::FakeKms kms_{server_};
  const std::string key_ = server_.create_key();
  ManualClock clock_;
  testing::FailingDisk disk_;
  testing::TemporaryDirectory directory_;
  const UniqueFd backing_ = directory_.open();
  FileSystem::Options options_;
  const Caller caller_{::geteuid(), ::getegid(), 0, 0, {}};
  std::unique_ptr<Volume> volume_;
  std::unique_ptr<KeyCache> keys_;
  std::unique_ptr<FileSystem> fs_;
};

}  // namespace kmsfs
