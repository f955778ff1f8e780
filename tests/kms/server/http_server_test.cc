// The server as a client meets it: over real sockets, in order, too fast, too slow, too large, and malformed.
#include "kms/server/http_server.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <future>

#include "tests/kms/server/scripted_server.h"
#include "tests/support/crypto_environment.h"

namespace kmsfs::testing {
namespace {

using std::chrono::milliseconds;

class HttpServer : public ScriptedServer {};

TEST_F(HttpServer, OneConnectionCarriesRequestAfterRequest) {
  start();
  for (const bool tcp : {false, true}) {
    HttpClient client = tcp ? connect_tcp() : connect();
    for (const std::string& body : {std::string("one"), std::string(), std::string(70'000, 'z')}) {
      const auto reply = client.ask(post("/echo", body));
      EXPECT_EQ(reply.status, 200);
      EXPECT_EQ(reply.body, body);
      EXPECT_FALSE(reply.has("Connection:")) << reply.head;
    }
  }
}

TEST_F(HttpServer, SaysNothingOfItself) {
  start();
  const auto reply = connect().ask(get("/"));
  EXPECT_TRUE(reply.has("\r\nContent-Length: 0\r\n"));
  EXPECT_FALSE(reply.has("Server:"));
}

TEST_F(HttpServer, RequestsSentAheadAreAnsweredInTheirOrder) {
  start();
  auto client = connect();
  std::string all;
  for (int i = 0; i < 20; ++i)
    all += post("/echo", std::string(static_cast<std::size_t>(i * 300), 'a') + std::to_string(i));
  ASSERT_TRUE(client.send(all));
  for (int i = 0; i < 20; ++i) {
    const auto reply = client.receive();
    EXPECT_EQ(reply.status, 200);
    EXPECT_TRUE(reply.body.ends_with(std::to_string(i))) << i;
    EXPECT_EQ(reply.body.size(), i * 300 + std::to_string(i).size());
  }
}

TEST_F(HttpServer, ARequestThatComesByteByByteIsARequest) {
  start();
  auto client = connect();
  for (const char byte : post("/echo", "slowly")) ASSERT_TRUE(client.send({&byte, 1}));
  EXPECT_EQ(client.receive().body, "slowly");
}

TEST_F(HttpServer, AClientThatHasSaidAllHearsItsAnswer) {
  start();
  auto client = connect();
  ASSERT_TRUE(client.send(post("/echo", "the end")));
  client.say_no_more();
  EXPECT_EQ(client.receive().body, "the end");
  EXPECT_TRUE(client.is_ended());
}

TEST_F(HttpServer, TellsUnixClientsByTheirUidAndOthersByTheirAddress) {
  start();
  EXPECT_EQ(connect().ask(get("/who")).body, "uid " + std::to_string(::getuid()));
  EXPECT_EQ(connect_tcp().ask(get("/who")).body, "127.0.0.1");
}

TEST_F(HttpServer, EndsAConnectionThatAskedForIt) {
  start();
  for (const char* request :
       {"GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"}) {
    auto client = connect();
    const auto reply = client.ask(request);
    EXPECT_EQ(reply.status, 200);
    EXPECT_TRUE(reply.has("\r\nConnection: close\r\n"));
    EXPECT_TRUE(client.is_ended());
  }
  auto client = connect();
  EXPECT_TRUE(client.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").has("Connection: keep-alive"));
  EXPECT_EQ(client.ask(get("/")).status, 200);
}

TEST_F(HttpServer, AHeadQuestionIsAnsweredWithoutABody) {
  start();
  auto client = connect();
  ASSERT_TRUE(client.send("HEAD /who HTTP/1.1\r\nHost: x\r\n\r\n" + get("/who")));
  // Read as raw bytes: the length is told, the body is not there.
  std::string all;
  char buffer[4096];
  while (all.find("uid ") == std::string::npos) {
    const ssize_t got = ::recv(client.descriptor(), buffer, sizeof buffer, 0);
    ASSERT_GT(got, 0);
    all.append(buffer, static_cast<std::size_t>(got));
  }
  EXPECT_EQ(all.find("HTTP/1.1 200", 1), all.find("\r\n\r\n") + 4);
}

TEST_F(HttpServer, WhoExpectsToBeToldToContinueIsTold) {
  start();
  auto client = connect();
  const auto told =
      client.ask("POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(told.status, 100);
  EXPECT_EQ(client.ask("later").body, "later");
}

TEST_F(HttpServer, AHeadThatIsTooLargeIsRefusedThough) {
  start();
  auto client = connect();
  const auto reply =
      client.ask("GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + std::string(20'000, 'x') + "\r\n\r\n");
  EXPECT_EQ(reply.status, 431);
  EXPECT_TRUE(client.is_ended());
  EXPECT_EQ(
      connect().ask("GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + std::string(16'000, 'x') + "\r\n\r\n").status,
      200);
}

TEST_F(HttpServer, ABodyThatIsTooLargeIsRefusedBeforeItIsSent) {
  start();
  auto client = connect();
  const std::string size = std::to_string(kms::kHttpBodyLimit + 1);
  const auto reply = client.ask(
      "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: " + size + "\r\n\r\n");
  EXPECT_EQ(reply.status, 413);
  EXPECT_TRUE(client.is_ended());
  EXPECT_EQ(connect().ask(post("/echo", std::string(kms::kHttpBodyLimit, 'b'))).body.size(),
            kms::kHttpBodyLimit);
}

TEST_F(HttpServer, ARefusalArrivesThoughTheClientGoesOnSending) {
  start();
  auto client = connect();
  client.send(post("/echo", std::string(kms::kHttpBodyLimit + 100'000, 'b')));
  EXPECT_EQ(client.receive().status, 413);
}

TEST_F(HttpServer, WhatIsNoHttpIsRefused) {
  start();
  for (const char* request : {"hello\r\n\r\n", "\x16\x03\x01\x02\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"}) {
    auto client = connect();
    EXPECT_EQ(client.ask(request).status, 400);
    EXPECT_TRUE(client.is_ended());
  }
}

TEST_F(HttpServer, ARequestThatStaysIncompleteIsAnsweredInTime) {
  kms::HttpLimits limits;
  limits.head = limits.body = milliseconds(300);
  start(limits);
  auto head = connect(), body = connect();
  ASSERT_TRUE(head.send("GET / HTTP/1.1\r\nHos"));
  ASSERT_TRUE(body.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"));
  EXPECT_EQ(head.receive().status, 408);
  EXPECT_EQ(body.receive().status, 408);
  EXPECT_TRUE(head.is_ended());
}

TEST_F(HttpServer, AHeadThatTricklesInHasNoMoreTimeThanAnother) {
  kms::HttpLimits limits;
  limits.head = milliseconds(500);
  start(limits);
  auto client = connect();
  ASSERT_TRUE(client.send("GET / HTTP/1.1\r\nX: "));
  bool open = true;
  for (int i = 0; i < 400 && open; ++i) {
    open = client.send("x");
    char next = 0;
    open = open && ::recv(client.descriptor(), &next, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
    std::this_thread::sleep_for(milliseconds(50));
  }
  EXPECT_EQ(client.receive().status, 408);
}

TEST_F(HttpServer, AClientThatDoesNotTakeItsAnswerIsDropped) {
  kms::HttpLimits limits;
  limits.write = milliseconds(300);
  start(limits);
  auto client = connect();
  ASSERT_TRUE(client.send(get("/big")));
  EXPECT_TRUE(has_connections(0));
}

TEST_F(HttpServer, AnIdleConnectionIsEndedWhenItsTimeIsOver) {
  kms::HttpLimits limits;
  limits.idle = milliseconds(200);
  start(limits);
  auto client = connect();
  EXPECT_EQ(client.ask(get("/")).status, 200);
  EXPECT_TRUE(client.is_ended());
}

TEST_F(HttpServer, AThousandIdleConnectionsDisturbNobody) {
  start();
  std::vector<HttpClient> idle;
  for (int i = 0; i < 1000; ++i) {
    idle.push_back(connect());
    ASSERT_TRUE(idle.back().connected()) << i;
  }
  ASSERT_TRUE(has_connections(1000));
  EXPECT_EQ(connect().ask(get("/")).status, 200);
  for (HttpClient& client : idle) ASSERT_EQ(client.ask(get("/")).status, 200);
}

TEST_F(HttpServer, WhenThereIsNoRoomThoseIdleLongestMakeRoom) {
  kms::HttpLimits limits;
  limits.connections = 8;
  start(limits);
  std::vector<HttpClient> idle;
  for (int i = 0; i < 8; ++i) {
    idle.push_back(connect());
    ASSERT_EQ(idle.back().ask(get("/")).status, 200);
  }
  EXPECT_EQ(connect().ask(get("/")).status, 200);
  EXPECT_TRUE(idle.front().is_ended());
  EXPECT_EQ(idle.back().ask(get("/")).status, 200);
}

TEST_F(HttpServer, WhenTooManyRequestsWaitTheNextHearsSo) {
  start({}, 1, 1);
  auto working = connect(), waiting = connect(), refused = connect();
  ASSERT_TRUE(working.send(get("/wait")));
  ASSERT_TRUE(handler_.await(1));
  ASSERT_TRUE(waiting.send(get("/echo")));
  HttpReply reply;
  for (int i = 0; i < 1000 && reply.status != 503; ++i) {  // until the one before it is in the queue
    auto client = connect();
    ASSERT_TRUE(client.send(get("/echo")));
    const timeval soon{0, 20'000};
    ::setsockopt(client.descriptor(), SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
    reply = client.receive();
  }
  EXPECT_EQ(reply.status, 503);
  handler_.release();
  EXPECT_EQ(working.receive().body, "waited");
  EXPECT_EQ(waiting.receive().status, 200);
}

TEST_F(HttpServer, BeginningsOfRequestsTakeNoMoreMemoryThanTheirShare) {
  kms::HttpLimits limits;
  limits.buffers = 64 * 1024;
  start(limits);
  std::vector<HttpClient> clients;
  std::vector<pollfd> sockets;
  for (int i = 0; i < 33; ++i) {  // one more than there is room for
    clients.push_back(connect());
    ASSERT_TRUE(clients.back().send("GET / HTTP/1.1\r\nX: "));
    sockets.push_back({clients.back().descriptor(), POLLIN, 0});
  }
  ASSERT_GT(::poll(sockets.data(), sockets.size(), 20'000), 0);
  const auto refused =
      std::find_if(sockets.begin(), sockets.end(), [](const pollfd& socket) { return socket.revents != 0; });
  EXPECT_EQ(clients[static_cast<std::size_t>(refused - sockets.begin())].receive().status, 503);
  EXPECT_EQ(connect().ask(get("/")).status, 503);
  clients.clear();
  HttpReply reply;
  for (int i = 0; i < 2000 && reply.status != 200; ++i) reply = connect().ask(get("/"));
  EXPECT_EQ(reply.status, 200);
}

TEST_F(HttpServer, AHandlerThatThrowsFailsOneRequestOnly) {
  start();
  auto client = connect();
  EXPECT_EQ(client.ask(get("/throw")).status, 500);
  EXPECT_EQ(client.ask(get("/")).status, 200);
}

TEST_F(HttpServer, AStopWaitsForARequestUnderWayAndForNobodyElse) {
  start();
  auto idle = connect(), half = connect(), busy = connect();
  ASSERT_EQ(idle.ask(get("/")).status, 200);
  ASSERT_TRUE(half.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nha"));
  ASSERT_TRUE(busy.send(get("/wait")));
  ASSERT_TRUE(handler_.await(1));
  auto stopped = std::async(std::launch::async, [this] { server_->stop(std::chrono::seconds(20)); });
  EXPECT_TRUE(idle.is_ended());
  EXPECT_EQ(half.ask("lf").body, "half");
  handler_.release();
  EXPECT_EQ(busy.receive().body, "waited");
  EXPECT_TRUE(busy.is_ended());
  half.say_no_more();
  EXPECT_EQ(stopped.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  EXPECT_EQ(server_->connections(), 0U);
}

TEST_F(HttpServer, AStopEndsWhatDoesNotEnd) {
  start();
  auto half = connect(), busy = connect();
  ASSERT_TRUE(half.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nha"));
  ASSERT_TRUE(busy.send(get("/wait")));
  ASSERT_TRUE(handler_.await(1));
  server_->stop(milliseconds(200));
  EXPECT_TRUE(half.is_ended());
  EXPECT_TRUE(busy.is_ended());
}

}  // namespace
}  // namespace kmsfs::testing
