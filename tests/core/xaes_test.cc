#include "core/xaes.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <thread>

#include "core/random.h"

namespace kmsfs {
namespace {

using Key = std::array<std::byte, 32>;

Key key_of(int value) {
  Key key;
  key.fill(static_cast<std::byte>(value));
  return key;
}

std::string sealed_hex(const Key& key, std::string_view aad) {
  const std::string_view nonce = "ABCDEFGHIJKLMNOPQRSTUVWX", plain = "XAES-256-GCM";
  auto cipher = Xaes256Gcm::make(key);
  Bytes sealed(plain.size() + Xaes256Gcm::kOverhead);
  const auto done =
      cipher->seal_with_nonce(as_bytes(nonce).first<24>(), as_bytes(aad), as_bytes(plain), sealed);
  return done ? to_hex(ByteView(sealed).subspan(24)) : done.error().text;
}

class Xaes : public ::testing::TestWithParam<AeadBackend> {
 protected:
  void SetUp() override {
    if (auto started = start_crypto(GetParam()); !started) FAIL() << started.error().text;
  }
  void TearDown() override { ASSERT_TRUE(start_crypto().ok()); }
};

TEST_P(Xaes, GivesTheTwoPublishedAnswers) {
  EXPECT_EQ(sealed_hex(key_of(1), ""), "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271");
  EXPECT_EQ(sealed_hex(key_of(3), "c2sp.org/XAES-256-GCM"),
            "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d");
}

// C2SP's accumulated test: 10,000 keys, nonces, texts and associated data from SHAKE128, the sealed texts
// hashed.
TEST_P(Xaes, GivesTheAccumulatedAnswerOfTenThousandTexts) {
  Bytes stream(10'000 * (32 + 24 + 1 + 255 + 1 + 255));
  EVP_MD_CTX* shake = EVP_MD_CTX_new();
  ASSERT_EQ(EVP_DigestInit_ex(shake, EVP_shake128(), nullptr), 1);
  ASSERT_EQ(EVP_DigestFinalXOF(shake, reinterpret_cast<unsigned char*>(stream.data()), stream.size()), 1);
  ASSERT_EQ(EVP_DigestInit_ex(shake, EVP_shake128(), nullptr), 1);
  ByteReader in(stream);
  for (int i = 0; i < 10'000; ++i) {
    const auto key = in.take<32>();
    const auto nonce = in.take<24>();
    const ByteView plain = in.bytes(in.u8());
    const ByteView aad = in.bytes(in.u8());
    auto cipher = Xaes256Gcm::make(key);
    Bytes sealed(plain.size() + Xaes256Gcm::kOverhead), opened(plain.size());
    ASSERT_TRUE(cipher->seal_with_nonce(nonce, aad, plain, sealed).ok());
    ASSERT_TRUE(cipher->open(aad, sealed, opened).ok());
    ASSERT_TRUE(std::equal(opened.begin(), opened.end(), plain.begin()));
    ASSERT_EQ(EVP_DigestUpdate(shake, sealed.data() + 24, sealed.size() - 24), 1);
  }
  std::array<std::byte, 32> sum{};
  ASSERT_EQ(EVP_DigestFinalXOF(shake, reinterpret_cast<unsigned char*>(sum.data()), sum.size()), 1);
  EVP_MD_CTX_free(shake);
  EXPECT_EQ(to_hex(sum), "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939");
}

TEST_P(Xaes, AnyFlippedBitIsCorruptAndTheWholeBatchIsWiped) {
  auto cipher = Xaes256Gcm::make(key_of(9));
  const Bytes plain(50, std::byte{0x5a});
  Bytes good(plain.size() + 40), bad(plain.size() + 40);
  ASSERT_TRUE(cipher->seal(as_bytes("a"), plain, good).ok());
  ASSERT_TRUE(cipher->seal(as_bytes("b"), plain, bad).ok());
  for (std::size_t bit = 0; bit < bad.size() * 8; ++bit) {
    Bytes changed = bad, first(plain.size()), second(plain.size());
    changed[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    const Xaes256Gcm::OpenJob jobs[] = {{as_bytes("a"), good, first}, {as_bytes("b"), changed, second}};
    EXPECT_EQ(cipher->open(jobs).error().kind, Kind::kCorrupt);
    EXPECT_TRUE(all_zero(first) && all_zero(second));
  }
  Bytes opened(plain.size());
  EXPECT_EQ(cipher->open(as_bytes("b"), good, opened).error().kind, Kind::kCorrupt)
      << "other associated data";
  EXPECT_TRUE(cipher->open(as_bytes("a"), good, opened).ok());
}

TEST_P(Xaes, CutShortAtAnyByteIsCorrupt) {
  auto cipher = Xaes256Gcm::make(key_of(9));
  Bytes sealed(90);
  ASSERT_TRUE(cipher->seal({}, Bytes(50), sealed).ok());
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    Bytes opened(size > 40 ? size - 40 : 0);
    EXPECT_FALSE(cipher->open({}, ByteView(sealed).first(size), opened).ok()) << size;
  }
}

TEST_P(Xaes, NoNonceComesTwice) {
  auto cipher = Xaes256Gcm::make(key_of(4));
  std::set<std::string> seen;
  std::vector<Bytes> sealed(200, Bytes(48));
  const Bytes plain(8);
  for (int round = 0; round < 50; ++round) {
    std::vector<Xaes256Gcm::SealJob> jobs;
    for (Bytes& out : sealed) jobs.push_back({{}, plain, out});
    ASSERT_TRUE(cipher->seal(jobs).ok());
    for (const Bytes& out : sealed) EXPECT_TRUE(seen.insert(to_hex(ByteView(out).first(24))).second);
  }
}

TEST_P(Xaes, ParentAndChildDrawDifferentNonces) {
  auto cipher = Xaes256Gcm::make(key_of(4));
  Bytes ours(40), theirs(40);
  ASSERT_TRUE(cipher->seal({}, {}, ours).ok());
  std::array<int, 2> pipe_ends{};
  ASSERT_EQ(::pipe(pipe_ends.data()), 0);
  // Locked memory is absent in a child, so the nonce's source is what is compared.
  const pid_t child = ::fork();
  std::array<std::byte, 24> drawn{};
  random_bytes(drawn);
  if (child == 0) ::_exit(::write(pipe_ends[1], drawn.data(), drawn.size()) == 24 ? 0 : 1);
  std::array<std::byte, 24> from_child{};
  ASSERT_EQ(::read(pipe_ends[0], from_child.data(), 24), 24);
  ::waitpid(child, nullptr, 0);
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
  EXPECT_NE(drawn, from_child);
}

TEST_P(Xaes, ThreadsShareOneObject) {
  auto cipher = Xaes256Gcm::make(key_of(5));
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      Bytes plain(1000), sealed(1040), opened(1000);
      for (int i = 0; i < 200; ++i) {
        random_bytes(plain);
        if (!cipher->seal({}, plain, sealed) || !cipher->open({}, sealed, opened) || opened != plain)
          ++failures;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
}

INSTANTIATE_TEST_SUITE_P(Backends, Xaes, ::testing::Values(AeadBackend::kAutomatic, AeadBackend::kOpenSsl),
                         [](const auto& backend) {
                           return std::string(to_string(backend.param) == "ipsec-mb"
                                                  ? "ipsec_mb"
                                                  : to_string(backend.param));
                         });

TEST(XaesBackends, WriteTheSameBytesAtEveryLength) {
  std::array<std::byte, 24> nonce{};
  for (std::size_t size = 0; size < 5000; size = size < 300 ? size + 1 : size + 97) {
    Bytes plain(size), aad(size % 65), first(size + 40), second(size + 40);
    random_bytes(plain);
    random_bytes(aad);
    random_bytes(nonce);
    for (auto [backend, out] :
         {std::pair{AeadBackend::kAutomatic, &first}, std::pair{AeadBackend::kOpenSsl, &second}}) {
      ASSERT_TRUE(start_crypto(backend).ok());
      auto cipher = Xaes256Gcm::make(key_of(6));
      ASSERT_TRUE(cipher->seal_with_nonce(nonce, aad, plain, *out).ok());
    }
    EXPECT_EQ(first, second) << size;
  }
  ASSERT_TRUE(start_crypto().ok());
}

}  // namespace
}  // namespace kmsfs
