// Credentials from the services that containers and instances have for it: plain HTTP within the machine.
#include <algorithm>
#include <cstring>

#include "kmsclient/credentials/chain.h"
#include "kmsclient/credentials/secret_input.h"

namespace kmsfs {

namespace {

using Found = Result<std::optional<Credentials>>;

constexpr Milliseconds kPatience{1000};  // as AWS's tools: they are near, or not there at all

Error broken(const std::string& text) { return error(Kind::kUnavailable, text); }

struct MetadataCall {
  std::string method = "GET";
  std::string url;
  std::vector<kms::OwnedHeader> headers = {};
};

// A header whose value is secret; wiped by wipe().
void wipe(std::vector<kms::OwnedHeader>& headers) {
  for (kms::OwnedHeader& header : headers) ::explicit_bzero(header.value.data(), header.value.size());
}

// The body of a reply of status 200.
Result<kms::SensitiveBytes> ask(const CredentialsContext& context, MetadataCall call,
                                const Deadline& deadline) {
  HttpCall http;
  http.method = call.method;
  http.url = call.url;
  http.headers = call.headers;
  http.ca_bundle = context.environment.text("AWS_CA_BUNDLE");
  http.deadline = std::clamp(deadline.left(), Milliseconds(1), kPatience);
  auto answer = context.transport->send(http);
  wipe(call.headers);
  if (auto* failure = std::get_if<TransportFailure>(&answer)) {
    return std::move(failure->error);
  }
  auto& reply = std::get<HttpReply>(answer);
  if (reply.status != 200) return broken("it answered with HTTP " + std::to_string(reply.status));
  return std::move(reply.body);
}

// Where a full URI may point without TLS: this host and the addresses of ECS and EKS.
bool is_container_host(const Url& url) {
  return url.loopback || url.host == "169.254.170.2" || url.host == "169.254.170.23" ||
         url.host == "fd00:ec2::23";
}

Result<std::vector<kms::OwnedHeader>> container_token(const Environment& environment) {
  std::vector<kms::OwnedHeader> headers;
  if (const std::string path = environment.text("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); !path.empty()) {
    auto token = read_secret_file(path, true);
    if (!token) return std::move(token).error();
    headers.push_back({"Authorization", std::string(as_text(token->reveal()))});
  } else if (const auto token = environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN"); !token.empty()) {
    headers.push_back({"Authorization", std::string(token)});
  }
  if (!headers.empty() && headers[0].value.find_first_of("\r\n") != std::string::npos) {
    wipe(headers);
    return broken("its authorization token has more than one line");
  }
  return headers;
}

std::string endpoint_of_instance(const Environment& environment) {
  std::string endpoint = environment.text("AWS_EC2_METADATA_SERVICE_ENDPOINT");
  if (!endpoint.empty()) return endpoint.ends_with('/') ? endpoint.substr(0, endpoint.size() - 1) : endpoint;
  const bool six = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE") == "IPv6";
  return six ? "http://[fd00:ec2::254]" : "http://169.254.169.254";
}

}  // namespace

Found credentials_from_container(const CredentialsContext& context, const Deadline& deadline) {
  const std::string relative = context.environment.text("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  const std::string full = context.environment.text("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (relative.empty() && full.empty()) return std::optional<Credentials>();
  const std::string source = "the container";
  MetadataCall call;
  call.url = relative.empty() ? full : "http://169.254.170.2" + relative;
  auto url = parse_url(call.url, relative.empty() ? "AWS_CONTAINER_CREDENTIALS_FULL_URI"
                                                  : "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  if (!url) return broken_source(std::move(url).error(), source);
  if (url->scheme == "http" && !is_container_host(*url)) {
    return broken_source(broken("AWS_CONTAINER_CREDENTIALS_FULL_URI: plain http to another host"), source);
  }
  auto headers = container_token(context.environment);
  if (!headers) return broken_source(std::move(headers).error(), source);
  call.headers = std::move(*headers);
  auto answer = ask(context, std::move(call), deadline);
  if (!answer) return broken_source(std::move(answer).error(), source);
  auto credentials = credentials_of_json(answer->reveal(), source);
  if (!credentials) return broken_source(std::move(credentials).error(), source);
  return std::optional(std::move(*credentials));
}

Found credentials_from_instance(const CredentialsContext& context, const Deadline& deadline) {
  if (context.environment.is_true("AWS_EC2_METADATA_DISABLED")) return std::optional<Credentials>();
  const std::string source = "the instance metadata service";
  const std::string endpoint = endpoint_of_instance(context.environment);
  const bool asked_for = !context.environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT").empty();
  auto token =
      ask(context, {"PUT", endpoint + "/latest/api/token", {{"X-aws-ec2-metadata-token-ttl-seconds", "300"}}},
          deadline);
  if (!token) {
    // Most machines are no instances: nobody there means that there is none.
    if (!asked_for) return std::optional<Credentials>();
    return broken_source(std::move(token).error(), source);
  }
  const auto ask_with_token = [&](const std::string& path) {
    return ask(
        context,
        {"GET", endpoint + path, {{"X-aws-ec2-metadata-token", std::string(as_text(token->reveal()))}}},
        deadline);
  };
  const std::string roles = "/latest/meta-data/iam/security-credentials/";
  auto names = ask_with_token(roles);
  if (!names) return broken_source(std::move(names).error(), source);
  const std::string_view lines = as_text(names->reveal());
  const std::string role(lines.substr(0, lines.find_first_of("\r\n")));
  const bool sound = !role.empty() && role.find_first_of(" /?#%") == std::string::npos;
  if (!sound) return broken_source(broken("it names no role"), source);
  auto answer = ask_with_token(roles + role);
  if (!answer) return broken_source(std::move(answer).error(), source);
  auto credentials = credentials_of_json(answer->reveal(), source);
  if (!credentials) return broken_source(std::move(credentials).error(), source);
  return std::optional(std::move(*credentials));
}

}  // namespace kmsfs
