#include "trainer/cli/report_error.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

namespace cloze {
namespace {

// A line is one line: line breaks of a message become "; ".
std::string one_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::string line;
  for (const char letter : text) {
    if (letter == '\n') {
      line += "; ";
    } else {
      line += letter;
    }
  }
  return line;
}

}  // namespace

void report_error(const Error& error, int rank, std::string_view phase, long long step) {
  char host[256] = "?";
  gethostname(host, sizeof host - 1);
  const std::string line =
      str("FATAL rank=", rank, " host=", host, " step=", step < 0 ? "-" : str(step),
          " phase=", phase, " code=", static_cast<int>(error.code()), " what=\"",
          one_line(error.problem()), "\" fix=\"", one_line(error.fix()), "\"\n");
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fflush(stderr);
}

}  // namespace cloze
