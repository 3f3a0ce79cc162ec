// Joins the traces of all ranks, whose times are rank 0's already.
#pragma once

#include <filesystem>

namespace cloze {

inline constexpr const char* kMergedTraceName = "trace.json";

// Writes the events of all ranks' files in `folder` into one, with memory for a line at a time.
// kBadInput when a file is not what write_trace() writes.
void merge_traces(const std::filesystem::path& folder, int num_ranks);

}  // namespace cloze
