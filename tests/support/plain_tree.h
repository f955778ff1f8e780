// A FileSystem by paths, for tests that drive it without FUSE: what the kernel does between a path and a
// node, made small. Threads: one.
#pragma once

#include <map>
#include <string>

#include "fs/file_system.h"

namespace kmsfs::testing {

struct OpenFile {
  NodeId node = 0;
  HandleId handle = 0;
};

class PlainTree {
 public:
  explicit PlainTree(FileSystem& file_system) : fs_(file_system) {}

  Result<NodeId> node(const std::string& path) {
    NodeId at = kRootNode;
    for (std::size_t begin = 1; begin < path.size();) {
      const std::size_t end = std::min(path.find('/', begin), path.size());
      auto entry = fs_.lookup(at, path.substr(begin, end - begin));
      if (!entry) return std::move(entry).error();
      at = entry->node;
      begin = end + 1;
    }
    return at;
  }

  Result<OpenFile> create(const std::string& path, mode_t mode = 0644) {
    auto parent = node(parent_of(path));
    if (!parent) return std::move(parent).error();
    auto created = fs_.create(*parent, name_of(path), mode, O_RDWR | O_CREAT | O_EXCL, caller_);
    if (!created) return std::move(created).error();
    return OpenFile{created->entry.node, created->handle};
  }
  Result<OpenFile> open(const std::string& path, int flags = O_RDWR) {
    auto found = node(path);
    if (!found) return std::move(found).error();
    auto handle = fs_.open(*found, flags);
    if (!handle) return std::move(handle).error();
    return OpenFile{*found, *handle};
  }
  Result<void> write(const OpenFile& file, std::uint64_t offset, std::string_view text) {
    return fs_.write(file.node, file.handle, offset, as_bytes(text));
  }
  Result<std::string> read(const OpenFile& file, std::uint64_t offset, std::size_t size) {
    std::string text(size, '\0');
    auto got = fs_.read(file.node, file.handle, offset, std::as_writable_bytes(std::span(text)));
    if (!got) return std::move(got).error();
    text.resize(*got);
    return text;
  }
  Result<void> truncate(const OpenFile& file, std::uint64_t size) {
    AttributeChange change;
    change.size = size;
    change.handle = file.handle;
    auto changed = fs_.set_attributes(file.node, change, caller_);
    if (!changed) return std::move(changed).error();
    return {};
  }
  Result<void> sync(const OpenFile& file) { return fs_.sync(file.node, file.handle, false); }
  void close(const OpenFile& file) {
    if (auto flushed = fs_.flush(file.node, file.handle); !flushed)
      return fs_.release(file.node, file.handle);
    fs_.release(file.node, file.handle);
  }

  Result<void> make_directory(const std::string& path) {
    return in_parent(path, [&](NodeId parent, const std::string& name) -> Result<void> {
      auto made = fs_.make_directory(parent, name, 0755, caller_);
      if (!made) return std::move(made).error();
      return {};
    });
  }
  Result<void> unlink(const std::string& path) {
    return in_parent(path, [&](NodeId parent, const std::string& name) { return fs_.unlink(parent, name); });
  }
  Result<void> remove_directory(const std::string& path) {
    return in_parent(
        path, [&](NodeId parent, const std::string& name) { return fs_.remove_directory(parent, name); });
  }
  Result<void> rename(const std::string& from, const std::string& to, unsigned flags = 0) {
    return in_parent(from, [&](NodeId parent, const std::string& name) -> Result<void> {
      return in_parent(to, [&](NodeId new_parent, const std::string& new_name) {
        return fs_.rename(parent, name, new_parent, new_name, flags);
      });
    });
  }
  Result<void> sync_directory(const std::string& path) {
    auto found = node(path);
    if (!found) return std::move(found).error();
    return fs_.sync_directory(*found);
  }

  Result<std::string> read_all(const std::string& path) {
    auto file = open(path, O_RDONLY);
    if (!file) return std::move(file).error();
    auto attributes = fs_.get_attributes(file->node);
    Result<std::string> text = attributes ? read(*file, 0, static_cast<std::size_t>(attributes->st_size) + 1)
                                          : Result<std::string>(std::move(attributes).error());
    close(*file);
    return text;
  }

  // Every path below `top`, sorted; directories end in '/'.
  Result<std::vector<std::string>> paths(const std::string& top = "/") {
    std::vector<std::string> out;
    KMSFS_TRY(collect(top, out));
    std::sort(out.begin(), out.end());
    return out;
  }

 private:
  static std::string parent_of(const std::string& path) {
    return path.substr(0, std::max<std::size_t>(path.rfind('/'), 1));
  }
  static std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

  template <typename Deed>
  Result<void> in_parent(const std::string& path, Deed deed) {
    auto parent = node(parent_of(path));
    if (!parent) return std::move(parent).error();
    return deed(*parent, name_of(path));
  }

  Result<void> collect(const std::string& top, std::vector<std::string>& out) {
    auto directory = node(top);
    if (!directory) return std::move(directory).error();
    auto handle = fs_.open_directory(*directory);
    if (!handle) return std::move(handle).error();
    std::vector<std::string> below;
    auto listed = fs_.read_directory(*directory, *handle, 0, false, [&](const DirectoryEntry& entry) {
      if (entry.name == "." || entry.name == "..") return true;
      const std::string path = (top == "/" ? top : top + "/") + std::string(entry.name);
      if (entry.type == S_IFDIR) below.push_back(path);
      out.push_back(entry.type == S_IFDIR ? path + "/" : path);
      return true;
    });
    fs_.release_directory(*directory, *handle);
    if (!listed) return listed;
    for (const std::string& path : below) KMSFS_TRY(collect(path, out));
    return {};
  }

  FileSystem& fs_;
  const Caller caller_{};
};

}  // namespace kmsfs::testing
