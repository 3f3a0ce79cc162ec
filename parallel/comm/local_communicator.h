// Ranks as threads of one process: collectives without a launcher, under a debugger or a
// sanitizer, and with a first-cause error where a real job would hang.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "parallel/comm/communicator.h"

namespace cloze {

// What the threads share. Outlives every communicator made from it.
class LocalWorld {
 public:
  // A call that waits longer than `deadline` for another rank ends with Error kTransient, which
  // names the last call of every rank.
  explicit LocalWorld(int size, std::chrono::seconds deadline = std::chrono::seconds(60));
  LocalWorld(const LocalWorld&) = delete;
  LocalWorld& operator=(const LocalWorld&) = delete;
  ~LocalWorld();

  int size() const { return size_; }
  // 0 .. size - 1, the members of a group of all ranks.
  std::vector<int> everyone() const;

  // Called by each member with the same name and members; `members` are world ranks in the
  // order of the group and include `world_rank`. Never waits for the others.
  std::unique_ptr<Communicator> communicator(const std::string& name,
                                             const std::vector<int>& members, int world_rank);
  // The same for one rank as a function, which the world outlives.
  MakeGroup make_group(int world_rank) {
    return [this, world_rank](const std::string& name, const std::vector<int>& members) {
      return communicator(name, members, world_rank);
    };
  }

  // Ends every wait of every rank with Error kTransient that gives `reason`. The first call wins.
  void abort(int world_rank, const std::string& reason);

  // `world_rank` will make no more calls: who waits for one from it gets an Error at once.
  void leave(int world_rank);

 private:
  friend class LocalCommunicator;
  struct State;
  struct Group;

  const int size_;
  const std::unique_ptr<State> state_;
};

}  // namespace cloze
