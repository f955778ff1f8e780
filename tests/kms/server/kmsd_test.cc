// kmsd as its operator and its clients meet it.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/kms/server/kmsd_process.h"

namespace kmsfs::testing {
namespace {

// Runs curl as somebody who is neither root nor the owner; what it printed, and its exit status.
ScriptResult curl_as_nobody(const std::string& socket, const std::string& target) {
  return run_script(
      "setpriv --reuid=65534 --regid=65534 --clear-groups curl -s -m 20 --unix-socket " + quoted(socket) +
          " -H " + quoted("X-Amz-Target: " + target) +
          " -H 'Content-Type: application/x-amz-json-1.1' -w ' status=%{http_code}' -d '{}' http://kms/",
      30);
}

bool nobody_reaches(const std::string& directory) {
  ::chmod(directory.c_str(), 0755);
  return run_script("setpriv --reuid=65534 --regid=65534 --clear-groups test -x " + quoted(directory), 30)
             .status == 0;
}

TEST_F(Kmsd, HealthNeedsNoSignatureAndSaysNothingElse) {
  make_store();
  start({"--listen", "127.0.0.1:0"});
  for (const bool tcp : {false, true}) {
    const auto reply = (tcp ? HttpClient::to_loopback(port()) : connect()).ask(get("/health"));
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body, "");
    EXPECT_EQ(reply.head, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
  }
}

TEST_F(Kmsd, AUidIsWhoTheStoreSaysItIs) {
  make_store();
  start();
  const auto stranger = ask("ListKeys", json::object());
  EXPECT_EQ(stranger.status / 100, 4) << stranger.body;
  make_user();
  const std::string key = make_key();
  EXPECT_EQ(json::parse(ask("ListKeys", json::object()).body)["Keys"][0]["KeyId"], key);
  admin("UnmapUid", {{"Uid", ::getuid()}});
  EXPECT_EQ(ask("ListKeys", json::object()).status / 100, 4);
}

TEST_F(Kmsd, AnotherUidIsSomebodyElse) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can be somebody else";
  if (!nobody_reaches(top_.path().string())) GTEST_SKIP() << "others cannot reach the temporary directory";
  make_store();
  start();
  make_user();
  const auto stranger = curl_as_nobody(path("socket"), "TrentService.ListKeys");
  EXPECT_NE(stranger.output.find("status=4"), std::string::npos) << stranger.output;
  admin("CreateUser", {{"UserName", "nobody"}});
  admin("MapUid", {{"Uid", 65534}, {"UserName", "nobody"}});
  const auto known = curl_as_nobody(path("socket"), "TrentService.ListKeys");
  EXPECT_NE(known.output.find("user/nobody"), std::string::npos) << known.output;
}

TEST_F(Kmsd, OnlyRootAndTheOwnerAdminister) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can be somebody else";
  if (!nobody_reaches(top_.path().string())) GTEST_SKIP() << "others cannot reach the temporary directory";
  make_store();
  start();
  const std::string socket = store() + "/admin.sock";
  struct stat status {};
  ASSERT_EQ(::stat(socket.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  EXPECT_NE(curl_as_nobody(socket, "KmsfsAdmin.SealStatus").status, 0);
  // Even where the modes have been opened by mistake.
  ::chmod(store().c_str(), 0755);
  ::chmod(socket.c_str(), 0666);
  const auto refused = curl_as_nobody(socket, "KmsfsAdmin.SealStatus");
  EXPECT_NE(refused.output.find("status=403"), std::string::npos) << refused.output;
  EXPECT_EQ(refused.output.find("Sealed"), std::string::npos) << refused.output;
}

TEST_F(Kmsd, AdministrationIsNotToBeHadWhereOthersAsk) {
  make_store();
  start();
  make_user();
  const auto reply = connect().ask(post("/", "{}", "X-Amz-Target: KmsfsAdmin.SealStatus\r\n"));
  EXPECT_NE(reply.status, 200) << reply.body;
  EXPECT_EQ(admin_raw("NoSuchThing", "{}").status, 400);
  EXPECT_EQ(admin_raw("ReloadTls", "{}").status, 400);
  EXPECT_EQ(admin_raw("Backup", "{}").status, 400);
  EXPECT_EQ(admin_raw("Backup", "{\"Directory\": \"relative\"}").status, 400);
}

TEST_F(Kmsd, ASealedServerAnswersHealthAndUnsealingAlone) {
  make_store(kms::SealKind::kPassphrase);
  start();
  EXPECT_EQ(admin("SealStatus", json::object())["Sealed"], true);
  EXPECT_EQ(connect().ask(get("/health")).status, 200);
  const auto refused = ask("Decrypt", {{"CiphertextBlob", "AAAA"}, {"KeyId", "alias/secret-name"}});
  EXPECT_EQ(refused.status, 500);
  EXPECT_EQ(json::parse(refused.body)["__type"], "KMSInternalException");
  EXPECT_EQ(refused.body.find("secret-name"), std::string::npos);
  EXPECT_EQ(admin_raw("ListAccounts", "{}").status, 500);
  EXPECT_EQ(admin_raw("Unseal", "wrong").status, 400);
  EXPECT_EQ(admin("SealStatus", json::object())["Sealed"], true);

  EXPECT_EQ(admin_raw("Unseal", std::string(kPassphrase) + "\n").status, 200);
  make_user();
  const std::string key = make_key();
  EXPECT_EQ(admin("Seal", json::object())["Sealed"], true);
  EXPECT_EQ(ask("DescribeKey", {{"KeyId", key}}).status, 500);
  EXPECT_EQ(admin_raw("Unseal", kPassphrase).status, 200);
  EXPECT_EQ(ask("DescribeKey", {{"KeyId", key}}).status, 200);
  // Who opened and closed it stands in the store's log, and the passphrase nowhere.
  const std::string log = content_of(store() + "/audit.log");
  const auto sealed = log.find("\"SealStore\"");
  ASSERT_NE(sealed, std::string::npos);
  EXPECT_LT(log.find("\"UnsealStore\""), sealed);
  EXPECT_NE(log.find("\"UnsealStore\"", sealed), std::string::npos);
  const auto line = json::parse(
      log.substr(log.rfind('\n', sealed) + 1, log.find('\n', sealed) - log.rfind('\n', sealed) - 1));
  EXPECT_EQ(line["userIdentity"]["principalId"], std::to_string(::getuid()));
  EXPECT_EQ(log.find(kPassphrase), std::string::npos);
}

TEST_F(Kmsd, APassphraseFileOpensTheStoreAtStart) {
  make_store(kms::SealKind::kPassphrase);
  top_.write("right", kPassphrase);
  top_.write("wrong", "wrong");
  for (const char* name : {"right", "wrong"}) ::chmod(path(name).c_str(), 0600);
  const Arguments more = {"--socket", path("socket"), "--passphrase-file"};
  EXPECT_TRUE(fails({more[0], more[1], more[2], path("wrong")}, 4, "passphrase"));
  EXPECT_TRUE(fails({more[0], more[1], more[2], path("missing")}, 4, "missing"));
  start({"--passphrase-file", path("right")});
  EXPECT_EQ(admin("SealStatus", json::object())["Sealed"], false);
}

TEST_F(Kmsd, SaysWhatIsWrongAndEndsWithItsCode) {
  EXPECT_TRUE(fails({"--socket", path("socket")}, 7, "store"));
  make_store();
  EXPECT_TRUE(fails({}, 2, "--socket"));
  EXPECT_TRUE(fails({"--no-such-option"}, 2, "--help"));
  EXPECT_TRUE(fails({"--listen", "nonsense"}, 2, "HOST:PORT"));
  EXPECT_TRUE(fails({"--listen", "127.0.0.1:99999"}, 2, "HOST:PORT"));
  EXPECT_TRUE(fails({"--listen", "0.0.0.0:0"}, 2, "--insecure-http"));
  EXPECT_TRUE(fails({"--listen", "https://127.0.0.1:0"}, 2, "--tls-cert"));
  EXPECT_TRUE(fails({"--listen", "127.0.0.1:0", "--tls-cert", path("c")}, 2, "belong together"));
  EXPECT_TRUE(
      fails({"--listen", "127.0.0.1:0", "--tls-cert", path("c"), "--tls-key", path("k")}, 1, path("c")));
  top_.write("file", "precious");
  EXPECT_TRUE(fails({"--socket", path("file")}, 2, "no socket"));
  EXPECT_EQ(top_.read("file"), "precious");
  EXPECT_TRUE(fails({"--socket", path(std::string(200, 'x'))}, 2, "bytes"));
  ::chmod(store().c_str(), 0755);
  EXPECT_TRUE(fails({"--socket", path("socket")}, 4, "chmod 700"));
}

TEST_F(Kmsd, AStoreHasOneServerAndASocketToo) {
  make_store();
  start();
  EXPECT_TRUE(fails({"--socket", path("other")}, 9, "another kmsd"));
  EXPECT_EQ(connect().ask(get("/health")).status, 200);
  // Another store, the same socket.
  const std::string first = store();
  ASSERT_EQ(run_script("cp -a " + quoted(first) + " " + quoted(path("copy")) + " && rm -f " +
                       quoted(path("copy") + "/admin.sock"))
                .status,
            0);
  KmsdProcess second({"--store", path("copy"), "--socket", path("socket")}, path("log2"));
  EXPECT_EQ(second.wait(), 9) << second.log();
  EXPECT_EQ(connect().ask(get("/health")).status, 200);
}

TEST_F(Kmsd, WhatAKilledServerLeftBehindIsInNobodysWay) {
  make_store();
  start();
  EXPECT_EQ(server_->kill(SIGKILL), 128 + SIGKILL);
  EXPECT_EQ(::access(path("socket").c_str(), F_OK), 0);
  start();
  EXPECT_EQ(connect().ask(get("/health")).status, 200);
}

TEST_F(Kmsd, WhoOpensTheStoreItselfSharesIt) {
  make_store();
  start();
  make_user();
  const std::string key = make_key();
  const SystemClock clock;
  auto service = kms::Service::open(store(), {}, clock, make_null_logger());
  ASSERT_TRUE(service) << service.error().text;
  kms::Invocation from;
  from.principal = "arn:aws:iam::111122223333:user/alice";
  kms::KeyRequest request;
  request.key_id = key;
  EXPECT_TRUE((*service)->disable_key(from, request));
  const auto described = json::parse(ask("DescribeKey", {{"KeyId", key}}).body);
  EXPECT_EQ(described["KeyMetadata"]["KeyState"], "Disabled");
}

TEST_F(Kmsd, AStopLetsARequestUnderWayFinish) {
  make_store();
  start();
  make_user();
  auto idle = connect(), busy = connect();
  ASSERT_EQ(idle.ask(get("/health")).status, 200);
  const std::string whole = request("CreateKey", json::object());
  ASSERT_TRUE(busy.send(whole.substr(0, whole.size() - 1)));
  ASSERT_EQ(connect().ask(get("/health")).status, 200);  // by now it has read what came before
  server_->signal(SIGTERM);
  EXPECT_TRUE(idle.is_ended());
  EXPECT_EQ(busy.ask(whole.substr(whole.size() - 1)).status, 200);
  busy.say_no_more();
  EXPECT_EQ(server_->wait(), 0) << server_->log();
  EXPECT_NE(::access(path("socket").c_str(), F_OK), 0);
  EXPECT_NE(::access((store() + "/admin.sock").c_str(), F_OK), 0);
  EXPECT_NE(::access(path("ready").c_str(), F_OK), 0);
}

TEST_F(Kmsd, AStopDoesNotWaitForeverForARequestThatNeverEnds) {
  make_store();
  start();
  auto busy = connect();
  ASSERT_TRUE(busy.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n{"));
  ASSERT_EQ(connect().ask(get("/health")).status, 200);
  server_->signal(SIGTERM);
  EXPECT_EQ(server_->wait(), 0) << server_->log();
}

TEST_F(Kmsd, TellsTheServiceManagerWhatItDoes) {
  make_store();
  const UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = path("notify");
  std::copy(name.begin(), name.end(), address.sun_path);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &HttpClient::kPatience, sizeof HttpClient::kPatience);
  const auto heard = [&socket] {
    char buffer[512];
    const ssize_t got = ::recv(socket.get(), buffer, sizeof buffer, 0);
    return got > 0 ? std::string(buffer, static_cast<std::size_t>(got)) : "nothing";
  };
  start({}, {"NOTIFY_SOCKET=" + name});
  EXPECT_EQ(heard(), "READY=1\nSTATUS=serving");
  server_->signal(SIGTERM);
  EXPECT_EQ(heard(), "STOPPING=1");
  EXPECT_EQ(server_->wait(), 0);
}

TEST_F(Kmsd, LeavesNoCoreFile) {
  make_store();
  start();
  const std::string limits = content_of("/proc/" + std::to_string(server_->process()) + "/limits");
  EXPECT_NE(limits.find("Max core file size        0                    0"), std::string::npos) << limits;
}

TEST_F(Kmsd, HoldsAThousandIdleConnections) {
  make_store();
  start();
  std::vector<HttpClient> idle;
  for (int i = 0; i < 1000; ++i) {
    idle.push_back(connect());
    ASSERT_TRUE(idle.back().connected()) << i;
  }
  EXPECT_EQ(connect().ask(get("/health")).status, 200);
  for (HttpClient& client : idle) ASSERT_EQ(client.ask(get("/health")).status, 200);
}

TEST_F(Kmsd, ABackupOfARunningServerOpensAsAStore) {
  make_store();
  start();
  make_user();
  const std::string key = make_key();
  admin("Backup", {{"Directory", path("backup")}});
  EXPECT_EQ(admin_raw("Backup", json{{"Directory", path("backup")}}.dump()).status, 400);
  server_->kill(SIGTERM);
  KmsdProcess second({"--store", path("backup"), "--socket", path("socket2"), "--ready-file", path("ready2")},
                     path("log2"));
  ASSERT_TRUE(eventually([&] { return ::access(path("ready2").c_str(), F_OK) == 0 || second.has_ended(); }));
  const auto reply = HttpClient::to_unix(path("socket2")).ask(request("DescribeKey", {{"KeyId", key}}));
  EXPECT_EQ(reply.status, 200) << reply.body << second.log();
}

}  // namespace
}  // namespace kmsfs::testing
