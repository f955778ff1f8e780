#include "tests/mount/model_steps.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <random>

namespace kmsfs::testing {
namespace {

// The plain bytes of a file stand in blocks: a short first one, then all alike.
constexpr std::int64_t kFirstBlock = 3032, kBlock = 4056, kHole = 1 << 20;

const char* const kNames[] = {"open",        "open unnamed", "close",       "write",
                              "read",        "write mapped", "read mapped", "write privately",
                              "direct",      "ftruncate",    "truncate",    "fallocate",
                              "seek",        "copy range",   "fsync",       "fsync directory",
                              "rename",      "unlink",       "link",        "link handle",
                              "symlink",     "readlink",     "mkdir",       "rmdir",
                              "mknod",       "list",         "stat",        "fstat",
                              "access",      "chmod",        "chown",       "utimens",
                              "futimens",    "setxattr",     "getxattr",    "listxattr",
                              "removexattr", "set acl",      "flock",       "lock range",
                              "statfs",      "watch times"};
static_assert(std::size(kNames) == static_cast<std::size_t>(Deed::kCount));

std::string printable(const std::string& text) {
  static const char* const kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : text.substr(0, 24)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      out += c;
    } else {
      out += std::string("\\x") + kDigits[byte / 16] + kDigits[byte % 16];
    }
  }
  if (text.size() > 24) out += "..." + std::to_string(text.size()) + " bytes";
  return out;
}

class Dice {
 public:
  explicit Dice(unsigned long seed) : random_(seed) {}

  std::uint64_t pick(std::uint64_t below) { return random_() % below; }
  bool one_in(std::uint64_t n) { return pick(n) == 0; }
  template <typename T, std::size_t N>
  T of(const T (&all)[N]) {
    return all[pick(N)];
  }

  // Offsets that matter: around the edges of blocks and pages, behind a hole, and anywhere.
  std::int64_t offset() {
    switch (pick(8)) {
      case 0:
        return 0;
      case 1:
        return near(kFirstBlock);
      case 2:
      case 3:
        return near(kFirstBlock + kBlock * static_cast<std::int64_t>(1 + pick(20)));
      case 4:
        return near(4096 * static_cast<std::int64_t>(1 + pick(40)));
      case 5:
        return static_cast<std::int64_t>(pick(300000));
      case 6:
        return one_in(6) ? near(kHole * static_cast<std::int64_t>(1 + pick(3))) : near(kFirstBlock);
      default:
        return static_cast<std::int64_t>(pick(20000));
    }
  }
  std::size_t size() {
    switch (pick(6)) {
      case 0:
        return 1 + pick(10);
      case 1:
        return 4096;
      case 2:
        return static_cast<std::size_t>(kBlock);
      case 3:
        return 1 + pick(150000);
      case 4:
        return static_cast<std::size_t>(near(kFirstBlock));
      default:
        return 1 + pick(9000);
    }
  }
  std::string name() {
    static const std::string kOdd[] = {std::string(200, 'l') + "0",
                                       std::string(200, 'l') + "1",
                                       std::string(255, 'm'),
                                       "\xff\xfe not text",
                                       "two\nlines",
                                       ".hidden"};
    const std::uint64_t n = pick(15);
    return n < 9 ? "n" + std::to_string(n) : kOdd[n - 9];
  }
  std::string directory() { return "/d" + std::to_string(pick(3)); }
  std::string path() { return one_in(3) ? directory() + "/" + name() : "/" + name(); }
  // Also a directory itself.
  std::string any_path() { return one_in(6) ? directory() : path(); }
  unsigned slot() { return static_cast<unsigned>(pick(kSlots)); }
  unsigned char fill() { return static_cast<unsigned char>(pick(256)); }

 private:
  std::int64_t near(std::int64_t edge) { return edge - 1 + static_cast<std::int64_t>(pick(3)); }

  std::mt19937_64 random_;
};

int open_flags(Dice& dice) {
  static const int kFlags[] = {O_RDWR,
                               O_RDWR | O_CREAT,
                               O_RDWR | O_CREAT,
                               O_RDWR | O_CREAT | O_EXCL,
                               O_RDWR | O_TRUNC,
                               O_RDWR | O_APPEND | O_CREAT,
                               O_RDONLY,
                               O_RDONLY | O_TRUNC,
                               O_WRONLY | O_CREAT | O_TRUNC,
                               O_WRONLY | O_APPEND,
                               O_RDWR | O_NOFOLLOW,
                               O_RDWR | O_CREAT | O_SYNC,
                               O_RDWR | O_CREAT | O_DSYNC,
                               O_RDONLY | O_DIRECTORY,
                               O_RDONLY | O_NOATIME,
                               O_PATH};
  return dice.of(kFlags);
}

