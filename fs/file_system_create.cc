// Making files, directories, links and special files. What is made belongs to the caller.
#include <fcntl.h>
#include <sys/stat.h>

#include "fs/file_system_state.h"

namespace kmsfs {
namespace {

bool has_access_for_writing(int flags) { return (flags & O_ACCMODE) != O_RDONLY; }

}  // namespace

Result<NewFileKey> FileSystem::State::new_file_key(const Node& directory) {
  if (volume.parameters().mode == KeyMode::kBranch) return branch_keys.take(nodes.subtree(directory));
  auto key = new_keys.take();
  if (!key) return std::move(key).error();
  auto data_key = key->data_key.handle.data_key();
  if (!data_key) return std::move(data_key).error();
  WrappedDataKey& wrapped = key->data_key.wrapped;
  return NewFileKey{key->id, FileKey(std::move(key->data_key.handle)), std::move(*data_key),
                    KeySection{std::move(wrapped.key_arn), std::move(wrapped.blob)}};
}

Result<FileSystem::State::NewFile> FileSystem::State::make_file(int directory, const std::string& name,
                                                                int flags, mode_t mode, const Caller& caller,
                                                                NewFileKey key) {
  Result<UniqueFd> fd = error(Kind::kInternal, "not opened");
  {
    const CallerIdentity identity(caller, options.as_caller);
    KMSFS_TRY(identity.assumed());
    fd = disk.open_at(directory, name, O_RDWR | flags, mode & 07777);
  }
  if (!fd && fd.error().system_errno == EPERM) {  // as ext4 calls it where the directory is gone
    auto gone = disk.stat(directory);
    if (gone && gone->st_nlink == 0) return errno_error(ENOENT);
  }
  if (!fd) return std::move(fd).error();
  auto file = EncryptedFile::create(disk, std::move(*fd), volume.geometry(), volume.parameters().id, key.id,
                                    key.data_key.reveal(), key.section);
  auto attributes = file ? disk.stat((*file)->fd()) : Result<struct stat>(error(Kind::kInternal, "not made"));
  if (file && attributes) return NewFile{std::move(*file), std::move(key.key), *attributes};
  if ((flags & O_TMPFILE) != O_TMPFILE) (void)disk.unlink_at(directory, name, 0).ok();
  return file ? std::move(attributes).error() : std::move(file).error();
}

Result<Created> FileSystem::create(NodeId parent_id, std::string_view name, mode_t mode, int flags,
                                   const Caller& caller) {
  State& s = *state_;
  KMSFS_TRY(s.may_change());
  auto parent = s.parent(parent_id);
  if (!parent) return std::move(parent).error();
  auto stored = s.name_to_make(*parent, name);
  if (!stored) return s.observed(Result<Created>(std::move(stored).error()));
  constexpr int kAttempts = 16;  // others may make the name, and remove it, meanwhile
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    // Before the KMS is asked for a key that would not be used.
    const bool exists = s.disk.stat_at(parent->fd(), stored->entry).ok();
    if (exists && (flags & O_EXCL) != 0) return errno_error(EEXIST);
    auto created =
        exists ? open_existing(parent_id, name, flags, caller) : s.create_new(*parent, *stored, mode, caller);
    const int problem = created ? 0 : created.error().system_errno;
    const bool again = exists ? problem == ENOENT : problem == EEXIST && (flags & O_EXCL) == 0;
    if (!again) return created;
  }
  return error(Kind::kBusy, "a name is made and removed too fast to be opened");
}

Result<Created> FileSystem::open_existing(NodeId parent_id, std::string_view name, int flags,
                                          const Caller& caller) {
  auto entry = lookup(parent_id, name);
  if (!entry) return std::move(entry).error();
  const bool loses_privileges = has_access_for_writing(flags) && caller.uid != 0;
  auto handle = open(entry->node, flags, loses_privileges ? &caller : nullptr);
  if (handle) return Created{*entry, *handle};
  forget(entry->node, 1);
  return std::move(handle).error();
}

