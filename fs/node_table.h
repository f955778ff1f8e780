// The table of nodes: what the kernel, an open handle or a child knows of the backing directory.
//
// Always: one Node per backing (st_dev, st_ino), whatever the number of its names; ids only grow, so a kernel
// that remembers an id can never meet another file under it. A node needs no descriptor: it has a place
// (parent and stored name), from which it is opened again and compared. A node without a place (the root, a
// removed or unnamed file) keeps one. Threads: any, together. The table's lock is the innermost: nothing is
// called while it is held.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/guarded.h"
#include "core/ids.h"
#include "core/unique_fd.h"

namespace kmsfs {

using NodeId = std::uint64_t;  // what the kernel calls nodeid; the root is 1

inline constexpr NodeId kRootNode = 1;

class Inode;
struct Node;
struct RawEntry;
using NodePtr = std::shared_ptr<Node>;
using Descriptor = std::shared_ptr<const UniqueFd>;  // shared by the table and whoever is using it

// Where a node is found in the backing directory.
struct Place {
  NodePtr parent;
  std::string stored_name;
  bool operator==(const Place&) const = default;
};

// A reading of a directory that a program has not come to the end of.
struct KeptListing {
  std::shared_ptr<const std::vector<RawEntry>> entries;
  bool used_lately = false;
};

// What only directories have.
struct DirectoryPart {
  mutable std::shared_mutex entries;       // shared: look at the entries; alone: change them
  Guarded<std::optional<DirectoryId>> id;  // once it was read; of no worth on shared volumes
  Guarded<KeptListing> listing;
  // Ids and side links made in it, and how many are durable; none is known to be when the node is new.
  std::atomic<std::uint64_t> links_made{1}, links_durable{0};
  bool links_are_not_known_durable() const { return links_durable != links_made; }
};

struct Node {
  Node(NodeId node_id, const struct stat& attributes);
  ~Node();

  bool is(mode_t format) const { return type == format; }

  const NodeId id;
  const dev_t device;
  const ino_t inode;
  const mode_t type;                               // S_IFMT bits
  const std::unique_ptr<DirectoryPart> directory;  // of directories
  std::atomic<Inode*> content{nullptr};            // of regular files, made when first opened; owned
  // Known to have no xattrs below; changes under the FileSystem's xattr locks.
  std::atomic<bool> no_xattrs{false};
  // It was opened, so that the kernel may hold pages of it.
  std::atomic<bool> opened{false};
  // Nobody gave it a file capability since we made it: the kernel asks at the first write to every file.
  std::atomic<bool> no_capability{false};

 private:
  friend class NodeTable;
  std::atomic<bool> used_lately_{false};
  std::atomic<bool> only_looked_up_{true};  // nothing else was asked of it
  // Guarded by the table's lock.
  bool is_kept_ = false;       // `kept_at_` is in the table's list
  std::uint64_t lookups_ = 0;  // that the kernel will give back
  std::uint64_t holds_ = 0;    // children in the table, and open handles
  std::optional<Place> place_;
  Descriptor descriptor_;
  std::list<NodePtr>::iterator kept_at_;
};

class NodeTable {
 public:
  explicit NodeTable(std::size_t descriptor_budget) : descriptor_budget_(descriptor_budget) {}

  NodePtr add_root(const struct stat& attributes, UniqueFd descriptor);
  NodePtr find(NodeId id) const;  // nullptr: unknown
  NodePtr find(dev_t device, ino_t inode) const;
  NodePtr find_inode(ino_t inode) const;
  // The kernel has looked up what stands at this place and asked nothing else of it, so what it was told
  // holds. Never of directories.
  bool is_just_looked_up(const Node& parent, const std::string& stored_name, ino_t inode) const;

  // The node of what stands at a place, with one more lookup.
  NodePtr look_up(const struct stat& attributes, const NodePtr& parent, const std::string& stored_name);
  NodePtr add_unnamed(const struct stat& attributes, UniqueFd descriptor);
  void forget(NodeId id, std::uint64_t lookups);
  void hold(const NodePtr& node);
  void release(const NodePtr& node);

  std::optional<Place> place(const Node& node) const;
  // The backing inode of the directory below the root that this one is, or is below; the root's for the root.
  ino_t subtree(const Node& directory) const;
  // The name moved, if it is the one that the node is known by.
  void rename(const Node& node, const Place& from, const Place& to);
  void set_place(const Node& node, const Place& to);
  // The name is gone, if it is the one that the node is known by; `descriptor` stays with the node.
  void remove_place(const Node& node, const Place& place, Descriptor descriptor);

  Descriptor descriptor(const Node& node) const;
  // Kept for later, within the budget: others are closed for it, the least used first.
  void keep_descriptor(const Node& node, Descriptor descriptor);

  std::uint64_t size() const;
  std::uint64_t descriptors() const;
  // At most `count` nodes that the kernel looked up longest ago, no directories, none with open handles.
  std::vector<NodePtr> coldest(std::size_t count) const;

 private:
  struct Key {
    dev_t device;
    ino_t inode;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const noexcept {
      return std::hash<std::uint64_t>()(key.inode * 0x9e3779b97f4a7c15U ^ key.device);
    }
  };
  using Dropped = std::vector<NodePtr>;  // destroyed after the lock is gone

  static Node& writable(const Node& node) { return const_cast<Node&>(node); }  // NOLINT: the lock is ours
  static bool stands_at(const Node& node, const Node& parent, const std::string& stored_name);
  NodePtr insert(const struct stat& attributes);
  void place_at(Node& node, const Place& to, Dropped& dropped);
  void unplace(Node& node, Dropped& dropped);
  void drop_if_unknown(NodePtr node, Dropped& dropped);
  void stop_keeping(Node& node, Dropped& dropped);
  void close_what_is_over(Dropped& dropped, std::vector<Descriptor>& closed);

  const std::size_t descriptor_budget_;
  mutable std::shared_mutex mutex_;
  NodeId next_id_ = kRootNode;
  std::unordered_map<NodeId, NodePtr> by_id_;
  std::unordered_map<Key, NodePtr, KeyHash> by_key_;
  std::list<NodePtr> kept_;  // nodes with a descriptor and a place, for the second chance
  mutable std::atomic<NodeId> cold_from_{0};
};

}  // namespace kmsfs
