// Extended attributes. user.* are encrypted, under the id of the file or directory; ACLs and security.* pass
// through, because the kernel below works with them.
#include <sys/stat.h>
#include <sys/xattr.h>

#include "fs/file_system_state.h"

namespace kmsfs {
namespace {

constexpr std::string_view kUser = "user.";
constexpr std::string_view kAccessAcl = "system.posix_acl_access";
constexpr std::string_view kCapability = "security.capability";
constexpr std::string_view kLabel = "security.selinux";
constexpr std::string_view kDefaultAcl = "system.posix_acl_default";
constexpr std::size_t kMaxXattrName = 255;    // XATTR_NAME_MAX
constexpr std::size_t kMaxValue = 64 * 1024;  // XATTR_SIZE_MAX

enum class Way { kEncrypt, kPass, kRefuse };

Way way_of(std::string_view name) {
  if (name.starts_with(kUser)) return Way::kEncrypt;
  const bool passes = name == kAccessAcl || name == kDefaultAcl || name.starts_with("security.") ||
                      name.starts_with("trusted.");
  return passes ? Way::kPass : Way::kRefuse;
}

Result<void> check_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxXattrName) return errno_error(ERANGE);
  if (name == kUser) return errno_error(EINVAL);
  if (way_of(name) == Way::kRefuse) return errno_error(EOPNOTSUPP);
  return {};
}

}  // namespace

// The 16 bytes that user.* hang on: no call to the KMS.
Result<std::array<std::byte, 16>> FileSystem::State::xattr_owner(const NodePtr& node) {
  if (node->is(S_IFDIR)) {
    auto descriptor = directory_descriptor(node);
    if (!descriptor) return std::move(descriptor).error();
    auto id = directory_id({node, *descriptor});
    if (!id) return std::move(id).error();
    return id->bytes;
  }
  auto id = content_of(node).file_id(opener(node));
  if (!id) return std::move(id).error();
  return id->bytes;
}

Result<FileSystem::State::StoredXattr> FileSystem::State::stored_xattr(const NodePtr& node,
                                                                       const std::string& name) {
  KMSFS_TRY(check_name(name));
  auto path = path_descriptor(node);
  if (!path) return std::move(path).error();
  StoredXattr stored{std::move(*path), name, std::nullopt};
  if (way_of(name) == Way::kPass) return stored;
  if (!node->is(S_IFREG) && !node->is(S_IFDIR)) return errno_error(EPERM);
  auto owner = xattr_owner(node);
  if (!owner) return std::move(owner).error();
  auto sealed = volume.seal_xattr_name(*owner, name);
  if (!sealed) return std::move(sealed).error();
  stored.name = std::move(*sealed);
  stored.owner = *owner;
  return stored;
}

Result<void> FileSystem::set_xattr(NodeId id, const std::string& name, ByteView value, int flags,
                                   bool kill_set_group_id) {
  State& s = *state_;
  KMSFS_TRY(s.may_change());
  if (value.size() > kMaxValue) return errno_error(E2BIG);
  auto node = s.find(id);
  if (!node) return std::move(node).error();
  auto stored = s.observed(s.stored_xattr(*node, name));
  if (!stored) return std::move(stored).error();
  Bytes sealed;
  if (stored->owner) {
    auto made = s.volume.seal_xattr_value(*stored->owner, name, value);
    if (!made) return std::move(made).error();
    sealed = std::move(*made);
    value = sealed;
  }
  {
    std::lock_guard lock(s.xattr_lock(**node));
    KMSFS_TRY(s.disk.set_xattr(stored->path->get(), stored->name, value, flags));
    (*node)->no_xattrs = false;
    (*node)->no_capability = false;
    if (kill_set_group_id) KMSFS_TRY(s.clear_set_group_id(stored->path->get()));
  }
  if (name != kAccessAcl) return {};
  // An access list sets mode bits, which a kernel that does not check permissions does not know.
  const auto forget = s.notifier.with([](const Notifier& told) { return told.forget_attributes; });
  if (forget) forget(id);
  return {};
}

Result<void> FileSystem::State::clear_set_group_id(int path_fd) const {
  auto attributes = disk.stat(path_fd);
  if (!attributes) return std::move(attributes).error();
  if ((attributes->st_mode & S_ISGID) == 0) return {};
  return disk.change_mode(path_fd, attributes->st_mode & 07777 & ~S_ISGID);
}

Result<Bytes> FileSystem::get_xattr(NodeId id, const std::string& name) {
  State& s = *state_;
  auto node = s.find(id);
  if (!node) return std::move(node).error();
  KMSFS_TRY(check_name(name));
  // The kernel asks for security.capability and ACLs of every file it meets. `ls -l` asks for labels until it
  // hears that there are none in this file system.
  const int missing = name == kLabel && !s.options.selinux ? EOPNOTSUPP : ENODATA;
  if ((*node)->no_xattrs) return errno_error(missing);
  if ((*node)->no_capability && name == kCapability) return errno_error(ENODATA);
  if (way_of(name) == Way::kEncrypt && !(*node)->is(S_IFREG) && !(*node)->is(S_IFDIR))
    return errno_error(ENODATA);
  auto stored = s.observed(s.stored_xattr(*node, name));
  if (!stored) return std::move(stored).error();
  auto value = s.disk.get_xattr(stored->path->get(), stored->name);
  if (!value) {
    if (value.error().system_errno != ENODATA) return value;
    s.learn_xattrs(**node, stored->path->get());
    return errno_error(missing);
  }
  if (!stored->owner) return value;
  return s.observed(s.volume.open_xattr_value(*stored->owner, name, *value));
}

void FileSystem::State::learn_xattrs(Node& node, int path_fd) {
  std::lock_guard lock(xattr_lock(node));
  auto names = disk.list_xattr(path_fd);
  node.no_xattrs = names && names->empty() && !options.shared;
}

Result<std::vector<std::string>> FileSystem::list_xattr(NodeId id) {
  State& s = *state_;
  auto node = s.find(id);
  if (!node) return std::move(node).error();
  std::vector<std::string> names;
  if ((*node)->no_xattrs) return names;
  auto path = s.path_descriptor(*node);
  if (!path) return std::move(path).error();
  auto stored = s.disk.list_xattr((*path)->get());
  if (!stored) return stored;
  std::optional<std::array<std::byte, 16>> owner;
  for (std::string& name : *stored) {
    if (way_of(name) == Way::kPass) {
      names.push_back(std::move(name));
      continue;
    }
    if (way_of(name) != Way::kEncrypt || !((*node)->is(S_IFREG) || (*node)->is(S_IFDIR))) continue;
    if (!owner) {
      auto found = s.observed(s.xattr_owner(*node));
      if (!found) return std::move(found).error();
      owner = *found;
    }
    // What is not ours, or was changed, is not shown: the others still are.
    if (auto plain = s.volume.open_xattr_name(*owner, name)) names.push_back(std::move(*plain));
  }
  return names;
}

Result<void> FileSystem::remove_xattr(NodeId id, const std::string& name) {
  State& s = *state_;
  KMSFS_TRY(s.may_change());
  auto node = s.find(id);
  if (!node) return std::move(node).error();
  auto stored = s.observed(s.stored_xattr(*node, name));
  if (!stored) return std::move(stored).error();
  std::lock_guard lock(s.xattr_lock(**node));
  return s.disk.remove_xattr(stored->path->get(), stored->name);
}

}  // namespace kmsfs
