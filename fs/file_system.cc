#include "fs/file_system.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "fs/file_system_state.h"

namespace kmsfs {
namespace {

std::size_t descriptor_budget(const FileSystem::Options& options) {
  if (options.descriptor_budget != 0) return options.descriptor_budget;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 64;
  // The rest is for open files and for what is opened in passing.
  return std::clamp<std::size_t>(limit.rlim_cur / 4, 64, 65536);
}

std::optional<timespec> recover_since(const FileSystem::Options& options) {
  if (!options.recover) return std::nullopt;
  return options.recover_since;
}

}  // namespace

FileSystem::State::State(Disk& disk_seam, const Volume& opened_volume, KeyCache& key_cache, const Clock& time,
                         Logger log, Options chosen)
    : disk(disk_seam),
      volume(opened_volume),
      keys(key_cache),
      clock(time),
      logger(std::move(log)),
      options(chosen),
      files(disk_seam, opened_volume, chosen.shared),
      nodes(descriptor_budget(chosen)),
      new_keys(opened_volume.parameters(), key_cache, time),
      branch_keys(opened_volume.parameters(), key_cache, time),
      prefetch(prefetch_source(), time),
      content{disk_seam,
              opened_volume,
              key_cache,
              time,
              logger,
              recover_since(chosen),
              chosen.read_only,
              chosen.shared,
              chosen.kernel_keeps_times,
              {}} {}

FileSystem::FileSystem(std::unique_ptr<State> state) : state_(std::move(state)) {}

FileSystem::~FileSystem() {
  state_->stop_recovering();
  state_->keys.set_revocation_listener({});
  state_->new_keys.stop();
  state_->prefetch.stop();
  state_->background.stop();
}

Result<std::unique_ptr<FileSystem>> FileSystem::make(Disk& disk, UniqueFd backing, const Volume& volume,
                                                     KeyCache& keys, const Clock& clock, Logger logger,
                                                     Options options) {
  auto attributes = disk.stat(backing.get());
  if (!attributes) return std::move(attributes).error().during("looking at the backing directory");
  if (!S_ISDIR(attributes->st_mode)) return errno_error(ENOTDIR).during("the backing directory");
  ::umask(0);
  auto state = std::make_unique<State>(disk, volume, keys, clock, std::move(logger), options);
  State& inside = *state;
  inside.keeps_order = disk.keeps_order_of_names(backing.get());
  auto root = inside.nodes.add_root(*attributes, std::move(backing));
  auto id = inside.directory_id({root, inside.nodes.descriptor(*root)});
  if (!id) return std::move(id).error().during("the root of the volume");
  std::unique_ptr<FileSystem> made(new FileSystem(std::move(state)));
  inside.background.start(options.maintenance_thread ? [system = made.get()] { system->maintain(); }
                                                     : std::function<void()>());
  keys.set_revocation_listener(
      [&inside](const std::string& key_arn, const Error&) { inside.key_withdrawn(key_arn); });
  inside.recovered = !options.recover;
  if (options.recover && options.maintenance_thread && !options.read_only) {
    inside.recovery = std::thread([&inside, system = made.get()] {
      auto outcome = system->recover_all();
      if (!outcome) inside.logger->warn("{}; the next mount goes on with it", outcome.error().text);
    });
  }
  return made;
}

void FileSystem::set_notifier(Notifier notifier) {
  state_->notifier.with([&](Notifier& told) { told = std::move(notifier); });
}

Result<void> FileSystem::State::may_change() const {
  if (options.read_only) return errno_error(EROFS);
  return {};
}

void FileSystem::State::observe(const Error& error) {
  if (error.kind == Kind::kDenied && error.system_errno == 0) ++denied;
  if (error.kind != Kind::kCorrupt) return;
  const std::uint64_t count = ++corrupt;
  // A program that tries again and again must not fill the log.
  if ((count & (count - 1)) == 0) logger->error("corrupt data, {} times so far: {}", count, error.text);
}

// From the thread that learnt of it.
void FileSystem::State::key_withdrawn(const std::string& key_arn) {
  for (const NodePtr& node : open_files()) {
    if (content_of(node).uses_key(key_arn)) withdraw(node);
  }
}

// What the kernel still holds back is asked for before the keys go, but not for longer than the grace:
// maintain() sees to that.
void FileSystem::State::withdraw(const NodePtr& node) {
  auto invalidate = notifier.with([](const Notifier& told) { return told.invalidate_node; });
  if (!content_of(node).begin_grace()) return;
  if (!invalidate) return content_of(node).drop_keys_if_due(true);
  background.add([this, node, invalidate = std::move(invalidate)] {
    invalidate(node->id);
    content_of(node).drop_keys_if_due(true);
  });
}

void FileSystem::State::expire_cold_nodes() {
  const std::uint64_t known = nodes.size();
  const auto expire = notifier.with([](const Notifier& told) { return told.expire_entry; });
  if (!expire || known <= options.node_budget) return;
  for (const NodePtr& node : nodes.coldest(known - options.node_budget + options.node_budget / 8)) {
    const auto place = nodes.place(*node);
    if (!place) continue;
    auto descriptor = directory_descriptor(place->parent);
    if (!descriptor) continue;
    const Parent parent{place->parent, *descriptor};
    auto id = directory_id(parent);
    if (!id) continue;
    auto name = files.plain_name(parent.fd(), *id, place->stored_name);
    if (name) expire(place->parent->id, *name);
  }
}

void FileSystem::maintain() {
  State& s = *state_;
  s.new_keys.maintain();
  s.prefetch.maintain();
  s.drop_unused_listings();
  s.branch_keys.maintain();
  for (const NodePtr& node : s.open_files()) {
    Inode& inode = s.content_of(node);
    // A revocation was told; that an age is over, in an outage, is found here.
    if (inode.has_unusable_key()) s.withdraw(node);
    inode.drop_keys_if_due(false);
  }
  if (s.nodes.size() <= s.options.node_budget || s.expiring.exchange(true)) return;
  s.background.add([&s] {
    s.expire_cold_nodes();
    s.expiring = false;
  });
}

FileSystemFigures FileSystem::figures() const {
  const State& s = *state_;
  FileSystemFigures figures;
  figures.nodes = s.nodes.size();
  figures.open_files = s.content.figures.open_files;
  figures.descriptors = s.nodes.descriptors();
  figures.corrupt = s.corrupt;
  figures.denied = s.denied;
  figures.repaired = s.content.figures.repaired;
  figures.unreadable_names = s.unreadable_names;
  figures.not_marked_clean = s.content.figures.not_marked_clean;
  return figures;
}

Result<struct statvfs> FileSystem::stat_file_system() {
  State& s = *state_;
  auto root = s.parent(kRootNode);
  if (!root) return std::move(root).error();
  auto figures = s.disk.stat_file_system(root->fd());
  if (figures) figures->f_namemax = kMaxName;
  return figures;
}

Result<FileInformation> FileSystem::information(NodeId id) {
  State& s = *state_;
  auto node = s.regular(id);
  if (!node) return std::move(node).error();
  auto header = s.observed(s.content_of(*node).header(s.opener(*node)));
  if (!header) return std::move(header).error();
  auto attributes = s.backing_attributes(*node);
  if (!attributes) return std::move(attributes).error();
  FileInformation information;
  information.file_id = header->file_id;
  information.key_arn = header->key_section.key_arn;
  if (const auto& sealed = header->key_section.sealed_data_key) information.branch = sealed->branch;
  information.backing_size = static_cast<std::uint64_t>(attributes->st_size);
  information.plain_size = static_cast<std::uint64_t>(s.shown(*attributes).st_size);
  information.clean = header->state.clean;
  information.sparse = header->state.sparse;
  if (auto place = s.nodes.place(**node)) information.stored_name = place->stored_name;
  return information;
}

void FileSystem::shut_down() {
  state_->stop_recovering();
  state_->background.stop();
  for (const NodePtr& node : state_->open_files()) state_->content_of(node).mark_clean();
}

}  // namespace kmsfs
