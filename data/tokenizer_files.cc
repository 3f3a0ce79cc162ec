// tokenizer.json in (simdjson: strict, bounded depth, keeps duplicate keys apart) and out
// (nlohmann), with tokenizer_config.json beside it.
#include "data/tokenizer_files.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>
#include <utility>

#include "data/byte_level.h"
#include "data/split_pattern.h"
#include "parallel/base/check.h"
#include "parallel/base/file.h"

namespace cloze {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

constexpr std::int64_t kLargestFile = std::int64_t{64} << 20;
constexpr std::size_t kDeepestNesting = 32;
constexpr std::int64_t kIdLimit = std::int64_t{1} << 22;  // Far above any vocabulary in use.
// Ids that may stand for nothing: tables go up to the largest, whatever the file's size.
constexpr std::int64_t kHolesAllowed = std::int64_t{1} << 14;
constexpr const char* kFileName = "tokenizer.json";
constexpr const char* kConfigName = "tokenizer_config.json";
constexpr std::int64_t kModelMaxLength = 131072;  // As published GLM-4 folders say.

constexpr std::array<std::string_view, 10> kGlmSpecialTokens = {
    "<|endoftext|>", "[MASK]",     "[gMASK]",  "[sMASK]",       "<sop>",
    "<eop>",         "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"};

// One tokenizer.json on its way into a TokenizerContent.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : path_(path) {}

  TokenizerContent read();

 private:
  [[noreturn]] void bad(const std::string& problem) const {
    fail(ExitCode::kBadInput, str(path_.string(), ": ", problem),
         "give the folder of a byte-level BPE tokenizer.json, such as GLM-4's or one made by "
         "`cloze tokenizer train`");
  }
  void demand(bool condition, std::string_view problem) const {
    if (!condition) bad(std::string(problem));
  }

  template <typename T>
  T get(object from, std::string_view key, std::string_view where) const;
  // True when the key is absent, null or an empty string.
  bool is_unset(object from, std::string_view key) const;
  bool flag(object from, std::string_view key, bool otherwise, std::string_view where) const;
  std::int32_t id_from(element value, std::string_view token) const;

  void read_added_tokens(object root);
  std::string read_pre_tokenizer(object root) const;
  void check_byte_level(object pre_tokenizer, bool uses_regex) const;
  void read_vocabulary(object model);
  void check_holes() const;
  void read_merges(object model);
  std::pair<std::string_view, std::string_view> names_of_merge(element merge,
                                                               std::size_t rank) const;
  std::int32_t piece_of(std::string_view name, std::size_t rank) const;

  std::filesystem::path path_;
  TokenizerContent content_;
  std::unordered_map<std::string, std::int32_t> added_ids_;  // Of a content.
  std::unordered_map<std::string, std::int32_t> piece_ids_;  // Of a piece's bytes.
};

template <typename T>
T Reader::get(object from, std::string_view key, std::string_view where) const {
  element value;
  if (from[key].get(value) != simdjson::SUCCESS) bad(str(where, " has no \"", key, "\""));
  T result;
  if (value.get(result) != simdjson::SUCCESS) {
    bad(str("\"", key, "\" of ", where, " is of a wrong type"));
  }
  return result;
}

bool Reader::is_unset(object from, std::string_view key) const {
  element value;
  if (from[key].get(value) != simdjson::SUCCESS || value.is_null()) return true;
  std::string_view text;
  return value.get(text) == simdjson::SUCCESS && text.empty();
}

bool Reader::flag(object from, std::string_view key, bool otherwise, std::string_view where) const {
  element value;
  if (from[key].get(value) != simdjson::SUCCESS) return otherwise;
  return get<bool>(from, key, where);
}

std::int32_t Reader::id_from(element value, std::string_view token) const {
  std::int64_t id = 0;
  if (value.get(id) != simdjson::SUCCESS || id < 0 || id >= kIdLimit) {
    bad(str("the id of \"", token, "\" is not an integer from 0 to ", kIdLimit - 1));
  }
  return static_cast<std::int32_t>(id);
}

