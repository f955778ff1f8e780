// What programs do while the crash comes. Each is named by what must be true afterwards, and does the same
// calls every time.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "tests/crash/history.h"

namespace kmsfs::crash {

struct Workload {
  std::string promise;
  void (*run)(History&);
};

const std::vector<Workload>& workloads();
std::vector<Workload> workloads_of_names();  // those that are about them

// For the name of a test, which must not hold addresses.
inline void PrintTo(const Workload& workload, std::ostream* out) { *out << workload.promise; }

}  // namespace kmsfs::crash
