// One run of `kmsfs kms COMMAND`: what its parts have in common. Threads: one.
#pragma once

#include "cli/exit_codes.h"
#include "cli/kms_arguments.h"
#include "cli/kms_connection.h"
#include "cli/kms_output.h"

namespace kmsfs::cli {

struct KmsRun {
  const KmsArguments& arguments;
  KmsConnection& kms;
  OutputChoice output;
};

// The command's failure: "create-alias: AlreadyExistsException: …; what to do".
Failure kms_failure(const KmsRun& run, const Error& error);
// To standard output, as the user chose.
Outcome print_reply(const KmsRun& run, ByteView json);

// kms_key_commands.cc: a key under the console's policy, and who else may use one.
Outcome create_key_for(KmsRun& run);
Outcome share_key(KmsRun& run);
Outcome unshare_key(KmsRun& run);

// kms_store_commands.cc
Outcome init_store(KmsRun& run);
Outcome check_audit(KmsRun& run);
Outcome back_up(KmsRun& run);
Outcome restore(KmsRun& run);
Outcome unseal(KmsRun& run);
Outcome ask_server(KmsRun& run);  // seal, seal-status: of kmsd

// kms_why.cc
Outcome explain_decision(KmsRun& run);

}  // namespace kmsfs::cli