TokenizerContent Reader::read() {
  const std::string text = read_file(path_, kLargestFile);
  simdjson::dom::parser parser;
  if (parser.allocate(text.size(), kDeepestNesting) != simdjson::SUCCESS) {
    bad("no memory to parse it");
  }
  element document;
  const simdjson::error_code error = parser.parse(text).get(document);
  if (error != simdjson::SUCCESS) bad(str("not valid JSON: ", simdjson::error_message(error)));
  object root;
  demand(document.get(root) == simdjson::SUCCESS, "not a JSON object");

  demand(is_unset(root, "normalizer"), "it has a normalizer; none is supported");
  const auto decoder = get<object>(root, "decoder", "the file");
  demand(get<std::string_view>(decoder, "type", "decoder") == "ByteLevel",
         "its decoder is not ByteLevel");
  content_.split_pattern = read_pre_tokenizer(root);

  const auto model = get<object>(root, "model", "the file");
  demand(is_unset(model, "type") || get<std::string_view>(model, "type", "model") == "BPE",
         "its model is not BPE");
  for (const std::string_view key :
       {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!is_unset(model, key)) bad(str("\"", key, "\" of model is set; it is not supported"));
  }
  content_.ignore_merges = flag(model, "ignore_merges", false, "model");
  read_added_tokens(root);
  read_vocabulary(model);
  check_holes();
  read_merges(model);
  return std::move(content_);
}

std::string Reader::read_pre_tokenizer(object root) const {
  const auto pre_tokenizer = get<object>(root, "pre_tokenizer", "the file");
  const auto type = get<std::string_view>(pre_tokenizer, "type", "pre_tokenizer");
  if (type == "ByteLevel") {
    check_byte_level(pre_tokenizer, /*uses_regex=*/true);
    return std::string(kByteLevelSplitPattern);
  }
  demand(type == "Sequence", "its pre_tokenizer is neither a Sequence nor ByteLevel");
  const auto steps = get<array>(pre_tokenizer, "pretokenizers", "pre_tokenizer");
  object split;
  object byte_level;
  demand(steps.size() == 2 && steps.at(0).get(split) == simdjson::SUCCESS &&
             steps.at(1).get(byte_level) == simdjson::SUCCESS &&
             get<std::string_view>(split, "type", "pre_tokenizer") == "Split" &&
             get<std::string_view>(byte_level, "type", "pre_tokenizer") == "ByteLevel",
         "its pre_tokenizer is not a Split followed by ByteLevel");
  check_byte_level(byte_level, /*uses_regex=*/false);
  demand(get<std::string_view>(split, "behavior", "Split") == "Isolated" &&
             !flag(split, "invert", false, "Split"),
         "its Split is not of behavior Isolated without invert");
  const auto pattern = get<object>(split, "pattern", "Split");
  return std::string(get<std::string_view>(pattern, "Regex", "the pattern of Split"));
}

void Reader::check_byte_level(object pre_tokenizer, bool uses_regex) const {
  demand(!flag(pre_tokenizer, "add_prefix_space", true, "ByteLevel"),
         "its ByteLevel adds a prefix space; that is not supported");
  demand(flag(pre_tokenizer, "use_regex", true, "ByteLevel") == uses_regex,
         uses_regex ? "its ByteLevel does not split and no Split does"
                    : "it splits twice, by Split and by ByteLevel; that is not supported");
}

void Reader::read_added_tokens(object root) {
  if (is_unset(root, "added_tokens")) return;
  for (const element entry : get<array>(root, "added_tokens", "the file")) {
    object token;
    demand(entry.get(token) == simdjson::SUCCESS, "an entry of added_tokens is not an object");
    AddedToken added;
    added.content = get<std::string_view>(token, "content", "an added token");
    const std::string where = str("added token \"", added.content, "\"");
    demand(!added.content.empty(), "an added token is empty");
    added.id = id_from(get<element>(token, "id", where), added.content);
    added.special = flag(token, "special", false, where);
    added.normalized = flag(token, "normalized", !added.special, where);
    for (const std::string_view key : {"single_word", "lstrip", "rstrip"}) {
      if (flag(token, key, false, where)) {
        bad(str("\"", key, "\" of ", where, " is true; it is not supported"));
      }
    }
    if (!added_ids_.emplace(added.content, added.id).second) bad(str(where, " stands twice"));
    content_.added_tokens.push_back(std::move(added));
  }
  std::ranges::sort(content_.added_tokens, {}, &AddedToken::id);
  const auto twice = std::ranges::adjacent_find(content_.added_tokens, {}, &AddedToken::id);
  if (twice != content_.added_tokens.end()) {
    bad(str("added tokens \"", twice->content, "\" and \"", std::next(twice)->content,
            "\" have one id, ", twice->id));
  }
}

