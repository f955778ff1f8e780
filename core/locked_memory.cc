#include "core/locked_memory.h"

#include <fcntl.h>
#include <linux/mman.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cassert>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "core/unique_fd.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) (static_cast<void>(address), static_cast<void>(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) (static_cast<void>(address), static_cast<void>(size))
#endif

namespace kmsfs {

namespace {

constexpr std::size_t kPageSize = 4096;
constexpr std::size_t kLargestChunk =
    256 * kPageSize;  // 1 MiB: a secret mapping cannot grow, so it comes in pieces
constexpr std::array<std::size_t, 5> kClassSizes = {64, 256, 1024, 2048, 4096};
constexpr std::uint8_t kWholePages = kClassSizes.size();  // the class of runs of pages
constexpr std::uint8_t kFreePage = 0xff;
constexpr std::uint32_t kNoPage = 0xffffffff;
constexpr std::size_t kSpareChunks =
    1;  // kept mapped when empty, so that one key coming and going maps nothing

// Maps `size` bytes over the reserved addresses at `at`, in the given mode. False: that mode does not work,
// or no more.
bool map_chunk(LockedMemory::Mode mode, std::byte* at, std::size_t size) {
  if (mode == LockedMemory::Mode::kSecret) {
    const UniqueFd fd(static_cast<int>(::syscall(SYS_memfd_secret, O_CLOEXEC)));
    if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) return false;
    // The kernel makes the mapping locked and leaves it out of core files; the descriptor is not needed after
    // it.
    if (::mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd.get(), 0) == MAP_FAILED)
      return false;
    return ::madvise(at, size, MADV_DONTFORK) == 0;
  }
  if (::mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
      MAP_FAILED) {
    return false;
  }
  // Locked as they are touched: a large arena costs nothing until it is used.
  if (mode == LockedMemory::Mode::kLocked && ::mlock2(at, size, MLOCK_ONFAULT) != 0) return false;
  return ::madvise(at, size, MADV_DONTDUMP) == 0 && ::madvise(at, size, MADV_WIPEONFORK) == 0;
}

