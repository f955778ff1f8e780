#include "fs/names.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <numeric>
#include <set>

#include "fs/volume_keys.h"
#include "tests/support/crypto_environment.h"

namespace kmsfs {
namespace {

std::array<std::byte, 32> counting_bytes() {
  std::array<std::byte, 32> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
  return bytes;
}

class Names : public ::testing::Test {
 protected:
  static SivKey key() {
    const VolumeId volume = *VolumeId::parse_hex("101112131415161718191a1b1c1d1e1f");
    return *derive_from_volume_key<SivKey>(counting_bytes(), label::kNames, 1, volume);
  }

  StoredName encrypt(std::string_view name) const { return *cipher_.encrypt(directory_, name); }
  Result<std::string> decrypt(const StoredName& stored) const {
    return cipher_.decrypt(directory_, stored.entry, stored.side_target);
  }
  // What somebody with the key, but without our rules, could store.
  std::string sealed_without_rules(std::string_view name) const {
    const AesSiv siv = *AesSiv::make(key());
    Bytes sealed(name.size() + AesSiv::kOverhead);
    EXPECT_TRUE(siv.seal(directory_.view(), as_bytes(name), sealed).ok());
    return to_base64url(sealed);
  }
  static std::string long_entry_of(std::string_view full_form) {
    return kLongEntryPrefix + to_base64url(sha256(as_bytes(full_form)));
  }
  void expect_corrupt(std::string_view entry, std::string_view side_target) const {
    const auto name = cipher_.decrypt(directory_, entry, side_target);
    ASSERT_FALSE(name.ok()) << "decrypts to " << *name;
    EXPECT_EQ(name.error().kind, Kind::kCorrupt);
  }

