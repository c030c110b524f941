#include "text/pre_tokenizers/pre_tokenizer.h"

#include <algorithm>

#include "text/part_kinds.h"
#include "text/pre_tokenizers/bert.h"
#include "text/pre_tokenizers/by_character.h"
#include "text/pre_tokenizers/byte_level.h"

namespace breakeven::text {
namespace {

using Splitters = std::vector<Splitter>;

template <Splitter... Each>
Result<Splitters> split_by(const JsonObject& /*part*/) {
  return Splitters{Each...};
}

Result<Splitters> punctuation(const JsonObject& part) {
  BREAKEVEN_TRY(const std::string behavior, part.text("behavior", "Isolated"));
  if (behavior != "Isolated") return unsupported(part.where("behavior"), behavior, "Isolated");
  return Splitters{isolate_punctuation};
}

// Alone it is another class than the rest.
Result<Splitters> byte_level(const JsonObject& part) {
  return unsupported(part.where("type"), "ByteLevel beside others", "ByteLevel alone");
}

struct PreTokenizerKind {
  std::string_view type;
  Result<Splitters> (*read)(const JsonObject& part);
};
constexpr PreTokenizerKind kKinds[] = {
    {"BertPreTokenizer", split_by<whitespace_split, isolate_punctuation>},
    {"ByteLevel", byte_level},
    {"Punctuation", punctuation},
    {"Whitespace", split_by<split_words_from_others>},
    {"WhitespaceSplit", split_by<whitespace_split>}};

bool has(const Splitters& splitters, Splitter wanted) {
  return std::find(splitters.begin(), splitters.end(), wanted) != splitters.end();
}

}  // namespace

Result<std::unique_ptr<PreTokenizer>> read_pre_tokenizer(const JsonObject& root) {
  if (!root.find("pre_tokenizer"))
    return unsupported(root.where("pre_tokenizer"), "null", "BertPreTokenizer");
  BREAKEVEN_TRY(const JsonObject part, root.object("pre_tokenizer"));
  BREAKEVEN_TRY(const auto parts, flatten(part, "pretokenizers"));
  if (parts.size() == 1) {
    BREAKEVEN_TRY(const std::string type, parts.front().text("type", ""));
    if (type == "ByteLevel") return read_byte_level(parts.front());
  }
  Splitters all;
  for (const JsonObject& each : parts) {
    BREAKEVEN_TRY(const auto* kind, find_kind(each, std::span<const PreTokenizerKind>(kKinds)));
    BREAKEVEN_TRY(const Splitters splitters, kind->read(each));
    for (const Splitter splitter : splitters)
      if (!has(all, splitter)) all.push_back(splitter);
  }
  if (all.empty())
    return unsupported(part.where("pretokenizers"), "an empty Sequence", "BertPreTokenizer");
  // BertPreTokenizer is these two, in whatever order; under its own name one_pass.h knows it.
  const bool bert = all.size() == 2 && has(all, whitespace_split) && has(all, isolate_punctuation);
  if (bert) return std::make_unique<BertPreTokenizer>();
  return std::make_unique<ByCharacter>(std::move(all));
}

}  // namespace breakeven::text
