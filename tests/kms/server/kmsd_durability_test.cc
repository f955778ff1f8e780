// What kmsd has acknowledged stays, whatever happens to the process or to the disk.
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include <atomic>
#include <fstream>
#include <set>

#include "kms/audit_log.h"
#include "tests/kms/server/kmsd_process.h"
#include "tests/kms/server/tls_client.h"

namespace kmsfs::testing {
namespace {

class KmsdDurability : public Kmsd {};
class KmsdTls : public Kmsd {};

TEST_F(KmsdDurability, NothingAcknowledgedIsLostWhenItIsKilled) {
  make_store();
  start();
  make_user();
  std::set<std::string> acknowledged;
  for (int round = 0; round < 3; ++round) {
    std::vector<std::vector<std::string>> made(3);
    std::atomic<std::size_t> count{0};
    std::vector<std::thread> clients;
    for (auto& mine : made) {
      clients.emplace_back([&] {
        auto client = connect();
        for (;;) {
          const auto reply = client.ask(request("CreateKey", json::object()));
          if (reply.status != 200) return;
          mine.push_back(json::parse(reply.body)["KeyMetadata"]["KeyId"]);
          ++count;
        }
      });
    }
    EXPECT_TRUE(eventually([&] { return count >= 10; }));
    server_->kill(SIGKILL);
    for (std::thread& client : clients) client.join();
    for (const auto& mine : made) acknowledged.insert(mine.begin(), mine.end());
    start();
  }
  auto client = connect();
  for (const std::string& key : acknowledged) {
    EXPECT_EQ(client.ask(request("Encrypt", {{"KeyId", key}, {"Plaintext", "aGVsbG8="}})).status, 200) << key;
  }
  server_->kill(SIGTERM);
  const auto verdict = kms::verify_audit_log(store());
  ASSERT_TRUE(verdict) << verdict.error().text;
  const std::string log = content_of(store() + "/audit.log");
  std::size_t recorded = 0;
  for (auto at = log.find("\"eventName\":\"CreateKey\""); at != std::string::npos;
       at = log.find("\"eventName\":\"CreateKey\"", at + 1)) {
    ++recorded;
  }
  EXPECT_GE(recorded, acknowledged.size());
}

// A small file system in a mount namespace of the test's own: gone with its process, however that ends.
class SmallDisk {
 public:
  explicit SmallDisk(std::string path) : path_(std::move(path)) {
    std::filesystem::create_directory(path_);
    mounted_ = ::unshare(CLONE_NEWNS) == 0 &&
               ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
               ::mount("kmsfs-test", path_.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "size=2m,mode=0700") == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }
  void fill() const {
    std::ofstream file(path_ + "/filler", std::ios::binary);
    const std::string page(4096, 'x');
    while (file.write(page.data(), 4096).flush()) continue;
  }
  void empty() const { std::filesystem::remove(path_ + "/filler"); }

 private:
  const std::string path_;
  bool mounted_ = false;
};

TEST_F(KmsdDurability, AFullDiskIsAnErrorToTryAgainAndNoMoreThanThat) {
  const SmallDisk disk(store());
  if (!disk.mounted()) GTEST_SKIP() << "no permission to mount a small disk";
  make_store();
  start();
  make_user();
  const std::string key = make_key();
  const json encrypt = {{"KeyId", key}, {"Plaintext", "aGVsbG8="}};
  disk.fill();
  HttpReply refused;
  ASSERT_TRUE(eventually([&] { return (refused = ask("CreateKey", json::object())).status != 200; }));
  EXPECT_EQ(refused.status, 500) << refused.body;
  EXPECT_EQ(json::parse(refused.body)["__type"], "KMSInternalException") << refused.body;
  EXPECT_EQ(connect().ask(get("/health")).status, 200);
  disk.empty();
  EXPECT_TRUE(eventually([&] { return ask("CreateKey", json::object()).status == 200; }));
  EXPECT_EQ(ask("Encrypt", encrypt).status, 200);
  EXPECT_EQ(server_->kill(SIGTERM), 0);
  EXPECT_TRUE(kms::verify_audit_log(store()));
  server_.reset();
}

TEST_F(KmsdTls, ServesHttpsAndReloadsItsCertificateOnHangup) {
  make_store();
  make_certificate(path("cert"), path("key"), "first");
  start({"--listen", "0.0.0.0:0", "--tls-cert", path("cert"), "--tls-key", path("key")});
  const std::uint16_t where = port("https");
  TlsClient before(where);
  EXPECT_EQ(before.server_name(), "first");
  EXPECT_TRUE(before.ask(get("/health")).starts_with("HTTP/1.1 200"));
  make_certificate(path("cert"), path("key"), "second");
  server_->signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return TlsClient(where).server_name() == "second"; })) << server_->log();
  EXPECT_TRUE(before.ask(get("/health")).starts_with("HTTP/1.1 200"));

  top_.write("cert", "nothing");
  EXPECT_EQ(admin_raw("ReloadTls", "{}").status, 400);
  server_->signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return server_->log().find("stays") != std::string::npos; }));
  EXPECT_EQ(TlsClient(where).server_name(), "second");
  make_certificate(path("cert"), path("key"), "third");
  EXPECT_EQ(admin_raw("ReloadTls", "{}").status, 200);
  EXPECT_EQ(TlsClient(where).server_name(), "third");
}

}  // namespace
}  // namespace kmsfs::testing
