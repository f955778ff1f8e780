// What the POSIX view costs without the kernel: system calls on the backing directory, cryptography, tables.
// In /tmp: put that on the disk to be measured.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>

#include "core/locked_memory.h"
#include "core/xaes.h"
#include "fs/file_system.h"
#include "tests/support/fake_kms.h"

namespace kmsfs {
namespace {

class Mounted {
 public:
  Mounted() {
    kms_.set_near();  // as the embedded KMS is
    std::string pattern = (std::filesystem::temp_directory_path() / "kmsfs-bench-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
    UniqueFd backing = open_backing();
    volume_ = *Volume::create(disk_, backing.get(), kms_, server_.create_key(), "fake:memory");
    keys_ = *KeyCache::make(kms_, clock_, make_null_logger(), {});
    fs_ = *FileSystem::make(disk_, std::move(backing), *volume_, *keys_, clock_, make_null_logger(), {});
  }
  ~Mounted() {
    fs_->shut_down();
    fs_.reset();
    std::filesystem::remove_all(path_);
  }

  FileSystem& fs() { return *fs_; }
  NodeId make_file(const std::string& name, std::size_t size) {
    auto made = *fs_->create(kRootNode, name, 0644, O_RDWR, caller_);
    const Bytes content(size, std::byte{7});
    if (size != 0) (void)fs_->write(made.entry.node, made.handle, 0, content).ok();
    fs_->release(made.entry.node, made.handle);
    return made.entry.node;
  }
  const Caller& caller() const { return caller_; }

 private:
  UniqueFd open_backing() const {
    return UniqueFd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }

  testing::FakeKmsServer server_;
  testing::FakeKms kms_{server_};
  SystemClock clock_;
  RealDisk disk_;
  std::string path_;
  const Caller caller_{::geteuid(), ::getegid(), 0, 0, {}};
  std::unique_ptr<Volume> volume_;
  std::unique_ptr<KeyCache> keys_;
  std::unique_ptr<FileSystem> fs_;
};

void lookup(benchmark::State& state) {
  Mounted mounted;
  mounted.make_file("file", 100);
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(mounted.fs().lookup(kRootNode, "file"));
}
BENCHMARK(lookup);

void lookup_of_nothing(benchmark::State& state) {
  Mounted mounted;
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(mounted.fs().lookup(kRootNode, "missing"));
}
BENCHMARK(lookup_of_nothing);

void get_attributes(benchmark::State& state) {
  Mounted mounted;
  const NodeId node = mounted.make_file("file", 100);
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(mounted.fs().get_attributes(node));
}
BENCHMARK(get_attributes);

void create_write_close_unlink(benchmark::State& state) {
  Mounted mounted;
  for ([[maybe_unused]] auto _ : state) {
    mounted.fs().forget(mounted.make_file("file", static_cast<std::size_t>(state.range(0))), 1);
    (void)mounted.fs().unlink(kRootNode, "file").ok();
  }
}
BENCHMARK(create_write_close_unlink)->Arg(0)->Arg(2000)->Arg(100000);

void open_read_close(benchmark::State& state) {
  Mounted mounted;
  const NodeId node = mounted.make_file("file", 2000);
  Bytes buffer(4096);
  for ([[maybe_unused]] auto _ : state) {
    const HandleId handle = *mounted.fs().open(node, O_RDONLY);
    benchmark::DoNotOptimize(mounted.fs().read(node, handle, 0, buffer));
    mounted.fs().release(node, handle);
  }
}
BENCHMARK(open_read_close);

void read(benchmark::State& state) {
  Mounted mounted;
  const std::size_t size = static_cast<std::size_t>(state.range(0));
  const NodeId node = mounted.make_file("file", size);
  const HandleId handle = *mounted.fs().open(node, O_RDONLY);
  Bytes buffer(size);
  for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(mounted.fs().read(node, handle, 0, buffer));
  state.SetBytesProcessed(state.iterations() * state.range(0));
  mounted.fs().release(node, handle);
}
BENCHMARK(read)->Arg(4096)->Arg(1 << 20);

void overwrite(benchmark::State& state) {
  Mounted mounted;
  const std::size_t size = static_cast<std::size_t>(state.range(0));
  const NodeId node = mounted.make_file("file", size);
  const HandleId handle = *mounted.fs().open(node, O_RDWR);
  const Bytes buffer(size, std::byte{3});
  for ([[maybe_unused]] auto _ : state) (void)mounted.fs().write(node, handle, 0, buffer).ok();
  state.SetBytesProcessed(state.iterations() * state.range(0));
  mounted.fs().release(node, handle);
}
BENCHMARK(overwrite)->Arg(4096)->Arg(1 << 20);

void list_thousand(benchmark::State& state) {
  Mounted mounted;
  for (int i = 0; i < 1000; ++i) mounted.make_file("file" + std::to_string(i), 0);
  const HandleId handle = *mounted.fs().open_directory(kRootNode);
  for ([[maybe_unused]] auto _ : state) {
    (void)mounted.fs()
        .read_directory(kRootNode, handle, 0, state.range(0) != 0,
                        [&](const DirectoryEntry& entry) {
                          if (entry.entry != nullptr) mounted.fs().forget(entry.entry->node, 1);
                          return true;
                        })
        .ok();
  }
  mounted.fs().release_directory(kRootNode, handle);
}
BENCHMARK(list_thousand)->ArgName("plus")->Arg(0)->Arg(1)->Unit(benchmark::kMicrosecond);

void make_and_remove_directory(benchmark::State& state) {
  Mounted mounted;
  for ([[maybe_unused]] auto _ : state) {
    mounted.fs().forget(mounted.fs().make_directory(kRootNode, "directory", 0755, mounted.caller())->node, 1);
    (void)mounted.fs().remove_directory(kRootNode, "directory").ok();
  }
}
BENCHMARK(make_and_remove_directory)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace kmsfs

int main(int argc, char** argv) {
  kmsfs::LockedMemory::Options options;
  options.allow_unlocked = true;
  if (!kmsfs::LockedMemory::start(options) || !kmsfs::start_crypto()) return 1;
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
