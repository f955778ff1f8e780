#include "kms/seal.h"

#include <argon2.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/unique_fd.h"
#include "core/xaes.h"
#include "kms/private_file.h"

namespace kmsfs::kms {

namespace {

using Json = nlohmann::json;
using SealKey = Secret<32, struct SealKeyTag>;

constexpr std::size_t kSaltSize = 16;
constexpr std::size_t kSealedRootSize = 32 + Xaes256Gcm::kOverhead;
// What a record may ask of us: it is our own, but a damaged one must not take the machine down.
constexpr std::uint32_t kMostMemoryKib = 2U << 20, kMostPasses = 64, kMostLanes = 64;

// What stands beside the wrapped root key, and is bound to it.
struct SealRecord {
  SealKind kind = SealKind::kPassphrase;
  std::uint32_t memory_kib = 0, passes = 0, lanes = 0;
  Bytes salt;
  Bytes sealed_root;

  Json parameters() const {
    if (kind == SealKind::kKeyFile) return Json{{"kind", "keyfile"}};
    return Json{
        {"kind", "passphrase"},
        {"argon2id",
         {{"memory_kib", memory_kib}, {"passes", passes}, {"lanes", lanes}, {"salt", to_base64(salt)}}}};
  }
  std::string text() const {
    Json json = parameters();
    json["root"] = to_base64(sealed_root);
    return json.dump();
  }
  // The parameters are written sorted by name, so that the same ones always give the same bytes.
  Bytes associated_data(ByteView store_id) const {
    const std::string text = "kmsfs kms root 1\n" + to_hex(store_id) + "\n" + parameters().dump();
    const ByteView view = as_bytes(text);
    return Bytes(view.begin(), view.end());
  }
};

std::optional<std::uint32_t> number(const Json& json, const char* name, std::uint32_t most) {
  const auto found = json.find(name);
  if (found == json.end() || !found->is_number_unsigned()) return {};
  const auto value = found->get<std::uint64_t>();
  if (value == 0 || value > most) return {};
  return static_cast<std::uint32_t>(value);
}

std::optional<Bytes> blob(const Json& json, const char* name, std::size_t size) {
  const auto found = json.find(name);
  if (found == json.end() || !found->is_string()) return {};
  auto bytes = from_base64(found->get_ref<const std::string&>());
  if (!bytes || bytes->size() != size) return {};
  return std::move(*bytes);
}

std::optional<SealRecord> parse(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("kind")) return {};
  SealRecord record;
  auto root = blob(json, "root", kSealedRootSize);
  if (!root) return {};
  record.sealed_root = std::move(*root);
  if (json["kind"] == "keyfile") {
    record.kind = SealKind::kKeyFile;
    return record;
  }
  if (json["kind"] != "passphrase" || !json.contains("argon2id") || !json["argon2id"].is_object()) return {};
  const Json& argon = json["argon2id"];
  const auto memory = number(argon, "memory_kib", kMostMemoryKib);
  const auto passes = number(argon, "passes", kMostPasses);
  const auto lanes = number(argon, "lanes", kMostLanes);
  auto salt = blob(argon, "salt", kSaltSize);
  if (!memory || !passes || !lanes || !salt) return {};
  record.memory_kib = *memory;
  record.passes = *passes;
  record.lanes = *lanes;
  record.salt = std::move(*salt);
  return record;
}

// Argon2's working memory is far larger than locked memory and cannot live there. It is kept out of core
// files and of children, locked where the limit allows it, and wiped.
int map_working_memory(std::uint8_t** memory, std::size_t size) {
  void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return ARGON2_MEMORY_ALLOCATION_ERROR;
  ::madvise(at, size, MADV_DONTDUMP);
  ::madvise(at, size, MADV_DONTFORK);
  static_cast<void>(::mlock2(at, size, MLOCK_ONFAULT));
  *memory = static_cast<std::uint8_t*>(at);
  return ARGON2_OK;
}

void unmap_working_memory(std::uint8_t* memory, std::size_t size) {
  ::explicit_bzero(memory, size);
  ::munmap(memory, size);
}

Result<SealKey> stretch(const SealRecord& record, const Passphrase& passphrase) {
  auto key = SealKey::make();
  if (!key) return key;
  argon2_context context{};
  context.out = reinterpret_cast<std::uint8_t*>(key->fill().data());
  context.outlen = SealKey::kSize;
  // The interface is not const-correct; without ARGON2_FLAG_CLEAR_PASSWORD both are only read.
  context.pwd = const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(passphrase.reveal().data()));
  context.pwdlen = static_cast<std::uint32_t>(passphrase.size());
  context.salt = const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(record.salt.data()));
  context.saltlen = static_cast<std::uint32_t>(record.salt.size());
  context.t_cost = record.passes;
  context.m_cost = record.memory_kib;
  context.lanes = record.lanes;
  context.threads = record.lanes;
  context.version = ARGON2_VERSION_13;
  context.allocate_cbk = map_working_memory;
  context.free_cbk = unmap_working_memory;
  context.flags = ARGON2_DEFAULT_FLAGS;
  const int status = ::argon2id_ctx(&context);
  if (status == ARGON2_MEMORY_ALLOCATION_ERROR) return error(Kind::kNoMemory, "no memory for Argon2id");
  if (status != ARGON2_OK) {
    return error(Kind::kInternal, std::string("Argon2id failed: ") + ::argon2_error_message(status));
  }
  return key;
}

