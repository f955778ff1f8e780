// Looks for keys wherever a mounted daemon could leave them: its memory, what a core file of it would hold,
// its arguments and environment, its log, its answers, and every file that it writes.
#include <fcntl.h>
#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "core/bytes.h"
#include "fs/disk.h"
#include "fs/file_header.h"
#include "fs/file_key.h"
#include "fs/volume.h"
#include "kms/engine.h"
#include "tests/mount/command_mount.h"
#include "tests/mount/owner_of_kms.h"
#include "tests/support/crypto_environment.h"
#include "tests/support/memory_scan.h"
#include "tests/support/mounted_volume.h"

namespace kmsfs::testing {
namespace {

// Which of the needles stand in a stream of bytes, given in pieces of bounded size.
class Scan {
 public:
  explicit Scan(const std::map<std::string, Needle>& needles) : needles_(needles) {
    for (const auto& needle : needles)
      starts_[static_cast<unsigned char>(needle.second.first())].push_back(&needle);
  }
  void look_at(ByteView bytes, const std::string& where) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      for (const auto* start : starts_[static_cast<unsigned char>(bytes[i])]) {
        const auto& [name, needle] = *start;
        if (i + needle.size() <= bytes.size() && needle.stands_at(bytes.data() + i))
          found_[name].insert(where);
      }
    }
  }
  void look_at_file(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    std::uint64_t at = 0;
    for (ssize_t got = 0;
         fd && (got = ::pread(fd.get(), window_.data(), window_.size(), static_cast<off_t>(at))) > 0;
         at += kStep) {
      look_at(ByteView(window_).first(static_cast<std::size_t>(got)), path);
    }
  }
  // All that can be read of a process, and is not the arena.
  void look_at_memory(pid_t process) {
    const UniqueFd memory(
        ::open(("/proc/" + std::to_string(process) + "/mem").c_str(), O_RDONLY | O_CLOEXEC));
    const UniqueFd pages(
        ::open(("/proc/" + std::to_string(process) + "/pagemap").c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(memory && pages);
    for (const Mapping& mapping : mappings(std::to_string(process))) {
      if (mapping.is_locked_memory() || mapping.permissions[0] != 'r') continue;
      for (std::uintptr_t at = mapping.begin; at < mapping.end; at += kStep) {
        const std::size_t size = std::min<std::size_t>(window_.size(), mapping.end - at);
        if (mapping.name.empty() && !is_touched(pages.get(), at, size)) continue;
        const ssize_t got = ::pread(memory.get(), window_.data(), size, static_cast<off_t>(at));
        if (got <= 0) break;
        scanned_ += static_cast<std::uint64_t>(got);
        look_at(ByteView(window_).first(static_cast<std::size_t>(got)),
                mapping.name.empty() ? "anonymous" : mapping.name);
      }
    }
  }
  std::string places_of(const std::string& name) const {
    std::string out;
    if (const auto at = found_.find(name); at != found_.end()) {
      for (const std::string& where : at->second) out += where + "; ";
    }
    return out;
  }
  std::uint64_t scanned() const { return scanned_; }

 private:
  // Of anonymous memory: is any page of it there, or swapped out? The others hold nothing, and the buffers
  // for requests that may come are a gibibyte and a half of such.
  static bool is_touched(int pagemap, std::uintptr_t at, std::size_t size) {
    constexpr std::uint64_t kThereOrSwapped = std::uint64_t{3} << 62;
    std::vector<std::uint64_t> pages((size + kPageSize - 1) / kPageSize);
    const std::size_t bytes = pages.size() * sizeof(std::uint64_t);
    const auto from = static_cast<off_t>(at / kPageSize * sizeof(std::uint64_t));
    if (::pread(pagemap, pages.data(), bytes, from) != static_cast<ssize_t>(bytes)) return true;
    return std::ranges::any_of(pages, [](std::uint64_t page) { return (page & kThereOrSwapped) != 0; });
  }

  static constexpr std::size_t kStep = std::size_t{1} << 20, kOverlap = 256;
  const std::map<std::string, Needle>& needles_;
  std::array<std::vector<const std::pair<const std::string, Needle>*>, 256> starts_;
  std::vector<std::byte> window_ = std::vector<std::byte>(kStep + kOverlap);
  std::map<std::string, std::set<std::string>> found_;
  std::uint64_t scanned_ = 0;
};

// In both modes of a volume.
class DaemonSecrets : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "a sanitizer keeps copies of its own";
#endif
    if (::geteuid() != 0 || !MountedVolume::possible()) GTEST_SKIP() << "needs root and /dev/fuse";
    ASSERT_TRUE(volume_.init("--key " + owner_.key() + " --mode " + GetParam()));
    // Found wherever the daemon keeps its environment, or the scan finds nothing at all.
    std::array<std::byte, 16> random{};
    random_bytes(random);
    planted_ = to_hex(random);
    ASSERT_EQ(::setenv("KMSFS_TEST_PLANTED", planted_.c_str(), 1), 0);
    const ScriptResult started = volume_.kmsfs("mount --foreground --debug " + volume_.backing() + " " +
                                               volume_.mountpoint() + " > " + log() +
                                               " 2>&1 & for i in $(seq 400); do "
                                               "mountpoint -q " +
                                               volume_.mountpoint() + " && exit 0; sleep 0.05; done; exit 1");
    ::unsetenv("KMSFS_TEST_PLANTED");
    watchdog_ = std::make_unique<MountWatchdog>(volume_.mountpoint());
    ASSERT_EQ(started.status, 0) << started.output;
    process_ = volume_.daemon();
    ASSERT_GT(process_, 0);
    work();
  }
  void TearDown() override {
    if (process_ > 0) {
      EXPECT_TRUE(volume_.unmount());
    }
  }
  std::string log() const { return volume_.top() + "/log"; }

