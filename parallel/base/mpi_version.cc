#include "parallel/base/mpi_version.h"

#include <array>
#include <cctype>
#include <span>

#include "parallel/base/check.h"

namespace cloze {
namespace {

// What a text of this flavour has, and what stands before its number.
struct Words {
  const char* mark;
  MpiFlavour flavour;
  const char* before_number;
};

// The first that is found counts. Cray's and MVAPICH's texts name MPICH as well.
constexpr std::array kOfLibraries = {
    Words{"Open MPI", MpiFlavour::kOpenMpi, ""}, Words{"MVAPICH", MpiFlavour::kMvapich, ""},
    Words{"CRAY MPICH", MpiFlavour::kCray, ""}, Words{"Intel(R) MPI", MpiFlavour::kIntel, ""},
    Words{"MPICH", MpiFlavour::kMpich, ""}};

// Intel's mpirun is a hydra too.
constexpr std::array kOfLaunchers = {
    Words{"(Open MPI)", MpiFlavour::kOpenMpi, ""}, Words{"(OpenRTE)", MpiFlavour::kOpenMpi, ""},
    Words{"Intel(R) MPI", MpiFlavour::kIntel, ""}, Words{"HYDRA", MpiFlavour::kMpich, "Version:"}};

// The first "4.1.4" or "5.1.0rc1": digits, a point, a digit, then what goes on. By hand, since
// std::regex takes stack for each character, and a program may say much.
std::string number_from(std::string_view text) {
  const auto is_digit = [&](std::size_t i) {
    return i < text.size() && std::isdigit(static_cast<unsigned char>(text[i])) != 0;
  };
  const auto goes_on = [&](std::size_t i) {
    if (i >= text.size()) return false;
    return std::isalnum(static_cast<unsigned char>(text[i])) != 0 ||
           (text[i] == '.' && is_digit(i + 1));
  };
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (!is_digit(at)) continue;
    std::size_t end = at;
    while (is_digit(end)) ++end;
    if (end < text.size() && text[end] == '.' && is_digit(end + 1)) {
      while (goes_on(end)) ++end;
      return std::string(text.substr(at, end - at));
    }
    at = end;
  }
  return "";
}

MpiVersion parse(std::string_view text, std::span<const Words> table) {
  for (const Words& words : table) {
    const std::string_view mark = words.mark;
    const std::size_t at = text.find(mark);
    if (at == std::string_view::npos) continue;
    const std::size_t before = text.find(words.before_number, at + mark.size());
    return {.flavour = words.flavour,
            .number = before == std::string_view::npos ? "" : number_from(text.substr(before))};
  }
  return {};
}

const char* name_of(MpiFlavour flavour) {
  switch (flavour) {
    case MpiFlavour::kUnknown:
      break;
    case MpiFlavour::kOpenMpi:
      return "Open MPI";
    case MpiFlavour::kMpich:
      return "MPICH";
    case MpiFlavour::kMvapich:
      return "MVAPICH";
    case MpiFlavour::kIntel:
      return "Intel MPI";
    case MpiFlavour::kCray:
      return "Cray MPICH";
  }
  return "unknown MPI";
}

}  // namespace

int major_of(const MpiVersion& version) {
  // Six digits fit, however many there are.
  return version.number.empty() ? 0 : std::stoi(version.number.substr(0, 6));
}

std::string text_of(const MpiVersion& version) {
  const char* name = name_of(version.flavour);
  return version.number.empty() ? std::string(name) : str(name, " ", version.number);
}

MpiVersion parse_mpi_library(std::string_view text) { return parse(text, kOfLibraries); }

MpiVersion parse_mpirun(std::string_view text) { return parse(text, kOfLaunchers); }

std::string mpi_library_name(std::string_view library_text) {
  constexpr std::string_view kBlanks = " \t\r";
  const MpiVersion version = parse_mpi_library(library_text);
  const std::string_view line = library_text.substr(0, library_text.find('\n'));
  const std::size_t begin = line.find_first_not_of(kBlanks);
  if (version.flavour != MpiFlavour::kUnknown || begin == std::string_view::npos) {
    return text_of(version);
  }
  return std::string(line.substr(begin, line.find_last_not_of(kBlanks) + 1 - begin));
}

}  // namespace cloze