int node_mode(Dice& dice) {
  static const mode_t kTypes[] = {S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK};
  return static_cast<int>(dice.of(kTypes) | 0640);
}

int allocate_mode(Dice& dice) {
  static const int kModes[] = {0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                               FALLOC_FL_ZERO_RANGE, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};
  return dice.of(kModes);
}

int file_mode(Dice& dice) {
  const int special = dice.one_in(4) ? dice.of({04000, 02000, 01000, 06000}) : 0;
  return special | 0600 | static_cast<int>(dice.pick(0200));
}

// The flags that go with a deed.
int flags_for(Deed deed, Dice& dice) {
  switch (deed) {
    case Deed::kOpen:
      return open_flags(dice);
    case Deed::kAllocate:
      return allocate_mode(dice);
    case Deed::kMakeNode:
      return node_mode(dice);
    case Deed::kMode:
      return file_mode(dice);
    case Deed::kRename:
      return dice.of({0, 0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE});
    case Deed::kAccess:
      return dice.of({F_OK, R_OK, W_OK, X_OK, R_OK | W_OK | X_OK});
    case Deed::kSetXattr:
      return dice.of({0, 0, 1, 2});  // XATTR_CREATE, XATTR_REPLACE
    case Deed::kLockFile:
      return dice.of({LOCK_SH, LOCK_EX, LOCK_UN}) | LOCK_NB;
    case Deed::kLockRange:
      return dice.of({F_RDLCK, F_WRLCK, F_UNLCK});
    default:
      return static_cast<int>(dice.pick(8));
  }
}

// How often each comes: mostly content, for that is what the format is about.
Deed random_deed(Dice& dice) {
  static const std::vector<Deed> kAll = [] {
    std::vector<Deed> all;
    const auto add = [&](Deed deed, int times) {
      all.insert(all.end(), static_cast<std::size_t>(times), deed);
    };
    for (int deed = 0; deed < static_cast<int>(Deed::kCount); ++deed) add(static_cast<Deed>(deed), 1);
    add(Deed::kOpen, 12);
    add(Deed::kWrite, 16);
    add(Deed::kRead, 10);
    add(Deed::kTruncate, 5);
    add(Deed::kTruncatePath, 3);
    add(Deed::kAllocate, 4);
    add(Deed::kWriteMapped, 3);
    add(Deed::kReadMapped, 1);
    add(Deed::kRename, 6);
    add(Deed::kUnlink, 2);
    add(Deed::kLink, 1);
    add(Deed::kSync, 2);
    add(Deed::kCopyRange, 2);
    add(Deed::kMakeDirectory, 2);
    add(Deed::kClose, 2);
    return all;
  }();
  return kAll[dice.pick(kAll.size())];
}

bool is_about_a_directory(Deed deed) {
  return deed == Deed::kMakeDirectory || deed == Deed::kRemoveDirectory || deed == Deed::kList ||
         deed == Deed::kSyncDirectory || deed == Deed::kOpenUnnamed;
}

}  // namespace

std::string Step::data() const {
  std::string out(size, '\0');
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>(fill + i * 31 + i / 251);
  return out;
}

std::string Step::to_string() const {
  std::string out = kNames[static_cast<int>(deed)];
  out += " " + printable(path);
  if (!other_path.empty()) out += " to " + printable(other_path);
  return out + " slot " + std::to_string(slot) + " other " + std::to_string(other_slot) + " at " +
         std::to_string(at) + " other " + std::to_string(other_at) + " size " + std::to_string(size) +
         " flags " + std::to_string(flags) + " fill " + std::to_string(fill);
}

std::string to_string(const Steps& steps, std::size_t most) {
  std::string out;
  for (std::size_t i = steps.size() > most ? steps.size() - most : 0; i < steps.size(); ++i) {
    out += "  " + std::to_string(i) + ": " + steps[i].to_string() + "\n";
  }
  return out;
}

Steps random_steps(unsigned long seed, std::size_t count) {
  Dice dice(seed);
  Steps steps;
  while (steps.size() < count) {
    Step step;
    step.deed = random_deed(dice);
    step.slot = dice.slot();
    step.other_slot = dice.slot();
    const bool names_two = step.deed == Deed::kRename || step.deed == Deed::kLink;
    step.path = is_about_a_directory(step.deed) ? (dice.one_in(8) ? dice.path() : dice.directory())
                : names_two || dice.one_in(4)   ? dice.any_path()
                                                : dice.path();
    if (names_two) step.other_path = dice.any_path();
    step.at = dice.offset();
    step.other_at = dice.offset();
    step.size = dice.size();
    step.flags = flags_for(step.deed, dice);
    step.fill = dice.fill();
    steps.push_back(std::move(step));
  }
  return steps;
}

