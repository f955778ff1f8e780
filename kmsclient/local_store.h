// A store of this host, opened by this process as one principal: what local: means. Threads: as provider.h.
#pragma once

#include <memory>
#include <string>

#include "core/clock.h"
#include "core/log.h"
#include "kms/requests.h"
#include "kms/service.h"
#include "kmsclient/access.h"

namespace kmsfs {

struct LocalStore {
  std::string uri;  // with the default filled in
  std::unique_ptr<kms::Service> service;
  std::string principal;  // what access.user means for this uid
};

// A call from within this process.
kms::Invocation own_invocation(std::string principal);

bool is_local_kms(const std::string& uri);
Result<std::string> local_directory(const std::string& uri);  // kInvalid without one

Result<LocalStore> open_local_store(const KmsAccess& access, const Clock& clock, Logger logger);

// Makes what is missing of the calling uid's user, then says who `user` is.
Result<std::string> ensure_principal(kms::Service& service, const std::string& user);

}  // namespace kmsfs
