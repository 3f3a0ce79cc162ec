// The table of functions as CUDA's runtime would fill it.
#include <cstring>

#include "tests/support/simulated_gpus_state.h"

namespace cloze {
namespace {

using simulated::Event;
using simulated::event_of;
using simulated::Stream;
using simulated::stream_of;
using State = SimulatedGpus::State;

CudaRuntime make_cuda() {
  CudaRuntime cuda{};
  cuda.get_device_count = [](int* count) {
    *count = static_cast<int>(State::current->ranks.size());
    return kCudaSuccess;
  };
  cuda.set_device = [](int device) {
    State::gpu = device;
    return kCudaSuccess;
  };
  cuda.device_uuid = [](CudaUuid* uuid, int device) {
    *uuid = {static_cast<char>(device)};
    return kCudaSuccess;
  };
  cuda.device_name = [](char* name, int length, int device) {
    std::snprintf(name, static_cast<std::size_t>(length), "Simulated GPU %d", device);
    return kCudaSuccess;
  };
  cuda.device_total_memory = [](std::size_t* bytes, int /*device*/) {
    *bytes = std::size_t{80} << 30;
    return kCudaSuccess;
  };
  cuda.device_attribute = [](int* value, int attribute, int /*device*/) {
    *value = attribute == kCudaCapabilityMajor ? 9 : 0;
    return kCudaSuccess;
  };
  cuda.runtime_version = [](int* version) {
    *version = 13000;
    return kCudaSuccess;
  };
  cuda.driver_version = cuda.runtime_version;
  cuda.device_stream_priority_range = [](int* least, int* greatest) {
    *least = 0;
    *greatest = -5;
    return kCudaSuccess;
  };
  cuda.stream_create = [](CudaStream* stream, unsigned /*flags*/, int /*priority*/) {
    auto* made = new Stream{.rank = State::rank, .is_immediate = false};
    const std::scoped_lock lock(State::current->mutex);
    State::current->streams.insert(made);
    *stream = reinterpret_cast<CudaStream>(made);
    return kCudaSuccess;
  };
  cuda.stream_destroy = [](CudaStream stream) {
    const std::scoped_lock lock(State::current->mutex);
    // What is queued still happens, as CUDA promises.
    while (!stream_of(stream)->items.empty() && State::current->step_any()) {
    }
    State::current->streams.erase(stream_of(stream));
    delete stream_of(stream);
    return kCudaSuccess;
  };
  cuda.stream_wait_event = [](CudaStream stream, CudaEvent event, unsigned /*flags*/) {
    std::unique_lock lock(State::current->mutex);
    if (const CudaResult result = State::current->fault("stream_wait_event"); result != 0) {
      return result;
    }
    State::current->check_gpu(event_of(event)->gpu, "a wait for an event");
    const std::int64_t version = event_of(event)->recorded;
    if (stream_of(stream)->is_immediate) {
      State::current->wait_for(lock, *event_of(event), version);
    } else {
      State::current->put(*stream_of(stream), {.wait = event_of(event), .version = version});
    }
    return kCudaSuccess;
  };
  cuda.event_create = [](CudaEvent* event, unsigned /*flags*/) {
    auto* made = new Event{.state = State::current, .gpu = State::gpu};
    const std::scoped_lock lock(State::current->mutex);
    State::current->events.insert(made);
    *event = reinterpret_cast<CudaEvent>(made);
    return kCudaSuccess;
  };
  cuda.event_destroy = [](CudaEvent event) {
    const std::scoped_lock lock(State::current->mutex);
    State::current->events.erase(event_of(event));
    delete event_of(event);
    return kCudaSuccess;
  };
  cuda.event_record = [](CudaEvent event, CudaStream stream) {
    std::unique_lock lock(State::current->mutex);
    State::current->pass(lock, State::rank, "event_record");
    if (const CudaResult result = State::current->fault("event_record"); result != 0) {
      return result;
    }
    State::current->check_gpu(event_of(event)->gpu, "a record of an event");
    const std::int64_t version = ++event_of(event)->recorded;
    if (stream_of(stream)->is_immediate) {
      event_of(event)->completed = version;
    } else {
      State::current->put(*stream_of(stream), {.record = event_of(event), .version = version});
    }
    return kCudaSuccess;
  };
  cuda.event_query = [](CudaEvent event) {
    const Event& asked = *event_of(event);
    const std::scoped_lock lock(asked.state->mutex);
    asked.state->check_gpu(asked.gpu, "a question for an event");
    // Who asks again and again must see it happen.
    asked.state->step_any();
    return asked.completed == asked.recorded ? kCudaSuccess : kCudaNotReady;
  };
  cuda.memcpy_async = [](void* to, const void* from, std::size_t bytes, int /*kind*/,
                         CudaStream stream) {
    SimulatedGpus::launch(stream, [=] { std::memcpy(to, from, bytes); });
    return kCudaSuccess;
  };
  cuda.error_string = [](CudaResult) { return "a simulated error"; };
  return cuda;
}

}  // namespace

const CudaRuntime& simulated::cuda_functions() {
  static const CudaRuntime of_process = make_cuda();
  return of_process;
}

}  // namespace cloze
