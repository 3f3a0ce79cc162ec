// Processes that outlive the one that started them.
#pragma once

namespace cloze {

// From here on a process below this one whose parent ends becomes this one's child: when mpirun
// is killed, its ranks of this machine do not slip away.
void adopt_orphans();

// Kills and reaps every child of this process, and what becomes its child by that, until there
// is none. Returns how many were still running. Call it when no child is wanted any more.
int end_orphans();

}  // namespace cloze
