#include "fs/leader_followers.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <thread>
#include <vector>

#include "fs/fuse_signals.h"
#include "tests/support/eventually.h"

namespace kmsfs {
namespace {

using std::chrono::milliseconds;
using testing::eventually;

template <typename Condition>
bool soon(const Condition& holds) {
  return eventually(holds, std::chrono::seconds(30), milliseconds(0));
}

// Requests without content: an eventfd counts them, and wakes who polls it.
class Device {
 public:
  Device() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE)) {}
  void put(std::uint64_t requests = 1) const {
    EXPECT_EQ(::write(fd_.get(), &requests, sizeof requests), ssize_t{sizeof requests});
  }
  int fd() const { return fd_.get(); }

  std::atomic<bool> ended{false};
  std::atomic<unsigned> sleeping{0};
  std::atomic<unsigned> looks{0};

 private:
  UniqueFd fd_;
};

class DeviceEnd final : public RequestSource {
 public:
  explicit DeviceEnd(Device& device) : device_(device) {}
  Result<std::size_t> take() override {
    ++device_.looks;
    if (device_.ended) return error(Kind::kUnavailable, "the end");
    std::uint64_t one = 0;
    return std::size_t{::read(device_.fd(), &one, sizeof one) == sizeof one ? 1U : 0U};
  }
  bool took_much() const override { return false; }
  bool has_request() override {
    pollfd device{device_.fd(), POLLIN, 0};
    return ::poll(&device, 1, 0) > 0;
  }
  bool wait_for_request(int or_this) override {
    std::array<pollfd, 2> both{{{device_.fd(), POLLIN, 0}, {or_this, POLLIN, 0}}};
    ++device_.sleeping;
    const bool woken = ::poll(both.data(), both.size(), -1) > 0;
    --device_.sleeping;
    return woken;
  }

 private:
  Device& device_;
};

class LeaderFollowersTest : public ::testing::Test {
 protected:
  LeaderFollowersTest() : turns_(std::move(*LeaderFollowers::make())) { install_wake_signal(); }
  ~LeaderFollowersTest() override {
    EXPECT_TRUE(threads_.empty()) << "work() may refer to what is no more";
    end();
  }

  // Threads that take requests and do `work` for each until end(), which each test that starts them calls.
  void start(unsigned workers, std::function<void()> work) {
    for (unsigned i = 0; i < workers; ++i) {
      threads_.emplace_back([this, work] {
        serve(work);
        ++ended_;
      });
    }
  }
  // The same; work goes on until go_on_.
  void start_and_stay_at_work(unsigned workers) {
    start(workers, [this] {
      ++at_work_;
      while (!go_on_) std::this_thread::sleep_for(milliseconds(1));
    });
  }
  void serve(const std::function<void()>& work) {
    DeviceEnd source(device_);
    LeaderFollowers::Worker worker(source);
    while (!stopping_) {
      const auto size = turns_->take(worker);
      if (!size) {
        ++saw_end_;
        return;
      }
      if (*size == 0) continue;
      ++taken_;
      work();
    }
  }
  void end() {
    stopping_ = true;
    turns_->end();
    while (ended_ != threads_.size()) {
      for (auto& thread : threads_) ::pthread_kill(thread.native_handle(), wake_signal());
      std::this_thread::sleep_for(milliseconds(1));
    }
    threads_.clear();  // joins
    ended_ = 0;
  }

  Device device_;
  const std::unique_ptr<LeaderFollowers> turns_;
  std::atomic<unsigned> taken_{0}, saw_end_{0}, ended_{0}, at_work_{0};
  std::atomic<bool> stopping_{false}, go_on_{false};
  std::vector<std::jthread> threads_;
};

TEST_F(LeaderFollowersTest, OneSleepsAtTheDeviceAndTheOthersDoNot) {
  start(4, [] {});
  EXPECT_TRUE(eventually([&] { return device_.sleeping == 1; }));
  device_.put();
  EXPECT_TRUE(eventually([&] { return taken_ == 1 && device_.sleeping == 1; }));
  end();
}

TEST_F(LeaderFollowersTest, EachRequestIsTakenOnce) {
  std::atomic<unsigned> done{0};
  start(4, [&] { ++done; });
  for (unsigned i = 1; i <= 2000; ++i) {
    device_.put();
    // One after the other, as one program does, then some together.
    if (i < 1000) {
      ASSERT_TRUE(soon([&] { return done == i; }));
    }
  }
  ASSERT_TRUE(soon([&] { return done >= 2000; }));
  std::this_thread::sleep_for(milliseconds(5));
  EXPECT_EQ(done, 2000U);
  end();
}

TEST_F(LeaderFollowersTest, ARequestDoesNotWaitForTheWorkOnOthers) {
  start_and_stay_at_work(4);
  for (unsigned i = 1; i <= 4; ++i) {
    device_.put();
    EXPECT_TRUE(eventually([&] { return at_work_ == i; })) << i;  // the ones before are at work still
  }
  go_on_ = true;
  end();
}

