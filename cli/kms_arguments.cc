#include "cli/kms_arguments.h"

#include <algorithm>

namespace kmsfs::cli {

namespace {

constexpr std::string_view kTrue = "true", kFalse = "false";

Error wrong(const KmsCommand* command, const std::string& text) {
  std::string whole = command == nullptr ? text : std::string(command->name) + ": " + text;
  return error(Kind::kInvalid, whole + "\n" +
                                   (command == nullptr ? "usage: kmsfs kms COMMAND ...; "
                                                         "kmsfs kms help lists the commands"
                                                       : usage_of(*command)));
}

// The name that is nearest to what was typed, if it is near at all.
std::string suggestion(std::string_view typed) {
  std::string nearest;
  std::size_t longest = typed.size() / 2;
  for (const KmsCommand& command : kms_commands()) {
    const auto [end, _] = std::mismatch(typed.begin(), typed.end(), command.name.begin(), command.name.end());
    const auto common = static_cast<std::size_t>(end - typed.begin());
    if (common <= longest) continue;
    longest = common;
    nearest = command.name;
  }
  return nearest.empty() ? std::string() : "; did you mean " + nearest + "?";
}

}  // namespace

class KmsArgumentsParser {
 public:
  explicit KmsArgumentsParser(std::span<const std::string_view> words) : rest_(words) {
    known_.assign(common_parameters().begin(), common_parameters().end());
  }

  Result<KmsArguments> parse() {
    while (!rest_.empty()) {
      std::string_view word = take();
      if (word == "-h") word = "--help";
      KMSFS_TRY(word.starts_with("--") && word.size() > 2 ? option(word) : plain_word(word));
    }
    if (parsed_.help() || parsed_.command_ == nullptr) return std::move(parsed_);
    for (const KmsParameter& parameter : known_) {
      if (parameter.required && !parsed_.given(parameter.name)) {
        return wrong(parsed_.command_, parameter.name + " must be given");
      }
    }
    return std::move(parsed_);
  }

 private:
  std::string_view take() {
    const std::string_view word = rest_.front();
    rest_ = rest_.subspan(1);
    return word;
  }
  std::vector<std::string>& values(const KmsParameter& parameter) { return parsed_.values_[parameter.name]; }

  Result<void> plain_word(std::string_view word) {
    if (parsed_.command_ == nullptr) {
      parsed_.command_ = find_kms_command(word);
      if (parsed_.command_ == nullptr) {
        return wrong(nullptr, "there is no command " + std::string(word) + suggestion(word));
      }
      for (KmsParameter& parameter : parameters_of(*parsed_.command_)) known_.push_back(std::move(parameter));
      return {};
    }
    const auto place = std::find_if(known_.begin(), known_.end(), [&](const KmsParameter& parameter) {
      return parameter.placed() && !parsed_.given(parameter.name);
    });
    // Not repeated: it may be a secret that lost its option.
    if (place == known_.end()) return wrong(parsed_.command_, "there is a word too many");
    values(*place).emplace_back(word);
    return {};
  }

  Result<void> option(std::string_view word) {
    std::string_view name = word;
    std::optional<std::string_view> value;
    if (const auto equals = word.find('='); equals != std::string_view::npos) {
      name = word.substr(0, equals);
      value = word.substr(equals + 1);
    }
    bool flag_value = true;
    const KmsParameter* parameter = find(name);
    if (parameter == nullptr && name.starts_with("--no-")) {
      parameter = find("--" + std::string(name.substr(5)));
      if (parameter != nullptr && parameter->form != Form::kFlag) parameter = nullptr;
      flag_value = false;
    }
    // As `kmsfs mount` names it. create-key has another --user.
    if (parameter == nullptr && name == "--user" && parsed_.command_ == nullptr)
      parameter = find("--principal");
    if (parameter == nullptr) return wrong(parsed_.command_, "there is no option " + std::string(name));
    if (parsed_.given(parameter->name) && !parameter->repeats()) {
      return wrong(parsed_.command_, parameter->name + " is given twice");
    }
    if (parameter->form == Form::kFlag) {
      if (value) return wrong(parsed_.command_, parameter->name + " takes no value");
      values(*parameter).emplace_back(flag_value ? kTrue : kFalse);
      return {};
    }
    return take_values(*parameter, value);
  }

  Result<void> take_values(const KmsParameter& parameter, std::optional<std::string_view> value) {
    if (!value && (rest_.empty() || rest_.front().starts_with("--"))) {
      return wrong(parsed_.command_, parameter.name + " needs a value");
    }
    values(parameter).emplace_back(value ? *value : take());
    if (parameter.form != Form::kList && parameter.form != Form::kStructures) return {};
    while (!rest_.empty() && !rest_.front().starts_with("--")) values(parameter).emplace_back(take());
    return {};
  }

  const KmsParameter* find(std::string_view name) const {
    const auto found = std::find_if(known_.begin(), known_.end(), [&](const KmsParameter& parameter) {
      return !parameter.placed() && parameter.name == name;
    });
    return found == known_.end() ? nullptr : &*found;
  }

  std::span<const std::string_view> rest_;
  std::vector<KmsParameter> known_;
  KmsArguments parsed_;
};

Result<KmsArguments> KmsArguments::parse(std::span<const std::string_view> words) {
  return KmsArgumentsParser(words).parse();
}

std::span<const std::string> KmsArguments::all(std::string_view name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) return {};
  return found->second;
}

std::optional<bool> KmsArguments::flag(std::string_view name) const {
  const auto given = all(name);
  if (given.empty()) return std::nullopt;
  return given.front() == kTrue;
}

}  // namespace kmsfs::cli
