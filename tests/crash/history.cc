#include "tests/crash/history.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace kmsfs::crash {

namespace {

constexpr std::size_t kFirstBlock = 3032, kBlock = 4056;

std::string padded(const std::string& text, std::size_t from, std::size_t to) {
  std::string out(to - from, '\0');
  if (from < text.size())
    std::copy_n(text.begin() + static_cast<long>(from), std::min(to, text.size()) - from, out.begin());
  return out;
}

}  // namespace

History::History(RecordingDisk& disk, testing::PlainTree& tree) : disk_(disk), tree_(tree) {
  steps_.emplace_back().names_durable = true;
}

History::Step& History::begin_step() {
  Step step = steps_.back();
  step.begun = disk_.count();
  step.names_durable = false;
  step.durable.clear();
  return steps_.emplace_back(std::move(step));
}

void History::end_step(Result<void> result) {
  if (!result) {
    std::fprintf(stderr, "a step failed: %s (errno %d)\n", result.error().text.c_str(),
                 result.error().system_errno);
    std::abort();
  }
  steps_.back().ended = disk_.count();
}

const std::string& History::content(const std::string& path) const {
  const Step& now = steps_.back();
  return now.contents.at(now.names.at(path));
}

void History::create(const std::string& path) {
  Step& step = begin_step();
  step.names[path] = next_key_;
  step.contents[next_key_++] = "";
  auto file = tree_.create(path);
  if (file) open_[path] = *file;
  end_step(file ? Result<void>() : Result<void>(std::move(file).error()));
}

void History::open(const std::string& path) {
  begin_step();
  auto file = tree_.open(path);
  if (file) open_[path] = *file;
  end_step(file ? Result<void>() : Result<void>(std::move(file).error()));
}

void History::write(const std::string& path, std::size_t offset, const std::string& text) {
  Step& step = begin_step();
  std::string& all = step.contents[step.names.at(path)];
  all.resize(std::max(all.size(), offset + text.size()), '\0');
  all.replace(offset, text.size(), text);
  end_step(tree_.write(open_.at(path), offset, text));
}

void History::truncate(const std::string& path, std::size_t size) {
  Step& step = begin_step();
  step.contents[step.names.at(path)].resize(size, '\0');
  end_step(tree_.truncate(open_.at(path), size));
}

void History::sync(const std::string& path) {
  Step& step = begin_step();
  step.names_durable = true;
  step.durable.insert(step.names.at(path));
  end_step(tree_.sync(open_.at(path)));
}

void History::close(const std::string& path) {
  begin_step();
  tree_.close(open_.at(path));
  open_.erase(path);
  end_step({});
}

void History::make_directory(const std::string& path) {
  begin_step().names[path + "/"] = kDirectory;
  end_step(tree_.make_directory(path));
}

void History::remove_directory(const std::string& path) {
  begin_step().names.erase(path + "/");
  end_step(tree_.remove_directory(path));
}

void History::unlink(const std::string& path) {
  begin_step().names.erase(path);
  end_step(tree_.unlink(path));
}

void History::rename(const std::string& from, const std::string& to) {
  Step& step = begin_step();
  std::map<std::string, FileKey> names;
  for (const auto& [path, key] : step.names) {
    if (path != to && (path == from || path.rfind(from + "/", 0) == 0)) {
      names[to + path.substr(from.size())] = key;
    } else if (path != to) {
      names[path] = key;
    }
  }
  step.names = std::move(names);
  if (auto moved = open_.extract(from)) {
    moved.key() = to;
    open_.erase(to);
    open_.insert(std::move(moved));
  }
  end_step(tree_.rename(from, to));
}

void History::sync_directory(const std::string& path) {
  begin_step().names_durable = true;
  end_step(tree_.sync_directory(path));
}

