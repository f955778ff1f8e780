#include "kmsclient/endpoint.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>

#include "kmsclient/endpoint_settings.h"

namespace kmsfs {

namespace {

Error invalid(std::string text) { return error(Kind::kInvalid, std::move(text)); }

bool is_loopback(const std::string& host) {
  if (host == "localhost") return true;
  in_addr four{};
  if (::inet_pton(AF_INET, host.c_str(), &four) == 1) return (ntohl(four.s_addr) >> 24) == 127;
  in6_addr six{};
  return ::inet_pton(AF_INET6, host.c_str(), &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

bool is_host(std::string_view host) {
  if (host.empty() || host.size() > 253) return false;
  return std::all_of(host.begin(), host.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  });
}

bool is_port(std::string_view text) {
  unsigned port = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), port);
  return failed == std::errc() && end == text.data() + text.size() && port >= 1 && port <= 65535;
}

// HOST, HOST:PORT, [V6], [V6]:PORT.
Result<std::string> host_of(std::string_view authority, const std::string& what) {
  if (authority.starts_with('[')) {
    const auto end = authority.find(']');
    const std::string host(authority.substr(1, end == std::string_view::npos ? end : end - 1));
    in6_addr six{};
    if (end == std::string_view::npos || ::inet_pton(AF_INET6, host.c_str(), &six) != 1) {
      return invalid(what + ": what stands in [] is no IPv6 address");
    }
    const std::string_view rest = authority.substr(end + 1);
    if (!rest.empty() && (rest.front() != ':' || !is_port(rest.substr(1)))) {
      return invalid(what + ": the port must be a number from 1 to 65535");
    }
    return host;
  }
  const auto colon = authority.find(':');
  const std::string_view host = authority.substr(0, colon);
  if (colon != std::string_view::npos && !is_port(authority.substr(colon + 1))) {
    return invalid(what + ": the port must be a number from 1 to 65535");
  }
  if (!is_host(host)) return invalid(what + " needs a host name, as in https://kms.example.com:8443");
  return std::string(host);
}

void add_surroundings(Endpoint& endpoint, std::string_view scheme, bool loopback,
                      const Environment& environment) {
  endpoint.ca_bundle = environment.text("AWS_CA_BUNDLE");
  if (loopback) return;
  const bool tls = scheme == "https";
  // The capital HTTP_PROXY is not looked at, as everywhere: a CGI program gets it from its client.
  endpoint.proxy = environment.text(tls ? "https_proxy" : "http_proxy");
  if (endpoint.proxy.empty() && tls) endpoint.proxy = environment.text("HTTPS_PROXY");
  endpoint.no_proxy = environment.text("no_proxy");
  if (endpoint.no_proxy.empty()) endpoint.no_proxy = environment.text("NO_PROXY");
}

Result<Endpoint> from_url(const std::string& uri, bool insecure_http, const Environment& environment) {
  const std::string what = "the KMS '" + uri + "'";
  auto url = parse_url(uri, what);
  if (!url) return std::move(url).error();
  if (url->rest != "/") return invalid(what + ": nothing may follow the host and port");
  if (url->scheme == "http" && !url->loopback && !insecure_http) {
    return invalid(
        what +
        ": plain http would show the keys to everybody on the way; use https, or http to this host "
        "(127.0.0.1, [::1], localhost)");
  }
  Endpoint endpoint;
  endpoint.given = uri;
  endpoint.url = url->scheme + "://" + url->authority + "/";
  endpoint.host = url->authority;
  add_surroundings(endpoint, url->scheme, url->loopback, environment);
  // kms.REGION.amazonaws.com, and what ends so: VPC endpoints.
  if (const auto at = url->host.find(".amazonaws.com"); at != std::string::npos) {
    std::string_view front = std::string_view(url->host).substr(0, at);
    if (front.ends_with(".vpce")) front.remove_suffix(5);
    const auto dot = front.rfind('.');
    const std::string_view region = dot == std::string_view::npos ? "" : front.substr(dot + 1);
    if (is_region(region)) endpoint.region = region;
  }
  return endpoint;
}

struct Partition {
  std::string_view prefix, suffix, dual_stack_suffix;
};
constexpr Partition kPartitions[] = {
    {"cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"},
    {"us-isob-", "sc2s.sgov.gov", ""},
    {"us-iso-", "c2s.ic.gov", ""},
    {"eu-isoe-", "cloud.adc-e.uk", ""},
    {"us-isof-", "csp.hci.ic.gov", ""},
    {"", "amazonaws.com", "api.aws"},
};

Result<Endpoint> from_region(const std::string& given, const std::string& service, const std::string& region,
                             const EndpointSettings& settings, const Environment& environment) {
  const Partition& partition =
      *std::find_if(std::begin(kPartitions), std::end(kPartitions),
                    [&](const Partition& p) { return region.starts_with(p.prefix); });
  const bool dual_stack = settings.dual_stack();
  if (dual_stack && partition.dual_stack_suffix.empty()) {
    return invalid(
        "a dual-stack endpoint is asked for (AWS_USE_DUALSTACK_ENDPOINT, use_dualstack_endpoint), "
        "and the region " +
        region + " has none");
  }
  Endpoint endpoint;
  endpoint.given = given;
  endpoint.host = service + (settings.fips() ? "-fips." : ".") + region + "." +
                  std::string(dual_stack ? partition.dual_stack_suffix : partition.suffix);
  endpoint.url = "https://" + endpoint.host + "/";
  endpoint.region = region;
  add_surroundings(endpoint, "https", false, environment);
  return endpoint;
}

std::string without_final_slash(std::string url) {
  if (url.ends_with('/')) url.pop_back();
  return url;
}

Result<Endpoint> from_aws(const KmsAccess& access, const Environment& environment) {
  const std::string region = access.uri.substr(4);
  if (!is_region(region)) {
    return invalid("the KMS '" + access.uri + "': aws: needs a region, as in aws:eu-west-1");
  }
  auto settings = EndpointSettings::load(access.profile, environment);
  if (!settings) return std::move(settings).error();
  const auto [url, where] = settings->url("kms");
  if (url.empty()) return from_region(access.uri, "kms", region, *settings, environment);
  auto endpoint = from_url(without_final_slash(url), access.insecure_http, environment);
  if (!endpoint) return std::move(endpoint).error().during("the endpoint URL of KMS in " + where);
  endpoint->given = access.uri;
  endpoint->region = region;
  return endpoint;
}

Result<Endpoint> from_socket(const std::string& uri) {
  Endpoint endpoint;
  endpoint.given = uri;
  endpoint.unix_socket = uri.substr(5);
  endpoint.url = "http://localhost/";
  endpoint.host = "localhost";
  const std::string what = "the KMS '" + uri + "'";
  if (!endpoint.unix_socket.starts_with('/')) {
    return invalid(what + ": unix: needs the absolute path of a socket, as in unix:/run/kmsd/kmsd.sock");
  }
  if (endpoint.unix_socket.size() >= sizeof(sockaddr_un::sun_path)) {
    return invalid(what + ": the path of a socket has at most 107 bytes");
  }
  return endpoint;
}

}  // namespace