// Gives the addresses back to the reservation: whatever was mapped there is gone, and touching them faults.
void unmap_chunk(std::byte* at, std::size_t size) {
  ::mmap(at, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

std::size_t capacity_from_limits() {
  const std::size_t memory =
      static_cast<std::size_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t sane = memory / 4;  // the rest of the host needs memory that can be paged, too
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return sane;
  if (limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_MEMLOCK, &limit) != 0 || ::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return sane;
  }
  if (limit.rlim_cur == RLIM_INFINITY) return sane;
  const std::size_t limited = std::min<std::size_t>(limit.rlim_cur, sane);
  // The kernel does not hold CAP_IPC_LOCK to the limit; one mlock beyond it tells whether we have that.
  const std::size_t beyond = limit.rlim_cur + kPageSize;
  void* trial = ::mmap(nullptr, beyond, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (trial == MAP_FAILED) return limited;
  const bool unlimited = ::mlock2(trial, beyond, MLOCK_ONFAULT) == 0;
  ::munmap(trial, beyond);
  return unlimited ? sane : limited;
}

// Where the pages of a chunk stand: which class they serve, and which of their slots are free.
struct Page {
  std::uint64_t free_slots = 0;      // bit i: slot i is free
  std::uint32_t previous = kNoPage;  // neighbours in the list of pages of this class that have a free slot
  std::uint32_t next = kNoPage;
  std::uint16_t run = 0;  // kWholePages: how many pages the allocation that begins here has
  std::uint8_t size_class = kFreePage;
};

struct Chunk {
  explicit Chunk(std::size_t page_count) : pages(page_count), free_pages(page_count) {}
  std::vector<Page> pages;
  std::size_t free_pages;
};

// Always: every byte of a free slot or free page is zero, and (under asan) poisoned.
class Arena {
 public:
  Arena(LockedMemory::Mode mode, std::byte* base, std::size_t chunk_count, std::size_t pages_per_chunk)
      : mode_(mode),
        base_(base),
        pages_per_chunk_(pages_per_chunk),
        chunk_size_(pages_per_chunk * kPageSize),
        end_(base + kPageSize + chunk_count * (chunk_size_ + kPageSize)),
        chunks_(chunk_count) {
    partial_.fill(kNoPage);
  }

  // Reserves addresses: guard page, chunk, guard page, chunk, ... guard page. nullptr if there are not that
  // many.
  static std::byte* reserve(std::size_t chunk_count, std::size_t chunk_size) {
    const std::size_t size = kPageSize + chunk_count * (chunk_size + kPageSize);
    void* at = ::mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? nullptr : static_cast<std::byte*>(at);
  }

  static void unreserve(std::byte* base, std::size_t chunk_count, std::size_t chunk_size) {
    ::munmap(base, kPageSize + chunk_count * (chunk_size + kPageSize));
  }

  void* allocate(std::size_t size) noexcept {
    std::byte* memory = nullptr;
    std::size_t usable = 0;
    {
      std::lock_guard lock(mutex_);
      const auto fitting =
          std::find_if(kClassSizes.begin(), kClassSizes.end(), [&](auto s) { return size <= s; });
      if (fitting != kClassSizes.end()) {
        memory = take_slot(static_cast<std::uint8_t>(fitting - kClassSizes.begin()));
        usable = *fitting;
      } else {
        usable = (size + kPageSize - 1) / kPageSize * kPageSize;
        memory = take_run(usable / kPageSize);
      }
      if (memory == nullptr) return nullptr;
      used_ += usable;
    }
    ASAN_UNPOISON_MEMORY_REGION(memory, usable);
    assert(is_zero(memory, usable) && "somebody wrote to locked memory after releasing it");
    return memory;
  }

  void release(std::byte* memory) noexcept {
    const std::size_t size = size_of(memory);
    if (size == 0) std::abort();  // not the start of an allocation: going on could hand out a key in use
    ::explicit_bzero(memory, size);
    ASAN_POISON_MEMORY_REGION(memory, size);
    std::lock_guard lock(mutex_);
    used_ -= size;
    const std::uint32_t index = page_index(memory);
    if (page(index).size_class == kWholePages) {
      free_pages(index, page(index).run);
    } else {
      give_slot(index, static_cast<std::size_t>(memory - address(index)));
    }
  }

  bool contains(const std::byte* memory) const noexcept { return memory >= base_ && memory < end_; }
  std::size_t position_of(const std::byte* memory) const noexcept {
    return static_cast<std::size_t>(memory - base_);
  }

  // No lock: the class of a page cannot change while one of its slots is in use, and the caller owns one.
  std::size_t size_of(const std::byte* memory) const noexcept {
    const std::uint32_t index = page_index(memory);
    if (chunks_[index / pages_per_chunk_] == nullptr) return 0;
    const Page& entry = page(index);
    const auto offset = static_cast<std::size_t>(memory - address(index));
    if (entry.size_class == kWholePages) return offset == 0 ? entry.run * kPageSize : 0;
    if (entry.size_class == kFreePage) return 0;
    const std::size_t size = kClassSizes[entry.size_class];
    return offset % size == 0 ? size : 0;
  }

  LockedMemory::Mode mode() const { return mode_; }
  LockedMemory::Usage usage() {
    std::lock_guard lock(mutex_);
    return {chunks_.size() * chunk_size_, mapped_chunks_ * chunk_size_, used_};
  }
  bool map_first_chunk() {
    std::lock_guard lock(mutex_);
    return map_another_chunk();
  }

 private:
  static bool is_zero(const std::byte* memory, std::size_t size) {
    return std::all_of(memory, memory + size, [](std::byte b) { return b == std::byte{0}; });
  }

  std::byte* address(std::uint32_t index) const {
    const std::size_t chunk = index / pages_per_chunk_;
    return base_ + kPageSize + chunk * (chunk_size_ + kPageSize) + index % pages_per_chunk_ * kPageSize;
  }
  std::uint32_t page_index(const std::byte* memory) const {
    const std::size_t offset = position_of(memory) - kPageSize;
    const std::size_t stride = chunk_size_ + kPageSize;
    const std::size_t in_chunk = std::min(offset % stride / kPageSize, pages_per_chunk_ - 1);
    return static_cast<std::uint32_t>(std::min(offset / stride, chunks_.size() - 1) * pages_per_chunk_ +
                                      in_chunk);
  }
  Page& page(std::uint32_t index) {
    return chunks_[index / pages_per_chunk_]->pages[index % pages_per_chunk_];
  }
  const Page& page(std::uint32_t index) const {
    return chunks_[index / pages_per_chunk_]->pages[index % pages_per_chunk_];
  }

  // The functions below are called with mutex_ held.

  std::byte* take_slot(std::uint8_t size_class) {
    const std::size_t size = kClassSizes[size_class];
    if (partial_[size_class] == kNoPage) {
      const std::uint32_t fresh = take_pages(1);
      if (fresh == kNoPage) return nullptr;
      Page& entry = page(fresh);
      entry.size_class = size_class;
      entry.free_slots = ~std::uint64_t{0} >> (64 - kPageSize / size);
      link(fresh);
    }
    const std::uint32_t index = partial_[size_class];
    Page& entry = page(index);
    const auto slot = static_cast<std::size_t>(std::countr_zero(entry.free_slots));
    entry.free_slots &= entry.free_slots - 1;
    if (entry.free_slots == 0) unlink(index);
    return address(index) + slot * size;
  }

  void give_slot(std::uint32_t index, std::size_t offset) {
    Page& entry = page(index);
    const std::size_t size = kClassSizes[entry.size_class];
    const std::uint64_t bit = std::uint64_t{1} << (offset / size);
    if ((entry.free_slots & bit) != 0) std::abort();  // released twice
    if (entry.free_slots == 0) link(index);
    entry.free_slots |= bit;
    const bool empty = entry.free_slots == ~std::uint64_t{0} >> (64 - kPageSize / size);
    // The last page with room stays with its class: a slot taken and given in turn moves no page.
    const bool only_one = entry.previous == kNoPage && entry.next == kNoPage;
    if (!empty || only_one) return;
    unlink(index);
    free_pages(index, 1);
  }

  std::byte* take_run(std::size_t count) {
    const std::uint32_t index = take_pages(count);
    if (index == kNoPage) return nullptr;
    for (std::size_t i = 0; i < count; ++i)
      page(static_cast<std::uint32_t>(index + i)).size_class = kWholePages;
    page(index).run = static_cast<std::uint16_t>(count);
    return address(index);
  }

  std::uint32_t take_pages(std::size_t count) {
    if (count > pages_per_chunk_) return kNoPage;
    const std::size_t start = count == 1 ? first_with_room_ : 0;
    for (std::size_t i = start; i < chunks_.size(); ++i) {
      if (chunks_[i] == nullptr || chunks_[i]->free_pages < count) continue;
      const std::uint32_t index = find_run(i, count);
      if (index == kNoPage) continue;
      if (chunks_[i]->free_pages == pages_per_chunk_) --empty_chunks_;
      chunks_[i]->free_pages -= count;
      if (count == 1) first_with_room_ = i;
      return index;
    }
    return map_another_chunk() ? take_pages(count) : kNoPage;
  }

  std::uint32_t find_run(std::size_t chunk, std::size_t count) const {
    const std::vector<Page>& pages = chunks_[chunk]->pages;
    std::size_t run = 0;
    for (std::size_t i = 0; i < pages.size(); ++i) {
      run = pages[i].size_class == kFreePage ? run + 1 : 0;
      if (run == count) return static_cast<std::uint32_t>(chunk * pages_per_chunk_ + i + 1 - count);
    }
    return kNoPage;
  }

  void free_pages(std::uint32_t index, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) page(static_cast<std::uint32_t>(index + i)) = Page{};
    const std::size_t number = index / pages_per_chunk_;
    first_with_room_ = std::min(first_with_room_, number);
    Chunk& chunk = *chunks_[number];
    chunk.free_pages += count;
    if (chunk.free_pages != pages_per_chunk_) return;
    if (++empty_chunks_ <= kSpareChunks) return;
    --empty_chunks_;
    --mapped_chunks_;
    chunks_[number].reset();
    unmap_chunk(base_ + kPageSize + number * (chunk_size_ + kPageSize), chunk_size_);
  }

  bool map_another_chunk() {
    const auto hole = std::find(chunks_.begin(), chunks_.end(), nullptr);
    if (hole == chunks_.end()) return false;
    const auto number = static_cast<std::size_t>(hole - chunks_.begin());
    std::byte* at = base_ + kPageSize + number * (chunk_size_ + kPageSize);
    if (!map_chunk(mode_, at, chunk_size_)) {
      unmap_chunk(at, chunk_size_);
      return false;
    }
    *hole = std::make_unique<Chunk>(pages_per_chunk_);
    ASAN_POISON_MEMORY_REGION(at, chunk_size_);
    ++mapped_chunks_;
    ++empty_chunks_;
    first_with_room_ = std::min(first_with_room_, number);
    return true;
  }

  void link(std::uint32_t index) {
    Page& entry = page(index);
    entry.previous = kNoPage;
    entry.next = partial_[entry.size_class];
    if (entry.next != kNoPage) page(entry.next).previous = index;
    partial_[entry.size_class] = index;
  }
  void unlink(std::uint32_t index) {
    Page& entry = page(index);
    if (entry.previous != kNoPage) page(entry.previous).next = entry.next;
    if (entry.next != kNoPage) page(entry.next).previous = entry.previous;
    if (partial_[entry.size_class] == index) partial_[entry.size_class] = entry.next;
    entry.previous = entry.next = kNoPage;
  }

  // Constant after construction.
  const LockedMemory::Mode mode_;
  std::byte* const base_;
  const std::size_t pages_per_chunk_;
  const std::size_t chunk_size_;
  std::byte* const end_;

  // Under mutex_, but for what size_of() reads.
  std::mutex mutex_;
  std::vector<std::unique_ptr<Chunk>> chunks_;  // nullptr: not mapped
  std::array<std::uint32_t, kClassSizes.size()> partial_{};
  std::size_t first_with_room_ = 0;  // no chunk before it has a free page
  std::size_t mapped_chunks_ = 0;
  std::size_t empty_chunks_ = 0;
  std::size_t used_ = 0;
};

// The one global of the program, as malloc's arenas are: never destroyed, so that secrets may die in any
// order.
std::atomic<Arena*> the_arena{nullptr};

Arena* arena() { return the_arena.load(std::memory_order_acquire); }

}  // namespace

