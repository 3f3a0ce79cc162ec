// tokenizer.json as a stranger wrote it. The input is the file; what follows a record separator
// (0x1E) is a text to encode. A file that writes "vocab":{ without a blank is given the 256 pieces
// of single bytes there, which every vocabulary needs, so that mutation starts behind that check.
// The file is refused with exit code 65, or what it holds is consistent, is the same when written
// and read again, and its ids decode to the text.
#include <algorithm>
#include <vector>

#include "data/byte_level.h"
#include "data/special_tokens.h"
#include "data/tokenizer.h"
#include "data/tokenizer_files.h"
#include "data/utf8.h"
#include "tests/fuzz/fuzzing.h"

namespace cloze::fuzz {
namespace {

constexpr std::string_view kVocabulary = "\"vocab\":{";
constexpr std::string_view kText = "Hello, w\xc3\xb6rld  12345's <sop>\n\n\xe4\xbd\xa0\xe5\xa5\xbd";
// The encoder's memory takes longer to clear than all else; some inputs are enough.
constexpr std::size_t kEncoderEvery = 16;

std::string byte_pieces() {
  std::string pieces;
  for (int byte = 0; byte < 256; ++byte) {
    std::string name = to_byte_level(std::string(1, static_cast<char>(byte)));
    if (name == "\"" || name == "\\") name.insert(0, 1, '\\');
    pieces += str("\"", name, "\":", byte, ",");
  }
  return pieces;
}

std::string with_byte_pieces(std::string file) {
  static const std::string pieces = byte_pieces();
  const std::size_t place = file.find(kVocabulary);
  if (place == std::string::npos) return file;
  const std::size_t begin = place + kVocabulary.size();
  file.insert(begin, pieces);
  // An empty vocabulary leaves a comma too many.
  const std::size_t end = begin + pieces.size();
  if (end < file.size() && file[end] == '}') file.erase(end - 1, 1);
  return file;
}

bool same_merges(const std::vector<Merge>& a, const std::vector<Merge>& b) {
  return std::ranges::equal(a, b, [](const Merge& left, const Merge& right) {
    return left.left == right.left && left.right == right.right && left.result == right.result;
  });
}

void check_content(const TokenizerContent& content, const ScratchFolder& scratch) {
  require(std::ranges::adjacent_find(content.pieces, std::ranges::greater_equal{},
                                     &VocabularyPiece::id) == content.pieces.end(),
          "ids of pieces ascend");
  require(std::ranges::adjacent_find(content.added_tokens, std::ranges::greater_equal{},
                                     &AddedToken::id) == content.added_tokens.end(),
          "ids of added tokens ascend");
  require(content.pieces.size() >= 256, "all bytes are pieces");
  const std::filesystem::path folder = scratch.path() / "again";
  write_tokenizer_files(folder, content);
  const TokenizerContent again = read_tokenizer_files(folder);
  require(again.split_pattern == content.split_pattern &&
              again.ignore_merges == content.ignore_merges && again.pieces == content.pieces &&
              same_merges(again.merges, content.merges) &&
              again.added_tokens == content.added_tokens,
          "what is read is the same when written and read again");
}

// Whether every added token decodes to its own string; one such as the byte-level form of a blank
// decodes as the piece that it looks like.
bool added_tokens_show_themselves(const TokenizerContent& content) {
  return std::ranges::all_of(content.added_tokens, [](const AddedToken& token) {
    return from_byte_level(token.content).value_or(token.content) == token.content;
  });
}

void check_tokenizer(const Tokenizer& tokenizer, const TokenizerContent& content,
                     std::string_view text, bool try_encoder) {
  require(tokenizer.vocab_size() > content.pieces.back().id, "ids lie below the vocabulary's size");
  for (const VocabularyPiece& piece : content.pieces) {
    require(tokenizer.id_of(piece.bytes).has_value(), "every piece has an id");
  }
  sentence_ends(tokenizer);
  parsed(ExitCode::kBadInput, [&] { return special_tokens(tokenizer, /*causal=*/false); });
  const bool is_exact = added_tokens_show_themselves(content);
  for (const bool parse_special : {false, true}) {
    const auto ids =
        parsed(ExitCode::kBadInput, [&] { return tokenizer.encode(text, parse_special); });
    if (!ids) continue;  // Not UTF-8, or a pattern that gives up.
    const std::string decoded = tokenizer.decode(*ids, /*skip_special=*/false);
    require(!is_exact || decoded == text, "ids decode to the text");
    if (parse_special || !try_encoder) continue;
    Tokenizer::Encoder encoder(tokenizer);
    std::vector<std::int32_t> remembered;
    encoder.encode(text, remembered);
    encoder.encode(text, remembered);
    require(remembered.size() == 2 * ids->size() &&
                std::equal(ids->begin(), ids->end(), remembered.begin()) &&
                std::equal(ids->begin(), ids->end(), remembered.begin() + std::ssize(*ids)),
            "the remembering encoder gives the same ids");
  }
}

void run(std::string_view input) {
  static const ScratchFolder scratch;
  const std::size_t cut = input.find(kSeparator);
  const std::string_view text = cut == std::string_view::npos ? kText : input.substr(cut + 1);
  scratch.write("tokenizer.json", with_byte_pieces(std::string(input.substr(0, cut))));
  const auto content =
      parsed(ExitCode::kBadInput, [&] { return read_tokenizer_files(scratch.path()); });
  const auto tokenizer =
      parsed(ExitCode::kBadInput, [&] { return Tokenizer::load(scratch.path()); });
  require(content || !tokenizer, "a tokenizer has a content");
  if (!content) return;
  check_content(*content, scratch);
  // Nothing when PCRE2 refuses the pattern.
  if (tokenizer) check_tokenizer(*tokenizer, *content, text, input.size() % kEncoderEvery == 0);
}

}  // namespace
}  // namespace cloze::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cloze::fuzz::run(cloze::fuzz::text_of(data, size));
  return 0;
}
