#include "kms/seal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <thread>

#include "core/unique_fd.h"
#include "kms/store.h"
#include "tests/kms/kms_fixture.h"

namespace kmsfs::kms::test {
namespace {

class SealTest : public ::testing::Test {
 protected:
  Result<std::unique_ptr<Service>> open(const PassphraseSource& source) {
    return Service::open(path(), source, clock_, make_null_logger());
  }
  std::string path() const { return directory_ / "kms"; }
  void make(const SealOptions& seal, const PassphraseSource& source) {
    auto made = Service::create_store(path(), {seal, "local-1"}, source);
    ASSERT_TRUE(made) << text_of(made);
  }
  TemporaryDirectory directory_;
  ManualClock clock_;
};

TEST_F(SealTest, TheRightPassphraseOpensAndAWrongOneDoesNot) {
  make(cheap_passphrase_seal(), passphrase("correct horse"));
  EXPECT_TRUE(open(passphrase("correct horse")));
  for (const char* wrong : {"correct hors", "correct horse ", "Correct horse", "x"}) {
    auto opened = open(passphrase(wrong));
    ASSERT_FALSE(opened) << wrong;
    EXPECT_EQ(opened.error().kind, Kind::kDenied);
    EXPECT_NE(opened.error().text.find("wrong passphrase"), std::string::npos);
  }
}

TEST_F(SealTest, WithoutAChoiceOfSealTheErrorSaysWhatToGive) {
  auto made = Service::create_store(path(), {cheap_passphrase_seal(), "local-1"}, {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, Kind::kInvalid);
  EXPECT_NE(made.error().text.find("--seal keyfile"), std::string::npos);
  EXPECT_FALSE(*Service::has_store(path()));
  make(cheap_passphrase_seal(), passphrase("x"));
  auto opened = open({});
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().text.find("--passphrase-file"), std::string::npos);
}

TEST_F(SealTest, AKeyFileOpenToOthersIsRefusedAndTheErrorSaysChmod) {
  make(key_file_seal(), {});
  const std::string file = path() + "/seal.key";
  struct stat status {};
  ASSERT_EQ(::stat(file.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
  EXPECT_EQ(status.st_size, 32);
  for (const mode_t mode : {0640U, 0604U, 0601U}) {
    ASSERT_EQ(::chmod(file.c_str(), mode), 0);
    auto opened = open({});
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().kind, Kind::kDenied);
    EXPECT_NE(opened.error().text.find("chmod 600"), std::string::npos) << opened.error().text;
  }
  ASSERT_EQ(::chmod(file.c_str(), 0600), 0);
  EXPECT_TRUE(open({}));
}

TEST_F(SealTest, AKeyFileOfSomebodyElseIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  make(key_file_seal(), {});
  ASSERT_EQ(::chown((path() + "/seal.key").c_str(), 4242, 4242), 0);
  auto opened = open({});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, Kind::kDenied);
  EXPECT_NE(opened.error().text.find("4242"), std::string::npos);
}

TEST_F(SealTest, AKeyFileThatIsMissingLinkedShortOrForeignOpensNothing) {
  make(key_file_seal(), {});
  const std::string file = path() + "/seal.key", kept = directory_ / "kept";
  ASSERT_EQ(::rename(file.c_str(), kept.c_str()), 0);
  EXPECT_FALSE(open({}));
  ASSERT_EQ(::symlink(kept.c_str(), file.c_str()), 0);
  EXPECT_EQ(open({}).error().kind, Kind::kDenied);
  ASSERT_EQ(::unlink(file.c_str()), 0);
  for (const std::size_t size : {0U, 31U, 33U}) {
    write_text(file, std::string(size, 'k'));
    ASSERT_EQ(::chmod(file.c_str(), 0600), 0);
    EXPECT_EQ(open({}).error().kind, Kind::kCorrupt) << size;
  }
  write_text(file, std::string(32, 'k'));
  auto foreign = open({});
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().kind, Kind::kCorrupt);
  ASSERT_EQ(::rename(kept.c_str(), file.c_str()), 0);
  EXPECT_TRUE(open({}));
}

TEST_F(SealTest, ASealWhoseParametersWereChangedOpensNothing) {
  make(cheap_passphrase_seal(), passphrase("x"));
  const auto with_seal = [&](const auto& edit) {
    auto store = Store::open(path());
    auto transaction = (*store)->write();
    const std::string seal(as_text(**(*transaction)->get(Table::kMeta, as_bytes("seal"))));
    ASSERT_TRUE((*transaction)->put(Table::kMeta, as_bytes("seal"), as_bytes(edit(seal))));
    ASSERT_TRUE((*transaction)->commit());
  };
  std::string original;
  with_seal([&](std::string seal) { return original = seal; });
  with_seal([](std::string seal) { return seal.replace(seal.find("\"passes\":1"), 10, "\"passes\":2"); });
  EXPECT_EQ(open(passphrase("x")).error().kind, Kind::kDenied);
  for (const char* wrong :
       {"", "{}", "[]", R"({"kind":"keyfile"})", R"({"kind":"passphrase","root":"AAAA"})"}) {
    with_seal([&](const std::string&) { return std::string(wrong); });
    EXPECT_EQ(open(passphrase("x")).error().kind, Kind::kCorrupt) << wrong;
  }
  // More memory than a record may ask for.
  with_seal([&](const std::string&) {
    std::string huge = original;
    return huge.replace(huge.find("\"memory_kib\":64"), 15, "\"memory_kib\":4000000000");
  });
  EXPECT_EQ(open(passphrase("x")).error().kind, Kind::kCorrupt);
  with_seal([&](const std::string&) { return original; });
  EXPECT_TRUE(open(passphrase("x")));
}

TEST_F(SealTest, AStoreOpenToOthersOrOfANewerFormatIsRefused) {
  make(key_file_seal(), {});
  ASSERT_EQ(::chmod(path().c_str(), 0755), 0);
  EXPECT_NE(open({}).error().text.find("chmod 700"), std::string::npos);
  ASSERT_EQ(::chmod(path().c_str(), 0700), 0);
  for (const char* file : {"/store.mdb", "/store.mdb-lock"}) {
    ASSERT_EQ(::chmod((path() + file).c_str(), 0644), 0);
    EXPECT_EQ(open({}).error().kind, Kind::kDenied) << file;
    ASSERT_EQ(::chmod((path() + file).c_str(), 0600), 0);
  }
  auto opened = open({});
  ASSERT_TRUE(opened);
  opened->reset();
  ASSERT_EQ(::chmod((path() + "/audit.log").c_str(), 0644), 0);
  EXPECT_EQ(open({}).error().kind, Kind::kDenied);
  ASSERT_EQ(::chmod((path() + "/audit.log").c_str(), 0600), 0);
  {
    auto store = Store::open(path());
    auto transaction = (*store)->write();
    ASSERT_TRUE((*transaction)->put(Table::kMeta, as_bytes("format"), as_bytes("2")));
    ASSERT_TRUE((*transaction)->commit());
  }
  EXPECT_EQ(open({}).error().kind, Kind::kUnsupported);
  EXPECT_EQ(Service::create_store(path(), {key_file_seal(), "local-1"}, {}).error().kind, Kind::kExists);
}

TEST_F(SealTest, WhereNoStoreIsNothingIsMade) {
  EXPECT_EQ(open({}).error().kind, Kind::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(path()));
  EXPECT_FALSE(*Service::has_store(path()));
}

TEST(PassphraseFile, GivesItsContentWithoutTheLastNewline) {
  const TemporaryDirectory directory;
  const std::string file = directory / "passphrase";
  const auto content = [&](const std::string& text) {
    write_text(file, text);
    ::chmod(file.c_str(), 0600);
    auto read = passphrase_from_file(file)(PassphraseUse::kUnseal);
    return read ? std::string(as_text(read->reveal())) : "error";
  };
  EXPECT_EQ(content("secret\n"), "secret");
  EXPECT_EQ(content("secret"), "secret");
  EXPECT_EQ(content("two\nlines\n\n"), "two\nlines\n");
  EXPECT_EQ(content(std::string(1024, 'x')), std::string(1024, 'x'));
  EXPECT_EQ(content(std::string(1025, 'x')), "error");
  EXPECT_EQ(content("\n"), "error");
  EXPECT_EQ(content(""), "error");
}

TEST(PassphraseFile, OpenToOthersLinkedOrMissingItIsRefused) {
  const TemporaryDirectory directory;
  const std::string file = directory / "passphrase", link = directory / "link";
  write_text(file, "secret\n");
  ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
  auto open_one = passphrase_from_file(file)(PassphraseUse::kUnseal);
  ASSERT_FALSE(open_one);
  EXPECT_EQ(open_one.error().kind, Kind::kDenied);
  EXPECT_NE(open_one.error().text.find("chmod 600"), std::string::npos);
  ASSERT_EQ(::chmod(file.c_str(), 0600), 0);
  ASSERT_EQ(::symlink(file.c_str(), link.c_str()), 0);
  EXPECT_EQ(passphrase_from_file(link)(PassphraseUse::kUnseal).error().kind, Kind::kDenied);
  EXPECT_EQ(passphrase_from_file(directory / "none")(PassphraseUse::kUnseal).error().kind, Kind::kNotFound);
  EXPECT_EQ(passphrase_from_file(directory.path())(PassphraseUse::kUnseal).error().kind, Kind::kInvalid);
}

// A terminal whose keyboard is a descriptor.
struct PseudoTerminal {
  UniqueFd keyboard{::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)};
  UniqueFd terminal;
  PseudoTerminal() {
    ::grantpt(keyboard.get());
    ::unlockpt(keyboard.get());
    terminal = UniqueFd(::open(::ptsname(keyboard.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  }
  bool echoes() const {
    termios now{};
    return ::tcgetattr(terminal.get(), &now) == 0 && (now.c_lflag & ECHO) != 0;
  }
  std::string shown() const {
    std::array<char, 256> text{};
    const ssize_t got = ::read(keyboard.get(), text.data(), text.size());
    return got > 0 ? std::string(text.data(), static_cast<std::size_t>(got)) : "";
  }
  // Types once the prompt is there: what is typed before it is thrown away.
  Result<Passphrase> ask(const std::string& typed) {
    std::thread typist([&] {
      EXPECT_EQ(shown(), "Passphrase: ");
      EXPECT_EQ(::write(keyboard.get(), typed.data(), typed.size()), static_cast<ssize_t>(typed.size()));
    });
    auto answer = read_passphrase(terminal.get(), "Passphrase: ");
    typist.join();
    return answer;
  }
};

TEST(PassphrasePrompt, ReadsALineWithoutEchoAndRestoresTheTerminal) {
  PseudoTerminal pty;
  ASSERT_TRUE(pty.terminal);
  auto plain = pty.ask("secret\r");
  ASSERT_TRUE(plain) << text_of(plain);
  EXPECT_EQ(as_text(plain->reveal()), "secret");
  EXPECT_TRUE(pty.echoes());
  EXPECT_EQ(pty.shown().find("secret"), std::string::npos);
  EXPECT_EQ(as_text(pty.ask("sex\x7f\x7f"
                            "cret\n")
                        ->reveal()),
            "scret");
  pty.shown();
  EXPECT_EQ(as_text(pty.ask("wrong\x15right\n")->reveal()), "right");
}

TEST(PassphrasePrompt, CancelledEmptyOrTooLongItIsAnErrorAndTheTerminalEchoesAgain) {
  PseudoTerminal pty;
  EXPECT_EQ(pty.ask("sec\x03").error().kind, Kind::kInvalid);
  EXPECT_TRUE(pty.echoes());
  pty.shown();
  EXPECT_FALSE(pty.ask("\n"));
  EXPECT_TRUE(pty.echoes());
}

TEST(PassphrasePrompt, WithoutATerminalTheErrorNamesTheFile) {
  const UniqueFd none(::open("/dev/null", O_RDWR | O_CLOEXEC));
  EXPECT_EQ(read_passphrase(none.get(), "x").error().kind, Kind::kUnsupported);
  if (::access("/dev/tty", F_OK) == 0 && UniqueFd(::open("/dev/tty", O_RDWR | O_CLOEXEC))) {
    GTEST_SKIP() << "this test runs on a terminal";
  }
  auto asked = passphrase_from_terminal("the key store x")(PassphraseUse::kUnseal);
  ASSERT_FALSE(asked);
  EXPECT_NE(asked.error().text.find("--passphrase-file"), std::string::npos);
}

}  // namespace
}  // namespace kmsfs::kms::test
