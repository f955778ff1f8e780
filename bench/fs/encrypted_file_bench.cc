// What encryption adds to reads and writes of a file whose pages are in the page cache; the plain rows are
// the same calls on a plain file.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "core/locked_memory.h"
#include "core/log.h"
#include "core/random.h"
#include "core/xaes.h"
#include "fs/encrypted_file.h"

namespace kmsfs {
namespace {

constexpr std::uint64_t kFileSize = 64 << 20;

class Bench {
 public:
  Bench() {
    std::string pattern = "/tmp/kmsfs-bench-XXXXXX";
    fd_.reset(::mkostemp(pattern.data(), O_CLOEXEC));
    ::unlink(pattern.c_str());
    random_bytes(key_);
  }
  std::unique_ptr<EncryptedFile> create(std::uint64_t size = 0) {
    auto file =
        EncryptedFile::create(disk_, UniqueFd(::dup(fd_.get())), Geometry(kDefaultHeaderSize), volume_id_,
                              FileId::random(), key_, {"arn:aws:kms:local-1:111122223333:key/1", Bytes(184)});
    if (!file) std::abort();
    const Bytes piece(size == 0 ? 0 : 1 << 20, std::byte{7});
    for (std::uint64_t at = 0; at < size; at += piece.size()) {
      if (!(*file)->write_at(at, piece)) std::abort();
    }
    return std::move(*file);
  }
  int fd() const { return fd_.get(); }
  RealDisk& disk() { return disk_; }
  std::span<const std::byte, 32> key() const { return key_; }
  const VolumeId& volume_id() const { return volume_id_; }

 private:
  RealDisk disk_;
  UniqueFd fd_;
  VolumeId volume_id_ = VolumeId::random();
  std::array<std::byte, 32> key_{};
};

std::uint64_t next_offset(benchmark::State& state, std::uint64_t& at) {
  const auto size = static_cast<std::uint64_t>(state.range(0));
  at = state.range(1) != 0 ? (at * 6364136223846793005U + 1442695040888963407U) : at + size;
  return at % (kFileSize / size) * size;
}

void read(benchmark::State& state) {
  Bench bench;
  const auto file = bench.create(kFileSize);
  Bytes out(static_cast<std::size_t>(state.range(0)));
  std::uint64_t at = 0;
  for (auto _ : state) {
    if (!file->read_at(next_offset(state, at), out)) std::abort();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(read)->Args({4096, 0})->Args({4096, 1})->Args({131072, 0})->Args({1 << 20, 0});

void overwrite(benchmark::State& state) {
  Bench bench;
  const auto file = bench.create(kFileSize);
  const Bytes data(static_cast<std::size_t>(state.range(0)), std::byte{9});
  std::uint64_t at = 0;
  for (auto _ : state) {
    if (!file->write_at(next_offset(state, at), data)) std::abort();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(overwrite)->Args({4096, 0})->Args({4096, 1})->Args({131072, 0})->Args({1 << 20, 0});

void append(benchmark::State& state) {
  Bench bench;
  const auto file = bench.create();
  const Bytes data(static_cast<std::size_t>(state.range(0)), std::byte{9});
  for (auto _ : state) {
    if (file->size() > kFileSize && !file->truncate(0)) std::abort();
    if (!file->write_at(file->size(), data)) std::abort();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(append)->Arg(100)->Arg(4096)->Arg(131072)->Arg(1 << 20);

void plain_read(benchmark::State& state) {
  Bench bench;
  bench.create(kFileSize);
  Bytes out(static_cast<std::size_t>(state.range(0)));
  std::uint64_t at = 0;
  for (auto _ : state) {
    if (!bench.disk().read_at(bench.fd(), next_offset(state, at), out)) std::abort();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(plain_read)->Args({4096, 0})->Args({131072, 0})->Args({1 << 20, 0});

void plain_overwrite(benchmark::State& state) {
  Bench bench;
  bench.create(kFileSize);
  const Bytes data(static_cast<std::size_t>(state.range(0)), std::byte{9});
  std::uint64_t at = 0;
  for (auto _ : state) {
    if (!bench.disk().write_at(bench.fd(), next_offset(state, at), data)) std::abort();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(plain_overwrite)->Args({4096, 0})->Args({131072, 0})->Args({1 << 20, 0});

void create_and_close(benchmark::State& state) {
  Bench bench;
  const Bytes data(2000, std::byte{9});
  for (auto _ : state) {
    auto file = bench.create();
    if (!file->write_at(0, data) || !file->mark_clean()) std::abort();
  }
}
BENCHMARK(create_and_close);

void open_file(benchmark::State& state) {
  Bench bench;
  const Geometry geometry(kDefaultHeaderSize);
  const Logger logger = make_null_logger();
  {
    auto file = bench.create();
    if (!file->write_at(0, Bytes(2000)) || !file->mark_clean()) std::abort();
  }
  for (auto _ : state) {
    auto header = read_file_header(bench.disk(), bench.fd(), geometry);
    if (!header || !*header) std::abort();
    auto file = EncryptedFile::open(bench.disk(), UniqueFd(::dup(bench.fd())), geometry, bench.volume_id(),
                                    **header, bench.key(), Recovery::kRefuse, logger);
    if (!file) std::abort();
  }
}
BENCHMARK(open_file);

}  // namespace
}  // namespace kmsfs

int main(int argc, char** argv) {
  kmsfs::LockedMemory::Options options;
  options.allow_unlocked = true;
  if (!kmsfs::LockedMemory::start(options) || !kmsfs::start_crypto()) {
    std::fputs("locked memory or cryptography cannot be started\n", stderr);
    return 1;
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
