// What a KMS that is down, slow or busy does to us, and what we do not do to it.
#include <thread>

#include "tests/kmsclient/remote_fixture.h"

namespace kmsfs {
namespace {

using namespace test;
using namespace std::chrono_literals;
using Then = HttpAnswer::Then;

class SurvivalTest : public RemoteTest {
 protected:
  Result<DataKey> decrypt(RemoteKms& kms) { return kms.decrypt(kKeyArn, as_bytes("blob"), {}); }
};

TEST_F(SurvivalTest, WhatHelpsOnRetryIsRetriedAndTheCallSucceeds) {
  const HttpAnswer troubles[] = {
      {"", Then::kReset},
      {"", Then::kClose},
      {"HTTP/1.1 200 OK\r\nContent-Le", Then::kReset},
      aws_error(500, "KMSInternalException"),
      aws_error(500, "AccessDeniedException"),  // a 5xx is no verdict, whatever it says
      http_answer(502, "<html>bad gateway</html>"),
      http_answer(503, ""),
      aws_error(400, "ThrottlingException"),
      aws_error(400, "KeyUnavailableException"),
      http_answer(429, ""),
  };
  for (const HttpAnswer& trouble : troubles) {
    ScriptedServer server([&](const auto&, std::size_t number) {
      return number <= 2 ? trouble : http_answer(200, key_reply());
    });
    auto key = decrypt(*kms(server.url()));
    EXPECT_TRUE(key) << trouble.bytes << text_of(key);
    EXPECT_GE(server.count(), 3U) << trouble.bytes;
  }
}

TEST_F(SurvivalTest, AttemptsAreLimitedAndTheLastReasonIsTold) {
  limits_.attempts = 4;
  ScriptedServer server(
      [](const auto&, auto) { return aws_error(500, "KMSInternalException", "the store is sealed"); });
  auto failed = decrypt(*kms(server.url()));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, Kind::kUnavailable);
  EXPECT_NE(failed.error().text.find("the store is sealed"), std::string::npos);
  EXPECT_NE(failed.error().text.find("Decrypt"), std::string::npos);
  EXPECT_EQ(server.count(), 4U);
  EXPECT_EQ(pauses().size(), 3U);
}

TEST_F(SurvivalTest, AServerThatThrottlesIsAskedAgainWhenItSays) {
  limits_.attempts = 3;
  ScriptedServer server([](const auto&, auto) {
    return aws_error(400, "ThrottlingException", "slow down", "x-amz-retry-after: 1234\r\n");
  });
  auto failed = decrypt(*kms(server.url()));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, Kind::kThrottled);
  EXPECT_EQ(pauses(), std::vector<Milliseconds>({1234ms, 1234ms}));
}

TEST_F(SurvivalTest, AServerCannotAskForAnHourOfWaiting) {
  limits_.attempts = 2;
  limits_.longest_retry_after = 5000ms;
  for (const char* after : {"3600000", "4294967295", "99999999999999999999", "-1", "soon", ""}) {
    pauses_.with([](auto& pauses) { pauses.clear(); });
    ScriptedServer server([after](const auto&, auto) {
      return aws_error(400, "ThrottlingException", "x", "x-amz-retry-after: " + std::string(after) + "\r\n");
    });
    EXPECT_FALSE(decrypt(*kms(server.url())));
    for (const Milliseconds pause : pauses()) EXPECT_LE(pause, 5000ms) << after;
  }
}

TEST_F(SurvivalTest, NoPauseGoesPastTheDeadlineOfTheOperation) {
  limits_.operation_deadline = 1000ms;  // of a clock that stands still
  ScriptedServer server([](const auto&, auto) {
    return aws_error(400, "ThrottlingException", "x", "x-amz-retry-after: 1000\r\n");
  });
  EXPECT_EQ(decrypt(*kms(server.url())).error().kind, Kind::kThrottled);
  EXPECT_TRUE(pauses().empty());
}

