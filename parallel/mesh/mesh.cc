#include "parallel/mesh/mesh.h"

#include <algorithm>

#include "parallel/base/check.h"

namespace cloze {

std::string_view name_of(Axis axis) {
  switch (axis) {
    case Axis::kPipeline:
      return "pipeline";
    case Axis::kData:
      return "data";
    case Axis::kContext:
      return "context";
    case Axis::kTensor:
      return "tensor";
  }
  return "?";
}

namespace {

template <typename Value>
auto& field(Value& value, Axis axis) {
  switch (axis) {
    case Axis::kPipeline:
      return value.pipeline;
    case Axis::kData:
      return value.data;
    case Axis::kContext:
      return value.context;
    default:
      return value.tensor;
  }
}

}  // namespace

int Degrees::of(Axis axis) const { return field(*this, axis); }
int Coordinates::of(Axis axis) const { return field(*this, axis); }

Mesh::Mesh(Degrees degrees) : degrees_(degrees) {
  for (const Axis axis : kAxes) {
    CLOZE_CHECK(degrees.of(axis) >= 1, str("the ", name_of(axis), " axis has no rank"),
                "every degree is at least 1");
  }
}

Coordinates Mesh::coordinates(int rank) const {
  CLOZE_CHECK(rank >= 0 && rank < world(), str("rank ", rank, " is outside of ", world(), " ranks"),
              "ask for a rank of the mesh");
  Coordinates at;
  at.tensor = rank % degrees_.tensor;
  rank /= degrees_.tensor;
  at.context = rank % degrees_.context;
  rank /= degrees_.context;
  at.data = rank % degrees_.data;
  at.pipeline = rank / degrees_.data;
  return at;
}

int Mesh::rank(const Coordinates& at) const {
  return ((at.pipeline * degrees_.data + at.data) * degrees_.context + at.context) *
             degrees_.tensor +
         at.tensor;
}

std::vector<int> Mesh::group(Axis axis, int rank) const {
  return group(std::vector<Axis>{axis}, rank);
}

std::vector<int> Mesh::group(const std::vector<Axis>& axes, int rank) const {
  const Coordinates mine = coordinates(rank);
  std::vector<int> members;
  for (int other = 0; other < world(); ++other) {
    const Coordinates theirs = coordinates(other);
    const bool together = std::all_of(kAxes.begin(), kAxes.end(), [&](Axis axis) {
      const bool free = std::find(axes.begin(), axes.end(), axis) != axes.end();
      return free || mine.of(axis) == theirs.of(axis);
    });
    if (together) members.push_back(other);
  }
  return members;
}

std::vector<Degrees> layouts_of(int world) {
  std::vector<Degrees> layouts;
  for (int tensor = 1; tensor <= world; ++tensor) {
    if (world % tensor != 0) continue;
    for (int pipeline = 1; pipeline <= world / tensor; ++pipeline) {
      if (world / tensor % pipeline != 0) continue;
      layouts.push_back({.pipeline = pipeline,
                         .data = world / tensor / pipeline,
                         .context = 1,
                         .tensor = tensor});
    }
  }
  return layouts;
}

}  // namespace cloze