Result<Created> FileSystem::State::create_new(const Parent& in, const StoredName& stored, mode_t mode,
                                              const Caller& caller) {
  auto key = observed(new_file_key(*in.node));
  if (!key) return std::move(key).error();
  std::lock_guard lock(in.entries());
  auto side_link_made = make_side_link(in, stored);
  if (!side_link_made) return std::move(side_link_made).error();
  auto made = observed(
      options.shared ? make_whole_file(in.fd(), stored.entry, mode, caller, std::move(*key))
                     : make_file(in.fd(), stored.entry, O_CREAT | O_EXCL, mode, caller, std::move(*key)));
  if (!made) {
    if (*side_link_made) files.remove_side_link(in.fd(), stored.entry);
    return std::move(made).error();
  }
  KMSFS_TRY(confirm_or_remove(in, stored, 0));
  const NodePtr node = nodes.look_up(made->backing, in.node, stored.entry);
  node->no_capability = !options.shared;
  node->opened = true;
  content_of(node).adopt(std::move(made->file), std::move(made->key), made->backing.st_mtim);
  return Created{entry(node, made->backing), add_handle(node)};
}

Result<Created> FileSystem::create_unnamed(NodeId parent_id, mode_t mode, int flags, const Caller& caller) {
  State& s = *state_;
  KMSFS_TRY(s.may_change());
  auto parent = s.parent(parent_id);
  if (!parent) return std::move(parent).error();
  auto key = s.observed(s.new_file_key(*parent->node));
  if (!key) return std::move(key).error();
  auto made =
      s.observed(s.make_file(parent->fd(), ".", O_TMPFILE | (flags & O_EXCL), mode, caller, std::move(*key)));
  if (!made) return std::move(made).error();
  auto path = s.disk.reopen(made->file->fd(), O_PATH);
  if (!path) return std::move(path).error();
  const NodePtr node = s.nodes.add_unnamed(made->backing, std::move(*path));
  node->opened = true;
  s.content_of(node).adopt(std::move(made->file), std::move(made->key), made->backing.st_mtim);
  return Created{s.entry(node, made->backing), s.add_handle(node)};
}

Result<Entry> FileSystem::make_node(NodeId parent, std::string_view name, mode_t mode, dev_t device,
                                    const Caller& caller) {
  State& s = *state_;
  if ((mode & S_IFMT) == S_IFREG || (mode & S_IFMT) == 0) {
    auto created = create(parent, name, mode, O_EXCL | O_RDWR, caller);
    if (!created) return std::move(created).error();
    release(created->entry.node, created->handle);
    return created->entry;
  }
  return s.make_entry(parent, name, caller, [&](int directory, const std::string& entry) {
    return s.disk.make_node_at(directory, entry, mode, device);
  });
}

Result<Entry> FileSystem::make_symlink(NodeId parent, std::string_view name, std::string_view target,
                                       const Caller& caller) {
  State& s = *state_;
  auto sealed = s.volume.seal_target(target);
  if (!sealed) return std::move(sealed).error();
  return s.make_entry(parent, name, caller, [&](int directory, const std::string& entry) {
    return s.disk.symlink_at(*sealed, directory, entry);
  });
}

Result<Entry> FileSystem::State::make_entry(
    NodeId parent_id, std::string_view name, const Caller& caller,
    const std::function<Result<void>(int, const std::string&)>& make) {
  KMSFS_TRY(may_change());
  auto in = parent(parent_id);
  if (!in) return std::move(in).error();
  auto stored = observed(name_to_make(*in, name));
  if (!stored) return std::move(stored).error();
  std::lock_guard lock(in->entries());
  // A name that is taken says so, before a side link is written for it.
  if (disk.stat_at(in->fd(), stored->entry)) return errno_error(EEXIST);
  auto side_link_made = make_side_link(*in, *stored);
  if (!side_link_made) return std::move(side_link_made).error();
  Result<void> made;
  {
    const CallerIdentity identity(caller, options.as_caller);
    made = identity.assumed();
    if (made) made = make(in->fd(), stored->entry);
  }
  if (made) made = confirm_or_remove(*in, *stored, 0);
  auto attributes =
      made ? disk.stat_at(in->fd(), stored->entry) : Result<struct stat>(std::move(made).error());
  if (!attributes) {
    if (*side_link_made) files.remove_side_link(in->fd(), stored->entry);
    return std::move(attributes).error();
  }
  return entry(nodes.look_up(*attributes, in->node, stored->entry), *attributes);
}

