# kmsfs_library(NAME SOURCES ... [PUBLIC libs...] [PRIVATE libs...])
# kmsfs_executable(NAME SOURCES ... [LIBS libs...])
# kmsfs_test(NAME SOURCES ... [LIBS libs...] [LABELS labels...] [TIMEOUT seconds])
#                                               one GoogleTest binary, its tests known to ctest one by one
# kmsfs_bench(NAME SOURCES ... [LIBS libs...])  one google-benchmark binary
add_library(kmsfs_options INTERFACE)
target_include_directories(kmsfs_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(kmsfs_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Wold-style-cast
  -Woverloaded-virtual -Wimplicit-fallthrough
  $<$<CXX_COMPILER_ID:GNU>:-Werror>  # clang, which builds the fuzz targets, warns of other things
  -fstack-protector-strong -fno-strict-aliasing)
target_compile_definitions(kmsfs_options INTERFACE
  _GNU_SOURCE $<$<CONFIG:Release,RelWithDebInfo>:_FORTIFY_SOURCE=2> KMSFS_VERSION="${PROJECT_VERSION}")
target_link_options(kmsfs_options INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)

function(kmsfs_library NAME)
  cmake_parse_arguments(A "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(${NAME} STATIC ${A_SOURCES})
  target_link_libraries(${NAME} PUBLIC kmsfs_options ${A_PUBLIC} PRIVATE ${A_PRIVATE})
endfunction()

function(kmsfs_executable NAME)
  cmake_parse_arguments(A "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${NAME} ${A_SOURCES})
  target_link_libraries(${NAME} PRIVATE kmsfs_options ${A_LIBS})
endfunction()

function(kmsfs_test NAME)
  cmake_parse_arguments(A "" "TIMEOUT" "SOURCES;LIBS;LABELS" ${ARGN})
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 120)
  endif()
  find_package(GTest REQUIRED)
  add_executable(${NAME} ${A_SOURCES})
  target_link_libraries(${NAME} PRIVATE kmsfs_options ${A_LIBS} GTest::gtest GTest::gmock GTest::gtest_main)
  gtest_discover_tests(${NAME} DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT ${A_TIMEOUT} LABELS "${A_LABELS}")
endfunction()

function(kmsfs_bench NAME)
  cmake_parse_arguments(A "" "" "SOURCES;LIBS" ${ARGN})
  find_package(benchmark REQUIRED)
  add_executable(${NAME} ${A_SOURCES})
  target_link_libraries(${NAME} PRIVATE kmsfs_options ${A_LIBS} benchmark::benchmark)
endfunction()