  // Uses keys in every way: created, read back after they were forgotten, renamed, attributes, many files.
  void work() {
    ASSERT_TRUE(volume_.in_mount(
        "for i in $(seq 60); do echo content $i > f$i; done; mkdir d; mv f1 d/; ln -s target link; "
        "setfattr -n user.colour -v blue f2; : > " +
        std::string(200, 'n') +
        "; sync; cat f* d/f1 > /dev/null; "
        "dd if=/dev/urandom of=large bs=1M count=3 status=none; dd if=large of=/dev/null bs=1M iflag=direct "
        "status=none"));
  }

  // The keys themselves, from their owner, who may ask the KMS as the mount does.
  void learn(const std::string& name, ByteView secret) {
    needles_.emplace(name, Needle(secret));
    needles_.emplace(name + " in hexadecimal", Needle(as_bytes(to_hex(secret))));
    needles_.emplace(name + ", its half", Needle(secret.first(secret.size() / 2)));
  }
  void learn_keys() {
    RealDisk disk;
    const UniqueFd backing(::open(volume_.backing().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    auto parameters = Volume::read_parameters(disk, backing.get());
    ASSERT_TRUE(parameters.ok());
    learn_wrapped("the volume key", parameters->volume_key.blob, volume_context(parameters->id));
    const Geometry geometry(parameters->header_size);
    int files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(volume_.backing())) {
      // Links lead nowhere, and say so by an error.
      if (entry.is_symlink() || !entry.is_regular_file() || entry.file_size() < kPageSize || ++files > 20)
        continue;
      const UniqueFd fd(::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC));
      auto header = read_file_header(disk, fd.get(), geometry);
      if (!header || !*header) continue;
      learn_keys_of("file " + std::to_string(files), **header);
    }
    ASSERT_GT(files, 10);
    learn_master_key();
  }
  void learn_master_key() {
    const SystemClock clock;
    auto engine = kms::Engine::open(volume_.top() + "/kms", {}, clock, make_null_logger());
    ASSERT_TRUE(engine.ok()) << engine.error().text;
    auto transaction = (*engine)->read();
    ASSERT_TRUE(transaction.ok());
    auto key =
        (*engine)->key(**transaction, *kms::parse_key_id(owner_.key().substr(owner_.key().size() - 36)));
    ASSERT_TRUE(key.ok() && *key);
    auto material =
        (*engine)->material(**transaction, (*key)->record.id, (*key)->record.current_material().id);
    ASSERT_TRUE(material.ok()) << material.error().text;
    learn("the master key", material->reveal());
  }
  void learn_keys_of(const std::string& name, const FileHeader& header) {
    const KeySection& section = header.key_section;
    const auto& sealed = section.sealed_data_key;
    ASSERT_EQ(sealed.has_value(), GetParam() == std::string("branch"));
    if (!sealed) {
      learn_wrapped(name + ", data key", section.wrapped_key, file_context(header.volume_id, header.file_id),
                    &header);
      return;
    }
    learn_wrapped(name + ", branch key", section.wrapped_key,
                  branch_context(header.volume_id, sealed->branch), &header);
  }
  void learn_wrapped(const std::string& name, ByteView blob, const EncryptionContext& context,
                     const FileHeader* header = nullptr) {
    kms::DecryptRequest request;
    request.ciphertext = blob;
    request.context = context;
    auto opened = owner_.service().decrypt(owner_.as_user(), request);
    ASSERT_TRUE(opened.ok()) << opened.error().text;
    const ByteView key = opened->plaintext.reveal();
    learn(name, key);
    if (header == nullptr) return;
    auto data_key = DataKey::copy_of(key.first<32>());
    ASSERT_TRUE(data_key.ok());
    if (const auto& sealed = header->key_section.sealed_data_key) {
      data_key = open_data_key(*data_key, *sealed, {header->suite, header->volume_id, header->file_id});
      ASSERT_TRUE(data_key.ok()) << data_key.error().text;
      learn(name + ", the data key under it", data_key->reveal());
    }
    auto derived = FileKeys::derive(data_key->reveal(), *header);
    ASSERT_TRUE(derived.ok());
    learn(name + ", content key", derived->content.reveal());
    learn(name + ", MAC key", derived->header.reveal());
  }
  void expect_none_but_planted(const Scan& scan) {
    for (const auto& [name, needle] : needles_) {
      if (name != "planted") {
        EXPECT_EQ(scan.places_of(name), "") << name;
      }
    }
  }

