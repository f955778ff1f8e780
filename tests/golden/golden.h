// What stands in the golden volumes: written by make_golden, once for each format that is released, and read
// by golden_test for ever.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "tests/support/fake_kms.h"

namespace kmsfs::golden {

inline constexpr const char* kKeyArn =
    "arn:aws:kms:local-1:111122223333:key/00000000-0000-4000-8000-00000000601d";
inline constexpr const char* kLinkName = "link";
inline constexpr const char* kLinkTarget = "../shared/some where/\xc3\xa9t\xc3\xa9.txt";
inline constexpr const char* kDirectoryName = "directory";
inline constexpr const char* kAttributeName = "user.mime_type";
inline constexpr const char* kAttributeValue = "text/plain";
inline constexpr std::size_t kHoleAt = 3032 + 4056,
                             kHoleSize = std::size_t{2} * 4056;  // blocks 2 and 3 of "sparse"

inline void add_golden_key(testing::FakeKmsServer& server) {
  std::array<std::byte, 32> master{};
  for (std::size_t i = 0; i < master.size(); ++i) master[i] = static_cast<std::byte>(0xa0 + i);
  server.import_key(kKeyArn, master);
}

struct File {
  std::string name;
  std::size_t size;
};

// In the root; "inner" stands in the directory.
inline std::vector<File> files() {
  return {{"empty", 0},
          {"one byte", 1},
          {"one full block", 3032},
          {"one full block and a byte", 3033},
          {"three blocks", 10000},
          {"sparse", 20000},
          {std::string(200, 'l') + " and long", 5},
          {std::string("not UTF-8: \xff\xfe"), 17}};
}
inline File inner_file() { return {"inner", 100}; }

inline Bytes content_of(const File& file) {
  Bytes content(file.size);
  for (std::size_t i = 0; i < content.size(); ++i) {
    content[i] = static_cast<std::byte>((i * 31 + i / 256 + file.name.size()) & 0xff);
  }
  if (file.name == "sparse") std::fill_n(content.begin() + kHoleAt, kHoleSize, std::byte{0});
  return content;
}

}  // namespace kmsfs::golden
