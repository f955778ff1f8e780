// Text files in which the kernel or an operator says something, a line each. One that cannot be read says
// nothing. Threads: any.
#pragma once

#include <string>

namespace kmsfs::cli {

std::string first_line(const std::string& path);
// Blanks at its end do not count.
bool has_line(const std::string& path, const std::string& wanted);

}  // namespace kmsfs::cli
