// Which charts a report has: what of a run's numbers belongs together.
#pragma once

#include <vector>

#include "trainer/report/chart.h"
#include "trainer/report/run_record.h"

namespace cloze {

// In the order of the page.
std::vector<Chart> charts_of(const RunRecord& record);

// The steps that they show together.
StepRange steps_of(const RunRecord& record);

}  // namespace cloze
