#include "cli/kms_commands.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "cli/kms_command_table.h"

namespace kmsfs::cli {

namespace {

// create-key, --key-id → CreateKey, KeyId
std::string camel_case(std::string_view dashed) {
  std::string out;
  bool begins = true;
  for (const char c : dashed) {
    if (c == '-') {
      begins = true;
      continue;
    }
    out += begins ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
    begins = false;
  }
  return out;
}

struct FormName {
  std::string_view name;
  Form form;
  std::string_view placeholder;
};
constexpr std::array kForms = {
    FormName{"text", Form::kText, "TEXT"},
    FormName{"number", Form::kNumber, "N"},
    FormName{"flag", Form::kFlag, ""},
    FormName{"blob", Form::kBlob, "BASE64|fileb://FILE"},
    FormName{"list", Form::kList, "TEXT..."},
    FormName{"structure", Form::kStructure, "NAME=VALUE,..."},
    FormName{"structures", Form::kStructures, "NAME=VALUE,... ..."},
    FormName{"each", Form::kEach, "TEXT"},
};

std::string_view placeholder(Form form) {
  return std::find_if(kForms.begin(), kForms.end(), [&](const FormName& known) { return known.form == form; })
      ->placeholder;
}

Form form_named(std::string_view name) {
  const auto* found =
      std::find_if(kForms.begin(), kForms.end(), [&](const FormName& form) { return form.name == name; });
  return found == kForms.end() ? Form::kText : found->form;
}

KmsParameter parse_parameter(std::string_view word, bool sent) {
  KmsParameter parameter;
  if (const auto colon = word.find(':'); colon != std::string_view::npos) {
    parameter.form = form_named(word.substr(colon + 1));
    word = word.substr(0, colon);
  }
  parameter.required = word.ends_with('!');
  if (parameter.required) word.remove_suffix(1);
  parameter.name = word;
  if (sent) parameter.member = camel_case(parameter.placed() ? word : word.substr(2));
  return parameter;
}

std::vector<KmsParameter> parse_parameters(std::string_view text) {
  std::vector<KmsParameter> parameters;
  bool sent = true;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    if (word == "|") {
      sent = false;
    } else if (!word.empty()) {
      parameters.push_back(parse_parameter(word, sent));
    }
  }
  return parameters;
}

std::string as_typed(const KmsParameter& parameter) {
  if (parameter.placed()) return parameter.name;
  const std::string_view value = placeholder(parameter.form);
  return value.empty() ? parameter.name : parameter.name + " " + std::string(value);
}

std::string_view heading(Door door) {
  switch (door) {
    case Door::kKms:
      return "Keys, as in `aws kms` (any KMS)";
    case Door::kIdentities:
      return "Accounts, users, groups, roles and access keys, as in `aws iam` (at the host of the KMS)";
    case Door::kOwn:
      break;
  }
  return "The store, and what AWS's command line does not have";
}

}  // namespace

std::span<const KmsCommand> kms_commands() { return kKmsCommandTable; }

const KmsCommand* find_kms_command(std::string_view name) {
  const auto commands = kms_commands();
  const auto found =
      std::find_if(commands.begin(), commands.end(), [&](const KmsCommand& row) { return row.name == name; });
  return found == commands.end() ? nullptr : &*found;
}

std::string operation_of(const KmsCommand& command) { return camel_case(command.name); }

bool is_paginated(const KmsCommand& command) {
  return command.parameters.find("--marker") != std::string_view::npos;
}

std::vector<KmsParameter> parameters_of(const KmsCommand& command) {
  auto parameters = parse_parameters(command.parameters);
  if (is_paginated(command)) {
    for (KmsParameter& own : parse_parameters("| --page-size:number --no-paginate:flag")) {
      parameters.push_back(std::move(own));
    }
  }
  return parameters;
}

std::span<const KmsParameter> common_parameters() {
  static const std::vector<KmsParameter> parameters = parse_parameters(
      "| --kms --principal --profile --passphrase-file --output --query --insecure-http:flag "
      "--allow-unlocked-memory:flag --help:flag");
  return parameters;
}

std::string usage_of(const KmsCommand& command) {
  std::string text = "usage: kmsfs kms " + std::string(command.name);
  for (const KmsParameter& parameter : parameters_of(command)) {
    std::string typed = as_typed(parameter);
    if (parameter.form == Form::kEach) typed += " ...";
    text += parameter.required ? " " + typed : " [" + typed + "]";
  }
  return text;
}

std::string help_of(const KmsCommand& command) {
  std::string text = usage_of(command) + "\n\n" + std::string(command.summary) + "\n\n";
  const auto line = [&](const KmsParameter& parameter) {
    text += "  " + as_typed(parameter);
    if (parameter.form == Form::kFlag && !parameter.name.starts_with("--no-")) {
      text += ", --no-" + parameter.name.substr(2);
    }
    if (parameter.required) text += "  (must be given)";
    if (parameter.form == Form::kEach) text += "  (may be given again)";
    text += "\n";
  };
  for (const KmsParameter& parameter : parameters_of(command)) line(parameter);
  return text + R"(
  TEXT          or file://FILE for what stands in a file
  BASE64        or fileb://FILE for the bytes of a file; fileb:///dev/stdin for standard input
  NAME=VALUE,.. or JSON, or file://FILE with JSON

For every command: --kms URI, --principal NAME|ARN, --profile NAME, --passphrase-file FILE,
--output json|text, --query MEMBER.MEMBER. See kmsfs-kms(1).
)";
}

std::string help_of_all_commands() {
  std::string text =
      "usage: kmsfs kms [--kms URI] [--principal NAME|ARN] [--output json|text] [--query MEMBER] COMMAND "
      "[OPTION ...]\n       kmsfs kms COMMAND --help\n";
  for (const Door door : {Door::kOwn, Door::kKms, Door::kIdentities}) {
    text += "\n" + std::string(heading(door)) + ":\n";
    for (const KmsCommand& command : kms_commands()) {
      if (command.door != door) continue;
      std::string name(command.name);
      name.resize(std::max<std::size_t>(name.size() + 1, 39), ' ');
      text += "  " + name + std::string(command.summary) + "\n";
    }
  }
  return text;
}

}  // namespace kmsfs::cli
