// A volume of mode branch: when the KMS is asked, whom a withdrawal reaches, and what two principals see.
#include <thread>

#include "fs/branch_keys.h"
#include "fs/file_header.h"
#include "tests/fs/file_system_fixture.h"

namespace kmsfs {
namespace {

using std::chrono::seconds;

// Another principal's mount of the same backing directory, with a cache of its own.
struct OtherMount {
  OtherMount(testing::FakeKmsServer& server, const std::string& principal, Disk& disk, const Clock& clock,
             const testing::TemporaryDirectory& directory)
      : kms(server, principal) {
    const UniqueFd backing = directory.open();
    volume = std::move(*Volume::open(disk, backing.get(), kms));
    KeyCache::Options cache;
    cache.maintenance_thread = false;
    keys = std::move(*KeyCache::make(kms, clock, make_null_logger(), cache));
    FileSystem::Options options;
    options.maintenance_thread = false;
    system = std::move(
        *FileSystem::make(disk, directory.open(), *volume, *keys, clock, make_null_logger(), options));
  }
  Result<Entry> find(NodeId parent, const std::string& name) { return system->lookup(parent, name); }
  Result<std::string> content(const Entry& entry) {
    auto handle = system->open(entry.node, O_RDONLY);
    if (!handle) return std::move(handle).error();
    Bytes buffer(static_cast<std::size_t>(entry.attributes.st_size) + 100);
    auto got = system->read(entry.node, *handle, 0, buffer);
    system->release(entry.node, *handle);
    if (!got) return std::move(got).error();
    return std::string(as_text(ByteView(buffer).first(*got)));
  }

