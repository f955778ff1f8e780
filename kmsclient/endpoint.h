// Where a service is: what a KMS URI, or AWS's rules for host names, say.
//
// Always: an endpoint has been judged: plain http only to this host (by literal address or `localhost`),
// unless the user insists; no user name, path or query in a URL. Threads: plain values.
#pragma once

#include <string>
#include <string_view>

#include "core/result.h"
#include "kmsclient/access.h"
#include "kmsclient/environment.h"

namespace kmsfs {

struct Endpoint {
  std::string given;        // as the user wrote it, for errors
  std::string url;          // https://kms.eu-west-1.amazonaws.com/
  std::string host;         // kms.eu-west-1.amazonaws.com, 127.0.0.1:8080: as in the Host header
  std::string unix_socket;  // a path; then url is http://localhost/, and calls are not signed
  std::string region;       // what its calls are signed for; empty: not known from it
  std::string ca_bundle;    // AWS_CA_BUNDLE
  std::string proxy, no_proxy;

  bool is_signed() const { return unix_socket.empty(); }
};

// unix:PATH, http://HOST[:PORT], https://HOST[:PORT], aws:REGION. kUnsupported for another scheme, kInvalid
// for what is wrong with one of these, kUnavailable for configuration files that cannot be read or
// understood.
Result<Endpoint> kms_endpoint(const KmsAccess& access, const Environment& environment);

// The STS that belongs to a KMS: the one that is configured (AWS_ENDPOINT_URL_STS, the profile), else the one
// of the region for AWS's hosts, else the same endpoint (kmsd answers both).
Result<Endpoint> sts_endpoint(const Endpoint& kms, const KmsAccess& access, const Environment& environment);

// Any http(s) URL, for whoever has one from elsewhere. `what` names it in errors.
struct Url {
  std::string scheme, authority, host, rest;  // rest: path and query, from the slash on
  bool loopback = false;
};
Result<Url> parse_url(std::string_view url, std::string_view what);

bool is_region(std::string_view name);
// The region in an ARN; empty if it is none.
std::string region_of_arn(std::string_view arn);

inline constexpr std::string_view kKnownKmsUris =
    "local:DIRECTORY, unix:PATH, http://HOST:PORT, https://HOST[:PORT] and aws:REGION";

}  // namespace kmsfs
