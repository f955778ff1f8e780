// The door to spdlog: one logger per process, handed to who needs it.
//
// Log lines are for operators. Never a key, a token, a plaintext, or a plaintext file name above debug.
// Threads: any.
#pragma once

#include <memory>

#include <spdlog/logger.h>

namespace kmsfs {

using Logger = std::shared_ptr<spdlog::logger>;

// To standard error; with `syslog`, to the system's log under the name of the program.
Logger make_logger(bool syslog, bool debug);
// Says nothing: for tests and libraries used without a log.
Logger make_null_logger();

}  // namespace kmsfs