Result<void> LockedMemory::start(const Options& options) {
  if (arena() != nullptr) return error(Kind::kInternal, "locked memory was started twice");
  const std::size_t capacity = options.capacity != 0 ? options.capacity : capacity_from_limits();
  const std::size_t chunk_size = std::min(kLargestChunk, capacity / kPageSize * kPageSize);
  if (chunk_size == 0) {
    return error(Kind::kUnsupported,
                 "no locked memory is allowed; raise RLIMIT_MEMLOCK (ulimit -l, LimitMEMLOCK=)");
  }
  std::size_t chunk_count = capacity / chunk_size;
  std::byte* base = nullptr;
  // Addresses may be limited too (RLIMIT_AS): half as many, then, down to one chunk.
  while ((base = Arena::reserve(chunk_count, chunk_size)) == nullptr && chunk_count > 1) chunk_count /= 2;
  if (base == nullptr) return Error::from_errno(errno, "reserving addresses for locked memory");

  const std::array<std::pair<bool, Mode>, 3> modes = {{{options.allow_secret, Mode::kSecret},
                                                       {options.allow_locked, Mode::kLocked},
                                                       {options.allow_unlocked, Mode::kUnlocked}}};
  for (const auto& [allowed, mode] : modes) {
    if (!allowed) continue;
    auto candidate = std::make_unique<Arena>(mode, base, chunk_count, chunk_size / kPageSize);
    if (!candidate->map_first_chunk()) continue;
    the_arena.store(candidate.release(), std::memory_order_release);
    return {};
  }
  Arena::unreserve(base, chunk_count, chunk_size);
  return error(Kind::kUnsupported,
               "memory for keys cannot be locked: memfd_secret(2) and mlock(2) both failed; "
               "raise RLIMIT_MEMLOCK (ulimit -l, LimitMEMLOCK=)");
}

