#include "kms/service.h"

#include <utility>

#include "kms/administration.h"
#include "kms/keys.h"
#include "kms/perform.h"

namespace kmsfs::kms {

namespace {

Result<CiphertextReply> seal_under(Call& call, const LoadedKey& key, ByteView plain,
                                   const EncryptionContext& context) {
  auto material = call.engine().material(call.transaction(), key.record.id, key.record.material);
  if (!material) return std::move(material).error();
  auto blob = seal_blob({key.record.id, key.record.material}, *material, context, plain);
  if (!blob) return std::move(blob).error();
  return CiphertextReply{key.facts.arn, std::move(*blob), {}};
}

Result<SensitiveBytes> open_under(Call& call, const LoadedKey& key, ByteView blob,
                                  const EncryptionContext& context) {
  const auto header = parse_blob_header(blob);
  if (!header) return invalid_ciphertext();
  auto material = call.engine().material(call.transaction(), key.record.id, header->material);
  if (!material) return std::move(material).error();
  return open_blob(blob, *material, context);
}

Result<std::size_t> data_key_size(const GenerateDataKeyRequest& request) {
  if (request.key_spec.empty() == !request.number_of_bytes) {
    return validation("Please specify either number of bytes or key spec.");
  }
  if (request.key_spec == "AES_256") return std::size_t{32};
  if (request.key_spec == "AES_128") return std::size_t{16};
  if (!request.number_of_bytes) {
    return validation("1 validation error detected: Value '" + request.key_spec +
                      "' at 'keySpec' failed to satisfy constraint: Member must satisfy enum value set: "
                      "[AES_256, AES_128]");
  }
  const std::int64_t size = *request.number_of_bytes;
  if (size < 1 || size > 1024) {
    return validation("1 validation error detected: Value '" + std::to_string(size) +
                      "' at 'numberOfBytes' failed to satisfy constraint: Member must have value " +
                      (size < 1 ? "greater than or equal to 1" : "less than or equal to 1024"));
  }
  return static_cast<std::size_t>(size);
}

Result<GenerateDataKeyReply> generate(Call& call, const GenerateDataKeyRequest& request) {
  auto size = data_key_size(request);
  if (!size) return std::move(size).error();
  auto key = call.authorised_key(request.key_id, {.context = &request.context});
  if (!key) return std::move(key).error();
  auto plain = SensitiveBytes::make(*size);
  if (!plain) return std::move(plain).error();
  random_bytes(plain->fill());
  auto sealed = seal_under(call, **key, plain->reveal(), request.context);
  if (!sealed) return std::move(sealed).error();
  return GenerateDataKeyReply{std::move(sealed->key_arn), std::move(sealed->ciphertext), std::move(*plain),
                              std::move(sealed->key_material_id)};
}

Result<void> check_blob_size(ByteView blob) {
  if (!blob.empty() && blob.size() <= kLargestBlob) return {};
  return validation(
      "1 validation error detected: Value at 'ciphertextBlob' failed to satisfy constraint: Member must "
      "have length between 1 and 6144");
}

}  // namespace

Result<void> Service::create_store(const std::string& directory, const NewStore& options,
                                   const PassphraseSource& passphrase) {
  return Engine::create_store(directory, options.seal, options.region, passphrase);
}

Result<bool> Service::has_store(const std::string& directory) { return Engine::has_store(directory); }

Result<std::unique_ptr<Service>> Service::open(const std::string& directory,
                                               const PassphraseSource& passphrase, const Clock& clock,
                                               Logger logger) {
  auto engine = Engine::open(directory, passphrase, clock, std::move(logger));
  if (!engine) return std::move(engine).error();
  return std::unique_ptr<Service>(new Service(std::move(*engine)));
}

Service::Service(std::unique_ptr<Engine> engine)
    : engine_(std::move(engine)), administration_(std::make_unique<Administration>(*engine_)) {}
Service::~Service() = default;

const std::string& Service::region() const { return engine_->region(); }
Administration& Service::administration() { return *administration_; }

Result<KeyReply> Service::create_key(const Invocation& from, const CreateKeyRequest& request) {
  const auto act = [&](Call& call, WriteTransaction& transaction) -> Result<KeyReply> {
    if (request.description.size() > 8192) return validation("a description has at most 8192 bytes");
    KMSFS_TRY(call.authorise_without_key("*"));
    NewKey key;
    key.account = call.caller().account;
    key.description = request.description;
    key.policy = request.policy ? *request.policy : default_key_policy(key.account);
    auto policy = parse_policy(key.policy, PolicyUse::kKey);
    if (!policy) return std::move(policy).error();
    auto principals = bound_principals(*engine_, transaction, *policy);
    if (!principals) return std::move(principals).error();
    key.principals = std::move(*principals);
    auto made = make_key(*engine_, transaction, std::move(key));
    if (!made) return std::move(made).error();
    if (request.policy && !request.bypass_policy_lockout_safety_check) {
      KMSFS_TRY(call.check_lockout(made->facts, made->policy));
    }
    call.record().resources.push_back({made->facts.account, made->facts.arn, "AWS::KMS::Key"});
    return KeyReply{describe(*made)};
  };
  return perform_change<KeyReply>(*engine_, Operation::kCreateKey, from, request, act);
}

Result<KeyReply> Service::describe_key(const Invocation& from, const KeyRequest& request) {
  return perform_use<KeyReply>(*engine_, Operation::kDescribeKey, from, request,
                               [&](Call& call) -> Result<KeyReply> {
                                 auto key = call.authorised_key(request.key_id, {});
                                 if (!key) return std::move(key).error();
                                 return KeyReply{describe(**key)};
                               });
}

Result<KeyPolicyReply> Service::get_key_policy(const Invocation& from, const GetKeyPolicyRequest& request) {
  const auto act = [&](Call& call) -> Result<KeyPolicyReply> {
    auto key = call.authorised_key(request.key_id, {});
    if (!key) return std::move(key).error();
    return KeyPolicyReply{(*key)->record.policy, "default"};
  };
  return perform_use<KeyPolicyReply>(*engine_, Operation::kGetKeyPolicy, from, request, act);
}

Result<Done> Service::set_state(Operation operation, KeyState state, const Invocation& from,
                                const KeyRequest& request) {
  const auto act = [&](Call& call, WriteTransaction& transaction) -> Result<Done> {
    auto key = call.authorised_key(request.key_id, {});
    if (!key) return std::move(key).error();
    KeyRecord record = (*key)->record;
    record.state = state;
    KMSFS_TRY(write_key(transaction, record));
    return Done{};
  };
  return perform_change<Done>(*engine_, operation, from, request, act);
}

Result<Done> Service::enable_key(const Invocation& from, const KeyRequest& request) {
  return set_state(Operation::kEnableKey, KeyState::kEnabled, from, request);
}

Result<Done> Service::disable_key(const Invocation& from, const KeyRequest& request) {
  return set_state(Operation::kDisableKey, KeyState::kDisabled, from, request);
}

Result<Done> Service::create_alias(const Invocation& from, const CreateAliasRequest& request) {
  const auto act = [&](Call& call, WriteTransaction& transaction) -> Result<Done> {
    KMSFS_TRY(check_alias_name(request.alias_name));
    if (request.target_key_id.starts_with("alias/"))
      return validation("Aliases must refer to keys. Not aliases");
    const std::string arn = alias_arn(engine_->region(), call.caller().account, request.alias_name);
    KMSFS_TRY(call.authorise_without_key(arn));
    auto key = call.authorised_key(request.target_key_id, {});
    if (!key) return std::move(key).error();
    call.record().resources.push_back({call.caller().account, arn, "AWS::KMS::Alias"});
    KMSFS_TRY(add_alias(*engine_, transaction, **key, request.alias_name));
    return Done{};
  };
  return perform_change<Done>(*engine_, Operation::kCreateAlias, from, request, act);
}

Result<GenerateDataKeyReply> Service::generate_data_key(const Invocation& from,
                                                        const GenerateDataKeyRequest& request) {
  return perform_use<GenerateDataKeyReply>(*engine_, Operation::kGenerateDataKey, from, request,
                                           [&](Call& call) { return generate(call, request); });
}

Result<CiphertextReply> Service::generate_data_key_without_plaintext(const Invocation& from,
                                                                     const GenerateDataKeyRequest& request) {
  const auto act = [&](Call& call) -> Result<CiphertextReply> {
    auto generated = generate(call, request);
    if (!generated) return std::move(generated).error();
    return CiphertextReply{std::move(generated->key_arn), std::move(generated->ciphertext),
                           std::move(generated->key_material_id)};
  };
  return perform_use<CiphertextReply>(*engine_, Operation::kGenerateDataKeyWithoutPlaintext, from, request,
                                      act);
}

Result<CiphertextReply> Service::encrypt(const Invocation& from, const EncryptRequest& request) {
  const auto act = [&](Call& call) -> Result<CiphertextReply> {
    if (request.plaintext.empty() || request.plaintext.size() > kLargestPlaintext) {
      return validation(
          "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must "
          "have length between 1 and 4096");
    }
    auto key = call.authorised_key(request.key_id, {.context = &request.context});
    if (!key) return std::move(key).error();
    return seal_under(call, **key, request.plaintext, request.context);
  };
  return perform_use<CiphertextReply>(*engine_, Operation::kEncrypt, from, request, act);
}

Result<DecryptReply> Service::decrypt(const Invocation& from, const DecryptRequest& request) {
  const auto act = [&](Call& call) -> Result<DecryptReply> {
    KMSFS_TRY(check_blob_size(request.ciphertext));
    auto key = call.authorised_key_of_blob(request.ciphertext, request.key_id, {.context = &request.context});
    if (!key) return std::move(key).error();
    auto plain = open_under(call, **key, request.ciphertext, request.context);
    if (!plain) return std::move(plain).error();
    return DecryptReply{(*key)->facts.arn, std::move(*plain), {}};
  };
  return perform_use<DecryptReply>(*engine_, Operation::kDecrypt, from, request, act);
}

Result<ReEncryptReply> Service::re_encrypt(const Invocation& from, const ReEncryptRequest& request) {
  const auto act = [&](Call& call) -> Result<ReEncryptReply> {
    KMSFS_TRY(check_blob_size(request.ciphertext));
    // Whether both are one key is a fact that both decisions may ask for, so it is settled before either.
    const auto header = parse_blob_header(request.ciphertext);
    if (!header) return invalid_ciphertext();
    auto named = call.resolve(request.destination_key_id);
    if (!named) return std::move(named).error();
    const bool same = (*named)->record.id == header->key;
    call.record().resources.clear();
    auto source = call.authorised_key_of_blob(
        request.ciphertext, request.source_key_id,
        {.action = "kms:ReEncryptFrom", .context = &request.source_context, .reencrypt_on_same_key = same});
    if (!source) return std::move(source).error();
    auto destination =
        call.authorised_key(request.destination_key_id, {.action = "kms:ReEncryptTo",
                                                         .context = &request.destination_context,
                                                         .reencrypt_on_same_key = same});
    if (!destination) return std::move(destination).error();
    auto plain = open_under(call, **source, request.ciphertext, request.source_context);
    if (!plain) return std::move(plain).error();
    auto sealed = seal_under(call, **destination, plain->reveal(), request.destination_context);
    if (!sealed) return std::move(sealed).error();
    return ReEncryptReply{
        std::move(sealed->key_arn), (*source)->facts.arn, std::move(sealed->ciphertext), {}, {}};
  };
  return perform_use<ReEncryptReply>(*engine_, Operation::kReEncrypt, from, request, act);
}

}  // namespace kmsfs::kms
