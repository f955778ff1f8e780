// What the key cache costs: a hit among many keys, the check on each read, memory per key.
// Aims: a hit at most 2 microseconds among 100,000 keys; 64 bytes of locked memory per key; a million keys
// held. A million keys need 64 MiB of locked memory and a quarter more (ulimit -l 98304).
#include <benchmark/benchmark.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "core/kdf.h"
#include "core/xaes.h"
#include "keycache/key_cache.h"

namespace kmsfs {
namespace {

const std::string kArn = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
constexpr std::size_t kBlobSize = 184;  // as long as those of AWS

// Answers at once, so that the cache is what is measured: the key is a hash of its wrapped form.
class InstantKms final : public Kms {
 public:
  std::string endpoint() const override { return "local:/var/lib/kmsfs"; }
  Result<std::string> principal() override { return std::string("arn:aws:iam::111122223333:user/alice"); }
  Result<KeyDescription> describe_key(const std::string&) override { return unsupported(); }
  Result<GeneratedDataKey> generate_data_key(const std::string&, const EncryptionContext&) override {
    return unsupported();
  }
  Result<WrappedDataKey> generate_data_key_without_plaintext(const std::string&,
                                                             const EncryptionContext&) override {
    return unsupported();
  }
  Result<DataKey> decrypt(const std::string&, ByteView blob, const EncryptionContext&) override {
    return DataKey::copy_of(sha256(blob));
  }
  Result<WrappedDataKey> re_encrypt(ByteView, const std::string&, const EncryptionContext&,
                                    const std::string&, const EncryptionContext&) override {
    return unsupported();
  }

 private:
  static Error unsupported() { return error(Kind::kUnsupported, "not in this benchmark"); }
};

// A file by number.
struct NumberedFile {
  explicit NumberedFile(std::uint64_t number) : wrapped(kBlobSize) {
    store_be64(wrapped.data(), number);
    context = {{"kmsfs:volume", "0123456789abcdef0123456789abcdef"},
               {"kmsfs:file", to_hex(std::span(wrapped).first(16))}};
  }
  KeyRequest request() const { return KeyRequest{kArn, 1, wrapped, context}; }
  Bytes wrapped;
  EncryptionContext context;
};

struct World {
  InstantKms kms;
  SystemClock clock;
  std::string directory;
  std::unique_ptr<KeyCache> cache;

