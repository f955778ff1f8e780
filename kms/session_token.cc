#include "kms/session_token.h"

#include <cstring>
#include <utility>

#include "kms/errors.h"
#include "kms/sensitive_bytes.h"

namespace kmsfs::kms {

namespace {

constexpr std::byte kVersion{1};
constexpr std::size_t kLargestToken = 8192;  // base64; longer ones are not even decoded
constexpr std::size_t kFixedSize = SecretAccessKey::kSize + 8 + 8;

Bytes token_aad(std::string_view access_key_id) {
  const std::string text = "kmsfs kms session token 1/" + std::string(access_key_id);
  const ByteView bytes = as_bytes(text);
  return {bytes.begin(), bytes.end()};
}

// The texts of a token, in the order in which they are written.
template <typename Facts>
auto texts_of(Facts& facts) {
  return std::array{&facts.account, &facts.role_name, &facts.role_unique_id, &facts.session_name,
                    &facts.policy};
}

Result<OpenedToken> read_token(ByteView plain, std::string_view access_key_id) {
  ByteReader in(plain);
  auto secret = SecretAccessKey::make();
  if (!secret) return std::move(secret).error();
  if (const ByteView bytes = in.bytes(SecretAccessKey::kSize); in.ok()) {
    std::memcpy(secret->fill().data(), bytes.data(), bytes.size());
  }
  OpenedToken opened{{}, std::move(*secret)};
  SessionFacts& facts = opened.facts;
  facts.access_key_id = access_key_id;
  facts.issued_ms = static_cast<std::int64_t>(in.u64());
  facts.expires_ms = static_cast<std::int64_t>(in.u64());
  for (std::string* text : texts_of(facts)) *text = as_text(in.bytes(in.u16()));
  if (!in.complete()) return invalid_token();
  if (facts.policy.empty()) return opened;
  auto policy = parse_policy(facts.policy, PolicyUse::kIdentity);
  if (!policy) return invalid_token();
  facts.parsed_policy = std::make_shared<const Policy>(std::move(*policy));
  return opened;
}

}  // namespace

Error invalid_token() {
  return answer(Kind::kDenied, "UnrecognizedClientException",
                "The security token included in the request is invalid.");
}

Result<std::string> seal_session_token(const Xaes256Gcm& seal, const SessionFacts& facts,
                                       const SecretAccessKey& secret) {
  std::size_t size = kFixedSize;
  for (const std::string* text : texts_of(facts)) size += 2 + text->size();
  auto plain = SensitiveBytes::make(size);
  if (!plain) return std::move(plain).error();
  ByteWriter out(plain->fill());
  out.bytes(secret.reveal());
  out.u64(static_cast<std::uint64_t>(facts.issued_ms));
  out.u64(static_cast<std::uint64_t>(facts.expires_ms));
  for (const std::string* text : texts_of(facts)) {
    out.u16(static_cast<std::uint16_t>(text->size()));
    out.bytes(as_bytes(*text));
  }
  Bytes token(1 + size + Xaes256Gcm::kOverhead);
  token[0] = kVersion;
  KMSFS_TRY(seal.seal(token_aad(facts.access_key_id), plain->reveal(), ByteSpan(token).subspan(1)));
  return to_base64(token);
}

Result<OpenedToken> open_session_token(const Xaes256Gcm& seal, std::string_view access_key_id,
                                       std::string_view token) {
  if (token.size() > kLargestToken) return invalid_token();
  auto bytes = from_base64(token);
  if (!bytes || bytes->size() < 1 + kFixedSize + Xaes256Gcm::kOverhead || bytes->front() != kVersion) {
    return invalid_token();
  }
  auto plain = SensitiveBytes::make(bytes->size() - 1 - Xaes256Gcm::kOverhead);
  if (!plain) return std::move(plain).error();
  auto opened = seal.open(token_aad(access_key_id), ByteView(*bytes).subspan(1), plain->fill());
  if (!opened) {
    return opened.error().kind == Kind::kCorrupt ? invalid_token() : std::move(opened).error();
  }
  return read_token(plain->reveal(), access_key_id);
}

}  // namespace kmsfs::kms
