// The commands of `kmsfs kms`: one table, and what follows from a row of it.
//
// A row has a command's name and its parameters. Operation and members follow from the names by the rule that
// AWS made its own command line with: create-key calls CreateKey, --key-id is its member KeyId. A parameter
// reads `--name`, with `!` if it must be given and `:form` if it is not plain text; without `--` it stands by
// its place. What follows `|` is for kmsfs alone and is not sent. Threads: constants and pure functions.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kmsfs::cli {

enum class Door {
  kKms,         // an operation of the KMS, on any KMS URI
  kIdentities,  // of the host's administrator: accounts, users, roles, …
  kOwn,         // done by kmsfs itself: command_kms.cc
};

struct KmsCommand {
  std::string_view name;
  Door door = Door::kKms;
  std::string_view parameters;
  std::string_view summary;
};

enum class Form {
  kText,        // TEXT or file://FILE
  kNumber,      //
  kFlag,        // --name or --no-name
  kBlob,        // base64, or fileb://FILE for the bytes themselves
  kList,        // one or more texts, or a JSON array
  kStructure,   // name=value,… or a JSON object
  kStructures,  // one or more of these, or a JSON array
  kEach,        // a text; may be given again
};

struct KmsParameter {
  std::string name;    // "--key-id"; without dashes: stands by its place
  std::string member;  // "KeyId"; empty: not sent
  Form form = Form::kText;
  bool required = false;

  bool placed() const { return !name.starts_with("--"); }
  bool repeats() const { return form == Form::kList || form == Form::kStructures || form == Form::kEach; }
};

std::span<const KmsCommand> kms_commands();
const KmsCommand* find_kms_command(std::string_view name);  // nullptr: there is none

std::string operation_of(const KmsCommand& command);
// Those of the row, then those that every command of its sort has.
std::vector<KmsParameter> parameters_of(const KmsCommand& command);
bool is_paginated(const KmsCommand& command);

// "--kms URI" and so on: they stand before or after the command.
std::span<const KmsParameter> common_parameters();

// "usage: kmsfs kms create-alias --alias-name TEXT --target-key-id TEXT"
std::string usage_of(const KmsCommand& command);
std::string help_of(const KmsCommand& command);
std::string help_of_all_commands();

}  // namespace kmsfs::cli
