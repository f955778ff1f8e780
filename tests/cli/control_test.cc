// The control socket: who is heard, and that nobody can keep it from answering.
#include "cli/control_server.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <future>

#include "cli/control_client.h"
#include "cli/directories.h"

namespace kmsfs::cli {
namespace {

using nlohmann::json;

class ControlSocket : public ::testing::Test {
 protected:
  void SetUp() override {
    auto directory = runtime_directory();
    ASSERT_TRUE(directory) << directory.error().text;
    // A device that no file system has, different in each process.
    mount_.device = makedev(4095, static_cast<unsigned>(::getpid()) & 0xfffff);
    mount_.super_options = "rw,user_id=" + std::to_string(::geteuid());
    path_ = *directory + "/" + control_socket_name(mount_.device);
    start();
  }
  void start() {
    auto server = ControlServer::start(path_,
                                       {[this] {
                                          return json{{"uptime_seconds", ++asked_}};
                                        },
                                        [this] {
                                          return json{{"data_keys", ++revoked_}};
                                        },
                                        [this](std::uint64_t inode) -> Result<json> {
                                          if (inode == kHanging) released_.get_future().wait();
                                          if (inode == 404)
                                            return error(Kind::kCorrupt, "the file is damaged");
                                          return json{{"inode", inode}};
                                        }},
                                       make_null_logger());
    ASSERT_TRUE(server) << server.error().text;
    server_ = std::move(*server);
  }
  Result<json> ask(const json& request) {
    auto client = ControlClient::connect(mount_);
    if (!client) return std::move(client).error();
    return client->ask(request);
  }
  UniqueFd raw_connection() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return fd;
  }

  static constexpr std::uint64_t kHanging = 13;
  MountEntry mount_;
  std::string path_;
  int asked_ = 0;
  int revoked_ = 0;
  std::promise<void> released_;
  std::unique_ptr<ControlServer> server_;
};

TEST_F(ControlSocket, OneRequestGetsOneAnswer) {
  auto status = ask({{"request", "status"}});
  ASSERT_TRUE(status) << status.error().text;
  EXPECT_EQ((*status)["uptime_seconds"], 1);
  auto information = ask({{"request", "information"}, {"inode", 77u}});
  ASSERT_TRUE(information) << information.error().text;
  EXPECT_EQ((*information)["inode"], 77);
}

TEST_F(ControlSocket, AnErrorKeepsItsKindOnTheWay) {
  auto information = ask({{"request", "information"}, {"inode", 404u}});
  ASSERT_FALSE(information);
  EXPECT_EQ(information.error().kind, Kind::kCorrupt);
  EXPECT_EQ(information.error().text, "the file is damaged");
}

TEST_F(ControlSocket, StatusComesWhileAQuestionAboutAFileHangs) {
  auto hanging = ControlClient::connect(mount_);
  ASSERT_TRUE(hanging);
  auto answer = std::async(std::launch::async, [&] {
    return hanging->ask({{"request", "information"}, {"inode", kHanging}});
  });
  EXPECT_TRUE(ask({{"request", "status"}}));
  released_.set_value();
  EXPECT_TRUE(answer.get());
}

TEST_F(ControlSocket, WhatIsNotARequestIsRefusedAndTheNextIsHeard) {
  for (const json& request :
       {json{{"request", "format-disk"}}, json::array(), json{{"request", 3}}, json(nullptr),
        json{{"request", "information"}, {"inode", -1}}, json{{"request", std::string(10'000, 'x')}}}) {
    EXPECT_FALSE(ask(request)) << request.dump().substr(0, 60);
  }
  EXPECT_TRUE(ask({{"request", "status"}}));
}

TEST_F(ControlSocket, AClientThatSaysNothingHoldsUpTheNextForTwoSecondsAtMost) {
  const UniqueFd silent = raw_connection();
  EXPECT_TRUE(ask({{"request", "status"}}));
}

TEST_F(ControlSocket, TheSocketGoesWithTheServer) {
  EXPECT_EQ(::access(path_.c_str(), F_OK), 0);
  server_.reset();
  EXPECT_NE(::access(path_.c_str(), F_OK), 0);
  auto gone = ControlClient::connect(mount_);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().kind, Kind::kNotFound);
}

TEST_F(ControlSocket, ASocketLeftBehindByADeadDaemonIsReplaced) {
  server_.reset();
  {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    const UniqueFd dead(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  start();
  EXPECT_TRUE(ask({{"request", "status"}}));
}

TEST_F(ControlSocket, AServerThatIsNotTheMountersIsNotBelieved) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may serve any mount";
  mount_.super_options = "rw,user_id=" + std::to_string(::geteuid() + 1);
  EXPECT_FALSE(ControlClient::connect(mount_));
}

}  // namespace
}  // namespace kmsfs::cli
