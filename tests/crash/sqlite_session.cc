#include "tests/crash/sqlite_session.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "tests/support/shell.h"

namespace kmsfs::crash {
namespace {

constexpr int kRowsOfATransaction = 3;
constexpr std::chrono::seconds kLimit{60};

}  // namespace

// Line by line: what the program says tells how far it is.
SqliteSession::SqliteSession(const std::string& database) {
  int in[2], out[2];
  if (::pipe2(in, O_CLOEXEC) != 0) return;
  in_ = UniqueFd(in[1]);
  const UniqueFd its_in(in[0]);
  if (::pipe2(out, O_CLOEXEC) != 0) return;
  out_ = UniqueFd(out[0]);
  const UniqueFd its_out(out[1]);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, its_in.get(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, its_out.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, its_out.get(), STDERR_FILENO);
  std::string words[] = {"stdbuf", "-oL", "sqlite3", "-batch", "-bail", "-init", "/dev/null", database};
  char* arguments[std::size(words) + 1] = {};
  for (std::size_t i = 0; i < std::size(words); ++i) arguments[i] = words[i].data();
  if (::posix_spawnp(&program_, arguments[0], &actions, nullptr, arguments, environ) != 0) program_ = -1;
  ::posix_spawn_file_actions_destroy(&actions);
}

SqliteSession::~SqliteSession() {
  in_.reset();
  if (program_ <= 0) return;
  const auto end = std::chrono::steady_clock::now() + kLimit;
  while (::waitpid(program_, nullptr, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > end) ::kill(program_, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

bool SqliteSession::run(const std::string& statements) {
  const std::string mark = "done-" + std::to_string(++marks_);
  const std::string text = statements + "\nSELECT '" + mark + "';\n";
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t written = ::write(in_.get(), text.data() + done, text.size() - done);
    if (written <= 0) return false;
    done += static_cast<std::size_t>(written);
  }
  return read_until(mark);
}

bool SqliteSession::read_until(const std::string& word) {
  std::string heard;
  const auto end = std::chrono::steady_clock::now() + kLimit;
  while (std::chrono::steady_clock::now() < end) {
    pollfd waiting{out_.get(), POLLIN, 0};
    if (::poll(&waiting, 1, 100) == 0) continue;
    char buffer[256];
    const ssize_t got = ::read(out_.get(), buffer, sizeof buffer);
    if (got <= 0) return false;
    heard.append(buffer, static_cast<std::size_t>(got));
    if (heard.find(word + "\n") != std::string::npos) return heard.find("rror") == std::string::npos;
  }
  return false;
}

// Each adds rows that follow from their number, and says in another table how many there are by then.
std::string sqlite_tables() {
  return "CREATE TABLE log(id INTEGER PRIMARY KEY, text TEXT); CREATE TABLE state(transactions INTEGER);"
         " INSERT INTO state VALUES (0);";
}

std::string sqlite_transaction(int number) {
  std::string out = "BEGIN;";
  for (int i = 0; i < kRowsOfATransaction; ++i) {
    const int id = (number - 1) * kRowsOfATransaction + i + 1;
    out += " INSERT INTO log VALUES (" + std::to_string(id) + ", hex(zeroblob(" +
           std::to_string(id * 379 % 3000) + ")));";
  }
  return out + " UPDATE state SET transactions = " + std::to_string(number) + "; COMMIT;";
}

SqliteFindings look_into(const std::string& database) {
  const std::string rows = std::to_string(kRowsOfATransaction);
  const auto asked = testing::run_script(
      "sqlite3 -batch -init /dev/null " + testing::quoted(database) +
          " \"PRAGMA integrity_check; SELECT transactions FROM state; SELECT count(*) FROM log;"
          " SELECT count(*) FROM log WHERE text <> hex(zeroblob(id * 379 % 3000)) OR id > " +
          rows + " * (SELECT transactions FROM state);\"",
      60);
  SqliteFindings found;
  int count = 0, strange = 0;
  const int read = std::sscanf(asked.output.c_str(), "ok\n%d\n%d\n%d", &found.transactions, &count, &strange);
  if (asked.status != 0 || read != 3) {
    found.wrong = "sqlite3 says: " + asked.output;
  } else if (strange != 0 || count != kRowsOfATransaction * found.transactions) {
    found.wrong = "half a transaction: " + asked.output;
  }
  return found;
}

}  // namespace kmsfs::crash
