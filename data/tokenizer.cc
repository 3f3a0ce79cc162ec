// The parts put together: added tokens cut the text, the split pattern cuts what is between
// them into words, merges turn a word into ids.
#include "data/tokenizer.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "data/added_tokens.h"
#include "data/bpe_merges.h"
#include "data/byte_level.h"
#include "data/content_digest.h"
#include "data/split_pattern.h"
#include "data/tokenizer_files.h"
#include "data/utf8.h"
#include "parallel/base/check.h"

namespace cloze {
namespace {

struct HashOfText {
  std::size_t operator()(std::string_view text) const {
    return XXH3_64bits(text.data(), text.size());
  }
};

using IdsOfText = std::unordered_map<std::string_view, std::int32_t, HashOfText>;

// What an id stands for.
struct Entry {
  std::string bytes;
  bool present = false;
  bool special = false;
};

std::array<std::int32_t, 256> byte_ids(const TokenizerContent& content) {
  std::array<std::int32_t, 256> ids{};
  for (const VocabularyPiece& piece : content.pieces) {
    if (piece.bytes.size() == 1) ids[static_cast<std::uint8_t>(piece.bytes[0])] = piece.id;
  }
  return ids;
}

std::vector<AddedToken> of_pass(const TokenizerContent& content, bool normalized) {
  std::vector<AddedToken> tokens;
  std::ranges::copy_if(content.added_tokens, std::back_inserter(tokens),
                       [&](const AddedToken& token) { return token.normalized == normalized; });
  return tokens;
}

// Appends without streams: a published vocabulary has half a million lines.
std::string canonical_text(const TokenizerContent& content) {
  std::string text = "cloze tokenizer 1\n";
  const auto add_number = [&](std::int64_t number) {
    text += ' ';
    text += std::to_string(number);
  };
  const auto add_bytes = [&](std::string_view bytes) {
    // The size keeps bytes that look like the next line from passing for it.
    add_number(static_cast<std::int64_t>(bytes.size()));
    text += ' ';
    text += bytes;
    text += '\n';
  };
  text += content.ignore_merges ? "whole words, pattern" : "pattern";
  add_bytes(content.split_pattern);
  for (const VocabularyPiece& piece : content.pieces) {
    text += "piece";
    add_number(piece.id);
    add_bytes(piece.bytes);
  }
  for (const Merge& merge : content.merges) {
    text += "merge";
    add_number(merge.left);
    add_number(merge.right);
    text += '\n';
  }
  for (const AddedToken& token : content.added_tokens) {
    text += token.special ? "special" : "added";
    text += token.normalized ? " late" : "";
    add_number(token.id);
    add_bytes(token.content);
  }
  return text;
}

}  // namespace

struct TokenizerModel {
  explicit TokenizerModel(const TokenizerContent& content);

  // The ids of a word, without any memory of earlier words.
  void encode_word(std::string_view word, std::vector<std::int32_t>& out) const;

  // Calls on_text(part) and on_token(id) in the order of the text.
  template <typename OnText, typename OnToken>
  void cut(std::string_view text, bool parse_special, const OnText& on_text,
           const OnToken& on_token) const;

  SplitPattern pattern;
  BpeMerges merges;
  bool ignore_merges;
  bool cuts_plain_text;        // Some added token is not special.
  AddedTokenMatcher first;     // Sought in the text,
  AddedTokenMatcher second;    // and in what the first leave.
  std::vector<Entry> entries;  // Of an id.
  IdsOfText piece_ids;         // Keys borrow from entries.
  IdsOfText added_ids;         // Keys borrow from added_contents.
  std::vector<std::string> added_contents;
  std::string digest;
};

TokenizerModel::TokenizerModel(const TokenizerContent& content)
    : pattern(content.split_pattern),
      merges(byte_ids(content), content.merges),
      ignore_merges(content.ignore_merges),
      cuts_plain_text(std::ranges::any_of(content.added_tokens,
                                          [](const AddedToken& token) { return !token.special; })),
      first(of_pass(content, false)),
      second(of_pass(content, true)),
      digest(hex_of(digest_of(canonical_text(content)))) {
  std::int32_t largest = content.pieces.back().id;
  if (!content.added_tokens.empty()) largest = std::max(largest, content.added_tokens.back().id);
  entries.resize(static_cast<std::size_t>(largest) + 1);
  piece_ids.reserve(content.pieces.size());
  for (const VocabularyPiece& piece : content.pieces) {
    Entry& entry = entries[static_cast<std::size_t>(piece.id)];
    entry = {piece.bytes, /*present=*/true, /*special=*/false};
    piece_ids.emplace(entry.bytes, piece.id);
  }
  added_contents.reserve(content.added_tokens.size());
  for (const AddedToken& token : content.added_tokens) {
    Entry& entry = entries[static_cast<std::size_t>(token.id)];
    // Decoding reads an added token as a piece where it can, as the published decoders do. One
    // that is also a piece has these very bytes already, and piece_ids borrows them.
    if (!entry.present) entry.bytes = from_byte_level(token.content).value_or(token.content);
    entry.present = true;
    entry.special = token.special;
    added_contents.push_back(token.content);
    added_ids.emplace(added_contents.back(), token.id);
  }
}

void TokenizerModel::encode_word(std::string_view word, std::vector<std::int32_t>& out) const {
  if (ignore_merges) {
    const auto piece = piece_ids.find(word);
    if (piece != piece_ids.end()) {
      out.push_back(piece->second);
      return;
    }
  }
  merges.encode(word, out);
}

template <typename OnText, typename OnToken>
void TokenizerModel::cut(std::string_view text, bool parse_special, const OnText& on_text,
                         const OnToken& on_token) const {
  if (!parse_special && !cuts_plain_text) {
    on_text(text);
    return;
  }
  // A special token that is not wanted still takes its place in the search, so that no other
  // token is found inside it.
  const auto pass = [&](const AddedTokenMatcher& matcher, std::string_view part,
                        const auto& on_rest) {
    std::size_t done = 0;
    std::size_t from = 0;
    while (const auto match = matcher.find(part, from)) {
      from = match->end;
      if (match->special && !parse_special) continue;
      if (match->begin > done) on_rest(part.substr(done, match->begin - done));
      on_token(match->id);
      done = match->end;
    }
    if (done < part.size()) on_rest(part.substr(done));
  };
  pass(first, text, [&](std::string_view rest) { pass(second, rest, on_text); });
}

Tokenizer Tokenizer::load(const std::filesystem::path& folder) {
  return Tokenizer(std::make_unique<const TokenizerModel>(read_tokenizer_files(folder)));
}

Tokenizer::Tokenizer(std::unique_ptr<const TokenizerModel> model) : model_(std::move(model)) {}
Tokenizer::Tokenizer(Tokenizer&& other) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&& other) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::int64_t Tokenizer::vocab_size() const {
  return static_cast<std::int64_t>(model_->entries.size());
}