std::string History::judge(std::size_t end, testing::PlainTree& found) const {
  auto listed = found.paths();
  if (!listed) return "the tree cannot be listed: " + listed.error().text;
  std::size_t last = 0, durable_names = 0;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    if (steps_[i].begun <= end) last = i;
    if (steps_[i].names_durable && steps_[i].ended <= end) durable_names = i;
  }
  const Step* matching = nullptr;
  for (std::size_t i = durable_names; i <= last && matching == nullptr; ++i) {
    std::vector<std::string> names;
    for (const auto& [path, key] : steps_[i].names) names.push_back(path);
    if (names == *listed) matching = &steps_[i];
  }
  if (matching == nullptr) {
    std::string all;
    for (const std::string& path : *listed) all += " " + path.substr(0, 40);
    return "these names stood there after no step since the last sync:" + all;
  }
  // The same names may stand for other files at another step (renamed over): any that fits will do.
  std::string wrong = "?";
  for (std::size_t i = durable_names; i <= last && !wrong.empty(); ++i) {
    if (!std::equal(steps_[i].names.begin(), steps_[i].names.end(), matching->names.begin(),
                    matching->names.end(), [](const auto& a, const auto& b) { return a.first == b.first; })) {
      continue;
    }
    wrong.clear();
    for (const auto& [path, key] : steps_[i].names) {
      if (key == kDirectory || !wrong.empty()) continue;
      auto text = found.read_all(path);
      if (!text) {
        wrong = path.substr(0, 40) + " cannot be read: " + text.error().text + " errno " +
                std::to_string(text.error().system_errno);
        break;
      }
      std::size_t durable = 0;
      for (std::size_t k = 0; k <= last; ++k) {
        if (steps_[k].ended <= end && steps_[k].durable.count(key) != 0) durable = k;
      }
      wrong = judge_content(path, *text, key, durable, last);
    }
  }
  return wrong;
}

std::string History::judge_what_was_synced(std::size_t end, testing::PlainTree& found) const {
  auto listed = found.paths();
  if (!listed) return "the tree cannot be listed: " + listed.error().text;
  for (const std::string& path : *listed) {
    if (path.find(".kmsfs-unreadable.") != std::string::npos) return "a name cannot be read: " + path;
    if (path.back() != '/') continue;
    auto made = found.create(path + "made-after-the-crash");
    if (!made) return "nothing can be made in " + path.substr(0, 40) + ": " + made.error().text;
    found.close(*made);
    if (!found.unlink(path + "made-after-the-crash")) return "what was made cannot be removed";
  }
  std::size_t last = 0;
  for (std::size_t i = 0; i < steps_.size() && steps_[i].begun <= end; ++i) last = i;
  std::map<FileKey, std::size_t> synced;  // at which step, last
  for (std::size_t i = 0; i <= last; ++i) {
    for (const FileKey key : steps_[i].durable) {
      if (steps_[i].ended <= end) synced[key] = i;
    }
  }
  for (const auto& [key, step] : synced) {
    std::set<std::string> candidates;
    bool removed = false;
    for (std::size_t i = step; i <= last; ++i) {
      bool named = false;
      for (const auto& [path, other] : steps_[i].names) {
        if (other != key) continue;
        named = true;
        candidates.insert(path);
      }
      removed = removed || !named;
    }
    if (removed) continue;
    std::string wrong = "what was synced is gone: " + candidates.begin()->substr(0, 40);
    for (const std::string& path : candidates) {
      auto text = found.read_all(path);
      if (text) wrong = judge_content(path, *text, key, step, last);
      if (wrong.empty()) break;
    }
    if (!wrong.empty()) return wrong;
  }
  return "";
}

// Each block as after one of the steps first ... last, the size as well.
std::string History::judge_content(const std::string& path, const std::string& found, FileKey key,
                                   std::size_t first, std::size_t last) const {
  const auto holds_at = [&](std::size_t step, auto condition) {
    const auto content = steps_[step].contents.find(key);
    return content != steps_[step].contents.end() && condition(content->second);
  };
  const auto holds_somewhere = [&](auto condition) {
    for (std::size_t i = first; i <= last; ++i) {
      if (holds_at(i, condition)) return true;
    }
    return false;
  };
  if (!holds_somewhere([&](const std::string& content) { return content.size() == found.size(); })) {
    return path.substr(0, 40) + " has " + std::to_string(found.size()) +
           " bytes, which it had after no step since it was synced";
  }
  for (std::size_t from = 0; from < found.size();) {
    const std::size_t to = std::min(found.size(), from == 0 ? kFirstBlock : from + kBlock);
    const std::string block = found.substr(from, to - from);
    if (!holds_somewhere([&](const std::string& content) { return padded(content, from, to) == block; })) {
      return path.substr(0, 40) + ": the block at " + std::to_string(from) + " is neither old nor new";
    }
    from = to;
  }
  return "";
}

}  // namespace kmsfs::crash
