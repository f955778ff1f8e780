// Reading directories. An entry that cannot be read is shown as one that can be removed; it never makes the
// directory fail.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <tuple>
#include <utility>

#include "core/random.h"
#include "fs/file_system_state.h"

namespace kmsfs {
namespace {

constexpr std::uint64_t kDots = 2;  // "." and ".." come first
constexpr HandleId kNoHandle = 0;   // the kernel was told to leave open and close out
constexpr unsigned kSpareBits = 2;  // an offset is a positive number, and what is past the last place too

// FNV-1a, from a secret beginning, and well mixed.
std::uint64_t place_of(std::string_view name, std::uint64_t seed) {
  std::uint64_t hash = seed;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  hash = (hash ^ hash >> 31) * 0x9e3779b97f4a7c15U;
  return (hash ^ hash >> 29) >> kSpareBits;
}

}  // namespace

Result<HandleId> FileSystem::open_directory(NodeId id) {
  State& s = *state_;
  auto parent = s.parent(id);
  if (!parent) return std::move(parent).error();
  return s.add_handle(parent->node);
}

void FileSystem::release_directory(NodeId, HandleId handle) { state_->take_handle(handle); }

Result<void> FileSystem::sync_directory(NodeId id) {
  State& s = *state_;
  auto parent = s.parent(id);
  if (!parent) return std::move(parent).error();
  KMSFS_TRY(s.make_way_durable(*parent->node));
  return s.sync_names(*parent);
}

std::uint64_t FileSystem::State::new_listing_seed() {
  std::array<std::byte, sizeof(std::uint64_t)> seed;
  random_bytes(seed);
  return std::bit_cast<std::uint64_t>(seed);
}

// By a hash of the name, which whoever made the names does not know: an offset is a place in this order, and
// so is good in every later reading too. Who goes on from one misses no entry that was there all the time,
// and sees none twice.
Result<std::vector<RawEntry>> FileSystem::State::list_by_place(int directory) const {
  auto entries = files.list(directory);
  if (!entries) return entries;
  std::erase_if(*entries, [](const RawEntry& entry) { return Volume::is_internal(entry.stored_name); });
  for (RawEntry& entry : *entries) entry.place = place_of(entry.stored_name, listing_seed);
  std::sort(entries->begin(), entries->end(), [](const RawEntry& a, const RawEntry& b) {
    return std::tie(a.place, a.stored_name) < std::tie(b.place, b.stored_name);
  });
  std::uint64_t last = kDots;
  for (RawEntry& entry : *entries) last = entry.place = std::max(entry.place, last + 1);
  return entries;
}

// Offset 0 reads anew; from there on any reading will do, and the last one is at hand.
Result<FileSystem::State::Listing> FileSystem::State::listing(const Parent& in, std::uint64_t offset) {
  auto& kept = in.node->directory->listing;
  if (offset != 0) {
    auto known = kept.with([](KeptListing& last) {
      last.used_lately = true;
      return last.entries;
    });
    if (known != nullptr) return known;
  }
  auto entries = list_by_place(in.fd());
  if (!entries) return std::move(entries).error();
  Listing taken = std::make_shared<const std::vector<RawEntry>>(std::move(*entries));
  const Listing before = kept.with([&](KeptListing& last) {
    return std::exchange(last, KeptListing{taken, true}).entries;
  });
  if (before == nullptr) with_listings.with([&](auto& all) { all.emplace_back(in.node); });
  return taken;
}

void FileSystem::State::end_listing(Node& node, const Listing& listing) {
  node.directory->listing.with([&](KeptListing& last) {
    if (last.entries == listing) last = {};
  });
}

// Of programs that stopped in the middle. One that goes on all the same has the directory read again.
void FileSystem::State::drop_unused_listings() {
  auto known = with_listings.with([](auto& all) { return std::exchange(all, {}); });
  std::erase_if(known, [](const std::weak_ptr<Node>& directory) {
    const NodePtr node = directory.lock();
    if (node == nullptr) return true;
    return node->directory->listing.with([](KeptListing& last) {
      const bool stays = last.entries != nullptr && std::exchange(last.used_lately, false);
      if (!stays) last = {};
      return !stays;
    });
  });
  with_listings.with([&](auto& all) { all.insert(all.end(), known.begin(), known.end()); });
}

// Nothing if the entry is gone by now.
std::optional<FileSystem::State::Listed> FileSystem::State::read_entry(const Parent& in,
                                                                       const Result<DirectoryId>& id,
                                                                       const RawEntry& raw, bool look_up) {
  Listed listed;
  auto name = id ? files.plain_name(in.fd(), *id, raw.stored_name) : Result<std::string>(id.error());
  listed.inode = raw.inode;
  listed.type = raw.type;
  if (look_up && !options.shared && nodes.is_just_looked_up(*in.node, raw.stored_name, raw.inode))
    look_up = false;
  const bool must_look = look_up || raw.type == 0 || !name;
  if (must_look) {
    std::shared_lock lock(in.entries());
    auto attributes = disk.stat_at(in.fd(), raw.stored_name);
    if (!attributes) return std::nullopt;
    listed.inode = attributes->st_ino;
    listed.type = attributes->st_mode & S_IFMT;
    if (look_up) listed.entry = entry(nodes.look_up(*attributes, in.node, raw.stored_name), *attributes);
  }
  if (!name) ++unreadable_names;
  listed.name = name ? std::move(*name) : name_of_unreadable(raw.stored_name);
  return listed;
}

Result<void> FileSystem::read_directory(NodeId id, HandleId handle_id, std::uint64_t offset, bool plus,
                                        const DirectorySink& sink) {
  State& s = *state_;
  auto parent = s.parent(id);
  if (!parent) return std::move(parent).error();
  if (handle_id != kNoHandle) {
    auto opened = s.handle(handle_id);
    if (!opened) return std::move(opened).error();
    if (*opened != parent->node) return errno_error(EBADF);
  }
  auto listing = s.listing(*parent, offset);
  if (!listing) return std::move(listing).error();

  const auto up = s.nodes.place(*parent->node);
  const std::pair<std::string_view, ino_t> dots[kDots] = {
      {".", parent->node->inode}, {"..", up ? up->parent->inode : parent->node->inode}};
  for (; offset < kDots; ++offset) {
    if (!sink({dots[offset].first, dots[offset].second, S_IFDIR, offset + 1, nullptr})) return {};
  }
  const std::vector<RawEntry>& entries = **listing;
  auto at = std::upper_bound(entries.begin(), entries.end(), offset,
                             [](std::uint64_t from, const RawEntry& entry) { return from < entry.place; });
  if (at == entries.end()) {
    State::end_listing(*parent->node, *listing);
    return {};
  }
  const auto directory = s.directory_id(*parent);
  for (; at != entries.end(); ++at) {
    auto listed = s.read_entry(*parent, directory, *at, plus);
    if (!listed) continue;
    const Entry* entry = listed->entry ? &*listed->entry : nullptr;
    if (sink({listed->name, listed->inode, listed->type, at->place, entry})) continue;
    if (entry != nullptr) forget(entry->node, 1);
    return {};
  }
  return {};
}

}  // namespace kmsfs
