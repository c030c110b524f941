#include "text/pre_tokenizers/pre_tokenizer.h"

#include <algorithm>

#include "text/part_kinds.h"
#include "text/pre_tokenizers/bert.h"
#include "text/pre_tokenizers/by_character.h"
#include "text/pre_tokenizers/byte_level.h"
#include "text/pre_tokenizers/metaspace.h"

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

// So is this one, and it may be the last of several.
Result<Splitters> metaspace(const JsonObject& part) {
  return unsupported(part.where("type"), "Metaspace before others", "Metaspace as the last one");
}

struct PreTokenizerKind {
  std::string_view type;
  Result<Splitters> (*read)(const JsonObject& part);
};
constexpr PreTokenizerKind kKinds[] = {
    {"BertPreTokenizer", split_by<whitespace_split, isolate_punctuation>},
    {"ByteLevel", byte_level},
    {"Metaspace", metaspace},
    {"Punctuation", punctuation},
    {"Whitespace", split_by<split_words_from_others>},
    {"WhitespaceSplit", split_by<whitespace_split>}};

bool has(const Splitters& splitters, Splitter wanted) {
  return std::find(splitters.begin(), splitters.end(), wanted) != splitters.end();
}

// One that does what all of `parts` do; null where there are none.
Result<std::unique_ptr<PreTokenizer>> by_character(std::span<const JsonObject> parts) {
  Splitters all;
  for (const JsonObject& each : parts) {
    BREAKEVEN_TRY(const auto* kind, find_kind(each, std::span<const PreTokenizerKind>(kKinds)));
    BREAKEVEN_TRY(const Splitters splitters, kind->read(each));
    for (const Splitter splitter : splitters)
      if (!has(all, splitter)) all.push_back(splitter);
  }
  if (all.empty()) return nullptr;
  // BertPreTokenizer is these two, in whatever order; under its own name one_pass.h knows it.
  const bool bert = all.size() == 2 && has(all, whitespace_split) && has(all, isolate_punctuation);
  if (bert) return std::make_unique<BertPreTokenizer>();
  return std::make_unique<ByCharacter>(std::move(all));
}

}  // namespace

Result<std::unique_ptr<PreTokenizer>> read_pre_tokenizer(const JsonObject& root) {
  if (!root.find("pre_tokenizer"))
    return unsupported(root.where("pre_tokenizer"), "null", "BertPreTokenizer");
  BREAKEVEN_TRY(const JsonObject part, root.object("pre_tokenizer"));
  BREAKEVEN_TRY(const auto parts, flatten(part, "pretokenizers"));
  if (parts.empty())
    return unsupported(part.where("pretokenizers"), "an empty Sequence", "BertPreTokenizer");
  BREAKEVEN_TRY(const std::string last, parts.back().text("type", ""));
  if (parts.size() == 1 && last == "ByteLevel") return read_byte_level(parts.front());
  if (last != "Metaspace") return by_character(parts);
  BREAKEVEN_TRY(auto before, by_character(std::span(parts).first(parts.size() - 1)));
  return read_metaspace(parts.back(), std::move(before));
}

}  // namespace breakeven::text
