#include "trainer/doctor/mpi_version.h"

#include <cctype>

#include "parallel/base/check.h"
#include "trainer/doctor/program.h"
#include "trainer/doctor/system_text.h"

namespace cloze {
namespace {

// The first "4.1.4" from `at` on: digits, with at least one point between.
std::vector<int> numbers_from(std::string_view text, std::size_t at) {
  const auto is_digit = [&](std::size_t i) {
    return i < text.size() && std::isdigit(static_cast<unsigned char>(text[i])) != 0;
  };
  for (; at < text.size(); ++at) {
    if (!is_digit(at)) continue;
    std::vector<int> numbers;
    std::size_t end = at;
    while (is_digit(end)) {
      int number = 0;
      for (; is_digit(end); ++end) {
        if (number < 100000) number = number * 10 + (text[end] - '0');
      }
      numbers.push_back(number);
      if (end < text.size() && text[end] == '.' && is_digit(end + 1)) ++end;
    }
    if (numbers.size() > 1) return numbers;
    at = end;
  }
  return {};
}

// The version behind `mark`, when the text has it.
std::optional<MpiVersion> version_behind(std::string_view text, std::string_view mark,
                                         MpiFlavour flavour) {
  const std::size_t at = text.find(mark);
  if (at == std::string_view::npos) return std::nullopt;
  return MpiVersion{flavour, numbers_from(text, at + mark.size())};
}

// Both are started by Hydra, which speaks one language with all of them.
bool by_hydra(MpiFlavour flavour) {
  return flavour == MpiFlavour::kMpich || flavour == MpiFlavour::kMvapich ||
         flavour == MpiFlavour::kCray;
}

}  // namespace

MpiVersion parse_mpi_library(std::string_view text) {
  // Cray's and MVAPICH's texts name MPICH as well, so theirs come first.
  if (auto found = version_behind(text, "Open MPI", MpiFlavour::kOpenMpi)) return *found;
  if (auto found = version_behind(text, "MVAPICH", MpiFlavour::kMvapich)) return *found;
  if (auto found = version_behind(text, "CRAY MPICH", MpiFlavour::kCray)) return *found;
  if (auto found = version_behind(text, "Intel(R) MPI", MpiFlavour::kIntel)) return *found;
  if (auto found = version_behind(text, "MPICH", MpiFlavour::kMpich)) return *found;
  return {};
}

MpiVersion parse_mpirun(std::string_view text) {
  if (auto found = version_behind(text, "(Open MPI)", MpiFlavour::kOpenMpi)) return *found;
  if (auto found = version_behind(text, "Intel(R) MPI", MpiFlavour::kIntel)) return *found;
  if (text.find("HYDRA") != std::string_view::npos) {
    if (auto found = version_behind(text, "Version:", MpiFlavour::kMpich)) return *found;
    return {.flavour = MpiFlavour::kMpich};
  }
  return {};
}

std::string text_of(const MpiVersion& version) {
  std::string text;
  switch (version.flavour) {
    case MpiFlavour::kUnknown:
      return "unknown MPI";
    case MpiFlavour::kOpenMpi:
      text = "Open MPI";
      break;
    case MpiFlavour::kMpich:
      text = "MPICH";
      break;
    case MpiFlavour::kMvapich:
      text = "MVAPICH";
      break;
    case MpiFlavour::kIntel:
      text = "Intel MPI";
      break;
    case MpiFlavour::kCray:
      text = "Cray MPICH";
      break;
  }
  for (std::size_t i = 0; i < version.numbers.size(); ++i) {
    text += str(i == 0 ? " " : ".", version.numbers[i]);
  }
  return text;
}

std::string mpi_library_name(std::string_view library_text) {
  const MpiVersion version = parse_mpi_library(library_text);
  if (version.flavour != MpiFlavour::kUnknown) return text_of(version);
  const auto lines = lines_of(library_text);
  return lines.empty() || trimmed(lines.front()).empty() ? text_of(version)
                                                         : std::string(trimmed(lines.front()));
}

MpirunFound find_mpirun() {
  constexpr std::chrono::seconds kLimit(10);
  const ProgramOutput path = run_program({"sh", "-c", "command -v mpirun"}, kLimit);
  if (path.code != 0) return {};
  MpirunFound found{.path = std::string(trimmed(path.text))};
  const ProgramOutput version = run_program({"mpirun", "--version"}, kLimit);
  found.version_text = version.timed_out ? "" : version.text;
  return found;
}

CheckResult check_thread_level(const std::string& level) {
  CheckResult check{.name = "mpi.threads", .value = level, .scope = Scope::kRank};
  if (level == "single") {
    check.status = Status::kFail;
    check.detail = "this MPI allows no thread beside the one that calls it";
    check.fix = "use an MPI built with threads, such as Debian's openmpi-bin";
  }
  return check;
}

CheckResult check_mpi_library(std::string_view library_text) {
  CheckResult check{.name = "mpi.library", .value = mpi_library_name(library_text)};
  if (parse_mpi_library(library_text).flavour != MpiFlavour::kOpenMpi) {
    check.status = Status::kWarn;
    check.detail = "this program is tested with Open MPI";
    check.fix = "link it with Open MPI 4.1 or newer, or run scripts/test with this one";
  }
  return check;
}

CheckResult check_mpirun(std::string_view library_text, const MpirunFound& found, bool launched) {
  CheckResult check{.name = "mpi.mpirun"};
  const MpiVersion library = parse_mpi_library(library_text);
  const std::string linked = mpi_library_name(library_text);
  if (found.path.empty()) {
    check.value = std::string("none in PATH");
    if (!launched) {
      check.status = Status::kWarn;
      check.detail = "a job of more than one rank needs it";
      check.fix =
          str("install the mpirun of ", linked, " (Debian: openmpi-bin), or add it to PATH");
    }
    return check;
  }
  const MpiVersion launcher = parse_mpirun(found.version_text);
  check.value = text_of(launcher);
  check.detail = found.path;
  if (launcher.flavour == MpiFlavour::kUnknown || library.flavour == MpiFlavour::kUnknown) {
    check.status = Status::kWarn;
    check.detail += str("; mpirun --version cannot be compared with the linked ", linked);
    check.fix = "check by hand that both are of one installation";
    return check;
  }
  const bool same_kind = launcher.flavour == library.flavour ||
                         (launcher.flavour == MpiFlavour::kMpich && by_hydra(library.flavour));
  const bool both_numbered = !launcher.numbers.empty() && !library.numbers.empty();
  const std::string fix = str("put the folder of the mpirun of ", linked,
                              " first in PATH (Debian: update-alternatives --config mpirun), or "
                              "call it by its whole path");
  if (!same_kind || (launcher.flavour == MpiFlavour::kOpenMpi && both_numbered &&
                     launcher.numbers.front() != library.numbers.front())) {
    check.status = Status::kFail;
    check.detail += str("; this program is linked with ", linked,
                        ": each of its ranks would be alone in a job of one");
    check.fix = fix;
  } else if (launcher.flavour == library.flavour && both_numbered &&
             launcher.numbers != library.numbers) {
    check.status = Status::kWarn;
    check.detail += str("; this program is linked with ", linked);
    check.fix = fix;
  }
  return check;
}

}  // namespace cloze
