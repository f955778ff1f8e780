// A copy of a store, taken while others use it: to keep, and to put back.
//
// Always: the copy is one moment of the store, and its audit log is the log of that moment; users of the
// store wait only while that moment is fixed. What was copied is sealed as the store is: no seal is opened,
// and a key file (seal.key) goes along. The copy appears under its name when it is whole and on disk, or not
// at all. Threads: any. As with every store, after the process's last fork.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/log.h"
#include "core/result.h"

namespace kmsfs::kms {

struct BackupReport {
  std::uint64_t records = 0;      // of the store
  std::uint64_t audit_lines = 0;  // the sequence of the log's last line
};

// `check` sees the copy before it gets its name, in the directory that it is given; its error undoes the
// copy.
using BackupCheck = std::function<Result<void>(const std::string& directory)>;

// kNotFound: there is no store in `from`; kExists: there is something in `to`'s place already.
Result<BackupReport> copy_store(const std::string& from, const std::string& to, Logger logger,
                                const BackupCheck& check = {});
// The same, and the store's audit log tells of it (BackupStore, by this uid) before anything is copied.
Result<BackupReport> back_up_store(const std::string& from, const std::string& to, Logger logger);

}  // namespace kmsfs::kms
