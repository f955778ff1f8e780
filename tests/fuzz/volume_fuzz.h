// A volume for the targets that need one: its keys are the same in every run, so that inputs found once can
// be replayed.
#pragma once

#include <memory>

#include "fs/volume.h"
#include "tests/fuzz/fuzz.h"

namespace kmsfs::fuzz {

inline const Volume& volume() {
  static const std::unique_ptr<const Volume> made = [] {
    start_cryptography();
    VolumeParameters parameters;
    parameters.allowed_keys = {"arn:aws:kms:local-1:111122223333:key/00000000-0000-4000-8000-00000000000a"};
    std::array<std::byte, 32> volume_key{};
    volume_key.fill(std::byte{0x42});
    auto volume = Volume::make(std::move(parameters), volume_key);
    require(volume.ok(), "a volume can be made");
    return std::move(*volume);
  }();
  return *made;
}

inline ByteView owner() {
  static constexpr std::array<std::byte, 16> kOwner{};
  return kOwner;
}

}  // namespace kmsfs::fuzz
