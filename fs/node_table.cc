#include "fs/node_table.h"

#include <algorithm>
#include <cassert>

#include "fs/inode.h"

namespace kmsfs {

Node::Node(NodeId node_id, const struct stat& attributes)
    : id(node_id),
      device(attributes.st_dev),
      inode(attributes.st_ino),
      type(attributes.st_mode & S_IFMT),
      directory(S_ISDIR(attributes.st_mode) ? std::make_unique<DirectoryPart>() : nullptr) {}

Node::~Node() { delete content.load(); }

NodePtr NodeTable::insert(const struct stat& attributes) {
  auto node = std::make_shared<Node>(next_id_++, attributes);
  by_id_.emplace(node->id, node);
  by_key_[Key{node->device, node->inode}] = node;
  return node;
}

NodePtr NodeTable::add_root(const struct stat& attributes, UniqueFd descriptor) {
  std::lock_guard lock(mutex_);
  assert(next_id_ == kRootNode);
  NodePtr node = insert(attributes);
  node->holds_ = 1;  // for ever
  node->descriptor_ = std::make_shared<const UniqueFd>(std::move(descriptor));
  return node;
}

NodePtr NodeTable::find(NodeId id) const {
  std::shared_lock lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return nullptr;
  if (found->second->only_looked_up_) found->second->only_looked_up_ = false;
  return found->second;
}

bool NodeTable::stands_at(const Node& node, const Node& parent, const std::string& stored_name) {
  return node.place_ && node.place_->parent.get() == &parent && node.place_->stored_name == stored_name;
}

bool NodeTable::is_just_looked_up(const Node& parent, const std::string& stored_name, ino_t inode) const {
  std::shared_lock lock(mutex_);
  const auto found = by_key_.find(Key{parent.device, inode});
  if (found == by_key_.end()) return false;
  const Node& node = *found->second;
  return node.lookups_ != 0 && node.only_looked_up_ && !node.is(S_IFDIR) &&
         stands_at(node, parent, stored_name);
}

NodePtr NodeTable::find(dev_t device, ino_t inode) const {
  std::shared_lock lock(mutex_);
  const auto found = by_key_.find(Key{device, inode});
  return found == by_key_.end() ? nullptr : found->second;
}

NodePtr NodeTable::find_inode(ino_t inode) const {
  std::shared_lock lock(mutex_);
  for (const auto& [id, node] : by_id_) {
    if (node->inode == inode) return node;
  }
  return nullptr;
}

NodePtr NodeTable::look_up(const struct stat& attributes, const NodePtr& parent,
                           const std::string& stored_name) {
  Dropped dropped;
  Descriptor closed;
  std::lock_guard lock(mutex_);
  const auto found = by_key_.find(Key{attributes.st_dev, attributes.st_ino});
  NodePtr node = found == by_key_.end() ? nullptr : found->second;
  // Another type: the file that we knew is gone from below, and its number was given to a new one.
  if (node == nullptr || node->type != (attributes.st_mode & S_IFMT)) node = insert(attributes);
  ++node->lookups_;
  // Of several names the first stays. A single one that is not where we knew it was moved behind our back.
  const bool only_name = attributes.st_nlink == 1 || node->is(S_IFDIR);
  const bool known = stands_at(*node, *parent, stored_name);
  if (node->id != kRootNode && !known && (only_name || !node->place_)) {
    place_at(*node, Place{parent, stored_name}, dropped);
    if (!node->is(S_IFDIR)) closed = std::move(node->descriptor_);
  }
  return node;
}

NodePtr NodeTable::add_unnamed(const struct stat& attributes, UniqueFd descriptor) {
  std::lock_guard lock(mutex_);
  NodePtr node = insert(attributes);
  node->lookups_ = 1;
  node->descriptor_ = std::make_shared<const UniqueFd>(std::move(descriptor));
  return node;
}

void NodeTable::forget(NodeId id, std::uint64_t lookups) {
  Dropped dropped;
  std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return;
  NodePtr node = found->second;
  node->lookups_ -= std::min(node->lookups_, lookups);
  drop_if_unknown(std::move(node), dropped);
}

void NodeTable::hold(const NodePtr& node) {
  std::lock_guard lock(mutex_);
  ++node->holds_;
}

void NodeTable::release(const NodePtr& node) {
  Dropped dropped;
  std::lock_guard lock(mutex_);
  assert(node->holds_ > 0);
  --node->holds_;
  drop_if_unknown(node, dropped);
}

// A child holds its parent, so that its place stays good; the last child that goes may let a whole chain of
// parents go.
void NodeTable::drop_if_unknown(NodePtr node, Dropped& dropped) {
  while (node != nullptr && node->lookups_ == 0 && node->holds_ == 0) {
    by_id_.erase(node->id);
    const auto found = by_key_.find(Key{node->device, node->inode});
    if (found != by_key_.end() && found->second == node) by_key_.erase(found);
    stop_keeping(*node, dropped);  // its descriptor would keep a removed directory alive below
    NodePtr parent;
    if (node->place_) {
      parent = std::move(node->place_->parent);
      --parent->holds_;
    }
    node->place_.reset();
    dropped.push_back(std::move(node));
    node = std::move(parent);
  }
}

void NodeTable::place_at(Node& node, const Place& to, Dropped& dropped) {
  ++to.parent->holds_;
  unplace(node, dropped);
  node.place_ = to;
}

void NodeTable::unplace(Node& node, Dropped& dropped) {
  if (!node.place_) return;
  NodePtr parent = std::move(node.place_->parent);
  node.place_.reset();
  --parent->holds_;
  drop_if_unknown(std::move(parent), dropped);
}

ino_t NodeTable::subtree(const Node& directory) const {
  std::shared_lock lock(mutex_);
  const Node* top = &directory;
  const Node* at = top;
  for (; at->place_; at = at->place_->parent.get()) top = at;
  return top->inode;
}

std::optional<Place> NodeTable::place(const Node& node) const {
  std::shared_lock lock(mutex_);
  return node.place_;
}

void NodeTable::rename(const Node& node, const Place& from, const Place& to) {
  Dropped dropped;
  std::lock_guard lock(mutex_);
  if (node.place_ == from) place_at(writable(node), to, dropped);
}

void NodeTable::set_place(const Node& node, const Place& to) {
  Dropped dropped;
  std::lock_guard lock(mutex_);
  if (!node.place_) place_at(writable(node), to, dropped);
}

void NodeTable::remove_place(const Node& node, const Place& place, Descriptor descriptor) {
  Dropped dropped;
  std::lock_guard lock(mutex_);
  if (node.place_ != place) return;
  writable(node).descriptor_ = std::move(descriptor);
  unplace(writable(node), dropped);
}

Descriptor NodeTable::descriptor(const Node& node) const {
  std::shared_lock lock(mutex_);
  if (node.descriptor_) writable(node).used_lately_.store(true, std::memory_order_relaxed);
  return node.descriptor_;
}

void NodeTable::keep_descriptor(const Node& node, Descriptor descriptor) {
  Dropped dropped;
  std::vector<Descriptor> closed;
  std::lock_guard lock(mutex_);
  const auto found = by_id_.find(node.id);
  if (found == by_id_.end() || found->second->descriptor_ || !found->second->place_) return;
  found->second->descriptor_ = std::move(descriptor);
  stop_keeping(*found->second, dropped);
  found->second->kept_at_ = kept_.insert(kept_.end(), found->second);
  found->second->is_kept_ = true;
  close_what_is_over(dropped, closed);
}

void NodeTable::stop_keeping(Node& node, Dropped& dropped) {
  if (!node.is_kept_) return;
  dropped.push_back(std::move(*node.kept_at_));
  kept_.erase(node.kept_at_);
  node.is_kept_ = false;
}

void NodeTable::close_what_is_over(Dropped& dropped, std::vector<Descriptor>& closed) {
  // Each entry is looked at twice at most: its mark is cleared the first time.
  for (std::size_t looks = 2 * kept_.size(); kept_.size() > descriptor_budget_ && looks > 0; --looks) {
    Node& oldest = *kept_.front();
    const bool in_use = oldest.descriptor_ && oldest.place_ && oldest.used_lately_.exchange(false);
    if (in_use) {
      kept_.splice(kept_.end(), kept_, kept_.begin());
      continue;
    }
    if (oldest.place_) closed.push_back(std::move(oldest.descriptor_));
    stop_keeping(oldest, dropped);
  }
}

std::uint64_t NodeTable::size() const {
  std::shared_lock lock(mutex_);
  return by_id_.size();
}

std::uint64_t NodeTable::descriptors() const {
  std::shared_lock lock(mutex_);
  return kept_.size();
}

std::vector<NodePtr> NodeTable::coldest(std::size_t count) const {
  std::vector<NodePtr> cold;
  const NodeId from = cold_from_.load();
  {
    std::shared_lock lock(mutex_);
    for (const auto& [id, node] : by_id_) {
      if (id > from && !node->is(S_IFDIR) && node->holds_ == 0 && node->place_) cold.push_back(node);
    }
  }
  const auto older = [](const NodePtr& a, const NodePtr& b) { return a->id < b->id; };
  if (cold.size() > count) {
    std::nth_element(cold.begin(), cold.begin() + static_cast<std::ptrdiff_t>(count), cold.end(), older);
    cold.resize(count);
  }
  // What the kernel would not forget is not asked for again until all others were.
  const auto last = std::max_element(cold.begin(), cold.end(), older);
  cold_from_.store(last == cold.end() ? 0 : (*last)->id);
  return cold;
}

}  // namespace kmsfs
