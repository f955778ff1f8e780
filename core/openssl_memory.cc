#include "core/openssl_memory.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include <malloc.h>

#include "core/locked_memory.h"

namespace kmsfs {

namespace {

thread_local int secure_depth = 0;

void* allocate(std::size_t size, const char*, int) {
  return secure_depth > 0 ? LockedMemory::allocate(size) : std::malloc(size);
}

void release(void* memory, const char*, int) {
  if (memory == nullptr) return;
  if (LockedMemory::contains(memory)) {
    LockedMemory::release(memory);
  } else {
    std::free(memory);
  }
}

// What was locked stays locked, and what is touched inside a scope becomes so: growth never leaves a copy
// behind.
void* reallocate(void* memory, std::size_t size, const char* file, int line) {
  if (memory == nullptr) return allocate(size, file, line);
  if (size == 0) {
    release(memory, file, line);
    return nullptr;
  }
  const bool locked = LockedMemory::contains(memory);
  if (!locked && secure_depth == 0) return std::realloc(memory, size);
  void* grown = LockedMemory::allocate(size);
  if (grown == nullptr) return nullptr;
  const std::size_t old_size = locked ? LockedMemory::size_of(memory) : ::malloc_usable_size(memory);
  std::memcpy(grown, memory, std::min(size, old_size));
  if (!locked) ::explicit_bzero(memory, old_size);
  release(memory, file, line);
  return grown;
}

}  // namespace

Result<void> route_openssl_memory() {
  if (CRYPTO_set_mem_functions(allocate, reallocate, release) != 1) {
    return error(Kind::kInternal, "OpenSSL was used before its memory could be routed");
  }
  return {};
}

SecureScope::SecureScope() noexcept { ++secure_depth; }
SecureScope::~SecureScope() { --secure_depth; }

}  // namespace kmsfs
