// The ranks of a job as a grid: world = pipeline x data x context x tensor, tensor innermost.
// Arithmetic only; no rank talks here.
#pragma once

#include <array>
#include <string_view>
#include <vector>

namespace cloze {

enum class Axis : int { kPipeline = 0, kData = 1, kContext = 2, kTensor = 3 };
inline constexpr std::array kAxes = {Axis::kPipeline, Axis::kData, Axis::kContext, Axis::kTensor};
std::string_view name_of(Axis axis);

// How many ranks each axis has.
struct Degrees {
  int pipeline = 1;
  int data = 1;
  int context = 1;
  int tensor = 1;

  int of(Axis axis) const;
  int world() const { return pipeline * data * context * tensor; }
  auto operator<=>(const Degrees&) const = default;
};

// Where one rank stands on each axis.
struct Coordinates {
  int pipeline = 0;
  int data = 0;
  int context = 0;
  int tensor = 0;

  int of(Axis axis) const;
  auto operator<=>(const Coordinates&) const = default;
};

class Mesh {
 public:
  explicit Mesh(Degrees degrees);

  const Degrees& degrees() const { return degrees_; }
  int world() const { return degrees_.world(); }
  Coordinates coordinates(int rank) const;
  int rank(const Coordinates& at) const;

  // The ranks that differ from `rank` in `axis` alone, in the order of that axis.
  std::vector<int> group(Axis axis, int rank) const;
  // The ranks that differ from `rank` in any of `axes`, in rank order.
  std::vector<int> group(const std::vector<Axis>& axes, int rank) const;

 private:
  Degrees degrees_;
};

// All (tensor, pipeline, data) layouts of exactly `world` ranks, context 1.
std::vector<Degrees> layouts_of(int world);

}  // namespace cloze
