// A name cipher with a key that everybody knows, so that inputs found once can be replayed.
#pragma once

#include <optional>

#include "fs/names.h"
#include "tests/fuzz/fuzz.h"

namespace kmsfs::fuzz {

inline const SivKey& name_key() {
  static const SivKey key = [] {
    start_cryptography();
    auto made = SivKey::make();
    require(made.ok(), "there is locked memory");
    for (std::size_t i = 0; i < SivKey::kSize; ++i) made->fill()[i] = static_cast<std::byte>(i);
    return std::move(*made);
  }();
  return key;
}

inline const NameCipher& name_cipher() {
  static const NameCipher cipher = std::move(*NameCipher::make(name_key()));
  return cipher;
}

inline DirectoryId directory() { return {}; }

// The full form of any bytes as a name, whether or not an entry can be called that.
inline std::string sealed_without_rules(ByteView name) {
  static const AesSiv siv = std::move(*AesSiv::make(name_key()));
  Bytes sealed(name.size() + AesSiv::kOverhead);
  require(siv.seal(directory().view(), name, sealed).ok(), "names can be sealed");
  return to_base64url(sealed);
}

// What decrypts is what encrypt() would have stored, and a name that an entry can have.
inline void require_the_only_spelling(const std::string& name, std::string_view entry,
                                      std::string_view side_target) {
  require(!name.empty() && name.size() <= kMaxName && name != "." && name != "..",
          "a name has a size and a place");
  require(name.find('/') == std::string::npos && name.find('\0') == std::string::npos, "a name is one name");
  const auto stored = name_cipher().encrypt(directory(), name);
  require(stored.ok() && stored->entry == entry, "a name has one entry");
  require(!is_long_entry(entry) || stored->side_target == side_target, "a long name has one side link");
}

}  // namespace kmsfs::fuzz