  const NameCipher cipher_ = *NameCipher::make(key());
  const DirectoryId directory_ = *DirectoryId::parse_hex("202122232425262728292a2b2c2d2e2f");
  const DirectoryId other_directory_ = *DirectoryId::parse_hex("302122232425262728292a2b2c2d2e2f");
};

TEST_F(Names, NamesOfOneTo255BytesComeBackAndTheirEntriesFit) {
  std::set<std::string> entries;
  for (std::size_t size = 1; size <= 255; ++size) {
    std::string name(size, 'x');
    std::iota(name.begin(), name.end(), static_cast<char>(size));
    for (char& c : name) c = c == '/' || c == '\0' ? '.' : c;
    if (name == "." || name == "..") name = "!" + name.substr(1);
    const StoredName stored = encrypt(name);
    EXPECT_LE(stored.entry.size(), 255U);
    EXPECT_LE(stored.side_link.size(), 255U);
    EXPECT_TRUE(entries.insert(stored.entry).second);
    const auto back = decrypt(stored);
    ASSERT_TRUE(back.ok()) << size << ": " << back.error().text;
    EXPECT_EQ(*back, name);
  }
}

TEST_F(Names, OnlyNamesOf176BytesAndMoreHaveSideLinks) {
  const StoredName shorter = encrypt(std::string(175, 'n'));
  EXPECT_FALSE(is_long_entry(shorter.entry));
  EXPECT_TRUE(shorter.side_link.empty());
  EXPECT_TRUE(shorter.side_target.empty());

  const StoredName longer = encrypt(std::string(176, 'n'));
  EXPECT_TRUE(is_long_entry(longer.entry));
  EXPECT_EQ(longer.side_link, side_link_of(longer.entry));
  EXPECT_TRUE(is_internal_entry(longer.side_link));
  EXPECT_FALSE(is_internal_entry(longer.entry));
}

TEST_F(Names, NamesPast255BytesAreTooLong) {
  const auto stored = cipher_.encrypt(directory_, std::string(256, 'n'));
  ASSERT_FALSE(stored.ok());
  EXPECT_EQ(stored.error().system_errno, ENAMETOOLONG);
}

TEST_F(Names, WhatNoEntryCanBeCalledIsNotEncrypted) {
  using namespace std::string_view_literals;
  for (std::string_view name : {""sv, "."sv, ".."sv, "a/b"sv, "/"sv, "a\0b"sv}) {
    const auto stored = cipher_.encrypt(directory_, name);
    ASSERT_FALSE(stored.ok());
    EXPECT_EQ(stored.error().kind, Kind::kInvalid);
  }
}

TEST_F(Names, WhatNoEntryCanBeCalledIsCorruptEvenIfItAuthenticates) {
  using namespace std::string_view_literals;
  for (std::string_view name : {""sv, "."sv, ".."sv, "a/b"sv, "../../etc/passwd"sv, "a\0b"sv}) {
    expect_corrupt(sealed_without_rules(name), {});
  }
  for (const std::string& name : {std::string(256, 'n'), std::string(200, '/'), std::string(200, '\0')}) {
    const std::string full_form = sealed_without_rules(name);
    expect_corrupt(long_entry_of(full_form), full_form);
  }
}

TEST_F(Names, OneNameInOneDirectoryAlwaysHasTheSameEntry) {
  EXPECT_EQ(encrypt("report.txt").entry, encrypt("report.txt").entry);
  EXPECT_EQ(encrypt(std::string(200, 'r')).entry, encrypt(std::string(200, 'r')).entry);
}

TEST_F(Names, TheSameNameInAnotherDirectoryHasAnotherEntry) {
  EXPECT_NE(encrypt("report.txt").entry, cipher_.encrypt(other_directory_, "report.txt")->entry);
}

TEST_F(Names, AnEntryMovedToAnotherDirectoryIsCorrupt) {
  for (const std::string& name : {std::string("report.txt"), std::string(200, 'r')}) {
    const StoredName stored = encrypt(name);
    const auto moved = cipher_.decrypt(other_directory_, stored.entry, stored.side_target);
    ASSERT_FALSE(moved.ok());
    EXPECT_EQ(moved.error().kind, Kind::kCorrupt);
  }
}

TEST_F(Names, AnEntryChangedInAnyCharacterIsCorrupt) {
  const std::string entry = encrypt("report.txt").entry;
  for (std::size_t i = 0; i < entry.size(); ++i) {
    for (char c : {'A', 'b', '-', '_', '=', ' ', '.', '\0', '\n'}) {
      std::string changed = entry;
      changed[i] = c;
      if (changed != entry) expect_corrupt(changed, {});
    }
  }
}

TEST_F(Names, AnEntryCutOrGrownIsCorrupt) {
  const std::string entry = encrypt("report.txt").entry;
  for (std::size_t size = 0; size < entry.size(); ++size) expect_corrupt(entry.substr(0, size), {});
  for (const char* more : {"A", "AA", "AAA", "AAAA", "=", "=="}) expect_corrupt(entry + more, {});
}

// "QQ" and "QR" decode to one byte alike unless the bits that are left over are looked at.
TEST_F(Names, NoSecondSpellingOfAnEntryDecrypts) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  for (const char* name : {"a", "ab", "abc"}) {
    const std::string entry = encrypt(name).entry;
    int decrypted = 0;
    for (char last : kAlphabet) {
      decrypted += cipher_.decrypt(directory_, entry.substr(0, entry.size() - 1) + last, {}).ok() ? 1 : 0;
    }
    EXPECT_EQ(decrypted, 1) << name;
  }
}

TEST_F(Names, ALongNameWithoutItsSideLinkIsCorrupt) {
  expect_corrupt(encrypt(std::string(200, 'r')).entry, {});
}

TEST_F(Names, ASideLinkCutOrGrownOrChangedIsCorrupt) {
  const StoredName stored = encrypt(std::string(200, 'r'));
  for (std::size_t size = 0; size < stored.side_target.size(); ++size) {
    expect_corrupt(stored.entry, std::string_view(stored.side_target).substr(0, size));
  }
  expect_corrupt(stored.entry, stored.side_target + "A");
  expect_corrupt(stored.entry, stored.side_target + std::string(100'000, 'A'));
  for (std::size_t i = 0; i < stored.side_target.size(); ++i) {
    std::string changed = stored.side_target;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    expect_corrupt(stored.entry, changed);
    expect_corrupt(long_entry_of(changed), changed);  // the hash made to fit: then the cipher says no
  }
}

TEST_F(Names, SwappedSideLinksAreCorrupt) {
  const StoredName one = encrypt(std::string(200, '1'));
  const StoredName two = encrypt(std::string(200, '2'));
  expect_corrupt(one.entry, two.side_target);
  expect_corrupt(two.entry, one.side_target);
}

// Else one plain name could stand in a directory twice, and a lookup would find only one of the two.
TEST_F(Names, AShortNameStoredAsALongOneIsCorrupt) {
  const std::string full_form = encrypt("report.txt").entry;
  expect_corrupt(long_entry_of(full_form), full_form);
  const std::string longest_short = encrypt(std::string(175, 's')).entry;
  expect_corrupt(long_entry_of(longest_short), longest_short);
}

TEST_F(Names, ALongNameStoredAsAShortOneIsCorrupt) {
  expect_corrupt(sealed_without_rules(std::string(176, 'n')), {});
}

TEST_F(Names, NoPlainNameIsStoredAsOneOfOurs) {
  for (const char* name :
       {kVolumeDirectory, kDirectoryIdLink, ".kmsfs-long.x", ".kmsfs-name.x", ".kmsfs-tmp.x"}) {
    const StoredName stored = encrypt(name);
    EXPECT_FALSE(is_internal_entry(stored.entry));
    EXPECT_FALSE(is_long_entry(stored.entry));
    EXPECT_EQ(*decrypt(stored), name);
  }
}

TEST_F(Names, OursAreToldFromThoseOfUsers) {
  for (const char* entry : {".kmsfs", ".kmsfs-dir", ".kmsfs-name.AAAA", ".kmsfs-tmp.0123"}) {
    EXPECT_TRUE(is_internal_entry(entry)) << entry;
  }
  for (const char* entry : {".kmsfs-long.AAAA", "AAAA", ".kmsfs2", "lost+found", ""}) {
    EXPECT_FALSE(is_internal_entry(entry)) << entry;
  }
}

// The sample of docs/FORMAT.md, "Names".
TEST_F(Names, StoredNamesAreThoseOfTheFormat) {
  EXPECT_EQ(encrypt("hello.txt").entry, "yJDykg8Uz1e4oBiNCEwYezmZSJWYn3uEWg");
  const StoredName stored = encrypt(std::string(176, 'n'));
  EXPECT_EQ(stored.entry, ".kmsfs-long.H_2ksZci9B3WqZcUlfU_EMFj0mz_YEQLgImTGYO7Los");
  EXPECT_EQ(stored.side_link, ".kmsfs-name.H_2ksZci9B3WqZcUlfU_EMFj0mz_YEQLgImTGYO7Los");
  EXPECT_EQ(
      stored.side_target,
      "RHNe7O2htqJ3DrbdCNcB83v-dpu10qljiZDjO6aF147RTZwyJ2RKeYa9bL3QFR7mEn0lMb7WZxGtjX_9Ds8PSDadQSG5gS01XPp1"
      "x9XxtdSfVNfphi9_8avA-kQApopTlPDBrzgQ73wIDIq-IwmDBo4HtDFaRK7mwSJvgGAGK-bdDYVxV9sAOIRyp6LYilCQRUVc8RL6"
      "ztMnTiBDTX2nxBmZd_zED9gKhEfOMpoBnUpBZR4Tt73_P6VV-yqXssG-");
}

}  // namespace
}  // namespace kmsfs
