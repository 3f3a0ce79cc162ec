#include "trainer/launch/job_end.h"

#include <array>
#include <string_view>

namespace cloze {
namespace {

constexpr std::string_view kGoesOn = "the same command goes on from the newest checkpoint";

struct Meaning {
  ExitCode code;
  Verdict verdict;
};

// What is not here is no code of this program's: a rank that a signal ended, or mpirun itself.
constexpr std::array kMeanings = {
    Meaning{ExitCode::kDone, Verdict::kDone},
    Meaning{ExitCode::kUsage, Verdict::kFinal},
    Meaning{ExitCode::kBadInput, Verdict::kFinal},
    Meaning{ExitCode::kInternal, Verdict::kFinal},
    Meaning{ExitCode::kCannotWrite, Verdict::kFinal},
    Meaning{ExitCode::kIo, Verdict::kFinal},
    Meaning{ExitCode::kTransient, Verdict::kTransient},
    Meaning{ExitCode::kPreempted, Verdict::kPreempted},
    Meaning{ExitCode::kNumerics, Verdict::kFinal},
};

const Meaning* meaning_of(int code) {
  for (const Meaning& meaning : kMeanings) {
    if (static_cast<int>(meaning.code) == code) return &meaning;
  }
  return nullptr;
}

std::string fix_of(const DeadRank& dead) {
  constexpr int kKilled = 9;
  return dead.signal == kKilled
             ? str("if nobody killed it, the kernel's log tells whether memory ran out; ", kGoesOn)
             : str("the lines above may tell more; ", kGoesOn);
}

// The cause, its fix and its code; step and rank where they are known.
JobEnd cause_of(const ProcessEnd& mpirun, const JobMessages& messages) {
  if (const auto& dead = messages.dead_rank()) {
    return {.code = kFirstSignalCode + dead->signal,
            .cause = str("rank ", dead->rank, " on ", dead->host, " was ended by signal ",
                         dead->signal, " (", dead->signal_name, ")"),
            .fix = messages.fatal() ? "" : fix_of(*dead),
            .rank = dead->rank,
            .step = messages.fatal() ? messages.fatal()->step : -1};
  }
  if (const auto& fatal = messages.fatal()) {
    return {.code = fatal->code, .cause = fatal->what, .rank = fatal->rank, .step = fatal->step};
  }
  const std::string words = messages.trouble().empty() ? "" : str(": ", messages.trouble());
  constexpr auto kTransient = static_cast<int>(ExitCode::kTransient);
  if (mpirun.by_signal) {
    return {.code = kTransient,
            .cause = str("mpirun was ended by signal ", mpirun.number, words),
            .fix = str("find out who ended it; ", kGoesOn)};
  }
  if (messages.failed_code() || meaning_of(mpirun.number) != nullptr) {
    return {.code = messages.failed_code().value_or(mpirun.number),
            .cause = str("a rank ended with code ", messages.failed_code().value_or(mpirun.number),
                         " and did not say why", words),
            .fix = str("the lines above may tell more; ", kGoesOn)};
  }
  return {.code = kTransient,
          .cause = str("mpirun ended with code ", mpirun.number, words),
          .fix = words.empty() ? str("the lines above may tell more; ", kGoesOn)
                               : "correct what mpirun tells, or start again if it was the network"};
}

}  // namespace

Verdict verdict_of(int code) {
  const Meaning* meaning = meaning_of(code);
  return meaning == nullptr ? Verdict::kTransient : meaning->verdict;
}

JobEnd job_end(const ProcessEnd& mpirun, const JobMessages& messages, const RunProgress& progress) {
  JobEnd end;
  const Meaning* meaning = mpirun.by_signal ? nullptr : meaning_of(mpirun.number);
  if (meaning == nullptr ||
      (meaning->verdict != Verdict::kDone && meaning->verdict != Verdict::kPreempted)) {
    end = cause_of(mpirun, messages);
    // A rank that dies loses the step it was in: where no peer tells of it, the log knows best.
    const bool told = messages.fatal() && (!messages.dead_rank() || end.step >= 0);
    if (!told) end.step = progress.logged_step;
  }
  // mpirun's own number where it is one of this program's: that is what the ranks agreed on.
  if (meaning != nullptr) end.code = mpirun.number;
  end.checkpoint_step = progress.checkpoint_step;
  return end;
}

}  // namespace cloze
