# Every dependency is a Debian 12 package; scripts/setup installs them.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
pkg_check_modules(FUSE3 REQUIRED IMPORTED_TARGET fuse3>=3.14)
# Without it, requests come over /dev/fuse alone.
pkg_check_modules(LIBURING IMPORTED_TARGET liburing>=2.3)
find_library(LMDB_LIBRARY lmdb REQUIRED)
find_library(ARGON2_LIBRARY argon2 REQUIRED)

# intel-ipsec-mb exists for x86-64 only; elsewhere OpenSSL does the bulk AES-GCM.
find_library(IPSEC_MB_LIBRARY IPSec_MB)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64" AND IPSEC_MB_LIBRARY)
  set(KMSFS_HAVE_IPSEC_MB ON)
else()
  set(KMSFS_HAVE_IPSEC_MB OFF)
endif()
