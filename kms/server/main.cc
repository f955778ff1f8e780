// kmsd: serves the KMS in a directory. See kmsd.8.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>

#include "core/process.h"
#include "kms/server/daemon.h"

namespace {

using kmsfs::kms::DaemonExit;
using kmsfs::kms::DaemonFailure;
using kmsfs::kms::DaemonOptions;

// For tests: in milliseconds.
void add_limits(CLI::App& app, DaemonOptions& options) {
  const auto add = [&app](const char* name, std::chrono::milliseconds& limit) {
    app.add_option_function<unsigned>(name,
                                      [&limit](unsigned value) { limit = std::chrono::milliseconds(value); })
        ->group("");
  };
  add("--handshake-limit", options.limits.handshake);
  add("--head-limit", options.limits.head);
  add("--body-limit", options.limits.body);
  add("--write-limit", options.limits.write);
  add("--idle-limit", options.limits.idle);
  app.add_option("--connections", options.limits.connections)->group("");
  app.add_option("--buffers", options.limits.buffers)->group("");
  app.add_option("--io-threads", options.io_threads)->check(CLI::Range(0, 64))->group("");
  app.add_option("--workers", options.workers)->check(CLI::Range(0, 256))->group("");
}

void add_options(CLI::App& app, DaemonOptions& options) {
  app.set_version_flag("--version", std::string("kmsd ") + KMSFS_VERSION);
  app.add_option("--store", options.store, "directory of the key store")->required()->type_name("DIR");
  app.add_option("--socket", options.socket, "serve a unix socket: callers are who the kernel says they are")
      ->type_name("PATH");
  app.add_option("--listen", options.listen,
                 "serve HTTPS, or HTTP on a loopback address; may be given more than once")
      ->type_name("HOST:PORT");
  app.add_option("--tls-cert", options.tls_certificate, "certificate and its chain, PEM")->type_name("FILE");
  app.add_option("--tls-key", options.tls_key, "its private key, PEM")->type_name("FILE");
  app.add_option("--passphrase-file", options.passphrase_file, "file with the store's passphrase, mode 0600")
      ->type_name("FILE");
  app.add_flag("--insecure-http", options.insecure_http, "serve HTTP without TLS on any address");
  app.add_option("--ready-file", options.ready_file, "write what it listens on to this file when it is ready")
      ->type_name("FILE");
  app.add_flag("--debug", options.debug, "log more");
  app.add_flag("--allow-unlocked-memory", options.allow_unlocked_memory)->group("");
  add_limits(app, options);
}

std::optional<DaemonFailure> usage(std::string text) {
  return DaemonFailure{DaemonExit::kUsage, std::move(text) + " (kmsd --help)"};
}

// A relative path means the same whatever the current directory becomes, and in messages.
void make_absolute(std::string& path) {
  std::error_code failed;
  const auto absolute = std::filesystem::absolute(path, failed);
  if (!path.empty() && !failed) path = absolute.lexically_normal();
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
}

std::optional<DaemonFailure> run(DaemonOptions options) {
  if (options.socket.empty() && options.listen.empty()) {
    return usage("say where to serve: --socket PATH, --listen HOST:PORT, or both");
  }
  if (options.tls_certificate.empty() != options.tls_key.empty()) {
    return usage("--tls-cert and --tls-key belong together");
  }
  for (std::string* path : {&options.store, &options.socket, &options.tls_certificate, &options.tls_key,
                            &options.passphrase_file, &options.ready_file}) {
    make_absolute(*path);
  }
  return run_daemon(std::move(options));
}

int report(const std::optional<DaemonFailure>& failed) {
  if (!failed) return 0;
  std::fprintf(stderr, "kmsd: %s\n", failed->text.c_str());
  return static_cast<int>(failed->code);
}

}  // namespace

int main(int argument_count, char** arguments) {
  kmsfs::open_standard_streams();
  CLI::App app("kmsd: a KMS that speaks the AWS KMS protocol", "kmsd");
  DaemonOptions options;
  options.limits.connections = 0;
  options.limits.buffers = 0;
  add_options(app, options);
  try {
    app.parse(argument_count, arguments);
  } catch (const CLI::Success& asked) {
    return app.exit(asked);
  } catch (const CLI::ParseError& wrong) {
    return report(usage(wrong.what()));
  }
  return report(run(std::move(options)));
}