void Reader::read_vocabulary(object model) {
  const auto vocabulary = get<object>(model, "vocab", "model");
  content_.pieces.reserve(vocabulary.size());
  for (const auto [name, value] : vocabulary) {
    const std::int32_t id = id_from(value, name);
    const auto added = added_ids_.find(std::string(name));
    if (added != added_ids_.end() && added->second != id) {
      bad(str("\"", name, "\" has id ", id, " in vocab and ", added->second, " in added_tokens"));
    }
    std::optional<std::string> bytes = from_byte_level(name);
    if (!bytes.has_value() || bytes->empty()) {
      if (added != added_ids_.end()) continue;
      bad(str("piece \"", name, "\" is not written in the byte-level alphabet"));
    }
    if (!piece_ids_.emplace(*bytes, id).second) bad(str("piece \"", name, "\" stands twice"));
    content_.pieces.push_back({*std::move(bytes), id});
  }
  std::ranges::sort(content_.pieces, {}, &VocabularyPiece::id);
  const auto twice = std::ranges::adjacent_find(content_.pieces, {}, &VocabularyPiece::id);
  if (twice != content_.pieces.end()) {
    bad(str("pieces \"", to_byte_level(twice->bytes), "\" and \"",
            to_byte_level(std::next(twice)->bytes), "\" have one id, ", twice->id));
  }
  for (const AddedToken& token : content_.added_tokens) {
    const auto piece =
        std::ranges::lower_bound(content_.pieces, token.id, {}, &VocabularyPiece::id);
    if (piece != content_.pieces.end() && piece->id == token.id &&
        to_byte_level(piece->bytes) != token.content) {
      bad(str("added token \"", token.content, "\" and piece \"", to_byte_level(piece->bytes),
              "\" have one id, ", token.id));
    }
  }
  for (int byte = 0; byte < 256; ++byte) {
    const std::string single(1, static_cast<char>(byte));
    if (!piece_ids_.contains(single)) {
      bad(str("vocab lacks \"", to_byte_level(single), "\", the piece of byte ", byte));
    }
  }
}

void Reader::check_holes() const {
  std::int32_t largest = content_.pieces.back().id;
  if (!added_ids_.empty()) largest = std::max(largest, content_.added_tokens.back().id);
  const auto tokens = std::ssize(content_.pieces) + std::ssize(content_.added_tokens);
  if (largest >= 2 * tokens + kHolesAllowed) {
    bad(str("its largest id is ", largest, ", for ", tokens, " tokens"));
  }
}

void Reader::read_merges(object model) {
  const auto merges = get<array>(model, "merges", "model");
  for (const element entry : merges) {
    const std::size_t rank = content_.merges.size();
    const auto [left, right] = names_of_merge(entry, rank);
    const Merge merge{piece_of(left, rank), piece_of(right, rank),
                      piece_of(std::string(left) + std::string(right), rank)};
    content_.merges.push_back(merge);
  }
}

// A merge is ["a", "b"] or, in older files, "a b"; the alphabet has no blank.
std::pair<std::string_view, std::string_view> Reader::names_of_merge(element merge,
                                                                     std::size_t rank) const {
  std::string_view joint;
  if (merge.get(joint) == simdjson::SUCCESS) {
    const std::size_t blank = joint.find(' ');
    if (blank != std::string_view::npos) return {joint.substr(0, blank), joint.substr(blank + 1)};
  }
  array pair;
  std::string_view left;
  std::string_view right;
  if (merge.get(pair) != simdjson::SUCCESS || pair.size() != 2 ||
      pair.at(0).get(left) != simdjson::SUCCESS || pair.at(1).get(right) != simdjson::SUCCESS) {
    bad(str("merge ", rank, " is not a pair of pieces"));
  }
  return {left, right};
}

std::int32_t Reader::piece_of(std::string_view name, std::size_t rank) const {
  const std::optional<std::string> bytes = from_byte_level(name);
  const auto found = bytes.has_value() ? piece_ids_.find(*bytes) : piece_ids_.end();
  if (found == piece_ids_.end()) {
    bad(str("merge ", rank, " names \"", name, "\", which vocab lacks"));
  }
  return found->second;
}

