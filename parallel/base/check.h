// Errors that say what went wrong, how to fix it, and with which exit code the job ends.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace cloze {

// The process exit codes of the command line. Scripts rely on the numbers.
enum class ExitCode : int {
  kDone = 0,
  kUsage = 64,        // Command line, config, or a machine without what they ask for.
  kBadInput = 65,     // Corrupt, wrong or missing input: checkpoint, shard, model folder.
  kInternal = 70,     // A bug of ours: an invariant does not hold.
  kCannotWrite = 73,  // An output cannot be created.
  kIo = 74,           // Reading or writing failed.
  kTransient = 75,    // A restart helps: a lost peer, a deadline, a failed GPU.
  kPreempted = 85,    // Stopped by a signal after a checkpoint; resume.
  kNumerics = 86,     // Stopped by non-finite numbers.
};

class Error : public std::runtime_error {
 public:
  Error(ExitCode code, std::string what, std::string fix)
      : std::runtime_error(what + "\n  fix: " + fix),
        code_(code),
        problem_(std::move(what)),
        fix_(std::move(fix)) {}

  ExitCode code() const { return code_; }
  const std::string& problem() const { return problem_; }  // What went wrong, and where.
  const std::string& fix() const { return fix_; }          // What the user can do about it.

 private:
  ExitCode code_;
  std::string problem_;
  std::string fix_;
};

// str("tp ", 4) == "tp 4". An object, not a function, so that LibTorch's function of that name is
// not found beside it.
inline constexpr auto str = [](const auto&... parts) {
  std::ostringstream stream;
  (stream << ... << parts);
  return stream.str();
};

// An error of the user's input or surroundings: stops with `code`.
[[noreturn]] inline void fail(ExitCode code, const std::string& what, const std::string& fix) {
  throw Error(code, what, fix);
}

// A broken invariant of our own: stops with kInternal and names the line.
[[noreturn]] inline void fail_check(const char* file, int line, const std::string& what,
                                    const std::string& fix) {
  throw Error(ExitCode::kInternal, str(what, " (", file, ":", line, ")"), fix);
}

}  // namespace cloze

// Invariants inside the program. A macro, so that the messages are built only on failure.
#define CLOZE_CHECK(condition, what, fix)                                     \
  do {                                                                        \
    if (!(condition)) ::cloze::fail_check(__FILE__, __LINE__, (what), (fix)); \
  } while (false)

// Demands on what a user gave: config, command line, files. `code` is a cloze::ExitCode.
#define CLOZE_REQUIRE(condition, code, what, fix)           \
  do {                                                      \
    if (!(condition)) ::cloze::fail((code), (what), (fix)); \
  } while (false)
