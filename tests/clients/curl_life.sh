#!/usr/bin/env bash
# curl signs by itself (--aws-sigv4): the life of a key, errors on the wire, and what needs no signature and what does.
# The secret reaches curl by its configuration, not by the command line.
set -euo pipefail

fail() { echo "curl_life: $*" >&2; exit 1; }
call() {  # OPERATION JSON [OPTION...] -> the answer's body, then its status in a line of its own
  local operation=$1 json=$2
  shift 2
  /usr/bin/curl --silent --show-error --max-time 60 --config <(printf 'user = "%s:%s"\n' "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY") \
    --aws-sigv4 "aws:amz:$AWS_REGION:kms" --header 'Content-Type: application/x-amz-json-1.1' \
    --header "X-Amz-Target: TrentService.$operation" --data-binary "$json" --write-out '\n%{http_code}\n' "$@" "$KMSD_URL/"
}
member() { sed -n -E "s/.*\"$1\": ?\"([^\"]*)\".*/\1/p" | head -n 1; }
expect() { [[ $(call "$2" "$3") == *"$1"* ]] || fail "$2 did not say $1: $(call "$2" "$3")"; }

key=$(call CreateKey '{"Description":"curl"}' | member KeyId)
[[ $key =~ ^[0-9a-f-]{36}$ ]] || fail "no key: $key"
generated=$(call GenerateDataKey "{\"KeyId\":\"$key\",\"KeySpec\":\"AES_256\"}")
blob=$(member CiphertextBlob <<<"$generated") plain=$(member Plaintext <<<"$generated")
[[ $(call Decrypt "{\"CiphertextBlob\":\"$blob\"}" | member Plaintext) == "$plain" ]] || fail 'what was sealed does not open'
expect InvalidCiphertextException Decrypt '{"CiphertextBlob":"AAAA"}'
expect UnknownOperationException Undo '{}'
expect SerializationException ListKeys '{"Limit":'
call DisableKey "{\"KeyId\":\"$key\"}" >/dev/null
expect DisabledException Decrypt "{\"CiphertextBlob\":\"$blob\"}"
expect '"PendingWindowInDays"' ScheduleKeyDeletion "{\"KeyId\":\"$key\",\"PendingWindowInDays\":7}"

# Unsigned, and with a header that the signature does not cover.
unsigned=$(/usr/bin/curl --silent --max-time 60 --header 'X-Amz-Target: TrentService.ListKeys' --data-binary '{}' "$KMSD_URL/")
[[ $unsigned == *MissingAuthenticationToken* ]] || fail "an unsigned request got: $unsigned"
health=$(/usr/bin/curl --silent --max-time 60 --write-out '%{http_code}' "$KMSD_URL/health")
[[ $health == 200 ]] || fail "health said: $health"
echo OK