Result<Url> parse_url(std::string_view url, std::string_view what) {
  Url parsed;
  const auto colon = url.find("://");
  parsed.scheme = url.substr(0, colon == std::string_view::npos ? 0 : colon);
  if (parsed.scheme != "http" && parsed.scheme != "https") {
    return invalid(std::string(what) + " is no URL that starts with http:// or https://");
  }
  std::string_view rest = url.substr(colon + 3);
  const auto slash = rest.find('/');
  parsed.authority = rest.substr(0, slash);
  parsed.rest = slash == std::string_view::npos ? "/" : std::string(rest.substr(slash));
  if (std::any_of(url.begin(), url.end(), [](char c) { return c <= ' ' || c >= 0x7f; })) {
    return invalid(std::string(what) + ": a URL has neither spaces nor control characters");
  }
  auto host = host_of(parsed.authority, std::string(what));
  if (!host) return std::move(host).error();
  parsed.host = std::move(*host);
  parsed.loopback = is_loopback(parsed.host);
  return parsed;
}

Result<Endpoint> kms_endpoint(const KmsAccess& access, const Environment& environment) {
  const std::string& uri = access.uri;
  if (uri.starts_with("unix:")) return from_socket(uri);
  if (uri.starts_with("aws:")) return from_aws(access, environment);
  if (uri.starts_with("http:") || uri.starts_with("https:")) {
    return from_url(without_final_slash(uri), access.insecure_http, environment);
  }
  return error(Kind::kUnsupported, "the KMS '" + uri +
                                       "' is of a kind that this version does not know; it knows " +
                                       std::string(kKnownKmsUris));
}

Result<Endpoint> sts_endpoint(const Endpoint& kms, const KmsAccess& access, const Environment& environment) {
  if (!kms.is_signed()) return kms;
  auto settings = EndpointSettings::load(access.profile, environment);
  if (!settings) return std::move(settings).error();
  const auto [url, where] = settings->url("sts");
  if (!url.empty()) {
    auto endpoint = from_url(without_final_slash(url), false, environment);
    if (!endpoint) return std::move(endpoint).error().during("the endpoint URL of STS in " + where);
    endpoint->region = kms.region;
    return endpoint;
  }
  if (kms.host.find(".amazonaws.com") == std::string::npos && !kms.given.starts_with("aws:")) return kms;
  // Of an aws: whose KMS is elsewhere by AWS_ENDPOINT_URL_KMS the STS stays where it is.
  return from_region(kms.given, "sts", kms.region, *settings, environment);
}

bool is_region(std::string_view name) {
  if (name.empty() || name.size() > 63 || name.front() == '-' || name.back() == '-') return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

std::string region_of_arn(std::string_view arn) {
  // arn:aws:kms:REGION:ACCOUNT:key/…
  if (!arn.starts_with("arn:")) return {};
  std::size_t colon = 3;
  for (int i = 0; i < 2; ++i) {
    colon = arn.find(':', colon + 1);
    if (colon == std::string_view::npos) return {};
  }
  const std::string_view region = arn.substr(colon + 1, arn.find(':', colon + 1) - colon - 1);
  return is_region(region) ? std::string(region) : std::string();
}

}  // namespace kmsfs
