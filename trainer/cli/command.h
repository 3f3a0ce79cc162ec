// The commands of `cloze`: each adds its options to the command line and says what it runs.
#pragma once

#include "trainer/cli/command_line.h"

namespace cloze {

// Each lives in its own <name>_command.cc.
void add_train_command(Command root);
void add_launch_command(Command root);
void add_tokenizer_command(Command root);
void add_prepare_command(Command root);
void add_inspect_command(Command root);
void add_config_command(Command root);
void add_export_command(Command root);
void add_import_command(Command root);
void add_score_command(Command root);
void add_generate_command(Command root);
void add_report_command(Command root);
void add_doctor_command(Command root);
void add_bench_command(Command root);

}  // namespace cloze
