// What a lookup and a directory listing cost in names: encrypting and decrypting one, short, usual and long.
#include <benchmark/benchmark.h>

#include <cstdio>

#include "core/locked_memory.h"
#include "core/random.h"
#include "core/xaes.h"
#include "fs/names.h"

namespace kmsfs {
namespace {

NameCipher make_cipher() { return std::move(*NameCipher::make(*SivKey::random())); }

void encrypt_name(benchmark::State& state) {
  const NameCipher cipher = make_cipher();
  const DirectoryId directory = DirectoryId::random();
  const std::string name(static_cast<std::size_t>(state.range(0)), 'n');
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(cipher.encrypt(directory, name));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(encrypt_name)->Arg(8)->Arg(20)->Arg(60)->Arg(175)->Arg(255);

void decrypt_name(benchmark::State& state) {
  const NameCipher cipher = make_cipher();
  const DirectoryId directory = DirectoryId::random();
  const std::string name(static_cast<std::size_t>(state.range(0)), 'n');
  const StoredName stored = *cipher.encrypt(directory, name);
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(cipher.decrypt(directory, stored.entry, stored.side_target));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(decrypt_name)->Arg(8)->Arg(20)->Arg(60)->Arg(175)->Arg(255);

}  // namespace
}  // namespace kmsfs

int main(int argc, char** argv) {
  kmsfs::LockedMemory::Options memory;
  memory.allow_unlocked = true;
  if (!kmsfs::LockedMemory::start(memory) || !kmsfs::start_crypto()) {
    std::fputs("locked memory or cryptography does not start here\n", stderr);
    return 1;
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
