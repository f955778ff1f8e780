// Include in one source file of a test binary: locked memory and core's cryptography are started before its
// tests.
#pragma once

#include <gtest/gtest.h>

#include "core/locked_memory.h"
#include "core/xaes.h"

namespace kmsfs::test {

class CryptoEnvironment final : public ::testing::Environment {
 public:
  void SetUp() override {
    LockedMemory::Options options;
    options.allow_unlocked = true;
    ASSERT_TRUE(LockedMemory::start(options).ok());
    ASSERT_TRUE(start_crypto().ok());
  }
};

inline ::testing::Environment* const crypto_environment =
    ::testing::AddGlobalTestEnvironment(new CryptoEnvironment);

}  // namespace kmsfs::test