TEST_F(LeaderFollowersTest, ManyRequestsAtOnceHaveAllWorkersAtWork) {
  start_and_stay_at_work(4);
  device_.put(10);
  EXPECT_TRUE(eventually([&] { return at_work_ == 4; }));
  go_on_ = true;
  EXPECT_TRUE(eventually([&] { return taken_ == 10; }));
  end();
}

// A device that never has anything for this worker: only another one can end its sleep.
class EmptyEnd final : public RequestSource {
 public:
  Result<std::size_t> take() override { return std::size_t{0}; }
  bool has_request() override { return false; }
  bool took_much() const override { return false; }
  bool wait_for_request(int or_this) override {
    pollfd other{or_this, POLLIN, 0};
    ++sleeps;
    return ::poll(&other, 1, -1) > 0;
  }
  std::atomic<unsigned> sleeps{0};
};

// The kernel would wake it for each request that another one takes.
TEST_F(LeaderFollowersTest, WhoSleepsAtTheDeviceIsSentAwayByWhoTakesARequest) {
  EmptyEnd empty;
  std::atomic<bool> ended{false};
  std::jthread sleeper([&] {
    LeaderFollowers::Worker worker(empty);
    EXPECT_EQ(turns_->take(worker).value(), 0U);
    ended = true;
  });
  ASSERT_TRUE(eventually([&] { return empty.sleeps == 1; }));
  DeviceEnd source(device_);
  LeaderFollowers::Worker worker(source);
  device_.put();
  ASSERT_EQ(turns_->take(worker).value(), 1U);
  EXPECT_TRUE(soon([&] { return empty.sleeps == 2; }));  // and back, as we take nothing more
  turns_->end();
  while (!ended) {
    ::pthread_kill(sleeper.native_handle(), wake_signal());
    std::this_thread::sleep_for(milliseconds(1));  // or it would do nothing but take signals
  }
}

TEST_F(LeaderFollowersTest, AtRestNobodyDoesAnything) {
  start(4, [] {});
  device_.put(100);
  ASSERT_TRUE(eventually([&] { return taken_ == 100 && device_.sleeping == 1; }));
  const auto processor_time = [] {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return milliseconds(1000 * (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                        (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000);
  };
  std::this_thread::sleep_for(milliseconds(50));
  const unsigned looks = device_.looks;
  const auto before = processor_time();
  std::this_thread::sleep_for(milliseconds(500));
  EXPECT_EQ(device_.looks, looks);
  EXPECT_LT(processor_time() - before, milliseconds(100));  // a processor that is held would be 500
  end();
}

TEST_F(LeaderFollowersTest, AllLearnOfTheEndOfTheDevice) {
  start(4, [] {});
  ASSERT_TRUE(eventually([&] { return device_.sleeping == 1; }));
  device_.ended = true;
  device_.put();
  EXPECT_TRUE(eventually([&] { return saw_end_ == 4; }));
  end();
}

TEST_F(LeaderFollowersTest, ASignalEndsTheSleep) {
  DeviceEnd source(device_);
  std::atomic<bool> returned{false};
  std::jthread thread([&] {
    LeaderFollowers::Worker worker(source);
    const auto size = turns_->take(worker);
    returned = size.ok() && *size == 0;
  });
  ASSERT_TRUE(eventually([&] { return device_.sleeping == 1; }));
  EXPECT_TRUE(eventually([&] {
    if (!returned) ::pthread_kill(thread.native_handle(), wake_signal());
    return returned.load();
  }));
}

TEST_F(LeaderFollowersTest, AfterTheEndNobodyWaits) {
  DeviceEnd source(device_);
  LeaderFollowers::Worker worker(source);
  turns_->end();
  EXPECT_EQ(turns_->take(worker).value(), 0U);
  device_.put();
  EXPECT_EQ(turns_->take(worker).value(), 1U);  // what is there can be had all the same
}

// While requests come often from threads that wait for each, as programs do, with pauses and work of any
// length.
TEST_F(LeaderFollowersTest, NoRequestIsLostHoweverWorkersTakeTurns) {
  std::atomic<unsigned> done{0};
  std::atomic<unsigned> asked{0};
  start(5, [&] {
    const unsigned which = done.fetch_add(1);
    if (which % 97 == 0) std::this_thread::sleep_for(milliseconds(3));
    if (which % 31 == 0) std::this_thread::sleep_for(std::chrono::microseconds(100));
  });
  std::vector<std::jthread> programs;
  for (int program = 0; program < 3; ++program) {
    programs.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        const unsigned mine = ++asked;
        device_.put();
        ASSERT_TRUE(soon([&] { return done >= mine; }));
        if (i % 500 == 0) std::this_thread::sleep_for(milliseconds(8));
      }
    });
  }
  programs.clear();
  EXPECT_TRUE(eventually([&] { return done == 6000; }));
  end();
}

}  // namespace
}  // namespace kmsfs