std::string key_file_path(const std::string& directory) { return directory + "/seal.key"; }

Result<SealKey> read_key_file(const std::string& directory) {
  const std::string path = key_file_path(directory);
  auto fd = open_private_file(path, "the key file", O_RDONLY);
  if (!fd) return std::move(fd).error();
  struct stat status {};
  if (::fstat(fd->get(), &status) != 0) return Error::from_errno(errno, path);
  auto key = SealKey::make();
  if (!key) return key;
  auto size = read_up_to(fd->get(), key->fill());
  if (!size) return std::move(size).error().during("the key file " + path);
  if (*size != SealKey::kSize || status.st_size != static_cast<off_t>(SealKey::kSize)) {
    return error(Kind::kCorrupt, "the key file " + path + " does not have 32 bytes; restore it from a copy");
  }
  return key;
}

// Complete or not there: written aside and linked into place. One that is there already (of an attempt that
// did not come to its end, or of one that runs beside this) is taken as it is.
Result<SealKey> make_key_file(const std::string& directory) {
  const std::string path = key_file_path(directory);
  if (::access(path.c_str(), F_OK) == 0) return read_key_file(directory);
  auto key = SealKey::random();
  if (!key) return key;
  const UniqueFd fd(::open(directory.c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600));
  if (!fd) return Error::from_errno(errno, "making the key file in " + directory);
  KMSFS_TRY(write_all(fd.get(), key->reveal()));
  if (::fsync(fd.get()) != 0) return Error::from_errno(errno, "writing the key file " + path);
  const std::string unnamed = "/proc/self/fd/" + std::to_string(fd.get());
  if (::linkat(AT_FDCWD, unnamed.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) != 0) {
    if (errno == EEXIST) return read_key_file(directory);
    return Error::from_errno(errno, "making the key file " + path);
  }
  const UniqueFd parent(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent || ::fsync(parent.get()) != 0) return Error::from_errno(errno, "writing " + directory);
  return key;
}

Result<SealKey> ask_and_stretch(const SealRecord& record, const PassphraseSource& source, PassphraseUse use) {
  if (!source) {
    return error(
        Kind::kInvalid,
        use == PassphraseUse::kNewSeal
            ? "no seal was chosen for the new key store: give a passphrase (on a terminal or with "
              "--passphrase-file FILE), or choose --seal keyfile"
            : "the key store is sealed by a passphrase: give --passphrase-file FILE, or run on a terminal");
  }
  auto passphrase = source(use);
  if (!passphrase) return std::move(passphrase).error();
  return stretch(record, *passphrase);
}

}  // namespace

Result<SealedRoot> seal_new_root(const std::string& directory, ByteView store_id, const SealOptions& options,
                                 const PassphraseSource& passphrase) {
  SealRecord record;
  record.kind = options.kind;
  if (options.kind == SealKind::kPassphrase) {
    record.memory_kib = options.memory_kib;
    record.passes = options.passes;
    record.lanes = options.lanes;
    record.salt.resize(kSaltSize);
    random_bytes(record.salt);
  }
  auto key = options.kind == SealKind::kKeyFile
                 ? make_key_file(directory)
                 : ask_and_stretch(record, passphrase, PassphraseUse::kNewSeal);
  if (!key) return std::move(key).error();
  auto root = RootKey::random();
  if (!root) return std::move(root).error();
  auto wrap = Xaes256Gcm::make(*key);
  if (!wrap) return std::move(wrap).error();
  record.sealed_root.resize(kSealedRootSize);
  KMSFS_TRY(wrap->seal(record.associated_data(store_id), root->reveal(), record.sealed_root));
  return SealedRoot{std::move(*root), record.text()};
}

Result<RootKey> unseal_root(const std::string& directory, ByteView store_id, std::string_view record_text,
                            const PassphraseSource& passphrase) {
  const auto record = parse(record_text);
  if (!record) return error(Kind::kCorrupt, "the seal of the key store " + directory + " is damaged");
  const bool by_file = record->kind == SealKind::kKeyFile;
  auto key =
      by_file ? read_key_file(directory) : ask_and_stretch(*record, passphrase, PassphraseUse::kUnseal);
  if (!key) return std::move(key).error();
  auto wrap = Xaes256Gcm::make(*key);
  if (!wrap) return std::move(wrap).error();
  auto root = RootKey::make();
  if (!root) return root;
  if (auto opened = wrap->open(record->associated_data(store_id), record->sealed_root, root->fill());
      !opened) {
    if (opened.error().kind != Kind::kCorrupt) return std::move(opened).error();
    if (by_file) {
      return error(Kind::kCorrupt, "the key file " + key_file_path(directory) + " is not this store's");
    }
    return error(Kind::kDenied, "wrong passphrase for the key store " + directory);
  }
  return root;
}

}  // namespace kmsfs::kms
