// Lists that a KMS gives page by page, put together as AWS's command line does it. Threads: one.
#pragma once

#include <string>

#include "cli/kms_run.h"

namespace kmsfs::cli {

// The user wants one page, or did not say so.
bool wants_one_page(const KmsArguments& arguments);

// All pages as one: the lists of each joined, without markers. kCorrupt if a marker comes back for ever.
Result<std::string> all_pages(KmsRun& run);

// The operation of the command, through the door of its row.
Result<kms::SensitiveBytes> call_operation(KmsRun& run, ByteView json);

}  // namespace kmsfs::cli
