// What the caller of a background process hears.
#include "cli/background.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <functional>

namespace kmsfs::cli {
namespace {

Outcome heard_from(const std::function<void(Background&)>& child) {
  auto background = Background::fork();
  if (!background) return failure(background.error(), "fork");
  if (background->in_parent()) return background->wait();
  child(*background);
  ::_exit(7);
}

TEST(Background, SuccessIsHeard) {
  EXPECT_FALSE(heard_from([](Background& background) { background.report(std::nullopt); }));
}

TEST(Background, AFailureIsHeardWholeWithItsCode) {
  const std::string text(100'000, 'x');
  const Outcome outcome = heard_from([&](Background& background) {
    background.report(Failure{ExitCode::kSealed, text});
  });
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->code, ExitCode::kSealed);
  EXPECT_EQ(outcome->text, text);
}

TEST(Background, OnlyTheFirstReportCounts) {
  EXPECT_FALSE(heard_from([](Background& background) {
    background.report(std::nullopt);
    background.report(Failure{ExitCode::kBusy, "late"});
  }));
}

TEST(Background, AProcessThatDiesSilentlyIsAFailure) {
  const Outcome ended = heard_from([](Background&) {});
  ASSERT_TRUE(ended);
  EXPECT_NE(ended->text.find("status 7"), std::string::npos) << ended->text;
  const Outcome killed = heard_from([](Background&) { ::raise(SIGKILL); });
  ASSERT_TRUE(killed);
  EXPECT_NE(killed->text.find("killed"), std::string::npos) << killed->text;
}

TEST(Background, TheCallerIsFreeThoughTheProcessGoesOn) {
  EXPECT_FALSE(heard_from([](Background& background) {
    if (!background.detach()) ::_exit(1);
    background.report(std::nullopt);
    ::alarm(5);  // long after the caller was let go; nothing may outlive the tests
    ::pause();
  }));
}

}  // namespace
}  // namespace kmsfs::cli
