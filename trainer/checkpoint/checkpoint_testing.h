// What the tests of this folder share: tensors of random bytes, random cuts of them into boxes, and
// a save that runs all ranks one after another.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "parallel/base/check.h"
#include "parallel/base/file.h"
#include "trainer/checkpoint/box_copy.h"
#include "trainer/checkpoint/checkpoint_reader.h"
#include "trainer/checkpoint/checkpoint_writer.h"

namespace cloze::testing {

using Random = std::mt19937;

inline std::int64_t draw(Random& random, std::int64_t low, std::int64_t high) {
  return std::uniform_int_distribution<std::int64_t>(low, high)(random);
}

struct TestTensor {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
  std::vector<std::byte> data;
};

inline TestTensor random_tensor(Random& random, std::string name, DType dtype, Shape shape) {
  TestTensor tensor{std::move(name), dtype, std::move(shape), {}};
  tensor.data.resize(static_cast<std::size_t>(num_elements(tensor.shape) * size_of(dtype)));
  for (std::byte& byte : tensor.data) byte = static_cast<std::byte>(random() & 0xff);
  return tensor;
}

// The bytes of a box of a tensor.
inline std::vector<std::byte> bytes_of(const TestTensor& tensor, const Box& box) {
  const std::int64_t width = size_of(tensor.dtype);
  std::vector<std::byte> bytes(static_cast<std::size_t>(box.elements() * width));
  for_each_common_run(Box::whole(tensor.shape), box, [&](const Run& run) {
    std::copy_n(tensor.data.begin() + run.source * width, run.count * width,
                bytes.begin() + run.target * width);
  });
  return bytes;
}

// A grid of uneven boxes that tile the shape; each dim is cut in at most `parts`.
inline std::vector<Box> random_grid(Random& random, const Shape& shape, std::int64_t parts) {
  std::vector<Box> boxes = {Box::whole(shape)};
  for (std::size_t dim = 0; dim < shape.size(); ++dim) {
    std::vector<std::int64_t> cuts = {0, shape[dim]};
    for (std::int64_t cut = draw(random, 1, parts); cut > 1; --cut) {
      cuts.push_back(draw(random, 0, shape[dim]));
    }
    std::sort(cuts.begin(), cuts.end());
    std::vector<Box> finer;
    for (const Box& box : boxes) {
      for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
        Box part = box;
        part.offset[dim] = cuts[i];
        part.shape[dim] = cuts[i + 1] - cuts[i];
        finer.push_back(part);
      }
    }
    boxes = finer;
  }
  return boxes;  // Some may be empty: a writer leaves those out.
}

struct TestSave {
  std::int64_t step = 100;
  int ranks = 2;
  std::int64_t parts = 3;
  std::string run_id = "run-1";
  std::string token = "t1";
};

// Writes all ranks' files; returns their records.
inline std::vector<std::string> write_rank_files(Random& random, const CheckpointSave& save,
                                                 const std::vector<TestTensor>& tensors,
                                                 const TestSave& options) {
  std::vector<std::vector<Piece>> pieces(static_cast<std::size_t>(options.ranks));
  std::vector<std::vector<std::byte>> buffers;
  buffers.reserve(4096);
  for (const TestTensor& tensor : tensors) {
    for (const Box& box : random_grid(random, tensor.shape, options.parts)) {
      buffers.push_back(bytes_of(tensor, box));
      pieces[static_cast<std::size_t>(draw(random, 0, options.ranks - 1))].push_back(
          {tensor.name, tensor.dtype, box, buffers.back().data()});
    }
  }
  std::vector<std::string> records;
  for (int rank = 0; rank < options.ranks; ++rank) {
    records.push_back(save.write_rank_file(rank, pieces[static_cast<std::size_t>(rank)]));
  }
  return records;
}

inline CheckpointState test_state() {
  CheckpointState state;
  state.set_consumed_rows(800);
  state.set_seed(18446744073709551615ULL);
  state.set_config_yaml("run:\n  steps: 200\n");
  state.mutable_lineage()->set_restarts(1);
  (*state.mutable_optimizer_steps())["layer.weight"] = 100;
  (*state.mutable_optimizer_steps())["layer.bias"] = 99;
  return state;
}

// A whole save; returns its step folder.
inline std::filesystem::path save_checkpoint(Random& random, const std::filesystem::path& directory,
                                             const std::vector<TestTensor>& tensors,
                                             const TestSave& options = {}) {
  CheckpointSave save(directory, options.step, options.run_id, options.token);
  save.create_folder();
  save.commit(write_rank_files(random, save, tensors, options), test_state());
  return save.folder();
}

inline std::vector<TestTensor> small_tensors(Random& random) {
  return {random_tensor(random, "layer.weight", DType::kF32, {6, 5}),
          random_tensor(random, "optimizer.exp_avg.layer.weight", DType::kF32, {6, 5}),
          random_tensor(random, "layer.bias", DType::kBF16, {7}),
          random_tensor(random, "scale", DType::kF64, {})};
}

// The code of the Error that `action` ends with; kDone when it ends well. `text` gets its message.
inline ExitCode code_of(const std::function<void()>& action, std::string* text = nullptr) {
  try {
    action();
  } catch (const Error& error) {
    if (text != nullptr) *text = error.what();
    return error.code();
  }
  return ExitCode::kDone;
}

inline std::string slurp(const std::filesystem::path& path) { return read_file(path, 1 << 30); }

inline void spill(const std::filesystem::path& path, std::string_view content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(content.data(), std::ssize(content));
}

}  // namespace cloze::testing