TEST_F(SurvivalTest, PausesGrowFromNothingToTheirCeilings) {
  SurvivalLimits limits;
  for (int retry = 1; retry < 40; ++retry) {
    const auto ceiling = std::min(limits.longest_pause, limits.first_pause * (1 << std::min(retry - 1, 10)));
    for (int i = 0; i < 50; ++i) {
      const auto pause = jittered_pause(limits, retry);
      EXPECT_GE(pause, 0ms);
      EXPECT_LE(pause, ceiling);
    }
  }
}

TEST_F(SurvivalTest, AServerThatHangsCostsTheDeadlineAndNotMore) {
  limits_.call_deadline = 200ms;
  limits_.attempts = 2;
  const HttpAnswer hangs[] = {{"", Then::kHang},
                              {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", Then::kHang}};
  for (const HttpAnswer& hang : hangs) {
    ScriptedServer server([&](const auto&, auto) { return hang; });
    auto failed = decrypt(*kms(server.url()));
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().kind, Kind::kUnavailable);
    EXPECT_NE(failed.error().text.find("in time"), std::string::npos) << failed.error().text;
  }
}

TEST_F(SurvivalTest, NobodyThereIsAnOutageThatNamesTheEndpoint) {
  limits_.attempts = 2;
  std::string url;
  {
    url = ScriptedServer([](const auto&, auto) { return HttpAnswer{}; }).url();
  }
  auto failed = decrypt(*kms(url));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind, Kind::kUnavailable);
  EXPECT_NE(failed.error().text.find(url.substr(7)), std::string::npos) << failed.error().text;
  failed = decrypt(*kms("unix:/nonexistent/kmsd.sock"));
  EXPECT_EQ(failed.error().kind, Kind::kUnavailable);
  EXPECT_NE(failed.error().text.find("unix:/nonexistent/kmsd.sock"), std::string::npos)
      << failed.error().text;
  EXPECT_NE(failed.error().text.find("No such file"), std::string::npos) << failed.error().text;
}

TEST_F(SurvivalTest, WhenEverythingFailsTheBudgetEndsTheRetries) {
  limits_.budget = 25;  // five retries
  limits_.attempts = 3;
  limits_.breaker_failures = 1000;
  ScriptedServer server([](const auto&, auto) { return aws_error(500, "KMSInternalException"); });
  auto remote = kms(server.url());
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(decrypt(*remote));
  EXPECT_EQ(server.count(), 10U + 5U);
}

TEST_F(SurvivalTest, TheBreakerOpensAfterFailuresInARowAndProbesOnce) {
  limits_.attempts = 1;
  limits_.breaker_failures = 3;
  std::atomic<bool> well{false};
  ScriptedServer server([&](const auto&, auto) {
    return well ? http_answer(200, key_reply()) : aws_error(500, "KMSInternalException");
  });
  auto remote = kms(server.url());
  for (int i = 0; i < 10; ++i) {
    auto failed = decrypt(*remote);
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().kind, Kind::kUnavailable);
  }
  EXPECT_EQ(server.count(), 3U);
  clock_.advance(limits_.breaker_pause);
  EXPECT_FALSE(decrypt(*remote));  // the probe
  EXPECT_FALSE(decrypt(*remote));
  EXPECT_EQ(server.count(), 4U);
  well = true;
  EXPECT_FALSE(decrypt(*remote));
  clock_.advance(limits_.breaker_pause);
  EXPECT_TRUE(decrypt(*remote));
  EXPECT_TRUE(decrypt(*remote));
  EXPECT_EQ(server.count(), 6U);
}

