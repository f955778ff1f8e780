// What a KMS or STS said when it did not do what was asked: its reply as an Error.
//
// A verdict (denied, disabled, gone) needs a well-formed AWS error; anything else that is not a success is
// kUnavailable, for it comes from a proxy, a wrong server or a broken one. Threads: any.
#pragma once

#include <string_view>

#include "core/bytes.h"
#include "core/result.h"

namespace kmsfs {

// By the error code, and by the class of the status where the code is unknown: 5xx is always kUnavailable.
// `code` may have AWS's decorations: `prefix#CODE:suffix`. The message is the server's: what is no text is
// taken out, and it is cut to a sensible length.
Error error_of_code(int status, std::string_view code, std::string_view message);

// The body of an error reply: JSON of the KMS (`error_type`: the header x-amzn-errortype), XML of STS.
Error error_of_json(int status, std::string_view error_type, ByteView body);
Error error_of_xml(int status, std::string_view error_type, ByteView body);

// The text of the first <NAME>…</NAME> as it stands; empty if there is none.
std::string_view xml_element(std::string_view xml, std::string_view name);

}  // namespace kmsfs
