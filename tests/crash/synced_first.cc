#include "tests/crash/synced_first.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <utility>

namespace kmsfs::crash {

namespace {

namespace stdfs = std::filesystem;

constexpr ObjectId kRoot = 0;

// A whole file system, in memory.
class World {
 public:
  using Name = std::pair<ObjectId, std::string>;  // a directory, and an entry in it
  struct Object {
    mode_t type = 0, mode = 0;
    std::string bytes;  // of a file; the target of a link
    std::map<std::string, ObjectId> entries;
  };

  static World load(const std::string& directory) {
    World world;
    std::map<std::string, ObjectId> ids;
    for (const std::string& path : sorted_paths(directory)) {
      const std::string full = path.empty() ? directory : directory + "/" + path;
      struct stat s {};
      (void)::lstat(full.c_str(), &s);
      const ObjectId id = ids.size();
      ids[path] = id;
      Object& made = world.objects_[id];
      made.type = s.st_mode & S_IFMT;
      made.mode = s.st_mode & 07777;
      if (S_ISLNK(s.st_mode)) made.bytes = stdfs::read_symlink(full).string();
      if (S_ISREG(s.st_mode)) {
        std::ifstream in(full, std::ios::binary);
        made.bytes.assign(std::istreambuf_iterator<char>(in), {});
      }
      if (path.empty()) continue;
      const std::size_t slash = path.rfind('/');
      const std::string parent = slash == std::string::npos ? "" : path.substr(0, slash);
      world.objects_[ids.at(parent)].entries[stdfs::path(path).filename().string()] = id;
    }
    return world;
  }

  void store(ObjectId id, const std::string& path) const {
    const Object& object = objects_.at(id);
    if (S_ISLNK(object.type)) return stdfs::create_symlink(object.bytes, path);
    if (S_ISREG(object.type)) {
      std::ofstream(path, std::ios::binary) << object.bytes;
    } else {
      stdfs::create_directory(path);
      for (const auto& [name, entry] : object.entries) store(entry, path + "/" + name);
    }
    (void)::chmod(path.c_str(), object.mode);
  }

  void apply(const Operation& o) {
    using Type = Operation::Type;
    Object& object = objects_[o.object];
    switch (o.type) {
      case Type::kCreateFile:
      case Type::kMakeDirectory:
      case Type::kSymlink:
        object = {};
        object.type = o.type == Type::kCreateFile ? S_IFREG : o.type == Type::kSymlink ? S_IFLNK : S_IFDIR;
        object.mode = o.mode;
        object.bytes = o.new_name;
        [[fallthrough]];
      case Type::kLink:
        objects_[o.directory].entries[o.name] = o.object;
        return;
      case Type::kUnlink:
        objects_[o.directory].entries.erase(o.name);
        return;
      case Type::kRename:
        return rename(o);
      case Type::kResize:
        object.bytes.resize(o.size, '\0');
        return;
      case Type::kAllocate:
        if ((o.flags & FALLOC_FL_PUNCH_HOLE) != 0 && o.offset < object.bytes.size()) {
          const auto first = object.bytes.begin() + static_cast<long>(o.offset);
          std::fill_n(first, std::min<std::uint64_t>(o.size, object.bytes.size() - o.offset), '\0');
        }
        return;
      case Type::kMode:
        object.mode = o.mode;
        return;
      case Type::kWrite:
        object.bytes.resize(std::max(object.bytes.size(), o.offset + o.data.size()), '\0');
        object.bytes.replace(o.offset, o.data.size(), as_text(o.data));
        return;
      default:
        return;
    }
  }

  // `id` as it is `now` arrives here ahead of the rest, if it still has a name.
  void log(const World& now, ObjectId id, bool names_alone) {
    if (!now.reaches(id)) return;
    take_names(now, id);
    if (names_alone) return;
    const Object& current = now.objects_.at(id);
    if (!S_ISDIR(current.type)) {
      objects_.at(id).bytes = current.bytes;
      return;
    }
    const auto before = objects_.at(id).entries;
    for (const auto& [name, entry] : before) {
      if (current.entries.contains(name)) continue;
      objects_.at(id).entries.erase(name);
      take_new_names(now, entry);
    }
    for (const auto& [name, entry] : current.entries) {
      const bool is_new = !reaches(entry);
      take_names(now, entry);
      if (is_new && S_ISDIR(now.objects_.at(entry).type)) log(now, entry, false);
    }
  }
  bool reaches(ObjectId id) const { return id == kRoot || !names_of(id).empty(); }
  ObjectId at(ObjectId directory, const std::string& name) const {
    const auto& entries = objects_.at(directory).entries;
    const auto found = entries.find(name);
    return found == entries.end() ? kNoObject : found->second;
  }