  explicit World(bool indexed) {
    KeyCache::Options options;
    options.max_age = std::chrono::hours(1);
    options.maintenance_thread = false;
    if (indexed) {
      directory = "/dev/shm/kmsfs-bench-XXXXXX";
      if (::mkdtemp(directory.data()) == nullptr) std::exit(1);
      options.index_directory = directory;
    }
    auto made = KeyCache::make(kms, clock, make_null_logger(), options);
    if (!made) {
      std::fprintf(stderr, "%s\n", made.error().text.c_str());
      std::exit(1);
    }
    cache = std::move(*made);
  }
  ~World() {
    cache.reset();
    if (!directory.empty()) std::filesystem::remove_all(directory);
  }
  void hold(std::uint64_t count) const {
    for (std::uint64_t i = 0; i < count; ++i)
      benchmark::DoNotOptimize(cache->unwrap(NumberedFile(i).request()).ok());
  }
};

// Files all over the cache, so that hits are not in the processor's caches.
std::vector<NumberedFile> scattered_files(std::uint64_t count) {
  std::vector<NumberedFile> files;
  for (std::uint64_t i = 0; i < 4096; ++i) files.emplace_back(i * 2'654'435'761U % count);
  return files;
}

void hit(benchmark::State& state) {
  const auto count = static_cast<std::uint64_t>(state.range(0));
  const World world(true);
  world.hold(count);
  const auto files = scattered_files(count);
  std::size_t next = 0;
  for (auto _ : state) benchmark::DoNotOptimize(world.cache->unwrap(files[next++ % files.size()].request()));
  if (world.cache->figures().hits < static_cast<std::uint64_t>(state.iterations()))
    state.SkipWithError("not hits");
}

void miss(benchmark::State& state) {
  const World world(false);
  std::uint64_t number = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(world.cache->unwrap(NumberedFile(number++).request()));
  }
}

void check(benchmark::State& state) {
  const World world(false);
  const auto handle = world.cache->unwrap(NumberedFile(1).request());
  for (auto _ : state) benchmark::DoNotOptimize(handle->check().ok());
}

void data_key(benchmark::State& state) {
  const World world(false);
  const auto handle = world.cache->unwrap(NumberedFile(1).request());
  for (auto _ : state) benchmark::DoNotOptimize(handle->data_key().ok());
}

// Memory per key, and what the whole takes.
void hold_keys(benchmark::State& state) {
  const auto count = static_cast<std::uint64_t>(state.range(0));
  for (auto _ : state) {
    const World world(false);
    const auto heap_before = ::mallinfo2();
    const auto locked_before = LockedMemory::usage().used;
    world.hold(count);
    const auto heap_after = ::mallinfo2();
    const double keys = static_cast<double>(world.cache->figures().entries);
    if (world.cache->figures().entries != count) {
      state.SkipWithError("locked memory does not hold so many keys: raise ulimit -l");
      return;
    }
    const auto heap = [](const struct mallinfo2& info) {
      return static_cast<double>(info.uordblks + info.hblkhd);
    };
    state.counters["heap_bytes_per_key"] = (heap(heap_after) - heap(heap_before)) / keys;
    state.counters["locked_bytes_per_key"] =
        static_cast<double>(LockedMemory::usage().used - locked_before) / keys;
  }
}

void maintain(benchmark::State& state) {
  const World world(false);
  world.hold(static_cast<std::uint64_t>(state.range(0)));
  for (auto _ : state) world.cache->maintain();
}

void revoke_all(benchmark::State& state) {
  for (auto _ : state) {
    state.PauseTiming();
    auto world = std::make_unique<World>(false);
    world->hold(static_cast<std::uint64_t>(state.range(0)));
    state.ResumeTiming();
    world->cache->revoke_all(error(Kind::kDenied, "measured"));
    state.PauseTiming();
    world.reset();
    state.ResumeTiming();
  }
}

void write_index(benchmark::State& state) {
  const auto count = static_cast<std::uint64_t>(state.range(0));
  for (auto _ : state) {
    state.PauseTiming();
    auto world = std::make_unique<World>(true);
    world->hold(count);
    state.ResumeTiming();
    for (std::uint64_t rows = 0; rows < count; rows += 65536) world->cache->maintain();
    state.PauseTiming();
    struct stat file {};
    ::stat((world->directory + "/data.mdb").c_str(), &file);
    state.counters["index_bytes_per_key"] =
        static_cast<double>(file.st_blocks) * 512 / static_cast<double>(count);
    world.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * count));
}

BENCHMARK(hit)->Arg(1000)->Arg(100'000)->Arg(1'000'000);
BENCHMARK(miss);
BENCHMARK(check);
BENCHMARK(data_key);
BENCHMARK(hold_keys)->Arg(100'000)->Arg(1'000'000)->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK(maintain)->Arg(100'000)->Arg(1'000'000)->Unit(benchmark::kMillisecond);
BENCHMARK(revoke_all)->Arg(100'000)->Iterations(3)->Unit(benchmark::kMillisecond);
BENCHMARK(write_index)->Arg(100'000)->Arg(1'000'000)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace kmsfs

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  kmsfs::LockedMemory::Options options;
  options.allow_unlocked = true;
  if (!kmsfs::LockedMemory::start(options) || !kmsfs::start_crypto()) return 1;
  std::printf("locked memory: %s, %zu MiB\n", std::string(to_string(kmsfs::LockedMemory::mode())).c_str(),
              kmsfs::LockedMemory::usage().capacity >> 20);
  benchmark::RunSpecifiedBenchmarks();
}