  CommandMount volume_;
  OwnerOfKms owner_{volume_.top() + "/kms"};
  std::unique_ptr<MountWatchdog> watchdog_;
  std::string planted_;
  pid_t process_ = 0;
  std::map<std::string, Needle> needles_;
};

TEST_P(DaemonSecrets, NoKeyIsInTheDaemonsMemoryOutsideTheArenaNorInWhatACoreFileWouldHold) {
  learn_keys();
  needles_.emplace("planted", Needle(as_bytes(planted_)));
  Scan scan(needles_);
  scan.look_at_memory(process_);
  EXPECT_NE(scan.places_of("planted"), "") << "the scan finds nothing";
  EXPECT_GT(scan.scanned(), std::uint64_t{10} << 20);
  expect_none_but_planted(scan);
  // What it leaves out, no core file holds, and no core file is written.
  bool arena = false;
  for (const Mapping& mapping : mappings(std::to_string(process_))) {
    if (mapping.is_locked_memory()) {
      arena = true;
      EXPECT_TRUE(mapping.has("dd")) << mapping.name << ": " << mapping.flags;
    }
  }
  EXPECT_TRUE(arena);
  rlimit cores{};
  ASSERT_EQ(::prlimit(process_, RLIMIT_CORE, nullptr, &cores), 0);
  EXPECT_EQ(cores.rlim_cur, 0U);
  EXPECT_EQ(cores.rlim_max, 0U);
}

TEST_P(DaemonSecrets, NoKeyIsInArgumentsEnvironmentLogAnswersOrFiles) {
  learn_keys();
  needles_.emplace("planted", Needle(as_bytes(planted_)));
  const std::string answers = volume_.top() + "/answers";
  const ScriptResult asked = volume_.kmsfs("status --json " + volume_.mountpoint() + " > " + answers + "; " +
                                           KMSFS_BINARY + " status >> " + answers + "; " + KMSFS_BINARY +
                                           " info " + volume_.path("f2") + " >> " + answers);
  EXPECT_EQ(asked.status, 0) << asked.output;
  Scan scan(needles_);
  const std::string process = "/proc/" + std::to_string(process_) + "/";
  for (const char* file : {"cmdline", "environ", "comm", "status", "maps"}) scan.look_at_file(process + file);
  EXPECT_NE(scan.places_of("planted"), "") << "the scan finds nothing";
  EXPECT_GT(std::filesystem::file_size(log()), 10U);
  std::uint64_t files = 0;
  for (const std::string& tree :
       {volume_.top(), std::string("/run/kmsfs"), std::string("/var/lib/kmsfs/state")}) {
    std::error_code ignored;
    for (std::filesystem::recursive_directory_iterator at(tree, ignored), end; at != end;
         at.increment(ignored)) {
      if (at->path() == volume_.mountpoint()) at.disable_recursion_pending();
      if (!at->is_regular_file(ignored)) continue;
      scan.look_at_file(at->path());
      ++files;
    }
  }
  EXPECT_GT(files, 60U);
  expect_none_but_planted(scan);
}

INSTANTIATE_TEST_SUITE_P(Modes, DaemonSecrets, ::testing::Values("per-file", "branch"),
                         [](const auto& mode) { return mode.index == 0 ? "PerFile" : "Branch"; });

}  // namespace
}  // namespace kmsfs::testing
