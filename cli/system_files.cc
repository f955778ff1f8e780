#include "cli/system_files.h"

#include <fstream>

namespace kmsfs::cli {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

bool has_line(const std::string& path, const std::string& wanted) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    line.erase(line.find_last_not_of(" \t") + 1);
    if (line == wanted) return true;
  }
  return false;
}

}  // namespace kmsfs::cli