  testing::FakeKms kms;
  std::unique_ptr<Volume> volume;
  std::unique_ptr<KeyCache> keys;
  std::unique_ptr<FileSystem> system;
};

class FileSystemBranch : public FileSystemTest {
 protected:
  FileSystemBranch() : FileSystemTest(KeyMode::kBranch) {}
  void probe() {
    clock_.advance(seconds(31));
    keys_->maintain();
    fs_->maintain();
  }
  FileHeader header_of(NodeId node) {
    const std::string bytes = bytes_of(stored(node));
    auto header = FileHeader::parse(as_bytes(bytes));
    EXPECT_TRUE(header.ok());
    return header ? std::move(*header) : FileHeader();
  }
  BranchId branch_of(NodeId node) { return header_of(node).key_section.sealed_data_key->branch; }
  void put_header(NodeId node, const FileHeader& header) {
    std::string bytes = bytes_of(stored(node));
    ASSERT_TRUE(header.serialize(std::as_writable_bytes(std::span(bytes)).first(header.header_size)).ok());
    set_bytes(stored(node), bytes);
  }
};

TEST_F(FileSystemBranch, TheVolumeSaysSoAndIsBelieved) {
  EXPECT_EQ(volume_->parameters().mode, KeyMode::kBranch);
  const auto path = directory_.path() / ".kmsfs/volume";
  std::string text = bytes_of(path);
  const auto at = text.find("\"branch\"");
  ASSERT_NE(at, std::string::npos);
  unmount();
  text.replace(at, 8, "\"per-file\"");
  set_bytes(path, text);
  auto volume = Volume::open(disk_, backing_.get(), kms_);
  ASSERT_FALSE(volume.ok());
  EXPECT_EQ(volume.error().kind, Kind::kCorrupt) << "the mode is under the MAC";
}

TEST_F(FileSystemBranch, HundredFilesAskTheKmsOnceToBeMadeAndOnceToBeRead) {
  const NodeId directory = make_directory(kRootNode, "directory");
  const NodeId deeper = make_directory(directory, "deeper");
  const auto start = kms_calls();
  for (int i = 0; i < 100; ++i)
    make_file(i % 2 == 0 ? directory : deeper, "file" + std::to_string(i), pattern(100, i));
  EXPECT_EQ(kms_calls(), start + 1);
  remount();
  const auto before = kms_calls();
  for (int i = 0; i < 100; ++i) {
    const std::string place = i % 2 == 0 ? "directory/file" : "directory/deeper/file";
    EXPECT_EQ(*content(place + std::to_string(i)), pattern(100, i));
  }
  EXPECT_EQ(kms_calls(), before + 1);
}

TEST_F(FileSystemBranch, NoOtherOperationAsksTheKms) {
  const NodeId directory = make_directory(kRootNode, "directory");
  make_file(directory, "file", pattern(5000));
  remount();
  const auto before = kms_calls();
  const NodeId node = node_of("directory/file");
  ASSERT_TRUE(fs_->get_attributes(node).ok());
  names(node_of("directory"));
  AttributeChange change;
  change.mode = 0600;
  ASSERT_TRUE(fs_->set_attributes(node, change, caller_).ok());
  ASSERT_TRUE(fs_->information(node).ok());
  ASSERT_TRUE(fs_->rename(node_of("directory"), "file", kRootNode, "moved", 0).ok());
  ASSERT_TRUE(fs_->make_link(node, kRootNode, "second", caller_).ok());
  ASSERT_TRUE(fs_->unlink(kRootNode, "second").ok());
  EXPECT_EQ(kms_calls(), before);
  auto handle = open(node, O_RDWR);
  ASSERT_TRUE(handle.ok());
  EXPECT_EQ(kms_calls(), before + 1);
  ASSERT_TRUE(write_at(node, *handle, 100, "x").ok());
  ASSERT_TRUE(fs_->sync(node, *handle, false).ok());
  fs_->release(node, *handle);
  EXPECT_EQ(kms_calls(), before + 1);
}

TEST_F(FileSystemBranch, SubtreesHaveBranchKeysOfTheirOwnAndAMovedFileKeepsIts) {
  const NodeId one = make_directory(kRootNode, "one");
  const NodeId two = make_directory(kRootNode, "two");
  const NodeId inner = make_directory(one, "inner");
  const NodeId a = make_file(one, "a", "a");
  const NodeId b = make_file(inner, "b", "b");
  const NodeId c = make_file(two, "c", "c");
  const NodeId d = make_file("d", "d");
  EXPECT_EQ(branch_of(a), branch_of(b));
  EXPECT_NE(branch_of(a), branch_of(c));
  EXPECT_NE(branch_of(a), branch_of(d));
  EXPECT_NE(branch_of(c), branch_of(d));
  const BranchId before = branch_of(a);
  ASSERT_TRUE(fs_->rename(one, "a", two, "a", 0).ok());
  EXPECT_EQ(branch_of(a), before);
  remount();
  EXPECT_EQ(*content("two/a"), "a");
  EXPECT_EQ(fs_->information(node_of("two/a"))->branch, before);
}

TEST_F(FileSystemBranch, AFileWithoutANameIsReadAgainOnceItHasOne) {
  auto made = fs_->create_unnamed(kRootNode, 0600, O_RDWR, caller_);
  ASSERT_TRUE(made.ok()) << made.error().text;
  ASSERT_TRUE(write_at(made->entry.node, made->handle, 0, "text").ok());
  ASSERT_TRUE(fs_->make_link(made->entry.node, kRootNode, "named", caller_).ok());
  fs_->release(made->entry.node, made->handle);
  remount();
  EXPECT_EQ(*content("named"), "text");
}

TEST_F(FileSystemBranch, ADisabledMasterKeyStopsEveryFileUnderItAndEnablingHealsThem) {
  const NodeId one = make_file("one", pattern(9000));
  const NodeId two = make_file(make_directory(kRootNode, "directory"), "two", pattern(9000));
  auto first = open(one, O_RDWR);
  auto second = open(two, O_RDWR);
  server_.disable(key_);
  probe();
  for (const auto& [node, handle] : {std::pair(one, *first), std::pair(two, *second)}) {
    EXPECT_EQ(errno_of(read_at(node, handle, 0, 10)), EKEYREVOKED);
    EXPECT_EQ(errno_of(write_at(node, handle, 0, "x")), EKEYREVOKED);
    EXPECT_EQ(errno_of(open(node)), EKEYREVOKED);
  }
  EXPECT_EQ(errno_of(create(kRootNode, "new")), EKEYREVOKED);
  EXPECT_EQ(keys_->figures().entries, 0U) << "wiped";
  server_.enable(key_);
  probe();
  EXPECT_EQ(read_at(one, *first, 0, 9000)->size(), 9000U);
  ASSERT_TRUE(write_at(two, *second, 0, "x").ok());
  fs_->release(one, *first);
  fs_->release(two, *second);
  make_file("new", "text");
  remount();
  EXPECT_EQ((*content("directory/two"))[0], 'x');
  EXPECT_EQ(*content("new"), "text");
}

TEST_F(FileSystemBranch, WhatIsRevokedByHandFailsAtOnceInEveryOpenFileOfTheBranch) {
  std::vector<std::pair<NodeId, HandleId>> files;
  for (int i = 0; i < 20; ++i) {
    const NodeId node = make_file("file" + std::to_string(i), "text");
    files.emplace_back(node, *open(node));
  }
  server_.deny(kms_.name(), key_);
  keys_->revoke_all(error(Kind::kDenied, "revoked by hand"));
  for (const auto& [node, handle] : files) EXPECT_EQ(errno_of(read_at(node, handle, 0, 4)), EACCES);
  for (const auto& [node, handle] : files) fs_->release(node, handle);
}

TEST_F(FileSystemBranch, TheAgeOfTheBranchKeyIsThatOfEveryFileUnderIt) {
  const NodeId one = make_file("one", "text");
  const NodeId two = make_file("two", "text");
  auto first = open(one);
  auto second = open(two);
  server_.set_reachable(false);
  clock_.advance(seconds(301));
  EXPECT_EQ(errno_of(read_at(one, *first, 0, 4)), EKEYEXPIRED);
  EXPECT_EQ(errno_of(read_at(two, *second, 0, 4)), EKEYEXPIRED);
  server_.set_reachable(true);
  clock_.advance(seconds(2));
  const auto before = kms_calls();
  EXPECT_EQ(*read_at(one, *first, 0, 4), "text");
  EXPECT_EQ(*read_at(two, *second, 0, 4), "text");
  EXPECT_EQ(kms_calls(), before + 1) << "one Decrypt heals both";
  fs_->release(one, *first);
  fs_->release(two, *second);
}

TEST_F(FileSystemBranch, TwoPrincipalsReadEachOthersFilesEachByTheirOwnDecrypt) {
  make_file("alices", "from alice");
  OtherMount bob(server_, "arn:aws:iam::444455556666:user/bob", disk_, clock_, directory_);
  const auto start = server_.counters().decrypts.load();
  auto entry = bob.find(kRootNode, "alices");
  ASSERT_TRUE(entry.ok());
  EXPECT_EQ(*bob.content(*entry), "from alice");
  EXPECT_EQ(server_.counters().decrypts, start + 1) << "what alice's cache holds does not serve bob";

  auto made = bob.system->create(kRootNode, "bobs", 0644, O_RDWR | O_EXCL, caller_);
  ASSERT_TRUE(made.ok());
  ASSERT_TRUE(bob.system->write(made->entry.node, made->handle, 0, as_bytes("from bob")).ok());
  bob.system->release(made->entry.node, made->handle);
  EXPECT_EQ(*content("bobs"), "from bob");
  EXPECT_NE(branch_of(node_of("bobs")), branch_of(node_of("alices"))) << "each makes branch keys of its own";
  EXPECT_EQ(server_.counters().decrypts, start + 2);
}

TEST_F(FileSystemBranch, APrincipalWithoutPermissionReadsNothingAndDoesNotDisturbTheOther) {
  const NodeId node = make_file("alices", "from alice");
  OtherMount bob(server_, "arn:aws:iam::444455556666:user/bob", disk_, clock_, directory_);
  server_.deny(bob.kms.name(), key_);
  auto entry = bob.find(kRootNode, "alices");
  ASSERT_TRUE(entry.ok()) << "names need no file's key";
  EXPECT_EQ(errno_of(bob.content(*entry)), EACCES);
  EXPECT_EQ(errno_of(bob.system->create(kRootNode, "new", 0644, O_RDWR, caller_)), EACCES);
  EXPECT_EQ(*content(node), "from alice");
}

TEST_F(FileSystemBranch, WhoMayOnlyMakeKeysFillsADropBoxAndCannotReadOthersFiles) {
  make_file("alices", "from alice");
  server_.deny_generate("arn:aws:iam::444455556666:user/reader", key_);
  OtherMount reader(server_, "arn:aws:iam::444455556666:user/reader", disk_, clock_, directory_);
  EXPECT_EQ(*reader.content(*reader.find(kRootNode, "alices")), "from alice");
  EXPECT_EQ(errno_of(reader.system->create(kRootNode, "new", 0644, O_RDWR, caller_)), EACCES);
}

// Mallory, who may write into the backing directory.
TEST_F(FileSystemBranch, AKeySectionOfAnotherFileOpensNothing) {
  const NodeId one = make_file("one", "one's text");
  const NodeId two = make_file("two", "two's text");
  ASSERT_EQ(branch_of(one), branch_of(two));
  FileHeader header = header_of(one);
  header.key_section = header_of(two).key_section;
  put_header(one, header);
  remount();
  EXPECT_EQ(errno_of(content("one")), EIO);
  EXPECT_EQ(*content("two"), "two's text");
}

TEST_F(FileSystemBranch, AnyByteOfTheKeySectionChangedOpensNothing) {
  const NodeId node = make_file("file", "text");
  const auto path = stored(node);
  const std::string good = bytes_of(path);
  const FileHeader header = header_of(node);
  const std::size_t end = 238 + header.key_section.key_arn.size() + header.key_section.wrapped_key.size();
  for (std::size_t at = 152; at < end; at += 3) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    set_bytes(path, bad);
    remount();
    const int problem = errno_of(content("file"));
    EXPECT_TRUE(problem == EIO || problem == EOPNOTSUPP) << at << ": " << problem;
  }
  set_bytes(path, good);
  remount();
  EXPECT_EQ(*content("file"), "text");
}

TEST_F(FileSystemBranch, AFileThatACrashLeftWithoutAHeaderGetsAKeyAgain) {
  const NodeId node = make_file("file");
  const auto path = stored(node);
  crash();
  set_bytes(path, std::string(kPageSize, '\0'));
  options_.recover = true;
  mount();
  EXPECT_EQ(*content("file"), "");
  auto handle = open(node_of("file"), O_RDWR);
  ASSERT_TRUE(write_at(node_of("file"), *handle, 0, "new").ok());
  fs_->release(node_of("file"), *handle);
  options_.recover = false;
  remount();
  EXPECT_EQ(*content("file"), "new");
}

using FileSystemPerFile = FileSystemTest;

TEST_F(FileSystemPerFile, ABranchKeyIsRefusedWhereEachFileWasPromisedAKeyAtTheKms) {
  const NodeId node = make_file("file", "text");
  // All that a principal with permission could put there.
  const BranchId branch = BranchId::random();
  auto branch_key = kms_.generate_data_key(key_, branch_context(volume_->parameters().id, branch));
  ASSERT_TRUE(branch_key.ok());
  std::string bytes = bytes_of(stored(node));
  auto header = FileHeader::parse(as_bytes(bytes));
  ASSERT_TRUE(header.ok());
  auto data_key = unwrap_file_key(*keys_, *volume_, *header)->data_key();
  ASSERT_TRUE(data_key.ok());
  auto sealed =
      seal_data_key(branch_key->key, branch, {header->suite, header->volume_id, header->file_id}, *data_key);
  ASSERT_TRUE(sealed.ok());
  header->key_section = {key_, branch_key->wrapped.blob, *sealed};
  ASSERT_TRUE(header->serialize(std::as_writable_bytes(std::span(bytes)).first(header->header_size)).ok());
  set_bytes(stored(node), bytes);
  remount();
  EXPECT_EQ(errno_of(content("file")), EIO);
}

}  // namespace
}  // namespace kmsfs
