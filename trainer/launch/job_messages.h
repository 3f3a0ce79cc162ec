// What a job writes to stderr: the lines its user is to see, and what they tell of its end.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cloze {

// The line that a failing job ends with, read back.
struct FatalLine {
  int rank = 0;
  std::int64_t step = -1;  // -1: before the steps, or after them.
  int code = 0;
  std::string what{};
  bool operator==(const FatalLine&) const = default;
};
// Nothing when it is another line, or one of many thousand characters.
std::optional<FatalLine> read_fatal_line(std::string_view line);

// A rank that a signal ended, as mpirun tells of it.
struct DeadRank {
  int rank = 0;
  std::string host{};
  int signal = 0;
  std::string signal_name{};  // "Killed".
  bool operator==(const DeadRank&) const = default;
};

// Lines pass as they are, but for what mpirun says of ranks that ended: paragraphs between two
// lines of hyphens that repeat, in many words, what the FATAL line or an exit code says. They are
// read, not shown. What mpirun says of its own troubles is shown and remembered.
class JobMessages {
 public:
  // Takes bytes as they come; returns the lines that can be shown by now, whole ones.
  std::string take(std::string_view bytes);
  // What is held back, shown after all: at the end, or when nothing has come for a while, since
  // mpirun writes its paragraphs in one go.
  std::string flush();

  const std::optional<FatalLine>& fatal() const { return fatal_; }         // The first one.
  const std::optional<DeadRank>& dead_rank() const { return dead_rank_; }  // The first one.
  // A rank's exit code, when mpirun ended the job for its sake.
  const std::optional<int>& failed_code() const { return failed_code_; }
  // The first of mpirun's own troubles, on one line; empty when it had none.
  const std::string& trouble() const { return trouble_; }

 private:
  std::string take_line(const std::string& line);
  std::string close_paragraph();
  std::string release_paragraph();
  bool is_repetition(const std::string& text);

  std::string partial_;                 // The line that has no end yet.
  std::vector<std::string> paragraph_;  // Lines from the first line of hyphens on.
  std::optional<FatalLine> fatal_;
  std::optional<DeadRank> dead_rank_;
  std::optional<int> failed_code_;
  std::string trouble_;
};

}  // namespace cloze
