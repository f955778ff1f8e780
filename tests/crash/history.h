// What programs were told, step by step, while operations were recorded: so that a crash state can be judged.
//
// Promised (docs/THREATS.md): what was synced is whole; each block is old or new; names are as after some
// step since the last sync. So for a crash after `end` recorded operations, the names must be those of one
// step between the last sync that had ended and the last step that had begun, and each block of a file that
// of one such step (zeros where the file did not reach yet). Threads: one.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/crash/recording_disk.h"
#include "tests/support/plain_tree.h"

namespace kmsfs::crash {

class History {
 public:
  // Works on `tree`, whose disk is `disk`.
  History(RecordingDisk& disk, testing::PlainTree& tree);

  // Each does the deed and remembers what it should have led to. They stop the process on an unexpected
  // error.
  void create(const std::string& path);  // and leaves it open
  void open(const std::string& path);
  void write(const std::string& path, std::size_t offset, const std::string& text);
  void append(const std::string& path, const std::string& text) { write(path, content(path).size(), text); }
  void truncate(const std::string& path, std::size_t size);
  void sync(const std::string& path);
  void close(const std::string& path);
  void make_directory(const std::string& path);
  void remove_directory(const std::string& path);
  void unlink(const std::string& path);
  void rename(const std::string& from, const std::string& to);
  void sync_directory(const std::string& path);

  // What is wrong with a tree that was found after a crash at `end`; empty if nothing is.
  std::string judge(std::size_t end, testing::PlainTree& found) const;
  // The same where what is synced may arrive ahead of the rest: every name can be read, every directory be
  // worked in, and what was synced is there, whole.
  std::string judge_what_was_synced(std::size_t end, testing::PlainTree& found) const;

 private:
  using FileKey = int;
  static constexpr FileKey kDirectory = -1;
  struct Step {
    std::size_t begun = 0, ended = 0;  // in recorded operations
    std::map<std::string, FileKey> names;
    std::map<FileKey, std::string> contents;
    bool names_durable = false;
    std::set<FileKey> durable;  // files whose content this step made durable
  };

  Step& begin_step();
  void end_step(Result<void> result);
  const std::string& content(const std::string& path) const;
  std::string judge_content(const std::string& path, const std::string& found, FileKey key, std::size_t first,
                            std::size_t last) const;

  RecordingDisk& disk_;
  testing::PlainTree& tree_;
  std::map<std::string, testing::OpenFile> open_;
  std::vector<Step> steps_;
  FileKey next_key_ = 0;
};

}  // namespace kmsfs::crash
