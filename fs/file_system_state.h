// The inside of the FileSystem: what its operations share. Private to fs/file_system*.cc.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "fs/branch_keys.h"
#include "fs/directory.h"
#include "fs/file_system.h"
#include "fs/file_system_background.h"
#include "fs/inode.h"
#include "fs/key_prefetch.h"
#include "fs/new_file_keys.h"
#include "fs/node_table.h"

namespace kmsfs {

inline Error errno_error(int number) { return Error::from_errno(number); }

// Several directories, locked alone in the order of their ids.
class EntryLocks {
 public:
  explicit EntryLocks(std::vector<const Node*> directories) {
    std::sort(directories.begin(), directories.end(), [](auto* a, auto* b) { return a->id < b->id; });
    directories.erase(std::unique(directories.begin(), directories.end()), directories.end());
    for (const Node* node : directories) locks_.emplace_back(node->directory->entries);
  }

 private:
  std::vector<std::unique_lock<std::shared_mutex>> locks_;
};

struct FileSystem::State {
  State(Disk& disk_seam, const Volume& opened_volume, KeyCache& key_cache, const Clock& time, Logger log,
        Options chosen);

  // A directory that an operation works in, with a descriptor that stays open meanwhile.
  struct Parent {
    NodePtr node;
    Descriptor descriptor;
    int fd() const { return descriptor->get(); }
    std::shared_mutex& entries() const { return node->directory->entries; }
  };

  Result<void> may_change() const;  // EROFS
  Result<NodePtr> find(NodeId id) const;
  Result<Parent> parent(NodeId id);
  Result<NodePtr> regular(NodeId id) const;
  Inode& content_of(const NodePtr& node);
  Result<NodePtr> handle(HandleId id) const;
  HandleId add_handle(const NodePtr& node);
  NodePtr take_handle(HandleId id);
  std::vector<NodePtr> open_files() const;
  void give_content(const NodePtr& node, ByteSpan room, const std::function<void(ByteView)>& give);

  // Descriptors and attributes of a node, wherever it stands now. Never with a directory locked.
  Result<Descriptor> directory_descriptor(const NodePtr& node);
  Result<Descriptor> path_descriptor(const NodePtr& node);  // O_PATH
  Result<struct stat> backing_attributes(const NodePtr& node);
  Result<UniqueFd> open_content(const NodePtr& node, int flags);
  Inode::Opener opener(const NodePtr& node) {
    return [this, node](int flags) { return open_content(node, flags); };
  }
  // `use(directory descriptor, stored name)` while the name cannot change.
  template <typename Use>
  auto at_place(const NodePtr& node, Use&& use) -> std::invoke_result_t<Use, int, const std::string&>;
  // O_PATH on what stands at a name, if it is that node.
  Result<UniqueFd> open_same(int directory, const std::string& stored_name, const Node& node,
                             int flags) const;

  struct stat shown(const struct stat& backing) const;
  Result<struct stat> apply(const AttributeChange& change, int fd) const;
  Entry entry(const NodePtr& node, const struct stat& backing) const { return {node->id, shown(backing)}; }

  // Names.
  Result<DirectoryId> directory_id(const Parent& parent) const;
  Result<StoredName> name_to_make(const Parent& parent, std::string_view name) const;
  // ... or that of an unreadable entry.
  Result<StoredName> name_to_find(const Parent& parent, std::string_view name) const;
  Result<std::string> find_unreadable(const Parent& parent, std::string_view name) const;
  bool is_unreadable(const Parent& parent, const std::string& stored_name) const;
  static std::string name_of_unreadable(const std::string& stored_name);

  // With the parent's entries locked alone: before a name goes, its node gets a descriptor instead.
  Result<Descriptor> descriptor_instead_of(const Place& place, int parent_fd, const Node& node) const;

  // Made and opened, under the caller's identity; with the parent's entries locked alone.
  struct NewFile {
    std::unique_ptr<EncryptedFile> file;
    FileKey key;
    struct stat backing {};
  };
  Result<NewFile> make_file(int directory, const std::string& name, int flags, mode_t mode,
                            const Caller& caller, NewFileKey key);
  // As the volume's mode has it. May ask the KMS: without a lock.
  Result<NewFileKey> new_file_key(const Node& directory);
  Result<NewFile> make_whole_file(int directory, const std::string& name, mode_t mode, const Caller& caller,
                                  NewFileKey key);
  bool can_make_unnamed(int directory);
  Result<Created> create_new(const Parent& in, const StoredName& stored, mode_t mode, const Caller& caller);

  // Anything that one system call makes: links and special files.
  Result<Entry> make_entry(NodeId parent, std::string_view name, const Caller& caller,
                           const std::function<Result<void>(int, const std::string&)>& make);
  Result<Entry> furnish_directory(const Parent& in, const std::string& stored_name);

  // Order of names. Without a lock: what is ours in a directory, and above it, becomes durable, or in what
  // leads to a node.
  Result<void> make_links_durable(NodePtr directory);
  Result<void> make_way_durable(const Node& node);
  Result<void> sync_names(const Parent& in) const;
  // With the directory locked alone: for what is new, and for what existed before.
  Result<bool> make_side_link(const Parent& in, const StoredName& name) const;
  Result<bool> make_side_link_first(const Parent& in, const StoredName& name) const;
  // Once an entry is made. ESTALE: it must be made again under another stored name. `flags`: of its removal.
  Result<void> confirm(const Parent& in, const StoredName& stored) const;
  Result<void> confirm_or_remove(const Parent& in, const StoredName& stored, int flags) const;

