// The sqlite3 program at work on a database: statements go in, and when run() returns they are done.
// Threads: one.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "core/unique_fd.h"

namespace kmsfs::crash {

class SqliteSession {
 public:
  explicit SqliteSession(const std::string& database);
  SqliteSession(const SqliteSession&) = delete;
  SqliteSession& operator=(const SqliteSession&) = delete;
  ~SqliteSession();  // ends the program: it closes its database

  // False if sqlite3 complained, died, or took longer than a minute.
  bool run(const std::string& statements);

 private:
  bool read_until(const std::string& word);

  pid_t program_ = -1;
  UniqueFd in_, out_;
  int marks_ = 0;
};

// One number of transactions in a database, all of whose parts agree, or what is wrong.
struct SqliteFindings {
  int transactions = -1;
  std::string wrong;
};
SqliteFindings look_into(const std::string& database);

// The statements of such transactions.
std::string sqlite_tables();
std::string sqlite_transaction(int number);  // from 1

}  // namespace kmsfs::crash