 private:
  // Of names that lead to the root.
  std::vector<Name> names_of(ObjectId id) const {
    std::vector<Name> names;
    visit(kRoot, [&](ObjectId directory, const std::string& name, ObjectId entry) {
      if (entry == id) names.emplace_back(directory, name);
    });
    return names;
  }
  template <typename Visit>
  void visit(ObjectId directory, const Visit& each) const {
    for (const auto& [name, entry] : objects_.at(directory).entries) {
      each(directory, name, entry);
      if (S_ISDIR(objects_.at(entry).type)) visit(entry, each);
    }
  }
  // What lost a name arrives under those that it has now, as no file system loses what was moved.
  void take_new_names(const World& now, ObjectId id) {
    if (now.reaches(id) && !reaches(id)) take_names(now, id);
  }
  void take_names(const World& now, ObjectId id) {
    if (id == kRoot) return;
    const std::vector<Name> names = now.names_of(id);
    for (const auto& [directory, name] : names) {
      if (!reaches(directory)) take_names(now, directory);
    }
    for (auto& [other, object] : objects_) {
      std::erase_if(object.entries, [&](const auto& entry) {
        return entry.second == id &&
               std::find(names.begin(), names.end(), Name(other, entry.first)) == names.end();
      });
    }
    const auto [made, is_new] = objects_.try_emplace(id, now.objects_.at(id));
    if (is_new) {
      made->second.entries.clear();
      if (S_ISREG(made->second.type)) made->second.bytes.clear();  // it exists, no more
    }
    for (const auto& [directory, name] : names) {
      ObjectId& named = objects_.at(directory).entries.try_emplace(name, id).first->second;
      const ObjectId other = std::exchange(named, id);
      if (other != id) take_new_names(now, other);
    }
  }
  void rename(const Operation& o) {
    auto& from = objects_.at(o.directory).entries;
    auto& to = objects_.at(o.new_directory).entries;
    const ObjectId moved = from.at(o.name);
    if ((o.flags & RENAME_EXCHANGE) != 0) {
      std::swap(from.at(o.name), to.at(o.new_name));
      return;
    }
    from.erase(o.name);
    to[o.new_name] = moved;
  }

  std::map<ObjectId, Object> objects_;
};

bool logs_something(const Operation& operation) {
  return operation.type == Operation::Type::kSync || operation.type == Operation::Type::kRename ||
         operation.type == Operation::Type::kLink;
}

}  // namespace

std::string LoggedState::to_string() const {
  return "after " + std::to_string(end) + " operations, the first " + std::to_string(commit) +
         " committed, then what was synced" + (renames_ahead ? " or renamed" : "");
}

std::vector<LoggedState> logged_states(const std::vector<Operation>& operations, std::size_t stride) {
  std::vector<LoggedState> states;
  for (std::size_t end = 1; end <= operations.size(); ++end) {
    if (!logs_something(operations[end - 1]) && end != operations.size()) continue;
    for (std::size_t commit = end % stride; commit <= end; commit += stride) {
      states.push_back({end, commit, false});
      states.push_back({end, commit, true});
    }
  }
  return states;
}

Result<void> replay_logged(const std::vector<Operation>& operations, const LoggedState& state,
                           const std::string& start, const std::string& directory) {
  World now = World::load(start), durable = now;
  for (std::size_t i = 0; i < state.end; ++i) {
    const Operation& operation = operations[i];
    using Type = Operation::Type;
    if (operation.type == Type::kCreateUnnamed || operation.type == Type::kMakeNode) {
      return error(Kind::kInternal, "the model does not know unnamed files and special files");
    }
    now.apply(operation);
    if (i < state.commit) {
      durable.apply(operation);
    } else if (operation.type == Type::kSync) {
      durable.log(now, operation.object, false);
    } else if (state.renames_ahead && logs_something(operation)) {
      const bool linked = operation.type == Type::kLink;
      const ObjectId named = linked ? operation.object : now.at(operation.new_directory, operation.new_name);
      if (durable.reaches(named)) durable.log(now, named, true);
    }
  }
  stdfs::remove_all(directory);
  durable.store(kRoot, directory);
  return {};
}

}  // namespace kmsfs::crash
