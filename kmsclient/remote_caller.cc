#include "kmsclient/remote_caller.h"

#include "kmsclient/credentials/sts.h"
#include "kmsclient/json_object.h"

namespace kmsfs {

namespace {

// What the URI does not say: AWS_REGION, AWS_DEFAULT_REGION, the profile.
std::string configured_region(const std::string& profile, const Environment& environment) {
  for (const char* variable : {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
    if (const std::string region = environment.text(variable); !region.empty()) return region;
  }
  const auto profiles = Profiles::load(environment);
  return profiles ? profiles->text(profile_name(profile, environment), "region") : std::string();
}

}  // namespace

Result<std::unique_ptr<RemoteCaller>> RemoteCaller::make(const KmsAccess& access, const Clock& clock,
                                                         Options options) {
  auto kms = kms_endpoint(access, options.environment);
  if (!kms) return std::move(kms).error();
  std::string region = kms->region;
  if (region.empty() && kms->is_signed()) region = configured_region(access.profile, options.environment);
  if (region.empty()) region = region_of_arn(access.key);
  if (!region.empty() && !is_region(region)) {
    return error(Kind::kInvalid, "'" + region + "' is no region; AWS_REGION or the profile says so");
  }
  auto sts = sts_endpoint(*kms, access, options.environment);
  if (!sts) return std::move(sts).error();
  return std::unique_ptr<RemoteCaller>(new RemoteCaller(std::move(*kms), std::move(*sts), std::move(region),
                                                        access.profile, clock, std::move(options)));
}

RemoteCaller::RemoteCaller(Endpoint kms, Endpoint sts, std::string region, std::string profile,
                           const Clock& clock, Options options)
    : clock_(clock),
      limits_(options.limits),
      environment_(std::move(options.environment)),
      profile_(std::move(profile)),
      transport_(std::make_shared<Transport>()),
      kms_(std::move(kms), transport_, clock, limits_, options.pause),
      sts_(std::move(sts), transport_, clock, limits_, options.pause),
      credentials_([this](const Deadline& deadline) { return fetch_credentials(deadline); }, clock),
      region_(std::move(region)) {}

Result<Credentials> RemoteCaller::fetch_credentials(const Deadline& deadline) {
  CredentialsContext context;
  context.environment = environment_;
  context.profile = profile_;
  context.transport = transport_;
  context.clock = &clock_;
  context.sts = &sts_;
  context.region = known_region();
  return find_credentials(context, deadline);
}

std::string RemoteCaller::known_region() {
  return region_.with([](const std::string& region) { return region; });
}

std::string RemoteCaller::region_for(ByteView json) {
  return region_.with([&](std::string& region) {
    if (!region.empty() || !kms_.endpoint().is_signed()) return region;
    if (const auto request = JsonObject::parse(json)) {
      for (const char* name : {"KeyId", "SourceKeyId", "DestinationKeyId", "TargetKeyId"}) {
        if (region.empty()) region = region_of_arn(request->text(name));
      }
    }
    return region;
  });
}

Result<kms::SensitiveBytes> RemoteCaller::call(std::string_view operation, ByteView json) {
  const std::string target = "TrentService." + std::string(operation);
  const std::string region = region_for(json);
  ServiceRequest request;
  request.service = "kms";
  request.region = region;
  request.content_type = "application/x-amz-json-1.1";
  request.target = target;
  request.body = json;
  auto reply = kms_.exchange(request, &credentials_, Deadline(clock_, limits_.operation_deadline));
  if (!reply) return std::move(reply).error().during(operation);
  if (reply->size() != 0 && !JsonObject::parse(reply->reveal())) {
    return error(Kind::kUnavailable, std::string(operation) + ": the KMS at " + kms_.endpoint().given +
                                         " answered with something that is no JSON object");
  }
  return reply;
}

Result<std::string> RemoteCaller::credentials_source() {
  if (!kms_.endpoint().is_signed()) return std::string();
  const auto found = credentials_.get(Deadline(clock_, limits_.operation_deadline));
  if (!found) return found.error();
  return (*found)->source;
}

Result<std::string> RemoteCaller::principal() {
  if (auto known = principal_.with([](const auto& remembered) { return remembered; }))
    return std::move(*known);
  Sts sts(sts_, known_region());
  auto asked = sts.caller_identity(&credentials_, Deadline(clock_, limits_.operation_deadline));
  if (!asked) return std::move(asked).error().during("asking who we are (GetCallerIdentity)");
  principal_.with([&](auto& remembered) { remembered = *asked; });
  return asked;
}

}  // namespace kmsfs
