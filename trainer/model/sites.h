// The frozen list of a GLM's parameters. Their places key the initial weights and order the sums
// of the gradient norm, so a number never changes its meaning: append only.
#pragma once

#include <cstdint>

namespace cloze::site {

// Outside of the layers (layer 0 of a key).
inline constexpr std::uint32_t kTokenEmbedding = 0;
inline constexpr std::uint32_t kPositionEmbedding = 1;
inline constexpr std::uint32_t kBlockPositionEmbedding = 2;
inline constexpr std::uint32_t kFinalNormWeight = 3;
inline constexpr std::uint32_t kFinalNormBias = 4;
inline constexpr std::uint32_t kHead = 5;

// In a layer (layer number + 1 of a key).
inline constexpr std::uint32_t kInputNormWeight = 0;
inline constexpr std::uint32_t kInputNormBias = 1;
inline constexpr std::uint32_t kQueryWeight = 2;
inline constexpr std::uint32_t kQueryBias = 3;
inline constexpr std::uint32_t kKeyWeight = 4;
inline constexpr std::uint32_t kKeyBias = 5;
inline constexpr std::uint32_t kValueWeight = 6;
inline constexpr std::uint32_t kValueBias = 7;
inline constexpr std::uint32_t kAttentionOutputWeight = 8;
inline constexpr std::uint32_t kAttentionOutputBias = 9;
inline constexpr std::uint32_t kPostAttentionNormWeight = 10;
inline constexpr std::uint32_t kPostAttentionNormBias = 11;
inline constexpr std::uint32_t kGateWeight = 12;
inline constexpr std::uint32_t kUpWeight = 14;
inline constexpr std::uint32_t kUpBias = 15;
inline constexpr std::uint32_t kDownWeight = 16;
inline constexpr std::uint32_t kDownBias = 17;

}  // namespace cloze::site
