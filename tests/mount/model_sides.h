// Two directories, a mounted and a native one, in which the same steps are done, and which must answer alike.
//
// Compared after each step: what the call returned, its errno, what it read. compare_trees() compares all
// that is there: names, types, modes, owners, links, sizes, contents, attributes, and times that were set.
// Threads: one for each object; several objects may share directories.
#pragma once

#include <map>
#include <string>

#include "core/unique_fd.h"
#include "tests/mount/model_steps.h"

namespace kmsfs::testing {

// All that is in a directory, one line each; contents as hashes. Times are told if a step set them, and no
// later change of the entry replaced them.
std::string describe(const std::string& directory);

class Sides {
 public:
  enum class Fault { kNone, kForgetsPunching };  // a mount that lies, so that the test can be tested

  Sides(std::string mounted, std::string native, Fault fault = Fault::kNone);

  // Empty if both answered alike; otherwise what differed.
  std::string run(const Step& step);
  std::string compare_trees() const;
  void close_handles();

 private:
  struct Handle {
    UniqueFd fd[2];
  };
  struct FileTimes {
    std::string path, change, modification;
  };
  using Times = std::map<ino_t, FileTimes>;

  Times times(int side) const;
  std::string answer(int side, const Step& step);
  std::string open(int side, const Step& step);
  std::string on_handle(int side, const Step& step);
  std::string on_path(int side, const Step& step);
  std::string at(int side, const std::string& path) const { return sides_[side] + path; }
  int fd(int side, unsigned slot) const { return slots_[slot].fd[side].get(); }
  bool uses_empty_slot(const Step& step) const;
  bool is_not_comparable(const Step& step) const;
  std::string compare_watched_times() const;

  const std::string sides_[2];
  const Fault fault_;
  Handle slots_[kSlots];
  bool watching_ = false;
  Times before_[2];
};

}  // namespace kmsfs::testing
