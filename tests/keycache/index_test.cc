// The index, as another process sees it; and that it never holds a key.
#include "keycache/index.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include <spdlog/sinks/ostream_sink.h>

#include "tests/keycache/key_cache_fixture.h"

namespace kmsfs::testing {

namespace fs = std::filesystem;

class KeyCacheIndex : public KeyCacheTest {
 protected:
  KeyCacheIndex() {
    std::string pattern = fs::exists("/dev/shm") ? "/dev/shm/kmsfs-index-XXXXXX" : "/tmp/kmsfs-index-XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    parent_ = pattern;
    directory_ = parent_ + "/index";
  }
  ~KeyCacheIndex() override {
    cache_.reset();
    fs::remove_all(parent_);
  }

  KeyCache::Options indexed() const {
    KeyCache::Options wanted = options();
    wanted.index_directory = directory_;
    wanted.index_size = 8U << 20;  // these tests read the files whole
    return wanted;
  }

  // In a process of its own, as `kmsfs status` reads it.
  struct Seen {
    bool ok = false;
    Kind kind = Kind::kInternal;
    std::int64_t process_id = 0;
    std::uint64_t entries = 0, pinned = 0, uses = 0, master_keys = 0, keys_held = 0;
    std::int64_t next_deadline = 0;
    bool refused = false;
    char arn[128] = {};
  };
  Seen look() const {
    void* const memory =
        ::mmap(nullptr, sizeof(Seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(memory, MAP_FAILED);
    auto* const seen = new (memory) Seen;
    const pid_t child = ::fork();
    if (child == 0) {
      const auto view = read_index(directory_);
      seen->ok = view.ok();
      if (!view) {
        seen->kind = view.error().kind;
        ::_exit(0);
      }
      seen->process_id = view->process_id;
      seen->entries = view->entries;
      seen->pinned = view->pinned;
      seen->uses = view->uses;
      seen->next_deadline = view->next_deadline ? view->next_deadline->count() : 0;
      seen->master_keys = view->master_keys.size();
      if (!view->master_keys.empty()) {
        seen->keys_held = view->master_keys[0].keys_held;
        seen->refused = view->master_keys[0].refused.has_value();
        view->master_keys[0].key_arn.copy(seen->arn, sizeof seen->arn - 1);
      }
      ::_exit(0);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    const Seen copy = *seen;
    ::munmap(memory, sizeof(Seen));
    return copy;
  }

  std::string bytes_of_files() const {
    std::string all;
    for (const auto& item : fs::directory_iterator(directory_)) {
      std::ifstream in(item.path(), std::ios::binary);
      all.append(std::istreambuf_iterator<char>(in), {});
    }
    return all;
  }

  std::string parent_, directory_;
};

TEST_F(KeyCacheIndex, AnotherProcessSeesWhatIsHeldWhileTheCacheRuns) {
  start(indexed());
  const WrappedFile f = file(key_);
  const KeyHandle handle = unwrap(f);
  unwrap(f);
  unwrap(file(key_, "unpinned"));
  cache_->maintain();
  const Seen seen = look();
  ASSERT_TRUE(seen.ok);
  EXPECT_EQ(seen.process_id, ::getpid());
  EXPECT_EQ(seen.entries, 2U);
  EXPECT_EQ(seen.pinned, 1U);
  EXPECT_EQ(seen.uses, 3U);
  EXPECT_EQ(seen.keys_held, 2U);
  EXPECT_EQ(seen.arn, key_);
  EXPECT_FALSE(seen.refused);
  EXPECT_EQ(seen.next_deadline, (clock_.boot_time() + seconds(300)).count());
}

TEST_F(KeyCacheIndex, WhatIsWipedLeavesNoRowBehind) {
  start(indexed());
  std::vector<KeyHandle> handles;
  for (int i = 0; i < 500; ++i) handles.push_back(unwrap(file(key_, std::to_string(i))));
  cache_->maintain();
  EXPECT_EQ(look().entries, 500U);
  clock_.advance(seconds(100));
  cache_->forget_all();
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(cache_->ensure(handles[static_cast<std::size_t>(i)]).ok());
  cache_->maintain();
  const Seen later = look();
  EXPECT_EQ(later.entries, 10U);
  EXPECT_EQ(later.next_deadline, (clock_.boot_time() + seconds(300)).count()) << "no old deadline is left";
  cache_->revoke_all(error(Kind::kDenied, "revoked by hand"));
  cache_->maintain();
  const Seen last = look();
  EXPECT_EQ(last.entries, 0U);
  EXPECT_EQ(last.next_deadline, 0);
  EXPECT_TRUE(last.refused);
}

TEST_F(KeyCacheIndex, NothingIsWrittenOnTheHotPath) {
  start(indexed());
  cache_->maintain();
  const std::string before = bytes_of_files();
  const WrappedFile f = file(key_);
  const KeyHandle handle = unwrap(f);
  unwrap(f);
  EXPECT_TRUE(handle.check().ok());
  EXPECT_TRUE(bytes_of_files() == before);
  cache_->maintain();
  EXPECT_FALSE(bytes_of_files() == before);
}

TEST_F(KeyCacheIndex, NoKeyIsEverInTheFiles) {
  start(indexed());
  std::vector<KeyHandle> handles;
  for (int i = 0; i < 50; ++i) handles.push_back(unwrap(file(key_, std::to_string(i))));
  cache_->maintain();
  const std::string files = bytes_of_files();
  ASSERT_FALSE(files.empty());
  for (const KeyHandle& handle : handles) {
    auto key = handle.data_key();
    ASSERT_TRUE(key.ok());
    // Halves, too: a key that straddles a page would not be found whole.
    EXPECT_EQ(files.find(as_text(key->reveal().first(16))), std::string::npos);
    EXPECT_EQ(files.find(as_text(key->reveal().last(16))), std::string::npos);
  }
  // The search finds what is there: the ARN of the master key.
  EXPECT_NE(files.find(key_), std::string::npos);
}

TEST_F(KeyCacheIndex, TheDirectoryIsForItsOwnerAloneAndOldFilesAreEmptied) {
  fs::create_directory(directory_);
  ASSERT_EQ(::chmod(directory_.c_str(), 0755), 0);
  std::ofstream(directory_ + "/data.mdb") << "left by a process that was killed";
  std::ofstream(directory_ + "/somebody-elses") << "stays";
  start(indexed());
  struct stat attributes {};
  ASSERT_EQ(::stat(directory_.c_str(), &attributes), 0);
  EXPECT_EQ(attributes.st_mode & 07777U, 0700U);
  ASSERT_EQ(::stat((directory_ + "/data.mdb").c_str(), &attributes), 0);
  EXPECT_EQ(attributes.st_mode & 0777U, 0600U);
  EXPECT_TRUE(fs::exists(directory_ + "/somebody-elses"));
  cache_->maintain();
  EXPECT_TRUE(look().ok);
  cache_.reset();
  EXPECT_FALSE(fs::exists(directory_ + "/data.mdb"));
  EXPECT_EQ(look().kind, Kind::kNotFound);
}

TEST_F(KeyCacheIndex, ASecondCacheOnTheSameDirectoryIsRefused) {
  start(indexed());
  EXPECT_EQ(kind(KeyCache::make(alice_, clock_, make_null_logger(), indexed())), Kind::kBusy);
  cache_.reset();
  EXPECT_EQ(kind(KeyCache::make(alice_, clock_, make_null_logger(), indexed())), std::nullopt);
}

TEST_F(KeyCacheIndex, ALinkInPlaceOfTheDirectoryIsNotFollowed) {
  fs::create_directory(parent_ + "/elsewhere");
  std::ofstream(parent_ + "/elsewhere/data.mdb") << "precious";
  fs::create_symlink(parent_ + "/elsewhere", directory_);
  EXPECT_NE(kind(KeyCache::make(alice_, clock_, make_null_logger(), indexed())), std::nullopt);
  EXPECT_EQ(fs::file_size(parent_ + "/elsewhere/data.mdb"), 8U);
}

TEST_F(KeyCacheIndex, AFullIndexIsGivenUpWithOneLogLineAndTheCacheGoesOn) {
  std::ostringstream log;
  auto logger =
      std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log));
  KeyCache::Options wanted = indexed();
  wanted.index_size = 64U << 10;
  auto made = KeyCache::make(watched_, clock_, logger, wanted);
  ASSERT_TRUE(made.ok()) << made.error().text;
  cache_ = std::move(*made);
  std::vector<KeyHandle> handles;
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 500; ++i) handles.push_back(unwrap(file(key_, std::to_string(round * 500 + i))));
    cache_->maintain();
  }
  for (const KeyHandle& handle : handles) EXPECT_TRUE(handle.check().ok());
  const std::string text = log.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
  EXPECT_NE(text.find("index"), std::string::npos);
  EXPECT_EQ(look().kind, Kind::kNotFound) << "a stale index would tell lies";
}

}  // namespace kmsfs::testing