  // Removing and renaming, with the directories locked alone.
  struct Rename;
  Result<NodePtr> directory_at(const Parent& in, const std::string& stored_name) const;
  Result<void> vacate(const Place& place, int parent_fd, const Node* node, const Descriptor& known,
                      const std::function<Result<void>()>& go);
  Result<void> remove_directory_at(const Parent& in, const std::string& stored_name, const NodePtr& node);
  Result<void> rename_locked(Rename& rename);
  Result<void> exchange(Rename& rename);
  Result<void> move(Rename& rename);

  // Opening, and what will be opened next (file_system_prefetch.cc).
  Result<void> open_inode(const NodePtr& node, bool writable);
  KeyPrefetch::Source prefetch_source();
  std::vector<KeyPrefetch::File> files_to_open(const NodePtr& directory);
  std::vector<std::size_t> order_by_name(const NodePtr& directory,
                                         const std::vector<KeyPrefetch::File>& listed);
  KeyCache::Ahead ask_ahead(const NodePtr& directory, const KeyPrefetch::File& file);

  // Listings.
  struct Listed {
    std::string name;
    ino_t inode = 0;
    mode_t type = 0;
    std::optional<Entry> entry;
  };
  using Listing = std::shared_ptr<const std::vector<RawEntry>>;
  // All that programs see, by place.
  Result<std::vector<RawEntry>> list_by_place(int directory) const;
  Result<Listing> listing(const Parent& in, std::uint64_t offset);
  static std::uint64_t new_listing_seed();
  static void end_listing(Node& node, const Listing& listing);
  void drop_unused_listings();
  std::optional<Listed> read_entry(const Parent& in, const Result<DirectoryId>& id, const RawEntry& raw,
                                   bool look_up);

  // Extended attributes, as they stand below.
  struct StoredXattr {
    Descriptor path;
    std::string name;
    std::optional<std::array<std::byte, 16>> owner;  // of encrypted ones
  };
  Result<std::array<std::byte, 16>> xattr_owner(const NodePtr& node);
  Result<StoredXattr> stored_xattr(const NodePtr& node, const std::string& name);
  void learn_xattrs(Node& node, int path_fd);
  Result<void> clear_set_group_id(int path_fd) const;
  std::mutex& xattr_lock(const Node& node) { return xattr_locks[node.id % xattr_locks.size()]; }

  Result<void> truncate(const NodePtr& node, std::uint64_t size, const Caller* unprivileged);
  Result<void> kill_privileges(int fd, bool capability_too, const Caller* unprivileged) const;
  Result<void> mark_modified(int fd) const;

  // Counts and logs what is wrong with data or permission, once, on its way out.
  template <typename T>
  Result<T> observed(Result<T> result);
  void observe(const Error& error);

  Result<bool> looks_unfinished(const NodePtr& node);
  void stop_recovering();
  void key_withdrawn(const std::string& key_arn);
  void withdraw(const NodePtr& node);
  void expire_cold_nodes();

  // Constant.
  Disk& disk;
  const Volume& volume;
  KeyCache& keys;
  const Clock& clock;
  const Logger logger;
  const Options options;
  const DirectoryFiles files;
  bool keeps_order = false;  // of names, the disk; constant once the root is open

  // Lock themselves.
  NodeTable nodes;
  NewFileKeys new_keys;    // where each is wrapped by the master key
  BranchKeys branch_keys;  // where branch keys seal them
  KeyPrefetch prefetch;
  ContentServices content;
  ProgramLocks program_locks;
  std::atomic<std::uint64_t> corrupt{0}, denied{0}, unreadable_names{0};

  Guarded<std::vector<std::weak_ptr<Node>>> with_listings;  // those with a kept listing
  const std::uint64_t listing_seed = new_listing_seed();

  mutable std::shared_mutex handles_mutex;
  std::unordered_map<HandleId, NodePtr> handles;  // guarded by handles_mutex
  HandleId next_handle = 1;                       // guarded by handles_mutex

  // By node id: the first opening of a file. Before the inode's lock.
  std::array<std::mutex, 64> first_opening_locks;
  std::array<std::mutex, 64>
      xattr_locks;  // by node id: a change of an xattr, and learning that there are none

  enum class Unnamed { kUnknown, kPossible, kImpossible };
  std::atomic<Unnamed> unnamed{Unnamed::kUnknown};  // O_TMPFILE in the backing directory, if shared

  std::atomic<bool> expiring{false};
  std::atomic<bool> stop_recovery{false}, recovered{false};
  std::thread recovery;
  Guarded<Notifier> notifier;
  Background background;
};

inline constexpr std::string_view kUnreadablePrefix = ".kmsfs-unreadable.";

template <typename Use>
auto FileSystem::State::at_place(const NodePtr& node, Use&& use)
    -> std::invoke_result_t<Use, int, const std::string&> {
  constexpr int kAttempts = 64;  // it may be renamed while we look
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const auto place = nodes.place(*node);
    if (!place) return errno_error(ESTALE);
    auto directory = directory_descriptor(place->parent);
    if (!directory) return std::move(directory).error();
    std::shared_lock lock(place->parent->directory->entries);
    if (nodes.place(*node) == place) return use((*directory)->get(), place->stored_name);
  }
  return error(Kind::kBusy, "a file is renamed too fast to be found");
}

template <typename T>
Result<T> FileSystem::State::observed(Result<T> result) {
  if (!result) observe(result.error());
  return result;
}

}  // namespace kmsfs
