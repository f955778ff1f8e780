#include "kms/server/admin_handler.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "kms/errors.h"
#include "kms/identities/administration_call.h"

namespace kmsfs::kms {

namespace {

constexpr std::string_view kTarget = "KmsfsAdmin.";

HttpAnswer answer_json(int status, Body body) {
  HttpAnswer answer;
  answer.status = status;
  answer.headers.push_back({"Content-Type", "application/x-amz-json-1.1"});
  answer.body = std::move(body);
  return answer;
}

bool is_callers_fault(Kind kind) {
  switch (kind) {
    case Kind::kInvalid:
    case Kind::kNotFound:
    case Kind::kExists:
    case Kind::kDenied:
    case Kind::kUnsupported:
      return true;
    default:
      return false;
  }
}

HttpAnswer answer_error(const Error& error, int status = 0) {
  const bool callers = is_callers_fault(error.kind);
  const char* code = error.code != nullptr ? error.code : callers ? "InvalidInput" : "ServiceFailure";
  const nlohmann::json body = {{"__type", code}, {"message", error.text}};
  return answer_json(status != 0 ? status
                     : callers   ? 400
                                 : 500,
                     Body(body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
}

Error sealed_store() {
  return answer(Kind::kUnavailable, "KMSInternalException",
                "the key store is sealed; kmsfs kms unseal opens it");
}

}  // namespace

HttpAnswer AdminHandler::handle(const HttpRequest& request, const Client& client) {
  if (!client.unix_socket || (client.uid != 0 && client.uid != ::geteuid())) {
    logger_->warn("uid {} tried to administer the key store", client.uid);
    return answer_error(access_denied("Only root and the owner of the key store may administer it."), 403);
  }
  const std::string_view target = single_header(request.headers, "x-amz-target");
  if (request.method != "POST" || request.target != "/" || !target.starts_with(kTarget)) {
    return answer_error(answer(Kind::kInvalid, "InvalidAction", "POST / with X-Amz-Target: KmsfsAdmin.NAME"));
  }
  auto body = call(target.substr(kTarget.size()), request.body, client.uid);
  return body ? answer_json(200, std::move(*body)) : answer_error(body.error());
}

Result<Body> AdminHandler::call(std::string_view operation, ByteView body, uid_t by) {
  if (operation == "SealStatus") return seal_status();
  if (operation == "Unseal") return unseal(body, by);
  if (operation == "Seal") {
    KMSFS_TRY(record("SealStore", by));
    gate_.seal();
    logger_->info("the key store is sealed, by uid {}", by);
    return seal_status();
  }
  if (operation == "Backup") return back_up(body, by);
  if (operation == "ReloadTls") {
    if (certificate_ == nullptr) return error(Kind::kInvalid, "this kmsd has no certificate to reload");
    KMSFS_TRY(certificate_->reload());
    logger_->info("the certificate was loaded again, for uid {}", by);
    return Body("{}");
  }
  const auto store = gate_.store();
  if (store == nullptr) return sealed_store();
  auto answer = administration_call(store->service->administration(), operation, as_text(body), by);
  if (!answer) return std::move(answer).error();
  return Body(std::move(*answer));
}

// What opens and closes the store is told to its log, where one is open.
Result<void> AdminHandler::record(std::string_view event, uid_t by) {
  const auto store = gate_.store();
  if (store == nullptr) return {};
  return store->service->administration().tell(event, "null", by);
}

Result<Body> AdminHandler::unseal(ByteView passphrase, uid_t by) {
  if (!passphrase.empty() && passphrase.back() == std::byte{'\n'}) {
    passphrase = passphrase.first(passphrase.size() - 1);
  }
  if (passphrase.size() > Passphrase::kLargest) {
    return validation("a passphrase has at most " + std::to_string(Passphrase::kLargest) + " bytes");
  }
  auto opened = gate_.unseal([passphrase](PassphraseUse) {
    auto copy = Passphrase::make();
    if (copy) {
      std::copy(passphrase.begin(), passphrase.end(), copy->fill().begin());
      copy->resize(passphrase.size());
    }
    return copy;
  });
  if (!opened) {
    logger_->warn("the key store stays sealed, for uid {}: {}", by, opened.error().text);
    return std::move(opened).error();
  }
  logger_->info("the key store is open, by uid {}", by);
  KMSFS_TRY(record("UnsealStore", by));
  return seal_status();
}

Result<Body> AdminHandler::back_up(ByteView json, uid_t by) {
  const auto store = gate_.store();
  if (store == nullptr) return sealed_store();
  const auto request = nlohmann::json::parse(as_text(json), nullptr, false);
  const auto directory = request.is_object() ? request.find("Directory") : request.end();
  if (!request.is_object() || directory == request.end() || !directory->is_string() ||
      !directory->get_ref<const std::string&>().starts_with('/')) {
    return validation("Backup takes {\"Directory\": an absolute path}");
  }
  KMSFS_TRY(store->service->backup(directory->get<std::string>(), by));
  return Body(nlohmann::json{{"Directory", *directory}}.dump());
}

Body AdminHandler::seal_status() const {
  const nlohmann::json status = {
      {"Sealed", gate_.store() == nullptr}, {"Store", gate_.directory()}, {"Version", KMSFS_VERSION}};
  return Body(status.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace kmsfs::kms
