#include "core/log.h"

#include <spdlog/sinks/null_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/sinks/syslog_sink.h>

namespace kmsfs {

Logger make_logger(bool syslog, bool debug) {
  spdlog::sink_ptr sink;
  if (syslog) {
    sink = std::make_shared<spdlog::sinks::syslog_sink_mt>("kmsfs", LOG_PID, LOG_DAEMON, false);
  } else {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  }
  auto logger = std::make_shared<spdlog::logger>("kmsfs", std::move(sink));
  logger->set_level(debug ? spdlog::level::debug : spdlog::level::info);
  logger->flush_on(spdlog::level::info);
  if (!syslog) logger->set_pattern("kmsfs: %l: %v");
  return logger;
}

Logger make_null_logger() {
  return std::make_shared<spdlog::logger>("null", std::make_shared<spdlog::sinks::null_sink_mt>());
}

}  // namespace kmsfs