Result<Entry> FileSystem::make_directory(NodeId parent, std::string_view name, mode_t mode,
                                         const Caller& caller) {
  State& s = *state_;
  KMSFS_TRY(s.may_change());
  auto in = s.parent(parent);
  if (!in) return std::move(in).error();
  auto stored = s.observed(s.name_to_make(*in, name));
  if (!stored) return std::move(stored).error();
  std::lock_guard lock(in->entries());
  auto side_link_made = s.make_side_link(*in, *stored);
  if (!side_link_made) return std::move(side_link_made).error();
  Result<void> made;
  {
    const CallerIdentity identity(caller, s.options.as_caller);
    made = identity.assumed();
    if (made) made = s.disk.make_directory_at(in->fd(), stored->entry, mode & 07777);
  }
  if (made) made = s.confirm_or_remove(*in, *stored, AT_REMOVEDIR);
  auto furnished = made ? s.furnish_directory(*in, stored->entry) : Result<Entry>(std::move(made).error());
  if (furnished) return furnished;
  // Of one that stays, because nothing else can be done either, the id is made when it is needed.
  if (made) (void)s.disk.unlink_at(in->fd(), stored->entry, AT_REMOVEDIR).ok();
  if (*side_link_made) s.files.remove_side_link(in->fd(), stored->entry);
  return furnished;
}

// Gives a new directory its id. Its mode may keep even its owner out, so it is widened meanwhile.
Result<Entry> FileSystem::State::furnish_directory(const Parent& in, const std::string& stored_name) {
  auto path = disk.open_at(in.fd(), stored_name, O_PATH | O_DIRECTORY);
  if (!path) return std::move(path).error();
  auto id = files.make_id(path->get());
  if (!id) return std::move(id).error();
  auto attributes = disk.stat(path->get());
  if (!attributes) return std::move(attributes).error();
  const NodePtr node = nodes.look_up(*attributes, in.node, stored_name);
  node->directory->id.with([&](auto& known) { known = *id; });
  nodes.keep_descriptor(*node, std::make_shared<const UniqueFd>(std::move(*path)));
  return entry(node, *attributes);
}

Result<Entry> FileSystem::make_link(NodeId id, NodeId parent_id, std::string_view name, const Caller&) {
  State& s = *state_;
  KMSFS_TRY(s.may_change());
  auto node = s.find(id);
  if (!node) return std::move(node).error();
  if ((*node)->is(S_IFDIR)) return errno_error(EPERM);
  auto parent = s.parent(parent_id);
  if (!parent) return std::move(parent).error();
  auto stored = s.observed(s.name_to_make(*parent, name));
  if (!stored) return std::move(stored).error();
  auto path = s.path_descriptor(*node);
  if (!path) return std::move(path).error();
  KMSFS_TRY(s.make_links_durable(parent->node));
  std::lock_guard lock(parent->entries());
  if (s.disk.stat_at(parent->fd(), stored->entry)) return errno_error(EEXIST);
  auto side_link_made = s.make_side_link_first(*parent, *stored);
  if (!side_link_made) return std::move(side_link_made).error();
  auto linked = s.disk.link_at((*path)->get(), parent->fd(), stored->entry);
  if (!linked) {
    if (*side_link_made) s.files.remove_side_link(parent->fd(), stored->entry);
    return std::move(linked).error();
  }
  KMSFS_TRY(s.confirm_or_remove(*parent, *stored, 0));
  auto attributes = s.disk.stat((*path)->get());
  if (!attributes) return std::move(attributes).error();
  return s.entry(s.nodes.look_up(*attributes, parent->node, stored->entry), *attributes);
}

}  // namespace kmsfs
