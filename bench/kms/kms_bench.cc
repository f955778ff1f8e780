// What one call of the embedded KMS costs, its audit line included. Aim: 20 microseconds for GenerateDataKey
// and Decrypt.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <cstdio>
#include <filesystem>

#include "core/locked_memory.h"
#include "core/xaes.h"
#include "kmsclient/provider.h"

namespace kmsfs {
namespace {

// A store on disk, where a user's would be, and what is asked of it.
struct World {
  std::string directory;
  SystemClock clock;
  std::unique_ptr<Kms> kms;
  std::string key;
  EncryptionContext context = {{"kmsfs:volume", "0123456789abcdef0123456789abcdef"},
                               {"kmsfs:file", "fedcba9876543210fedcba9876543210"}};

  World() {
    std::string name = "kmsfs-bench-XXXXXX";
    directory = ::mkdtemp(name.data());
    KmsSetup setup;
    setup.access.uri = "local:" + directory + "/kms";
    setup.seal.kind = kms::SealKind::kKeyFile;
    auto report = set_up_kms(setup, clock, make_null_logger());
    if (!report) {
      std::fprintf(stderr, "%s\n", report.error().text.c_str());
      std::exit(1);
    }
    kms = std::move(report->kms);
    key = report->key_arn;
  }
  ~World() {
    kms.reset();
    std::filesystem::remove_all(directory);
  }
};

World& world() {
  static World instance;
  return instance;
}

void generate_data_key(benchmark::State& state) {
  World& here = world();
  for (auto _ : state) {
    auto generated = here.kms->generate_data_key(here.key, here.context);
    if (!generated) state.SkipWithError(generated.error().text.c_str());
  }
}
BENCHMARK(generate_data_key)->UseRealTime()->Unit(benchmark::kMicrosecond);

void decrypt(benchmark::State& state) {
  World& here = world();
  auto generated = here.kms->generate_data_key(here.key, here.context);
  for (auto _ : state) {
    auto plain = here.kms->decrypt(here.key, generated->wrapped.blob, here.context);
    if (!plain) state.SkipWithError(plain.error().text.c_str());
  }
}
BENCHMARK(decrypt)->UseRealTime()->Unit(benchmark::kMicrosecond)->Threads(1)->Threads(4);

void unseal_by_passphrase(benchmark::State& state) {
  const std::array<std::byte, 16> id{};
  const PassphraseSource passphrase = [](PassphraseUse) { return Passphrase::copy_of("correct horse"); };
  auto sealed = kms::seal_new_root(".", id, {}, passphrase);
  for (auto _ : state) {
    auto root = kms::unseal_root(".", id, sealed->record, passphrase);
    if (!root) state.SkipWithError(root.error().text.c_str());
  }
}
BENCHMARK(unseal_by_passphrase)->UseRealTime()->Unit(benchmark::kMillisecond);

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
