// The smallest thing that can be mounted: one directory with one file in memory, to try the transport alone.
//
// Handlers can be held back, so that tests see how many are under way at once. Threads: handlers any; tests
// one.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/guarded.h"
#include "core/waiting.h"
#include "fs/fuse_library.h"
#include "fs/fuse_ring_transport.h"
#include "fs/mount_point.h"
#include "tests/support/mount_watchdog.h"
#include "tests/support/temporary_directory.h"

namespace kmsfs::testing {

// A gate that can hold handlers, and how many it holds.
class Gate {
 public:
  class Pass {
   public:
    explicit Pass(Gate& gate) { gate.enter(); }
  };

  void hold() {
    std::lock_guard lock(mutex_);
    held_ = true;
  }
  void let_go() {
    std::lock_guard lock(mutex_);
    held_ = false;
    changed_.notify_all();
  }
  // False if it did not hold that many at once within ten seconds.
  bool wait_for_inside(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return inside_ >= count; });
  }

 private:
  void enter() {
    std::unique_lock lock(mutex_);
    ++inside_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !held_; });
    --inside_;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;
  std::size_t inside_ = 0;
};

class OneFileSession final : public UnknownRequests {
 public:
  static constexpr std::size_t kSize = 8 << 20;
  static constexpr fuse_ino_t kFile = 2;

  explicit OneFileSession(unsigned workers = 4, TransportChoice choice = TransportChoice::kDevice,
                          bool writeback = false) {
    MountOptions options;
    options.mountpoint = directory_.path().string();
    options.source = "one file";
    auto mounted = MountPoint::mount(options);
    EXPECT_TRUE(mounted.ok()) << (mounted ? "" : mounted.error().text);
    if (!mounted) return;
    point = std::move(mounted->point);
    watchdog_.emplace(point.path(), std::chrono::seconds(50));
    std::string name = "test";
    char* words[] = {name.data(), nullptr};
    fuse_args arguments = FUSE_ARGS_INIT(1, words);
    const fuse_lowlevel_ops table = operations();
    Session session(fuse_session_new(&arguments, &table, sizeof table, this));
    fuse_opt_free_args(&arguments);
    InitChoices choices;
    choices.writeback = writeback;
    auto made = make_transport(choice, std::move(mounted->device), std::move(session), *this, workers,
                               choices, make_null_logger());
    EXPECT_TRUE(made.ok());
    if (!made) return;
    transport = std::move(*made);
    EXPECT_TRUE(transport->start().ok());
  }
  ~OneFileSession() override {
    gate.let_go();
    if (transport) transport->stop();
    transport.reset();  // and then the mountpoint, which is dead by now
  }

  std::string directory() const { return directory_.path().string(); }
  std::string file() const { return directory() + "/file"; }

  RawAnswer answer(const FuseRequest& request) override {
    last_unknown = request.header->opcode;
    return RawAnswer::failed(EOPNOTSUPP);
  }
  void undelivered(const FuseRequest&, const RawAnswer&) override {}

 private:
  TemporaryDirectory directory_;
  std::optional<MountWatchdog> watchdog_;

 public:
  MountPoint point;
  std::unique_ptr<FuseTransport> transport;
  Gate gate;
  std::vector<char> content = std::vector<char>(kSize);
  std::atomic<std::size_t> largest_read = 0, largest_write = 0;
  std::atomic<std::uint32_t> last_unknown = 0;
  struct Attribute {
    std::string name, value;
    int flags = 0;
  };
  Guarded<Attribute> last_attribute;

 private:
  static OneFileSession& of(fuse_req_t request) {
    return *static_cast<OneFileSession*>(fuse_req_userdata(request));
  }
  static struct stat attributes_of(fuse_ino_t node) {
    struct stat attributes {};
    attributes.st_ino = node;
    attributes.st_mode = node == kFile ? S_IFREG | 0666 : S_IFDIR | 0755;
    attributes.st_nlink = 1;
    attributes.st_size = node == kFile ? static_cast<off_t>(kSize) : 0;
    return attributes;
  }
  static void raise(std::atomic<std::size_t>& most, std::size_t size) {
    for (std::size_t seen = most; seen < size && !most.compare_exchange_weak(seen, size);) {
    }
  }

  static void init(void*, fuse_conn_info* connection) {
    connection->want = 0;
    connection->max_write = kMaxWrite;
  }
  static void lookup(fuse_req_t request, fuse_ino_t, const char* name) {
    const std::string_view asked = name;
    std::optional<LongWait> wait;  // "slow…" waits as for a KMS, and says so; "quick…" passes the gate
    if (asked.starts_with("slow")) wait.emplace();
    std::optional<Gate::Pass> pass;
    if (!asked.starts_with("quick")) pass.emplace(of(request).gate);
    if (asked != "file") {
      fuse_reply_err(request, ENOENT);
      return;
    }
    fuse_entry_param entry{};
    entry.ino = kFile;
    entry.attr = attributes_of(kFile);
    fuse_reply_entry(request, &entry);
  }
  static void getattr(fuse_req_t request, fuse_ino_t node, fuse_file_info*) {
    const struct stat attributes = attributes_of(node);
    fuse_reply_attr(request, &attributes, node == kFile ? 0 : 3600);
  }
  static void setattr(fuse_req_t request, fuse_ino_t node, struct stat*, int, fuse_file_info*) {
    getattr(request, node, nullptr);
  }
  static void open(fuse_req_t request, fuse_ino_t, fuse_file_info* file) { fuse_reply_open(request, file); }
  static void read(fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info*) {
    OneFileSession& self = of(request);
    Gate::Pass pass(self.gate);
    raise(self.largest_read, size);
    const ByteSpan out = current_request().reply_buffer.first(size);
    const std::size_t count = std::min(size, kSize - std::min<std::size_t>(kSize, offset));
    std::memcpy(out.data(), self.content.data() + offset, count);
    fuse_reply_buf(request, as_text(out).data(), count);
  }
  static void write(fuse_req_t request, fuse_ino_t, const char* data, std::size_t size, off_t offset,
                    fuse_file_info*) {
    OneFileSession& self = of(request);
    raise(self.largest_write, size);
    std::memcpy(self.content.data() + offset, data, std::min(size, kSize - static_cast<std::size_t>(offset)));
    fuse_reply_write(request, size);
  }
  static void setxattr(fuse_req_t request, fuse_ino_t, const char* name, const char* value, std::size_t size,
                       int flags) {
    of(request).last_attribute.with([&](Attribute& attribute) {
      attribute = {name, std::string(value, size), flags};
    });
    fuse_reply_err(request, 0);
  }
  static fuse_lowlevel_ops operations() {
    fuse_lowlevel_ops table{};
    table.init = init;
    table.lookup = lookup;
    table.getattr = getattr;
    table.setattr = setattr;
    table.open = open;
    table.read = read;
    table.write = write;
    table.setxattr = setxattr;
    return table;
  }
};

}  // namespace kmsfs::testing
