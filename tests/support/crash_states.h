// What a crash can leave of one file, from the record of the calls that changed it.
//
// The model: what was done before the last completed sync is on the disk. Of what came after, the changes of
// size, holes and reservations reached the disk up to some point in their order (a journal keeps it); of each
// page, any version that the page cache ever held may have reached it, independently of other pages, except
// that a page written after it was cut off or punched does not come before that cut. Pages reach the disk
// whole. A write past the end also is a change of size. Changes of one fd only.
#pragma once

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <vector>

#include "fs/format.h"
#include "tests/support/faulty_disk.h"

namespace kmsfs::testing {

class CrashStates {
 public:
  using Changes = std::vector<FaultyDisk::Change>;
  using Page = std::array<std::byte, kPageSize>;
  struct Image {
    std::uint64_t size = 0;
    std::map<std::uint64_t, Page> pages;  // those that are absent are holes

    Bytes bytes() const {
      Bytes all((size + kPageSize - 1) / kPageSize * kPageSize);
      for (const auto& [index, page] : pages) {
        if (index * kPageSize < all.size())
          std::memcpy(all.data() + index * kPageSize, page.data(), kPageSize);
      }
      all.resize(size);
      return all;
    }
  };

  explicit CrashStates(Changes changes) : changes_(std::move(changes)) {}

  // Calls `check` with images of crashes right before change number `point` (0 to changes().size()): all of
  // them, or `limit` random ones per number of metadata changes that reached the disk.
  void at(std::size_t point, std::size_t limit, const std::function<void(const Image&)>& check) {
    std::size_t synced = 0;
    for (std::size_t i = 0; i < point; ++i) {
      if (changes_[i].call == FaultyDisk::Call::kSync) synced = i + 1;
    }
    Image base;
    for (std::size_t i = 0; i < synced; ++i) apply(base, changes_[i]);
    const Events events = split(base, synced, point);
    for (std::size_t kept = 0; kept <= events.metadata; ++kept) {
      enumerate(base, events, kept, limit, check);
    }
  }
  // Where the last completed sync before `point` is: the number of changes before it, itself included.
  std::size_t synced_before(std::size_t point) const {
    std::size_t synced = 0;
    for (std::size_t i = 0; i < point; ++i) {
      if (changes_[i].call == FaultyDisk::Call::kSync) synced = i + 1;
    }
    return synced;
  }
  const Changes& changes() const { return changes_; }

 private:
  struct Event {
    bool metadata = false;
    std::size_t order = 0;   // among metadata events
    std::uint64_t size = 0;  // a new size
    bool resizes = false;
    std::uint64_t from = 0, to = 0;         // bytes that become zeros
    std::map<std::uint64_t, Page> pages{};  // a write: what the page cache holds afterwards
  };
  struct Events {
    std::vector<Event> all;
    std::size_t metadata = 0;
    std::vector<std::uint64_t> touched;  // pages with writes
  };

