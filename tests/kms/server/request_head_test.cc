// What is a request, and what is refused before anybody looks at what it wants.
#include "kms/server/request_head.h"

#include <gtest/gtest.h>

namespace kmsfs::kms {
namespace {

HeadOutcome parse(std::string_view text) { return parse_request_head(as_bytes(text), 1000); }

int refused(std::string_view lines) {
  const auto outcome = parse(std::string(lines) + "\r\n");
  EXPECT_TRUE(outcome.head == nullptr || !outcome.refused);
  return outcome.refused ? outcome.refused->status : 0;
}

TEST(RequestHead, KeepsHeadersInTheirOrderAndAsTheyCame) {
  const auto outcome =
      parse("POST /a?b=c HTTP/1.1\r\nhOst: x\r\nX-B:  two  words \r\nX-A: 1\r\nx-b: 3\r\n\r\nrest");
  ASSERT_NE(outcome.head, nullptr);
  EXPECT_EQ(
      outcome.size,
      std::string_view("POST /a?b=c HTTP/1.1\r\nhOst: x\r\nX-B:  two  words \r\nX-A: 1\r\nx-b: 3\r\n\r\n")
          .size());
  EXPECT_EQ(outcome.head->method, "POST");
  EXPECT_EQ(outcome.head->target, "/a?b=c");
  ASSERT_EQ(outcome.head->headers.size(), 4U);
  EXPECT_EQ(outcome.head->headers[0].name, "hOst");
  EXPECT_EQ(outcome.head->headers[1].value, "two  words");
  EXPECT_EQ(outcome.head->headers[3].name, "x-b");
  EXPECT_EQ(outcome.head->body_size, 0U);
  EXPECT_TRUE(outcome.head->keep_alive);
}

TEST(RequestHead, CutAnywhereIsNotCompleteYet) {
  const std::string_view whole = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n";
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto outcome = parse(whole.substr(0, size));
    EXPECT_TRUE(outcome.size == 0 && outcome.head == nullptr && !outcome.refused) << size;
  }
  EXPECT_EQ(parse(whole).head->body_size, 3U);
}

TEST(RequestHead, WhatTwoServersCouldReadDifferentlyIsRefused) {
  EXPECT_EQ(refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n"), 400);
  EXPECT_EQ(refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 4\r\n"), 400);
  EXPECT_EQ(refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n"), 400);
  EXPECT_EQ(refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n"), 400);
  EXPECT_EQ(refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n"), 400);
  EXPECT_EQ(refused("POST / HTTP/1.1\r\nHost: x\r\nHost: y\r\n"), 400);
  EXPECT_EQ(refused("POST / HTTP/1.1\r\nHost : x\r\n"), 400);
  EXPECT_EQ(refused("POST / HTTP/1.1\r\n"), 400);
  EXPECT_GE(refused("POST / HTTP/1.1\nHost: x\r\n"), 400);
  EXPECT_GE(refused("POST / HTTP/1.1\r\nHost: x\nX: y\r\n"), 400);
  EXPECT_EQ(refused("POST  / HTTP/1.1\r\nHost: x\r\n"), 400);
  EXPECT_EQ(refused(std::string_view("\0\1\2\r\n", 5)), 400);
}

TEST(RequestHead, BodiesComeWithALength) {
  EXPECT_EQ(refused("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"), 411);
  EXPECT_EQ(refused("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\nContent-Length: 4\r\n"), 411);
  EXPECT_EQ(refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n"), 413);
  EXPECT_EQ(refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"), 0);
}

TEST(RequestHead, OtherVersionsAndExpectationsAreRefused) {
  EXPECT_EQ(refused("GET / HTTP/2.0\r\nHost: x\r\n"), 505);
  EXPECT_EQ(refused("GET / HTTP/1.1\r\nHost: x\r\nExpect: a-miracle\r\n"), 417);
  const auto outcome = parse("GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\n\r\n");
  ASSERT_NE(outcome.head, nullptr);
  EXPECT_TRUE(outcome.head->wants_continue);
}

TEST(RequestHead, AHundredHeadersAreTooMany) {
  std::string text = "GET / HTTP/1.1\r\nHost: x\r\n";
  for (int i = 0; i < 99; ++i) text += "a: b\r\n";
  EXPECT_EQ(refused(text), 0);
  EXPECT_EQ(refused(text + "a: b\r\n"), 431);
}

TEST(RequestHead, TheOldVersionNeedsNoHostAndEndsByDefault) {
  const auto outcome = parse("GET / HTTP/1.0\r\n\r\n");
  ASSERT_NE(outcome.head, nullptr);
  EXPECT_TRUE(outcome.head->http_1_0);
  EXPECT_FALSE(outcome.head->keep_alive);
  EXPECT_TRUE(parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").head->keep_alive);
  EXPECT_FALSE(parse("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").head->keep_alive);
}

}  // namespace
}  // namespace kmsfs::kms
