// What core's cryptography costs, with each back end: sealing and opening blocks of a file one at a time and
// by the megabyte, starting with a key, deriving one, and names.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "core/kdf.h"
#include "core/locked_memory.h"
#include "core/siv.h"
#include "core/xaes.h"

namespace kmsfs {
namespace {

constexpr std::size_t kBlock = 4056;
constexpr std::size_t kSealed = kBlock + Xaes256Gcm::kOverhead;
constexpr std::size_t kAad = 42;  // suite, volume id, file id, block index

// Ends the program: a benchmark on what does not work would measure nothing.
template <typename T>
T must(Result<T> result) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "%s\n", result.error().text.c_str());
  std::exit(1);
}
void must(Result<void> result) {
  if (result) return;
  std::fprintf(stderr, "%s\n", result.error().text.c_str());
  std::exit(1);
}

struct Blocks {
  explicit Blocks(std::size_t count) : aad(kAad), plain(count * kBlock), sealed(count * kSealed) {
    random_bytes(plain);
    for (std::size_t i = 0; i < count; ++i) {
      const auto plain_block = std::span(plain).subspan(i * kBlock, kBlock);
      const auto sealed_block = std::span(sealed).subspan(i * kSealed, kSealed);
      seal_jobs.push_back({aad, plain_block, sealed_block});
      open_jobs.push_back({aad, sealed_block, plain_block});
    }
  }
  Bytes aad, plain, sealed;
  std::vector<Xaes256Gcm::SealJob> seal_jobs;
  std::vector<Xaes256Gcm::OpenJob> open_jobs;
};

void report_bytes(benchmark::State& state) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) * state.range(0) *
                          static_cast<std::int64_t>(kBlock));
}

void seal_blocks(benchmark::State& state, AeadBackend backend) {
  must(start_crypto(backend));
  const Xaes256Gcm cipher = must(Xaes256Gcm::make(must(DataKey::random())));
  Blocks blocks(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) must(cipher.seal(blocks.seal_jobs));
  report_bytes(state);
}

void open_blocks(benchmark::State& state, AeadBackend backend) {
  must(start_crypto(backend));
  const Xaes256Gcm cipher = must(Xaes256Gcm::make(must(DataKey::random())));
  Blocks blocks(static_cast<std::size_t>(state.range(0)));
  must(cipher.seal(blocks.seal_jobs));
  for (auto _ : state) must(cipher.open(blocks.open_jobs));
  report_bytes(state);
}

void make_cipher(benchmark::State& state, AeadBackend backend) {
  must(start_crypto(backend));
  const DataKey key = must(DataKey::random());
  for (auto _ : state) benchmark::DoNotOptimize(must(Xaes256Gcm::make(key)));
}

void make_cipher_and_open_a_block(benchmark::State& state, AeadBackend backend) {
  must(start_crypto(backend));
  const DataKey key = must(DataKey::random());
  Blocks blocks(1);
  must(must(Xaes256Gcm::make(key)).seal(blocks.seal_jobs));
  for (auto _ : state) must(must(Xaes256Gcm::make(key)).open(blocks.open_jobs));
}

void siv_seal_name(benchmark::State& state, AeadBackend backend) {
  must(start_crypto(backend));
  const AesSiv cipher = must(AesSiv::make(must(SivKey::random())));
  const Bytes directory_id(16);
  const std::string name(static_cast<std::size_t>(state.range(0)), 'n');
  Bytes sealed(name.size() + AesSiv::kOverhead);
  for (auto _ : state) must(cipher.seal(directory_id, as_bytes(name), sealed));
}

void siv_open_name(benchmark::State& state, AeadBackend backend) {
  must(start_crypto(backend));
  const AesSiv cipher = must(AesSiv::make(must(SivKey::random())));
  const Bytes directory_id(16);
  const std::string name(static_cast<std::size_t>(state.range(0)), 'n');
  Bytes sealed(name.size() + AesSiv::kOverhead);
  Bytes plain(name.size());
  must(cipher.seal(directory_id, as_bytes(name), sealed));
  for (auto _ : state) must(cipher.open(directory_id, sealed, plain));
}

void hkdf_32_bytes(benchmark::State& state) {
  const DataKey key = must(DataKey::random());
  const Bytes salt(32);
  const Bytes info(48);
  DataKey out = must(DataKey::make());
  for (auto _ : state) hkdf_sha256(key.reveal(), salt, info, out.fill());
}

void hmac_of_450_bytes(benchmark::State& state) {
  const DataKey key = must(DataKey::random());
  const Bytes message(450);
  for (auto _ : state) benchmark::DoNotOptimize(hmac_sha256(key, message));
}

void secret_comes_and_goes(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(must(DataKey::make()));
}

void each_backend(const char* name, void (*run)(benchmark::State&, AeadBackend), std::vector<int> sizes) {
  for (const AeadBackend backend : {AeadBackend::kIpsecMb, AeadBackend::kOpenSsl}) {
    if (!start_crypto(backend)) continue;
    auto* registered =
        benchmark::RegisterBenchmark((std::string(name) + "/" + std::string(to_string(backend))).c_str(),
                                     [run, backend](benchmark::State& state) { run(state, backend); });
    for (const int size : sizes) registered->Arg(size);
  }
}

}  // namespace
}  // namespace kmsfs

int main(int argc, char** argv) {
  using namespace kmsfs;
  benchmark::Initialize(&argc, argv);
  LockedMemory::Options options;
  options.allow_unlocked = true;
  must(LockedMemory::start(options));
  must(start_crypto());
  each_backend("seal_blocks", seal_blocks, {1, 256});
  each_backend("open_blocks", open_blocks, {1, 256});
  each_backend("make_cipher", make_cipher, {});
  each_backend("make_cipher_and_open_a_block", make_cipher_and_open_a_block, {});
  each_backend("siv_seal_name", siv_seal_name, {12, 255});
  each_backend("siv_open_name", siv_open_name, {12, 255});
  benchmark::RegisterBenchmark("hkdf_32_bytes", hkdf_32_bytes);
  benchmark::RegisterBenchmark("hmac_of_450_bytes", hmac_of_450_bytes);
  benchmark::RegisterBenchmark("secret_comes_and_goes", secret_comes_and_goes);
  benchmark::RunSpecifiedBenchmarks();
}