LockedMemory::Mode LockedMemory::mode() { return arena() != nullptr ? arena()->mode() : Mode::kUnlocked; }

LockedMemory::Usage LockedMemory::usage() { return arena() != nullptr ? arena()->usage() : Usage{}; }

void* LockedMemory::allocate(std::size_t size) noexcept {
  return arena() != nullptr && size != 0 ? arena()->allocate(size) : nullptr;
}

void LockedMemory::release(void* memory) noexcept {
  if (memory == nullptr) return;
  if (!contains(memory)) std::abort();  // not ours: wiping it would destroy somebody else's memory
  arena()->release(static_cast<std::byte*>(memory));
}

bool LockedMemory::contains(const void* memory) noexcept {
  return arena() != nullptr && arena()->contains(static_cast<const std::byte*>(memory));
}

std::size_t LockedMemory::size_of(const void* memory) noexcept {
  return contains(memory) ? arena()->size_of(static_cast<const std::byte*>(memory)) : 0;
}

std::size_t LockedMemory::position_of(const void* memory) noexcept {
  return contains(memory) ? arena()->position_of(static_cast<const std::byte*>(memory)) : 0;
}

std::string_view to_string(LockedMemory::Mode mode) {
  switch (mode) {
    case LockedMemory::Mode::kSecret:
      return "secret";
    case LockedMemory::Mode::kLocked:
      return "locked";
    case LockedMemory::Mode::kUnlocked:
      return "unlocked";
  }
  return "unknown";
}

}  // namespace kmsfs