nlohmann::ordered_json json_of(const AddedToken& token) {
  return {{"content", token.content}, {"single_word", false},           {"lstrip", false},
          {"rstrip", false},          {"normalized", token.normalized}, {"special", token.special}};
}

nlohmann::ordered_json tokenizer_json(const TokenizerContent& content) {
  using nlohmann::ordered_json;
  ordered_json added = ordered_json::array();
  for (const AddedToken& token : content.added_tokens) {
    ordered_json entry = {{"id", token.id}};
    entry.update(json_of(token));
    added.push_back(std::move(entry));
  }
  ordered_json vocab = ordered_json::object();
  std::unordered_map<std::int32_t, std::string> names;
  for (const VocabularyPiece& piece : content.pieces) {
    const std::string& name = names[piece.id] = to_byte_level(piece.bytes);
    // push_back, for ordered_json's operator[] looks through all earlier keys.
    vocab.get_ref<ordered_json::object_t&>().push_back({name, piece.id});
  }
  ordered_json merges = ordered_json::array();
  for (const Merge& merge : content.merges) {
    merges.push_back(ordered_json::array({names.at(merge.left), names.at(merge.right)}));
  }
  const auto byte_level = [](bool trim_offsets) {
    return ordered_json{{"type", "ByteLevel"},
                        {"add_prefix_space", false},
                        {"trim_offsets", trim_offsets},
                        {"use_regex", false}};
  };
  const ordered_json split = {{"type", "Split"},
                              {"pattern", {{"Regex", content.split_pattern}}},
                              {"behavior", "Isolated"},
                              {"invert", false}};
  ordered_json model = {{"type", "BPE"},
                        {"dropout", nullptr},
                        {"unk_token", nullptr},
                        {"continuing_subword_prefix", nullptr},
                        {"end_of_word_suffix", nullptr},
                        {"fuse_unk", false},
                        {"byte_fallback", false},
                        {"ignore_merges", content.ignore_merges}};
  model["vocab"] = std::move(vocab);
  model["merges"] = std::move(merges);
  ordered_json file = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
  file["added_tokens"] = std::move(added);
  file["normalizer"] = nullptr;
  file["pre_tokenizer"] = {{"type", "Sequence"},
                           {"pretokenizers", ordered_json::array({split, byte_level(true)})}};
  file["post_processor"] = byte_level(false);
  file["decoder"] = byte_level(true);
  file["model"] = std::move(model);
  return file;
}

nlohmann::ordered_json config_json(const TokenizerContent& content) {
  using nlohmann::ordered_json;
  ordered_json decoder = ordered_json::object();
  ordered_json specials = ordered_json::array();
  for (const AddedToken& token : content.added_tokens) {
    decoder[std::to_string(token.id)] = json_of(token);
    if (token.special) specials.push_back(token.content);
  }
  ordered_json config = {{"added_tokens_decoder", std::move(decoder)},
                         {"additional_special_tokens", specials},
                         {"clean_up_tokenization_spaces", false},
                         {"do_lower_case", false},
                         {"model_input_names", {"input_ids", "attention_mask"}},
                         {"model_max_length", kModelMaxLength},
                         {"padding_side", "left"},
                         {"remove_space", false},
                         {"tokenizer_class", "PreTrainedTokenizerFast"}};
  const std::string_view end = kGlmSpecialTokens.front();
  if (std::ranges::find(content.added_tokens, end, &AddedToken::content) !=
      content.added_tokens.end()) {
    config["eos_token"] = end;
    config["pad_token"] = end;
  }
  return config;
}

}  // namespace

std::span<const std::string_view> glm_special_tokens() { return kGlmSpecialTokens; }

TokenizerContent read_tokenizer_files(const std::filesystem::path& folder) {
  return Reader(folder / kFileName).read();
}

void write_tokenizer_files(const std::filesystem::path& folder, const TokenizerContent& content) {
  make_directories(folder);
  write_file_atomically(folder / kConfigName, config_json(content).dump(2) + "\n");
  write_file_atomically(folder / kFileName, tokenizer_json(content).dump(2) + "\n");
}

}  // namespace cloze
