// The list of what is checked on a host: the parsers and the judgements of this folder, fed with
// the files of the host itself.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "trainer/doctor/check_result.h"
#include "trainer/doctor/cores.h"

namespace cloze {

struct HostOptions {
  std::filesystem::path directory;  // Of checkpoints.
  std::string probe_name;           // Begins the names of files made there.
  int ranks_of_host = 1;
  int world_size = 1;
};

// One per host, not per rank. Writes to the directory. GPUs are looked at by each rank (gpus.h).
std::vector<CheckResult> check_host(const HostOptions& options);

// Where this process runs, with as many threads.
RankPlace place_of_rank(int rank, const std::string& host, int threads);

std::string host_name();
// "CPU, AVX2": of this host, for the header of a run.
std::string host_kind();

}  // namespace cloze