TEST_F(SurvivalTest, NeitherThrottlingNorRefusalsOpenTheBreaker) {
  limits_.attempts = 1;
  limits_.breaker_failures = 3;
  ScriptedServer server([](const auto&, std::size_t number) {
    return aws_error(400, number % 2 == 0 ? "ThrottlingException" : "AccessDeniedException");
  });
  auto remote = kms(server.url());
  for (int i = 0; i < 20; ++i) EXPECT_NE(decrypt(*remote).error().kind, Kind::kUnavailable);
  EXPECT_EQ(server.count(), 20U);
}

TEST_F(SurvivalTest, OneGoodAnswerBetweenFailuresKeepsTheBreakerClosed) {
  limits_.attempts = 1;
  limits_.breaker_failures = 3;
  ScriptedServer server([](const auto&, std::size_t number) {
    return number % 3 == 0 ? http_answer(200, key_reply()) : aws_error(500, "KMSInternalException");
  });
  auto remote = kms(server.url());
  for (int i = 1; i <= 30; ++i) EXPECT_EQ(decrypt(*remote).ok(), i % 3 == 0);
}

TEST_F(SurvivalTest, MoreCallsThanPlacesWaitForTheirTurn) {
  limits_.calls_at_once = 3;
  std::atomic<int> inside{0}, most{0};
  ScriptedServer server([&](const auto&, auto) {
    const int now = ++inside;
    for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
    }
    std::this_thread::yield();
    --inside;
    return http_answer(200, key_reply());
  });
  auto remote = kms(server.url());
  std::vector<std::thread> callers;
  std::atomic<int> good{0};
  for (int i = 0; i < 12; ++i) {
    callers.emplace_back([&] {
      for (int j = 0; j < 5; ++j) good += decrypt(*remote).ok() ? 1 : 0;
    });
  }
  for (auto& thread : callers) thread.join();
  EXPECT_EQ(good, 60);
  EXPECT_LE(most, 3);
  EXPECT_LE(server.connections(), 4U);
}

TEST_F(SurvivalTest, AGateThatIsFullLetsNobodyWaitForEver) {
  Gate gate(1);
  auto place = gate.enter(0ms);
  ASSERT_TRUE(place);
  EXPECT_FALSE(gate.enter(10ms));
  place.reset();
  EXPECT_TRUE(gate.enter(0ms));
}

TEST_F(SurvivalTest, AConnectionThatTheServerClosedMeanwhileIsReplaced) {
  const std::string path = (home_.path() / "kms.sock").string();
  const auto answer = [](const auto&, auto) { return http_answer(200, key_reply()); };
  auto remote = kms("unix:" + path);
  for (int restart = 0; restart < 3; ++restart) {
    ScriptedServer server(answer, path);
    auto key = decrypt(*remote);
    EXPECT_TRUE(key) << text_of(key);
  }
}

TEST_F(SurvivalTest, ADifferentClockOfTheServerIsLearntOnce) {
  clock_.set_wall_time(1'700'000'000s);  // 22:13:20
  ScriptedServer server([](const HttpRequest& request, auto) {
    if (request.header("x-amz-date").starts_with("20231115T0013")) return http_answer(200, key_reply());
    return aws_error(400, "InvalidSignatureException", "Signature expired",
                     "Date: Wed, 15 Nov 2023 00:13:20 GMT\r\n");
  });
  auto remote = kms(server.url());
  EXPECT_TRUE(decrypt(*remote));
  EXPECT_EQ(server.count(), 2U);
  EXPECT_TRUE(decrypt(*remote));
  EXPECT_EQ(server.count(), 3U);
}

TEST_F(SurvivalTest, AWrongSignatureAtTheRightTimeIsARefusalAtOnce) {
  ScriptedServer server([](const auto&, auto) {
    return aws_error(400, "InvalidSignatureException", "does not match",
                     "Date: Tue, 14 Nov 2023 22:13:20 GMT\r\n");
  });
  EXPECT_EQ(decrypt(*kms(server.url())).error().kind, Kind::kDenied);
  EXPECT_EQ(server.count(), 1U);
}

}  // namespace
}  // namespace kmsfs
