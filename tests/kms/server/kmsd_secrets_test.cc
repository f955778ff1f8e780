// The memory of a running kmsd, as root may read it: no plain text, no passphrase and no access key's secret
// outside locked memory, however they came and went.
#include "kms/sigv4.h"
#include "tests/kms/server/kmsd_process.h"
#include "tests/kms/server/tls_client.h"

namespace kmsfs::testing {
namespace {

// Writable memory of another process that is not its locked memory (which alone is wiped on fork: "wf").
class Scan {
 public:
  explicit Scan(pid_t process) {
    const std::string directory = "/proc/" + std::to_string(process);
    const UniqueFd memory(::open((directory + "/mem").c_str(), O_RDONLY | O_CLOEXEC));
    std::ifstream maps(directory + "/smaps");
    std::uint64_t begin = 0, end = 0;
    bool writable = false;
    for (std::string line; std::getline(maps, line);) {
      if (line.starts_with("VmFlags:")) {
        const bool locked = line.find(" wf") != std::string::npos;
        // Only a sanitizer maps a gigabyte at once, for its own books.
        if (writable && !locked && end - begin < (1U << 30)) read(memory.get(), begin, end);
      } else if (const auto dash = line.find('-'); dash != std::string::npos && dash < line.find(' ')) {
        begin = std::stoull(line, nullptr, 16);
        end = std::stoull(line.substr(dash + 1), nullptr, 16);
        writable = line[line.find(' ') + 2] == 'w';
      }
    }
  }
  bool finds(std::string_view text) const { return memory_.find(text) != std::string::npos; }
  std::size_t size() const { return memory_.size(); }

 private:
  void read(int memory, std::uint64_t at, std::uint64_t end) {
    std::string piece(1 << 20, '\0');
    while (at < end) {
      const ssize_t got = ::pread(memory, piece.data(), std::min<std::uint64_t>(piece.size(), end - at),
                                  static_cast<off_t>(at));
      if (got <= 0) return;  // secret memory, or none behind the address
      memory_.append(piece, 0, static_cast<std::size_t>(got));
      at += static_cast<std::uint64_t>(got);
    }
  }
  std::string memory_;
};

class KmsdSecrets : public Kmsd {
 protected:
  std::string signed_request(const json& access_key, const std::string& host, const std::string& operation,
                             const std::string& body) const {
    const std::string id = access_key["AccessKeyId"], secret = access_key["SecretAccessKey"];
    const std::string target = "TrentService." + operation;
    const std::vector<kms::HttpHeader> headers = {{"Host", host}, {"X-Amz-Target", target}};
    auto added = kms::sign({"POST", "/", headers}, as_bytes(body), {id, as_bytes(secret), {}}, "eu-test-1",
                           "kms", SystemClock().wall_time());
    EXPECT_TRUE(added);
    std::string text = "POST / HTTP/1.1\r\nHost: " + host + "\r\nX-Amz-Target: " + target + "\r\n";
    for (const auto& header : *added) text += header.name + ": " + header.value + "\r\n";
    return text + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
};

TEST_F(KmsdSecrets, StandInLockedMemoryOnly) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can read the memory of such a process";
  make_store(kms::SealKind::kPassphrase);
  make_certificate(path("cert"), path("key"), "kms");
  start({"--listen", "127.0.0.1:0", "--tls-cert", path("cert"), "--tls-key", path("key")});
  ASSERT_EQ(admin_raw("Unseal", kPassphrase).status, 200);
  make_user();
  const json access_key = admin("CreateAccessKey", {{"UserName", "alice"}})["AccessKey"];
  const std::string key = make_key();
  Bytes plain(96);
  random_bytes(plain);
  const std::string encoded = to_base64(plain);

  auto client = connect();
  const auto encrypted = client.ask(request("Encrypt", {{"KeyId", key}, {"Plaintext", encoded}}));
  ASSERT_EQ(encrypted.status, 200) << encrypted.body;
  const json decrypt = {{"CiphertextBlob", json::parse(encrypted.body)["CiphertextBlob"]}};
  EXPECT_NE(client.ask(request("Decrypt", decrypt)).body.find(encoded), std::string::npos);
  TlsClient tls(port("https"));
  const std::string host = "127.0.0.1:" + std::to_string(port("https"));
  const json encrypt = {{"KeyId", key}, {"Plaintext", encoded}};
  EXPECT_TRUE(
      tls.ask(signed_request(access_key, host, "Encrypt", encrypt.dump())).starts_with("HTTP/1.1 200"));
  TlsClient other(port("https"));
  EXPECT_TRUE(
      other.ask(signed_request(access_key, host, "Decrypt", decrypt.dump())).starts_with("HTTP/1.1 200"));
  // A request cut short by its client, and one that waits for its end.
  EXPECT_TRUE(connect().send(request("Encrypt", encrypt).substr(0, 300)));
  auto waiting = connect();
  ASSERT_TRUE(
      waiting.send("POST / HTTP/1.1\r\nHost: x\r\nX-Control: not-a-secret-at-all\r\nContent-Length: "
                   "999\r\n\r\n{\"Plaintext\":\"" +
                   encoded));
  ASSERT_EQ(connect().ask(get("/health")).status, 200);

  const Scan scan(server_->process());
  EXPECT_GT(scan.size(), std::size_t{1} << 20);
  EXPECT_TRUE(scan.finds("not-a-secret-at-all")) << "the scan finds nothing";
  EXPECT_FALSE(scan.finds(encoded.substr(0, 32)));
  EXPECT_FALSE(scan.finds(encoded.substr(64, 32)));
  EXPECT_FALSE(scan.finds(as_text(ByteView(plain).first(24))));
  EXPECT_FALSE(scan.finds(as_text(ByteView(plain).last(24))));
  EXPECT_FALSE(scan.finds(kPassphrase));
  EXPECT_FALSE(scan.finds(access_key["SecretAccessKey"].get<std::string>()));
}

}  // namespace
}  // namespace kmsfs::testing
