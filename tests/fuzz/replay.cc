// Runs a fuzz target once over each file that is named, or lies in a directory that is named; with
// --seconds=N also over changed ones, for so long. What broke a promise is kept in PROGRAM.input.
//
// Changing inputs blindly finds less than libFuzzer does (scripts/fuzz), but needs nothing but the compiler
// that kmsfs is built with.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz.h"

namespace {

using Input = std::vector<std::uint8_t>;

// For the signal handler, which can be given nothing.
const Input* under_trial = nullptr;
std::string kept_at;

void keep_input(int signal) {
  if (under_trial != nullptr) {
    const int fd = ::open(kept_at.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const bool kept = fd >= 0 && ::write(fd, under_trial->data(), under_trial->size()) ==
                                     static_cast<ssize_t>(under_trial->size());
    const char* const text =
        kept ? "the input is kept beside the program\n" : "the input could not be kept\n";
    static_cast<void>(!::write(STDERR_FILENO, text, std::strlen(text)));
  }
  std::signal(signal, SIG_DFL);
  ::raise(signal);
}

void run(const Input& input) {
  under_trial = &input;
  LLVMFuzzerTestOneInput(input.data(), input.size());
  under_trial = nullptr;
}

class Changes {
 public:
  Changes(std::vector<Input> inputs, std::uint32_t seed) : inputs_(std::move(inputs)), random_(seed) {}

  Input next() {
    Input input = inputs_[below(inputs_.size())];
    for (std::size_t count = 1 + below(4); count > 0; --count) change(input);
    if (input.size() > kLongest) input.resize(kLongest);
    return input;
  }

 private:
  static constexpr std::size_t kLongest = 1 << 16;

  std::size_t below(std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_);
  }
  void change(Input& input) {
    static constexpr std::uint8_t kTelling[] = {0,   1,   0x7f, 0x80, 0xff, '"', '\\', '{',
                                                '}', '[', '*',  '%',  ',',  ':', '\n', '\r'};
    if (input.empty()) input.push_back(0);
    const std::size_t at = below(input.size());
    const auto place = input.begin() + static_cast<std::ptrdiff_t>(at);
    const std::size_t length = 1 + below(std::min<std::size_t>(input.size() - at, 32));
    const auto end = place + static_cast<std::ptrdiff_t>(length);
    switch (below(7)) {
      case 0:
        input[at] ^= static_cast<std::uint8_t>(1U << below(8));
        break;
      case 1:
        input[at] = kTelling[below(std::size(kTelling))];
        break;
      case 2:
        input.insert(place, kTelling[below(std::size(kTelling))]);
        break;
      case 3:
        input.erase(place, end);
        break;
      case 4: {
        const Input piece(place, end);
        const auto to = input.begin() + static_cast<std::ptrdiff_t>(below(input.size() + 1));
        input.insert(to, piece.begin(), piece.end());
        break;
      }
      case 5: {  // goes on as another does
        const Input& other = inputs_[below(inputs_.size())];
        input.resize(at);
        if (!other.empty()) {
          input.insert(input.end(), other.begin() + static_cast<std::ptrdiff_t>(below(other.size())),
                       other.end());
        }
        break;
      }
      default:
        input.resize(at);
    }
  }

  const std::vector<Input> inputs_;
  std::mt19937 random_;
};

Input read_input(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
  return {bytes.begin(), bytes.end()};
}

}  // namespace

int main(int argc, char** argv) {
  constexpr std::string_view kSeconds = "--seconds=";
  std::vector<std::filesystem::path> paths;
  long seconds = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word.starts_with(kSeconds)) {
      seconds = std::strtol(argv[i] + kSeconds.size(), nullptr, 10);
    } else if (std::filesystem::is_directory(word)) {
      for (const auto& entry : std::filesystem::directory_iterator(word)) paths.push_back(entry.path());
    } else {
      paths.emplace_back(word);
    }
  }
  if (paths.empty()) {
    std::fputs("no input: give files or directories\n", stderr);
    return 1;
  }
  kept_at = std::string(argv[0]) + ".input";
  for (int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) std::signal(signal, keep_input);

  std::sort(paths.begin(), paths.end());
  std::vector<Input> inputs;
  for (const auto& path : paths) {
    std::printf("%s\n", path.c_str());
    std::fflush(stdout);
    inputs.push_back(read_input(path));
    run(inputs.back());
  }
  if (seconds == 0) return 0;

  const std::uint32_t seed = std::random_device()();
  std::printf("changed inputs for %ld s, seed %u\n", seconds, seed);
  std::fflush(stdout);
  Changes changes(std::move(inputs), seed);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  std::uint64_t runs = 0;
  for (; std::chrono::steady_clock::now() < end; ++runs) run(changes.next());
  std::printf("%lu runs\n", static_cast<unsigned long>(runs));
  return 0;
}
