// What `kmsfs doctor` asks a KMS: whether it is there, who we are, and what a mount will need, as dry runs.
#include <nlohmann/json.hpp>

#include "cli/doctor_examination.h"
#include "cli/passphrase_source.h"
#include "core/random.h"
#include "kmsclient/json_object.h"
#include "kmsclient/provider.h"
#include "kmsclient/remote_caller.h"

namespace kmsfs::cli {

namespace {

using nlohmann::json;

constexpr std::size_t kMostKeys = 16;  // of one volume that are asked for

std::chrono::milliseconds since(const Clock& clock, BootTime began) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(clock.boot_time() - began);
}

// Any answer will do, whatever its status: it shows that somebody is there, and its clock.
Result<void> knock(const KmsAccess& access, const Clock& clock, Notes& notes) {
  auto endpoint = kms_endpoint(access, Environment());
  if (!endpoint) return std::move(endpoint).error();
  const std::vector<kms::OwnedHeader> headers = {{"Host", endpoint->host}};
  HttpCall call;
  call.method = "GET";
  call.url = endpoint->url;
  call.unix_socket = endpoint->unix_socket;
  call.ca_bundle = endpoint->ca_bundle;
  call.proxy = endpoint->proxy;
  call.no_proxy = endpoint->no_proxy;
  call.headers = headers;
  call.deadline = SurvivalLimits{}.call_deadline;
  Transport transport;
  const BootTime began = clock.boot_time();
  auto answer = transport.send(call);
  if (auto* failure = std::get_if<TransportFailure>(&answer)) return std::move(failure->error);
  notes.add({judge_answer(access.uri, since(clock, began))});
  if (const auto theirs = parse_http_date(std::get<HttpReply>(answer).date)) {
    // Theirs has no fractions of a second.
    const auto ours = std::chrono::floor<std::chrono::seconds>(clock.wall_time());
    notes.add({judge_clock(std::chrono::floor<std::chrono::seconds>(*theirs) - ours)});
  }
  return {};
}

Result<std::unique_ptr<KmsCaller>> open_remote(const KmsAccess& access, const Clock& clock, Notes& notes) {
  KMSFS_TRY(knock(access, clock, notes));
  auto caller = RemoteCaller::make(access, clock, {});
  if (!caller) return std::move(caller).error();
  const auto source = (*caller)->credentials_source();
  notes.add({judge_credentials(source)});
  if (!source) return std::unique_ptr<KmsCaller>();
  return std::unique_ptr<KmsCaller>(std::move(*caller));
}

// Nobody is asked on the terminal: what waits for a person does not end.
Result<std::unique_ptr<KmsCaller>> open_local(KmsAccess access, const std::string& passphrase_file,
                                              const Clock& clock, Notes& notes) {
  bool wanted = false;
  access.passphrase = passphrase_source(passphrase_file);
  if (passphrase_file.empty()) {
    access.passphrase = [&wanted](PassphraseUse) -> Result<Passphrase> {
      wanted = true;
      return error(Kind::kDenied, "it is sealed by a passphrase");
    };
  }
  const BootTime began = clock.boot_time();
  auto caller = open_caller(access, clock, make_logger(false, false));
  if (!caller && wanted) {
    notes.add({{Verdict::kWarn, "KMS", access.uri + " is sealed by a passphrase, and was not asked",
                "give --passphrase-file for a look inside"}});
    return std::unique_ptr<KmsCaller>();
  }
  if (caller) notes.add({judge_answer(access.uri, since(clock, began))});
  return caller;
}

// Nullopt: it was done.
std::optional<Error> ask(KmsCaller& caller, std::string_view operation, const json& request) {
  auto answer = caller.call(operation, as_bytes(request.dump()));
  return answer ? std::nullopt : std::optional(std::move(answer).error());
}

Result<std::string> key_state(KmsCaller& caller, const std::string& key) {
  const std::string request = json{{"KeyId", key}}.dump();
  auto answer = caller.call("DescribeKey", as_bytes(request));
  if (!answer) return std::move(answer).error();
  const auto object = JsonObject::parse(answer->reveal());
  const auto metadata = object ? object->object("KeyMetadata") : std::nullopt;
  if (!metadata) return error(Kind::kUnavailable, "DescribeKey: the KMS answered with no KeyMetadata");
  return metadata->text("KeyState");
}

bool is_silent(const Error& error) { return error.kind == Kind::kUnavailable; }

// Stops at the first question that is not answered: the others would each wait for their deadline.
void ask_permissions(KmsCaller& caller, const std::vector<std::string>& keys,
                     const std::optional<VolumeParameters>& volume, Notes& notes) {
  for (const std::string& key : keys) {
    const auto state = key_state(caller, key);
    notes.add({judge_key(key, state)});
    if (!state && is_silent(state.error())) return;
  }
  json data_key = {{"KeyId", keys.front()}, {"KeySpec", "AES_256"}, {"DryRun", true}};
  if (volume) data_key["EncryptionContext"] = new_file_context(*volume);
  const auto generated = ask(caller, "GenerateDataKey", data_key);
  notes.add({judge_permission(Permission::kGenerateDataKey, keys.front(), generated)});
  if (!volume || (generated && is_silent(*generated))) return;
  const WrappedDataKey& wrapped = volume->volume_key;
  notes.add({judge_permission(Permission::kDecrypt, wrapped.key_arn,
                              ask(caller, "Decrypt",
                                  {{"KeyId", wrapped.key_arn},
                                   {"CiphertextBlob", to_base64(wrapped.blob)},
                                   {"EncryptionContext", volume_context(volume->id)},
                                   {"DryRun", true}}))});
}

}  // namespace

void ask_kms(const DoctorRequest& request, const std::optional<VolumeParameters>& volume, Notes& notes) {
  const SystemClock clock;
  KmsAccess access;
  access.uri = !request.kms_uri.empty() ? request.kms_uri : volume ? volume->kms_uri : std::string();
  access.user = request.kms_user;
  access.profile = request.profile;
  access.insecure_http = request.insecure_http;
  access.key = volume ? volume->volume_key.key_arn : request.key;
  const bool expected = !access.uri.empty();
  if (!expected) {
    auto usual = default_kms_uri();
    if (!usual) return notes.add({judge_opening("the usual KMS", usual.error(), false)});
    access.uri = std::move(*usual);
  }
  notes.begin("the KMS " + access.uri);
  auto caller = access.uri.starts_with("local:") ? open_local(access, request.passphrase_file, clock, notes)
                                                 : open_remote(access, clock, notes);
  if (!caller) return notes.add({judge_opening(access.uri, caller.error(), expected)});
  if (!*caller) return;
  const auto principal = (*caller)->principal();
  notes.add({judge_principal(principal)});
  if (!principal) return;

  std::vector<std::string> keys;
  if (!request.key.empty()) {
    keys = {request.key};
  } else if (volume) {
    keys = volume->allowed_keys;
    if (keys.size() > kMostKeys) keys.resize(kMostKeys);
  }
  if (keys.empty()) {
    notes.add({{Verdict::kOk, "permissions", "not asked: they are on a key; name a volume, or give --key"}});
    return;
  }
  ask_permissions(**caller, keys, volume, notes);
}

}  // namespace kmsfs::cli