namespace {

// Adjacent stretches, one for each thread: they meet within blocks.
Round round_of_writes(Dice& dice, unsigned threads) {
  Round round;
  const auto slot = static_cast<unsigned>(dice.pick(3));
  std::int64_t at = dice.offset();
  for (unsigned t = 0; t < threads; ++t) {
    Step step;
    step.slot = slot;
    step.at = at;
    step.size = 1 + dice.pick(dice.one_in(3) ? 20000 : 3000);
    step.fill = dice.fill();
    step.deed = dice.one_in(8)   ? Deed::kSync
                : dice.one_in(8) ? Deed::kWriteMapped  // if the file reaches so far
                                 : Deed::kWrite;
    // Whether a mapping finds the file long enough must not depend on what the others have written already.
    if (step.deed == Deed::kWriteMapped) {
      for (Step& other : round) {
        if (other.deed == Deed::kWrite) step.deed = Deed::kWrite;
      }
    }
    at += static_cast<std::int64_t>(step.size);
    round.push_back(std::move(step));
  }
  const bool maps =
      std::any_of(round.begin(), round.end(), [](const Step& s) { return s.deed == Deed::kWriteMapped; });
  if (maps) {
    for (Step& step : round) {
      if (step.deed == Deed::kWrite) step.deed = Deed::kSync;
    }
  }
  return round;
}

// One changes the size or makes a hole; the others look on.
Round round_of_one_change(Dice& dice, unsigned threads) {
  Round round;
  const auto slot = static_cast<unsigned>(dice.pick(3));
  const auto who = static_cast<unsigned>(dice.pick(threads));
  for (unsigned t = 0; t < threads; ++t) {
    Step step;
    step.slot = slot;
    step.at = dice.offset();
    step.size = dice.size();
    step.path = "/s" + std::to_string(slot);
    if (t == who) {
      step.deed = dice.of({Deed::kTruncate, Deed::kTruncatePath, Deed::kTruncate, Deed::kAllocate});
      step.flags = flags_for(step.deed, dice);
    } else {
      static const Deed kOthers[] = {Deed::kSync, Deed::kOpen, Deed::kAccess, Deed::kSetXattr, Deed::kRead};
      step.deed = dice.of(kOthers);
      step.fill = static_cast<unsigned char>(t);  // an attribute of its own
      step.flags = step.deed == Deed::kOpen ? O_RDWR : 0;
      if (step.deed == Deed::kRead) step.slot = (slot + 1) % 3;
      if (step.deed == Deed::kOpen) step.slot = 3 + static_cast<unsigned>(dice.pick(3));
    }
    round.push_back(std::move(step));
  }
  return round;
}

// Each has names of its own in one directory.
Round round_of_names(Dice& dice, unsigned threads) {
  Round round;
  for (unsigned t = 0; t < threads; ++t) {
    const auto own = [&] { return "/t" + std::to_string(t) + "-" + std::to_string(dice.pick(3)); };
    Step step;
    static const Deed kDeeds[] = {Deed::kOpen,   Deed::kUnlink, Deed::kRename,        Deed::kLink,
                                  Deed::kMode,   Deed::kOpen,   Deed::kMakeDirectory, Deed::kRemoveDirectory,
                                  Deed::kSymlink};
    step.deed = dice.of(kDeeds);
    step.slot = 6 + static_cast<unsigned>(dice.pick(3));
    step.path = own();
    if (step.deed == Deed::kRename || step.deed == Deed::kLink) step.other_path = own();
    step.flags = step.deed == Deed::kOpen ? O_RDWR | O_CREAT : flags_for(step.deed, dice);
    step.fill = dice.fill();
    round.push_back(std::move(step));
  }
  return round;
}

}  // namespace

std::vector<Round> random_rounds(unsigned long seed, std::size_t count, unsigned threads) {
  Dice dice(seed);
  std::vector<Round> rounds;
  while (rounds.size() < count) {
    const std::uint64_t kind = dice.pick(10);
    rounds.push_back(kind < 5   ? round_of_writes(dice, threads)
                     : kind < 8 ? round_of_one_change(dice, threads)
                                : round_of_names(dice, threads));
  }
  return rounds;
}

}  // namespace kmsfs::testing