  static void write(Image& image, std::uint64_t offset, ByteView data) {
    while (!data.empty()) {
      const std::uint64_t in_page = offset % kPageSize;
      const std::size_t part = std::min<std::uint64_t>(data.size(), kPageSize - in_page);
      Page& page = image.pages.try_emplace(offset / kPageSize, Page{}).first->second;
      std::memcpy(page.data() + in_page, data.data(), part);
      offset += part;
      data = data.subspan(part);
    }
  }
  static void zero(Page& page, std::uint64_t index, std::uint64_t from, std::uint64_t to) {
    const std::uint64_t start = index * kPageSize;
    const std::uint64_t first = std::clamp(from, start, start + kPageSize) - start;
    const std::uint64_t last = std::clamp(to, start, start + kPageSize) - start;
    if (first < last)
      std::fill(page.begin() + static_cast<long>(first), page.begin() + static_cast<long>(last),
                std::byte{0});
  }
  static void zero(Image& image, std::uint64_t from, std::uint64_t to) {
    for (auto& [index, page] : image.pages) zero(page, index, from, to);
  }
  static bool zeroes(const FaultyDisk::Change& change) {
    return change.call == FaultyDisk::Call::kAllocate &&
           (change.mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0;
  }
  static void apply(Image& image, const FaultyDisk::Change& change) {
    if (change.call == FaultyDisk::Call::kWrite) {
      write(image, change.offset, change.data);
      image.size = std::max<std::uint64_t>(image.size, change.offset + change.data.size());
    } else if (change.call == FaultyDisk::Call::kResize) {
      zero(image, change.size, ~std::uint64_t{0});
      image.size = change.size;
    } else if (zeroes(change)) {
      zero(image, change.offset, change.offset + change.size);
    }
  }

  Events split(const Image& base, std::size_t from, std::size_t to) const {
    Events events;
    Image cache = base;
    const auto add_metadata = [&](Event event) {
      event.metadata = true;
      event.order = events.metadata++;
      events.all.push_back(std::move(event));
    };
    for (std::size_t i = from; i < to; ++i) {
      const FaultyDisk::Change& change = changes_[i];
      if (change.call == FaultyDisk::Call::kWrite) {
        const std::uint64_t end = change.offset + change.data.size();
        if (end > cache.size) add_metadata({.size = end, .resizes = true});
      }
      apply(cache, change);
      if (change.call == FaultyDisk::Call::kResize) {
        add_metadata({.size = change.size, .resizes = true, .from = change.size, .to = ~std::uint64_t{0}});
      } else if (zeroes(change)) {
        add_metadata({.from = change.offset, .to = change.offset + change.size});
      } else if (change.call == FaultyDisk::Call::kWrite) {
        Event event;
        const std::uint64_t last = (change.offset + change.data.size() - 1) / kPageSize;
        for (std::uint64_t page = change.offset / kPageSize; page <= last; ++page) {
          event.pages[page] = cache.pages[page];
          events.touched.push_back(page);
        }
        events.all.push_back(std::move(event));
      }
    }
    std::ranges::sort(events.touched);
    events.touched.erase(std::unique(events.touched.begin(), events.touched.end()), events.touched.end());
    return events;
  }

  static bool touches(const Event& event, std::uint64_t page) {
    return event.metadata && event.from < event.to && event.from < (page + 1) * kPageSize &&
           event.to > page * kPageSize;
  }

  // The versions that this page may have, with the first `kept` metadata events on the disk.
  static std::vector<std::optional<Page>> versions(const Image& base, const Events& events, std::size_t kept,
                                                   std::uint64_t page) {
    std::vector<std::optional<Page>> found;
    const auto add = [&](std::optional<Page> content, std::size_t from) {
      for (std::size_t i = from; i < events.all.size(); ++i) {
        const Event& event = events.all[i];
        if (content && touches(event, page) && event.order < kept) zero(*content, page, event.from, event.to);
      }
      if (std::ranges::find(found, content) == found.end()) found.push_back(content);
    };
    const auto old = base.pages.find(page);
    add(old == base.pages.end() ? std::nullopt : std::optional(old->second), 0);
    for (std::size_t i = 0; i < events.all.size(); ++i) {
      const Event& event = events.all[i];
      if (touches(event, page) && event.order >= kept) break;  // what comes later needs this on the disk
      if (const auto written = event.pages.find(page); written != event.pages.end())
        add(written->second, i + 1);
    }
    return found;
  }

  void enumerate(const Image& base, const Events& events, std::size_t kept, std::size_t limit,
                 const std::function<void(const Image&)>& check) {
    Image image = base;
    for (const Event& event : events.all) {
      if (!event.metadata || event.order >= kept) continue;
      if (event.resizes) image.size = event.size;
      zero(image, event.from, event.to);
    }
    std::vector<std::vector<std::optional<Page>>> choices;
    std::size_t total = 1;
    for (std::uint64_t page : events.touched) {
      choices.push_back(versions(base, events, kept, page));
      total = std::min(total * choices.back().size(), limit + 1);
    }
    const bool all = total <= limit;
    for (std::size_t round = 0; round < (all ? total : limit); ++round) {
      std::size_t left = round;
      for (std::size_t i = 0; i < choices.size(); ++i) {
        const std::size_t count = choices[i].size();
        std::size_t pick = all ? left % count : random_() % count;
        if (!all && round == 0) pick = 0;
        if (!all && round == 1) pick = count - 1;
        left /= count;
        image.pages.erase(events.touched[i]);
        if (choices[i][pick]) image.pages[events.touched[i]] = *choices[i][pick];
      }
      check(image);
    }
  }

  Changes changes_;
  std::mt19937 random_;
};

}  // namespace kmsfs::testing
