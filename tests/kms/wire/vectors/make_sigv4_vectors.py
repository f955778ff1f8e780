#!/usr/bin/python3
"""Makes sigv4/*.txt beside this file: requests, signed by botocore (Debian's python3-botocore).

One case per file, in the manner of the suite that AWS publishes. Sections begin with a line "--- NAME"; header
lines and the request line end with a newline, the body is hexadecimal.
"""
import os
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI="
HOST = [("Host", "kms.us-east-1.amazonaws.com")]
JSON = [("Content-Type", "application/x-amz-json-1.1")]


def target(name):
    return [("X-Amz-Target", "TrentService." + name)]


# name: method, target, headers, body, service, with a session token?
CASES = {
    "get-vanilla": ("GET", "/", HOST, b"", "service", False),
    "get-vanilla-token": ("GET", "/", HOST, b"", "service", True),
    "get-query-order-key": ("GET", "/?Param3=c&Param1=a&Param2=b", HOST, b"", "service", False),
    "get-query-order-value": ("GET", "/?Param1=b&Param1=a", HOST, b"", "service", False),
    "get-query-order-case": ("GET", "/?foo=1&Foo=2", HOST, b"", "service", False),
    "get-query-empty-value": ("GET", "/?Param1=&Param2=b", HOST, b"", "service", False),
    "get-query-unreserved": ("GET", "/?-._~0123456789ABCxyz=-._~0123456789ABCxyz", HOST, b"", "service", False),
    "get-query-encoded": ("GET", "/?p%20q=%E1%88%B4%2Fx", HOST, b"", "service", False),
    "get-path-space": ("GET", "/example%20space/", HOST, b"", "service", False),
    "get-path-utf8": ("GET", "/%E1%88%B4", HOST, b"", "service", False),
    "get-path-dots": ("GET", "/a/./b/../../c//d/", HOST, b"", "service", False),
    "get-path-above": ("GET", "/../..", HOST, b"", "service", False),
    "get-header-value-trim": ("GET", "/", HOST + [("My-Header1", "  value1 "), ("My-Header2", ' "a   b   c" ')], b"", "service", False),
    "get-header-value-tab": ("GET", "/", HOST + [("My-Header1", "a \t  b")], b"", "service", False),
    "get-header-order": ("GET", "/", [("My-Header2", "z"), ("my-header10", "y"), ("MY-HEADER1", "x")] + HOST, b"", "service", False),
    "get-header-twice": ("GET", "/", HOST + [("My-Header1", "value2"), ("My-Header1", "value1")], b"", "service", False),
    "get-header-empty": ("GET", "/", HOST + [("My-Header1", "")], b"", "service", False),
    "post-form": ("POST", "/", HOST + [("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")],
                  b"Action=GetCallerIdentity&Version=2011-06-15", "sts", False),
    "post-kms-encrypt": ("POST", "/", HOST + JSON + target("Encrypt"),
                         b'{"KeyId":"alias/test-kms","Plaintext":"aGVsbG8="}', "kms", False),
    "post-kms-encrypt-token": ("POST", "/", HOST + JSON + target("Encrypt"),
                               b'{"KeyId":"alias/test-kms","Plaintext":"aGVsbG8="}', "kms", True),
    "post-kms-empty-object": ("POST", "/", HOST + JSON + target("ListKeys"), b"{}", "kms", False),
    "post-kms-utf8-body": ("POST", "/", HOST + JSON + target("CreateKey"),
                           '{"Description":"鍵 für 🔑"}'.encode(), "kms", False),
    "post-kms-many-headers": ("POST", "/", JSON + target("DescribeKey") + [
        ("Host", "localhost:8443"), ("amz-sdk-invocation-id", "2f3f0d0b-8a3c-4b8e-9b43-0f3c1d5a1f7e"),
        ("amz-sdk-request", "attempt=1; max=3"), ("Content-Length", "2"),
        ("x-amz-user-agent", "aws-sdk-js/3.1163.0   ua/2.1")], b"{}", "kms", False),
}


def make(name, case):
    method, path, headers, body, service, with_token = case
    date, region = "20150830T123600Z", "us-east-1"
    credentials = Credentials(KEY, SECRET, TOKEN if with_token else None)
    host = [value for header, value in headers if header == "Host"][0]
    request = AWSRequest(method=method, url="https://" + host + path, data=body)
    sent = headers + [("X-Amz-Date", date)] + ([("X-Amz-Security-Token", TOKEN)] if with_token else [])
    for header, value in sent:
        request.headers.add_header(header, value)
    request.context["timestamp"] = date
    auth = SigV4Auth(credentials, service, region)
    canonical = auth.canonical_request(request)
    to_sign = auth.string_to_sign(request, canonical)
    signature = auth.signature(to_sign, request)
    signed = auth.signed_headers(auth.headers_to_sign(request))
    lines = ["--- case", f"region {region}", f"service {service}", f"date {date}", f"access-key {KEY}", f"secret-key {SECRET}"]
    if with_token:
        lines += [f"token {TOKEN}"]
    lines += ["--- request", f"{method} {path} HTTP/1.1"] + [f"{header}:{value}" for header, value in headers]
    lines += ["--- body", body.hex(), "--- canonical request", canonical, "--- string to sign", to_sign]
    lines += ["--- authorization",
              f"AWS4-HMAC-SHA256 Credential={KEY}/{date[:8]}/{region}/{service}/aws4_request, SignedHeaders={signed}, Signature={signature}"]
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "sigv4", name + ".txt"), "w", encoding="utf-8") as out:
        out.write("\n".join(lines) + "\n")


for case_name, case_value in CASES.items():
    make(case_name, case_value)
