// Delta debugging: a list of steps that fails is made shorter as long as it still fails.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <utility>
#include <vector>

namespace kmsfs::testing {

struct ShrinkLimits {
  std::size_t runs = 400;
  std::chrono::seconds time{25};
};

// `fails(items)` runs them anew. What is returned fails too; if no limit was met, no single item can be left
// out.
template <typename Item, typename Fails>
std::vector<Item> shrink(std::vector<Item> items, Fails fails, ShrinkLimits limits = {}) {
  const auto end = std::chrono::steady_clock::now() + limits.time;
  std::size_t runs = 0;
  std::size_t piece = (items.size() + 1) / 2;
  while (piece > 0 && !items.empty()) {
    bool shorter = false;
    // From the end: what comes last is the least likely to be needed by others.
    for (std::size_t stop = items.size(); stop > 0;) {
      if (++runs > limits.runs || std::chrono::steady_clock::now() > end) return items;
      const std::size_t start = stop > piece ? stop - piece : 0;
      std::vector<Item> without(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(start));
      without.insert(without.end(), items.begin() + static_cast<std::ptrdiff_t>(stop), items.end());
      if (fails(without)) {
        items = std::move(without);
        shorter = true;
      }
      stop = start;
    }
    if (piece == 1 && !shorter) break;
    piece = piece == 1 ? 1 : std::min((piece + 1) / 2, std::max<std::size_t>(items.size() / 2, 1));
  }
  return items;
}

}  // namespace kmsfs::testing
