#include "trainer/launch/launcher_version.h"

#include <array>
#include <regex>

#include "parallel/base/check.h"

namespace cloze {
namespace {

struct Pattern {
  const char* name;
  const char* text;  // Its group is the version's number.
};

// The first that is found counts: Intel's mpirun is a hydra too.
constexpr std::array kPatterns = {
    Pattern{"Open MPI", R"((?:Open MPI|OpenRTE)\)?,? v?(\d+[\w.]*))"},
    Pattern{"Intel MPI", R"(Intel\(R\) MPI Library[\s\S]*?(\d+\.[\w.]+))"},
    Pattern{"MPICH", R"((?:MPICH|HYDRA)[\s\S]*?Version:\s*(\d+[\w.]*))"},
};

}  // namespace

std::string text_of(const LauncherVersion& version) {
  return version.name.empty() ? "an unknown MPI" : str(version.name, " ", version.number);
}

LauncherVersion launcher_version_of(std::string_view said) {
  const std::string text(said);
  for (const Pattern& pattern : kPatterns) {
    std::smatch match;
    if (!std::regex_search(text, match, std::regex(pattern.text))) continue;
    return {.name = pattern.name,
            .major = std::stoi(match[1].str().substr(0, 6)),
            .number = match[1].str()};
  }
  return {};
}

void check_same_mpi(const LauncherVersion& library, const LauncherVersion& mpirun) {
  CLOZE_REQUIRE(library.name == "Open MPI" && (library.major == 4 || library.major == 5),
                ExitCode::kUsage,
                str("this program is linked with ", text_of(library),
                    ", and launch knows the options of Open MPI 4 and 5"),
                "start the ranks with that library's own mpirun: mpirun -n N cloze train CONFIG");
  CLOZE_REQUIRE(mpirun.name == library.name && mpirun.major == library.major, ExitCode::kUsage,
                str("the mpirun in PATH is of ", text_of(mpirun), ", this program is linked with ",
                    text_of(library)),
                str("put the mpirun of ", text_of(library),
                    " first in PATH (Debian calls it mpirun.openmpi)"));
}

}  // namespace cloze
