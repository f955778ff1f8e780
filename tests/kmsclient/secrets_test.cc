// Where keys and secrets are after they came over the wire: in locked memory, and nowhere else.
#include <sys/wait.h>

#include <csignal>
#include <cstdlib>

#include "tests/kmsclient/remote_fixture.h"
#include "tests/support/memory_scan.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KMSFS_SANITIZED 1
#else
#define KMSFS_SANITIZED 0
#endif

namespace kmsfs {
namespace {

using namespace test;

class SecretsTest : public RemoteTest {
 protected:
  void SetUp() override {
    if (KMSFS_SANITIZED) GTEST_SKIP() << "the sanitizer keeps copies of freed memory";
    // The first scan of a process binds functions of shared libraries, and the dynamic linker then saves
    // vector registers on the stack: with what the needle's own making left in them.
    (void)kmsfs::testing::occurrences_outside_locked_memory(kmsfs::testing::Needle(as_bytes("anything")));
  }
};

// The server of a test is in the test's own process; what it says is made while it says it, and wiped.
void wipe(std::string& text) { ::explicit_bzero(text.data(), text.size()); }

// A server in another process, so that its copies are not ours: `socat` would do, a fork does.
class OtherProcess {
 public:
  explicit OtherProcess(const std::string& socket_path, const std::function<std::string()>& reply) {
    int ready[2];
    EXPECT_EQ(::pipe(ready), 0);
    pid_ = ::fork();
    if (pid_ == 0) serve(socket_path, reply, ready[1]);
    ::close(ready[1]);
    char byte = 0;
    EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    ::close(ready[0]);
  }
  ~OtherProcess() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

 private:
  [[noreturn]] static void serve(const std::string& path, const std::function<std::string()>& reply,
                                 int ready) {
    ::alarm(50);
    const int listener = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) ::_exit(1);
    ::listen(listener, 8);
    if (::write(ready, "x", 1) != 1) ::_exit(1);
    for (;;) {
      const int socket = ::accept(listener, nullptr, nullptr);
      char buffer[8192];
      while (::recv(socket, buffer, sizeof buffer, 0) > 0) {  // a request that fits in one packet
        const std::string body = reply();
        const std::string head =
            "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n";
        ::send(socket, (head + body).data(), head.size() + body.size(), MSG_NOSIGNAL);
      }
      ::close(socket);
    }
  }
  pid_t pid_ = -1;
};

TEST_F(SecretsTest, NeitherADataKeyNorItsBase64IsLeftOutsideLockedMemory) {
  const std::string path = (home_.path() / "kms.sock").string();
  // What the other process answers is computed there: letters that stand nowhere in our memory.
  const OtherProcess server(path, [] {
    std::string plain;
    for (int i = 0; i < 32; ++i) plain.push_back(static_cast<char>(33 + (i * 37 + 11) % 90));
    return key_reply(kKeyArn, plain);
  });
  auto remote = kms("unix:" + path);
  for (int i = 0; i < 3; ++i) {
    auto key = remote->decrypt(kKeyArn, as_bytes("blob"), {});
    ASSERT_TRUE(key) << text_of(key);
    const kmsfs::testing::Needle plain(key->reveal());
    EXPECT_EQ(kmsfs::testing::occurrences_outside_locked_memory(plain), 0U);
    std::string text = to_base64(key->reveal());
    const kmsfs::testing::Needle encoded(as_bytes(std::string_view(text).substr(4, 32)));
    wipe(text);
    EXPECT_EQ(kmsfs::testing::occurrences_outside_locked_memory(encoded), 0U);
  }
}

TEST_F(SecretsTest, SecretsOfTheSharedFilesStayInLockedMemory) {
  variables_.erase("AWS_ACCESS_KEY_ID");
  variables_.erase("AWS_SECRET_ACCESS_KEY");
  std::filesystem::create_directory(home_.path() / ".aws");
  // Written by another program, so that no buffer of ours ever had it.
  const std::string file = (home_.path() / ".aws/credentials").string();
  ASSERT_EQ(std::system(("printf '[default]\\naws_access_key_id = A\\naws_secret_access_key = ' > " + file +
                         "; od -An -tx1 -v -N16 /dev/urandom | tr -d ' \\n' >> " + file +
                         "; printf '\\naws_session_token = ' >> " + file +
                         "; od -An -tx1 -v -N16 /dev/urandom | tr -d ' \\n' >> " + file)
                            .c_str()),
            0);
  ScriptedServer server([](const auto&, auto) { return http_answer(200, key_reply()); });
  auto made = make({server.url(), {}, {}});
  ASSERT_TRUE(made);
  ASSERT_TRUE((*made)->call("DescribeKey", as_bytes("{}")));
  auto profiles = Profiles::load(environment());
  ASSERT_TRUE(profiles);
  const auto secret = profiles->get("default", "aws_secret_access_key");
  ASSERT_EQ(secret.size(), 32U);
  EXPECT_TRUE(LockedMemory::contains(secret.data()));
  EXPECT_EQ(kmsfs::testing::occurrences_outside_locked_memory(kmsfs::testing::Needle(as_bytes(secret))), 0U);
}

// The negative control: a copy that is left is found.
TEST_F(SecretsTest, ALeftCopyWouldBeFound) {
  auto secret = sensitive_copy("a secret that was copied out for the sake of this test");
  ASSERT_TRUE(secret);
  auto leak = std::make_unique<std::string>(as_text(secret->reveal()));
  EXPECT_GE(kmsfs::testing::occurrences_outside_locked_memory(kmsfs::testing::Needle(secret->reveal())), 1U);
}

}  // namespace
}  // namespace kmsfs
