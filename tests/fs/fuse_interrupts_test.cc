// Which signals end a wait, and that none is lost on its way.
#include "fs/fuse_interrupts.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <functional>

#include "tests/support/eventually.h"

namespace kmsfs {
namespace {

struct Signals {
  std::uint64_t pending = 0, shared = 0, blocked = 0, ignored = 0, caught = 0;
};
constexpr std::uint64_t bit(int signal) { return std::uint64_t{1} << (signal - 1); }

std::string status_with(const Signals& signals) {
  const auto line = [](const char* name, std::uint64_t mask) {
    char text[64];
    std::snprintf(text, sizeof text, "%s:\t%016llx\n", name, static_cast<unsigned long long>(mask));
    return std::string(text);
  };
  return "Name:\tprogram\nState:\tS (sleeping)\n" + line("SigPnd", signals.pending) +
         line("ShdPnd", signals.shared) + line("SigBlk", signals.blocked) + line("SigIgn", signals.ignored) +
         line("SigCgt", signals.caught) + "CapInh:\t0\n";
}
bool ends(const Signals& signals) { return wants_to_end(status_with(signals)); }

TEST(FuseInterrupts, AProgramThatIsKilledEndsWhateverItBlocks) {
  EXPECT_TRUE(ends({.pending = bit(SIGKILL), .blocked = ~std::uint64_t{0}}));
  EXPECT_TRUE(ends({.shared = bit(SIGKILL)}));
}

TEST(FuseInterrupts, ASignalHasComeWhateverItWillDo) {
  EXPECT_TRUE(signal_came(status_with({.pending = bit(SIGKILL), .blocked = ~std::uint64_t{0}})));
  EXPECT_TRUE(signal_came(status_with({.shared = bit(SIGALRM), .caught = bit(SIGALRM)})));
  EXPECT_FALSE(signal_came(status_with({.shared = bit(SIGALRM), .blocked = bit(SIGALRM)})));
  EXPECT_FALSE(signal_came(status_with({})));
  EXPECT_FALSE(signal_came(::getpid()));
  EXPECT_TRUE(signal_came(0)) << "of another PID namespace";
}

TEST(FuseInterrupts, ASignalThatIsDeadlyUnlessCaughtEndsAProgramThatDoesNotCatchIt) {
  EXPECT_TRUE(ends({.shared = bit(SIGALRM)}));
  EXPECT_TRUE(ends({.shared = bit(SIGUSR1)}));
  EXPECT_FALSE(ends({.shared = bit(SIGALRM), .caught = bit(SIGALRM)}));
  EXPECT_FALSE(ends({.shared = bit(SIGALRM), .ignored = bit(SIGALRM)}));
  EXPECT_FALSE(ends({.shared = bit(SIGALRM), .blocked = bit(SIGALRM)}));
}

TEST(FuseInterrupts, ARequestToEndEndsAlsoAProgramThatCatchesIt) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
    EXPECT_TRUE(ends({.shared = bit(signal), .caught = bit(signal)}));
    EXPECT_FALSE(ends({.shared = bit(signal), .ignored = bit(signal)}));
  }
}

TEST(FuseInterrupts, AChildsEndAWindowsSizeAndAStopEndNothing) {
  for (const int signal : {SIGCHLD, SIGWINCH, SIGURG, SIGCONT, SIGTSTP, SIGSTOP}) {
    EXPECT_FALSE(ends({.shared = bit(signal)}));
    EXPECT_FALSE(ends({.pending = bit(signal), .caught = bit(signal)}));
  }
  EXPECT_FALSE(ends({}));
}

TEST(FuseInterrupts, AThreadThatNobodyKnowsHasEnded) {
  EXPECT_TRUE(wants_to_end(pid_t{0}));
  EXPECT_FALSE(wants_to_end(::getpid()));
}

bool comes_true(const std::function<bool()>& condition) {
  return testing::eventually(condition, std::chrono::seconds(20));
}

TEST(FuseInterrupts, AnInterruptionThatIsReadBeforeItsRequestWaitsCounts) {
  FuseInterrupts interrupts;
  interrupts.interrupt(7);
  const auto token = interrupts.of(7, 0);
  EXPECT_TRUE(comes_true([&] { return token.stop_requested(); }));
}

TEST(FuseInterrupts, AnInterruptionOfOneRequestEndsNoOther) {
  FuseInterrupts interrupts;
  const auto one = interrupts.of(1, 0), other = interrupts.of(2, 0);
  interrupts.interrupt(1);
  EXPECT_TRUE(comes_true([&] { return one.stop_requested(); }));
  EXPECT_FALSE(other.stop_requested());
  interrupts.end(1);
  interrupts.end(2);
}

TEST(FuseInterrupts, AProgramThatGoesOnIsNotInterrupted) {
  FuseInterrupts interrupts;
  const auto goes_on = interrupts.of(1, ::getpid());
  interrupts.interrupt(1);
  const auto gone = interrupts.of(2, 0);
  interrupts.interrupt(2);
  // Both were looked at when this one is.
  EXPECT_TRUE(comes_true([&] { return gone.stop_requested(); }));
  EXPECT_FALSE(goes_on.stop_requested());
}

}  // namespace
}  // namespace kmsfs
