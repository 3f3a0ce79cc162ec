#include "parallel/comm/nccl_calls.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "parallel/base/check.h"
#include "parallel/comm/patient_lock.h"

namespace cloze {
namespace {

constexpr std::chrono::seconds kPatience(1);  // With a thread that does not come back.

double seconds_between(NcclCall::Clock::time_point from, NcclCall::Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

std::string describe(const NcclCall& call) {
  return str(call.group, ".", call.name, ", call ", call.number_in_group, " of the group, ",
             call.bytes, " bytes");
}

}  // namespace

NcclCalls::~NcclCalls() {
  for (const NcclCall& call : calls_) {
    if (call.event != nullptr) cuda_.event_destroy(call.event);
  }
}

NcclCall& NcclCalls::begin(const std::string& group, const char* name, std::int64_t number_in_group,
                           std::int64_t bytes) {
  // The rank's thread alone counts calls and makes events; who watches must not wait for those.
  NcclCall& call = calls_[num_calls_ % kKept];
  const bool is_free = call.event == nullptr || (!call.is_held && poll(call));
  CLOZE_CHECK(is_free, str(kKept, " collectives are in flight; the oldest is ", describe(call)),
              "wait for a collective before so many others are started");
  if (call.event == nullptr) {
    cuda_.check(cuda_.event_create(&call.event, kCudaEventDisableTiming), "making an event");
  }
  const std::scoped_lock lock(mutex_);
  call = {.number = num_calls_++,
          .group = group,
          .name = name,
          .number_in_group = number_in_group,
          .bytes = bytes,
          .is_held = true,
          .event = call.event};
  return call;
}

void NcclCalls::queue(NcclCall& call, CudaStream stream) {
  // Without the lock: where the device is behind, this waits for it, and who watches must not.
  cuda_.check(cuda_.event_record(call.event, stream), "recording an event");
  const std::scoped_lock lock(mutex_);
  call.queued = NcclCall::Clock::now();
  call.is_queued = true;
}

void NcclCalls::release(NcclCall& call) {
  const std::scoped_lock lock(mutex_);
  call.is_held = false;
}

bool NcclCalls::poll(NcclCall& call) {
  const std::scoped_lock lock(mutex_);
  return poll_locked(call);
}

bool NcclCalls::poll_locked(NcclCall& call) {
  if (call.is_finished || !call.is_queued) return call.is_finished;
  const CudaResult result = cuda_.event_query(call.event);
  if (result == kCudaNotReady) return false;
  cuda_.check(result, "asking whether a collective is done");
  call.is_finished = true;
  call.finished = NcclCall::Clock::now();
  return true;
}

std::optional<std::string> NcclCalls::find_overdue(std::chrono::milliseconds deadline) {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock) return std::nullopt;  // The next look will see.
  const auto now = NcclCall::Clock::now();
  // A call waits for those of its group before it: its time begins when they are done.
  std::map<std::string, NcclCall::Clock::time_point> idle_since;
  std::map<std::string, bool> is_behind;
  std::optional<std::string> overdue;
  const std::int64_t oldest = std::max<std::int64_t>(0, num_calls_ - std::int64_t{kKept});
  for (std::int64_t number = oldest; number < num_calls_; ++number) {
    NcclCall& call = calls_[number % kKept];
    if (number >= first_unfinished_ && !is_behind[call.group] && !poll_locked(call)) {
      is_behind[call.group] = true;
      const auto since = std::max(call.queued, idle_since[call.group]);
      if (!overdue && call.is_queued && now - since > deadline) {
        overdue = str(describe(call), ", has waited for ",
                      static_cast<std::int64_t>(seconds_between(since, now)), " s");
      }
    }
    if (call.is_finished) idle_since[call.group] = call.finished;
  }
  while (first_unfinished_ < num_calls_ && calls_[first_unfinished_ % kKept].is_finished) {
    ++first_unfinished_;
  }
  return overdue;
}

std::string NcclCalls::json(int rank) const {
  const auto lock = locked_until(mutex_, NcclCall::Clock::now() + kPatience);
  if (!lock) return nlohmann::ordered_json{{"rank", rank}, {"calls", nullptr}}.dump(1) + "\n";
  const auto now = NcclCall::Clock::now();
  nlohmann::ordered_json calls = nlohmann::ordered_json::array();
  const std::int64_t oldest = std::max<std::int64_t>(0, num_calls_ - std::int64_t{kKept});
  for (std::int64_t number = oldest; number < num_calls_; ++number) {
    const NcclCall& call = calls_[number % kKept];
    nlohmann::ordered_json entry = {{"number", call.number},
                                    {"group", call.group},
                                    {"call", call.name},
                                    {"number_in_group", call.number_in_group},
                                    {"bytes", call.bytes}};
    entry["queued_seconds_ago"] =
        call.is_queued ? nlohmann::ordered_json(seconds_between(call.queued, now)) : nullptr;
    entry["took_seconds"] =
        call.is_finished ? nlohmann::ordered_json(seconds_between(call.queued, call.finished))
                         : nullptr;
    calls.push_back(std::move(entry));
  }
  return nlohmann::ordered_json{{"rank", rank}, {"calls", std::move(calls)}}.dump(1) + "\n";
}

}  // namespace cloze
