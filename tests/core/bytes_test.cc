#include "core/bytes.h"

#include <gtest/gtest.h>

#include "core/ids.h"
#include "core/result.h"

namespace kmsfs {
namespace {

TEST(ByteReader, ReadPastTheEndYieldsZerosAndIsRemembered) {
  const Bytes bytes(3, std::byte{0xff});
  ByteReader in(bytes);
  EXPECT_EQ(in.u16(), 0xffff);
  EXPECT_EQ(in.u32(), 0U);
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(in.u8(), 0) << "after a failure nothing more is read";
}

TEST(ByteReader, LeftOverBytesAreNotComplete) {
  const Bytes bytes(3);
  ByteReader in(bytes);
  in.u16();
  EXPECT_TRUE(in.ok());
  EXPECT_FALSE(in.complete());
}

TEST(ByteReader, ReservedBytesThatAreNotZeroAreMalformed) {
  const Bytes bytes{std::byte{0}, std::byte{1}};
  ByteReader in(bytes);
  in.zeros(2);
  EXPECT_FALSE(in.complete());
}

TEST(ByteWriter, NeverWritesPastItsBuffer) {
  std::array<std::byte, 8> buffer{};
  ByteWriter out(ByteSpan(buffer).first(6));
  out.u32(0x01020304);
  out.u32(0xffffffff);
  EXPECT_FALSE(out.ok());
  EXPECT_EQ(to_hex(buffer), "0102030400000000");
}

TEST(Base64, DecodingRefusesWhatAnEncoderWouldNotWrite) {
  for (std::string_view text : {"QQ", "QR==", "QQ=", "Q===", "QQ==\n", "Q Q=", "Q_=="}) {
    EXPECT_FALSE(from_base64(text).ok()) << text;
  }
  for (std::string_view text : {"QQ==", "QR", "Q", "Q+", "QQ\n"}) {
    EXPECT_FALSE(from_base64url(text).ok()) << text;
  }
}

TEST(Base64, EveryLengthComesBack) {
  for (std::size_t size = 0; size < 70; ++size) {
    Bytes bytes(size);
    random_bytes(bytes);
    EXPECT_EQ(from_base64(to_base64(bytes)).value(), bytes);
    EXPECT_EQ(from_base64url(to_base64url(bytes)).value(), bytes);
    EXPECT_EQ(to_base64url(bytes).size(), base64url_size(size));
    EXPECT_EQ(from_hex(to_hex(bytes)).value(), bytes);
  }
}

TEST(Id, OnlyThirtyTwoHexadecimalDigitsAreAnId) {
  const FileId id = FileId::random();
  EXPECT_EQ(FileId::parse_hex(id.hex()).value(), id);
  EXPECT_FALSE(FileId::parse_hex(id.hex().substr(2)).ok());
  EXPECT_FALSE(FileId::parse_hex(std::string(32, 'g')).ok());
  EXPECT_NE(FileId::random(), id);
}

TEST(Error, TellsWhatWasBeingDoneOutermostFirst) {
  const Error wrong =
      error(Kind::kCorrupt, "cut short").during("reading the header").during("opening the file");
  EXPECT_EQ(wrong.text, "opening the file: reading the header: cut short");
  EXPECT_EQ(wrong.kind, Kind::kCorrupt);
}

TEST(Error, OfASystemCallKeepsItsErrno) {
  EXPECT_EQ(Error::from_errno(ENOSPC).kind, Kind::kNoSpace);
  EXPECT_EQ(Error::from_errno(ENOENT).kind, Kind::kNotFound);
  EXPECT_EQ(Error::from_errno(EXDEV).system_errno, EXDEV);
}

}  // namespace
}  // namespace kmsfs
