// kmsd as a whole: builds the parts, serves until a signal ends it, takes them apart again.
//
// SIGTERM and SIGINT stop it gracefully; a second one ends it at once, which the store survives. SIGHUP loads
// the certificate again. Threads: run_daemon() starts them all; it is called once, first thing in main.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kms/server/http_server.h"

namespace kmsfs::kms {

struct DaemonOptions {
  std::string store;                // directory
  std::string socket;               // path; empty: none
  std::vector<std::string> listen;  // [http://|https://]HOST:PORT
  std::string tls_certificate, tls_key;
  std::string passphrase_file;
  std::string ready_file;  // gets the URIs that it listens on, once it does
  bool insecure_http = false;
  bool debug = false;
  bool allow_unlocked_memory = false;
  std::size_t io_threads = 0;  // 0: as the processors suggest
  std::size_t workers = 0;
  HttpLimits limits;  // connections and buffers: 0, as descriptors and locked memory allow
};

// As kmsfs numbers its exit codes (kmsd.8, "EXIT STATUS").
enum class DaemonExit : int {
  kOk = 0,
  kFailure = 1,
  kUsage = 2,
  kSealed = 4,  // wrong passphrase, or files of the store that others may read
  kDenied = 5,  // the system does not permit it
  kNoStore = 7,
  kBusy = 9,  // another kmsd serves the store, or an address is in use
  kCorrupt = 10,
  kUnsupported = 11,
};

struct DaemonFailure {
  DaemonExit code = DaemonExit::kFailure;
  std::string text;
};

// Nothing: it was stopped by a signal.
std::optional<DaemonFailure> run_daemon(DaemonOptions options);

}  // namespace kmsfs::kms
