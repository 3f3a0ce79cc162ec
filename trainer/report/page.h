// The report of a run: one HTML page that needs nothing but itself.
#pragma once

#include <string>
#include <vector>

#include "parallel/mesh/shard.h"
#include "trainer/report/run_record.h"

namespace cloze {

// `stages`: the layers of each pipeline stage; empty where they are not known.
std::string report_page(const RunRecord& record, const std::vector<Range>& stages);

}  // namespace cloze
