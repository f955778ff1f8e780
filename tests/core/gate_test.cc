#include "core/gate.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace kmsfs {
namespace {

TEST(Gate, IsClosedUntilItIsOpenedAndAfterItIsClosed) {
  Gate gate;
  EXPECT_FALSE(gate.enter());
  gate.open();
  EXPECT_TRUE(gate.enter());
  EXPECT_TRUE(gate.enter()) << "whoever was inside has left";
  gate.close();
  EXPECT_FALSE(gate.enter());
  gate.close();
  gate.open();
  EXPECT_TRUE(gate.enter());
}

TEST(Gate, ClosesOnlyWhenNobodyIsInside) {
  Gate gate;
  gate.open();
  std::atomic<bool> closed{false};
  std::thread closer;
  {
    const auto first = gate.enter();
    ASSERT_TRUE(first);
    {
      const auto second = gate.enter();
      closer = std::thread([&] {
        gate.close();
        closed = true;
      });
      while (gate.enter()) std::this_thread::yield();  // until it is at the gate
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_FALSE(closed) << "one is still inside";
  }
  closer.join();
  EXPECT_TRUE(closed);
}

TEST(Gate, NobodyInsideSeesWhatWasTakenAway) {
  Gate gate;
  int* there = nullptr;  // guarded by the gate: thread sanitizers see it if it is not
  std::atomic<bool> over{false};
  std::atomic<int> visits{0}, seen_gone{0};
  std::vector<std::thread> visitors;
  for (int i = 0; i < 4; ++i) {
    visitors.emplace_back([&] {
      for (; !over; std::this_thread::yield()) {
        if (const auto visit = gate.enter()) {
          if (there == nullptr || *there != 7) ++seen_gone;
          ++visits;
        }
      }
    });
  }
  for (int round = 0; round < 100 || visits < 100; ++round) {
    int value = 7;
    there = &value;
    gate.open();
    std::this_thread::yield();
    gate.close();
    value = 0;
    there = nullptr;
  }
  over = true;
  for (std::thread& visitor : visitors) visitor.join();
  EXPECT_EQ(seen_gone, 0);
}

}  // namespace
}  // namespace kmsfs
