#include "kms/service.h"

#include <utility>

#include "kms/administration.h"
#include "kms/backup.h"
#include "kms/engine.h"

namespace kmsfs::kms {

Result<void> Service::create_store(const std::string& directory, const NewStore& options,
                                   const PassphraseSource& passphrase) {
  return Engine::create_store(directory, options.seal, options.region, passphrase);
}

Result<bool> Service::has_store(const std::string& directory) { return Engine::has_store(directory); }

Result<std::unique_ptr<Service>> Service::open(const std::string& directory,
                                               const PassphraseSource& passphrase, const Clock& clock,
                                               Logger logger) {
  auto engine = Engine::open(directory, passphrase, clock, std::move(logger));
  if (!engine) return std::move(engine).error();
  return std::unique_ptr<Service>(new Service(std::move(*engine)));
}

Service::Service(std::unique_ptr<Engine> engine)
    : engine_(std::move(engine)), administration_(std::make_unique<Administration>(*engine_)) {}
Service::~Service() = default;

const std::string& Service::region() const { return engine_->region(); }
Administration& Service::administration() { return *administration_; }

Result<void> Service::backup(const std::string& directory, uid_t by) {
  std::string parameters;
  JsonWriter(parameters).begin().text("directory", directory).end();
  KMSFS_TRY(administration_->tell("BackupStore", std::move(parameters), by));
  auto copied = copy_store(engine_->directory(), directory, engine_->logger());
  if (!copied) return std::move(copied).error();
  return {};
}

}  // namespace kmsfs::kms