std::optional<std::int32_t> Tokenizer::id_of(std::string_view token) const {
  for (const IdsOfText* ids : {&model_->added_ids, &model_->piece_ids}) {
    const auto found = ids->find(token);
    if (found != ids->end()) return found->second;
  }
  return std::nullopt;
}

std::int32_t Tokenizer::special(std::string_view token) const {
  const std::optional<std::int32_t> id = id_of(token);
  CLOZE_REQUIRE(id.has_value(), ExitCode::kBadInput,
                str("the tokenizer has no token \"", token, "\""),
                "use a tokenizer with GLM's special tokens, such as `cloze tokenizer train` makes");
  return *id;
}

std::string Tokenizer::digest() const { return model_->digest; }

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, bool parse_special) const {
  require_utf8(text);
  std::vector<std::int32_t> ids;
  WordScanner scanner(model_->pattern);
  const auto on_text = [&](std::string_view part) {
    scanner.start(part);
    while (const auto word = scanner.next()) model_->encode_word(*word, ids);
  };
  model_->cut(text, parse_special, on_text, [&](std::int32_t id) { ids.push_back(id); });
  return ids;
}

bool Tokenizer::has(std::int32_t id) const {
  return id >= 0 && id < vocab_size() && model_->entries[static_cast<std::size_t>(id)].present;
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids, bool skip_special) const {
  std::string text;
  for (const std::int32_t id : ids) {
    CLOZE_REQUIRE(has(id), ExitCode::kBadInput, str("the tokenizer has no token of id ", id),
                  "decode ids that this tokenizer made");
    const Entry& entry = model_->entries[static_cast<std::size_t>(id)];
    if (!(entry.special && skip_special)) text += entry.bytes;
  }
  return text;
}

// The cache is direct-mapped: a word of another text takes the place of an older one. A slot is
// one cache line and holds the word itself, so a hit is certain. Longer words are rare and pass.
struct Tokenizer::Encoder::State {
  static constexpr std::size_t kNumSlots = std::size_t{1} << 15;
  static constexpr std::size_t kLongestWord = 38;
  static constexpr std::size_t kMostIds = 6;

  struct alignas(64) Slot {
    std::array<std::int32_t, kMostIds> ids;
    std::uint8_t num_ids = 0;
    std::uint8_t size = 0;  // 0: empty; no word is.
    std::array<char, kLongestWord> word;
  };
  static_assert(sizeof(Slot) == 64);

  explicit State(const TokenizerModel& tokenizer)
      : model(tokenizer), scanner(tokenizer.pattern), slots(kNumSlots) {}

  void encode_word(std::string_view word, std::vector<std::int32_t>& out) {
    if (word.size() > kLongestWord) {
      model.encode_word(word, out);
      return;
    }
    Slot& slot = slots[XXH3_64bits(word.data(), word.size()) % kNumSlots];
    if (slot.size == word.size() && std::memcmp(slot.word.data(), word.data(), slot.size) == 0) {
      out.insert(out.end(), slot.ids.begin(), slot.ids.begin() + slot.num_ids);
      return;
    }
    const std::size_t before = out.size();
    model.encode_word(word, out);
    const std::size_t count = out.size() - before;
    if (count > kMostIds) return;
    std::copy(out.end() - static_cast<std::ptrdiff_t>(count), out.end(), slot.ids.begin());
    slot.num_ids = static_cast<std::uint8_t>(count);
    slot.size = static_cast<std::uint8_t>(word.size());
    std::memcpy(slot.word.data(), word.data(), word.size());
  }

  const TokenizerModel& model;
  WordScanner scanner;
  std::vector<Slot> slots;
};

Tokenizer::Encoder::Encoder(const Tokenizer& tokenizer)
    : state_(std::make_unique<State>(*tokenizer.model_)) {}
Tokenizer::Encoder::Encoder(Encoder&& other) noexcept = default;
Tokenizer::Encoder& Tokenizer::Encoder::operator=(Encoder&& other) noexcept = default;
Tokenizer::Encoder::~Encoder() = default;

void Tokenizer::Encoder::encode(std::string_view text, std::vector<std::int32_t>& out) {
  require_utf8(text);
  const auto on_text = [&](std::string_view part) {
    state_->scanner.start(part);
    while (const auto word = state_->scanner.next()) state_->encode_word(*word, out);
  };
  state_->model.cut(text, /*parse_special=*/false, on_text,
                    [&](std::int32_t id) { out.push_back(id); });
}

}  // namespace cloze
