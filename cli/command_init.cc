// kmsfs init: makes an empty directory a volume, and on the first time the local KMS, its account and its
// key.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "cli/commands.h"
#include "cli/directories.h"
#include "cli/passphrase_source.h"
#include "core/process.h"
#include "fs/volume.h"
#include "kmsclient/provider.h"

namespace kmsfs::cli {

namespace {

// The backing directory, made if it is missing, and unmade if init does not get through.
class NewDirectory {
 public:
  static Result<NewDirectory> open(const std::string& path) {
    const bool made = ::mkdir(path.c_str(), 0700) == 0;
    if (!made && errno != EEXIST) return Error::from_errno(errno, "making " + path);
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd) return Error::from_errno(errno, "opening " + path);
    return NewDirectory(path, std::move(fd), made);
  }
  NewDirectory(NewDirectory&& other) noexcept
      : path_(std::move(other.path_)),
        fd_(std::move(other.fd_)),
        unmake_(std::exchange(other.unmake_, false)) {}
  NewDirectory& operator=(NewDirectory&&) = delete;
  ~NewDirectory() {
    if (unmake_) ::rmdir(path_.c_str());
  }

  int fd() const { return fd_.get(); }
  void keep() { unmake_ = false; }

 private:
  NewDirectory(std::string path, UniqueFd fd, bool made)
      : path_(std::move(path)), fd_(std::move(fd)), unmake_(made) {}
  std::string path_;
  UniqueFd fd_;
  bool unmake_;
};

// Volume::create asks the same again; here it is asked before a KMS is made for nothing.
Result<void> check_vacant(int backing) {
  if (::faccessat(backing, kVolumeDirectory, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
    return error(Kind::kExists, "it is a kmsfs volume already; mount it: kmsfs mount BACKING MOUNTPOINT");
  }
  auto empty = is_empty_directory(backing);
  if (!empty) return std::move(empty).error();
  if (!*empty)
    return error(Kind::kExists, "it is not empty; give an empty directory, or one that does not exist");
  return {};
}

KmsSetup setup_of(const InitRequest& request) {
  KmsSetup setup;
  setup.access.uri = request.kms_uri;
  setup.access.user = request.kms_user;
  setup.access.profile = request.profile;
  setup.access.insecure_http = request.insecure_http;
  setup.access.key = request.key;
  setup.access.passphrase = passphrase_source(request.passphrase_file);
  setup.seal.kind =
      request.seal == SealChoice::kKeyFile ? kms::SealKind::kKeyFile : kms::SealKind::kPassphrase;
  return setup;
}

// Nobody has made our usual key in a KMS that init did not set up.
Error with_advice(Error error, const InitRequest& request, const KmsSetupReport& report) {
  const bool nobodys = report.key_arn.empty() && request.key == InitRequest{}.key;
  if (nobodys && error.kind == Kind::kKeyGone) {
    error.text += "; name a key of that KMS with --key: an alias, an id or an ARN";
  }
  return error;
}

}  // namespace

Outcome run_init(const InitRequest& request) {
  const std::string what = "cannot make a volume in " + request.backing;
  if (auto started = secure_process({AeadBackend::kAutomatic, request.allow_unlocked_memory}); !started) {
    return failure(started.error(), what);
  }
  auto backing = NewDirectory::open(request.backing);
  if (!backing) return failure(ExitCode::kNotAVolume, backing.error(), what);
  RealDisk disk;
  if (auto vacant = check_vacant(backing->fd()); !vacant) {
    return failure(ExitCode::kNotAVolume, vacant.error(), what);
  }

  const SystemClock clock;
  const Logger logger = make_logger(false, false);
  auto report = set_up_kms(setup_of(request), clock, logger);
  if (!report)
    return failure(exit_code_of_opening_kms(report.error(), request.kms_uri), report.error(), what);
  auto volume = Volume::create(disk, backing->fd(), *report->kms, request.key, report->uri, request.mode);
  if (!volume) return failure(with_advice(volume.error(), request, *report), what);
  backing->keep();

  if (report->store_made) std::printf("local KMS  %s (new)\n", report->uri.c_str());
  const VolumeParameters& parameters = (*volume)->parameters();
  std::printf("volume     %s\nmode       %s\nmaster key %s\nprincipal  %s\n", parameters.id.hex().c_str(),
              std::string(to_string(parameters.mode)).c_str(), parameters.volume_key.key_arn.c_str(),
              report->principal.c_str());
  std::printf("Mount it:  kmsfs mount %s MOUNTPOINT\n", request.backing.c_str());
  return std::nullopt;
}

}  // namespace kmsfs::cli
