#include "text/models/piece_model.h"

#include <unordered_set>

#include "text/part_kinds.h"

namespace breakeven::text {

Result<void> read_vocabulary(const JsonObject& vocabulary, const std::string& where,
                             ModelSpec& spec) {
  std::unordered_set<std::string_view> entries;
  std::unordered_set<std::uint64_t> ids;
  for (const auto& [entry, value] : vocabulary.fields()) {
    const auto id = value.count();
    if (!id || *id >= kMostIds)
      return fail("tokenizer/vocabulary",
                  fmt::format("{}: '{}' has no id from 0 to {}", where, entry, kMostIds - 1),
                  "download the file again");
    if (!ids.insert(*id).second)
      return fail(
          "tokenizer/vocabulary",
          fmt::format("{}: id {} is given twice, the second time to '{}'", where, *id, entry),
          "give every entry an id of its own");
    if (!entries.insert(entry).second)
      return fail("tokenizer/vocabulary", fmt::format("{}: '{}' stands there twice", where, entry),
                  "remove one of the two");
    spec.vocabulary.emplace_back(entry, static_cast<std::int32_t>(*id));
  }
  return {};
}

Result<void> read_vocabulary(const JsonObject& model, ModelSpec& spec) {
  BREAKEVEN_TRY(const JsonObject vocabulary, model.object("vocab"));
  return read_vocabulary(vocabulary, model.where("vocab"), spec);
}

Result<void> read_model(const JsonObject& root, ModelSpec& spec) {
  BREAKEVEN_TRY(const JsonObject model, root.object("model"));
  // Files older than 2020 leave the type out; WordPiece is the one with a continuing prefix.
  const bool untyped = !model.find("type") && model.find("continuing_subword_prefix");
  if (!untyped) {
    static const ModelKind kKinds[] = {kWordPiece, kBpe, kUnigram};
    BREAKEVEN_TRY(spec.kind, find_kind(model, std::span<const ModelKind>(kKinds)));
  }
  return spec.kind->read(model, spec);
}

}  // namespace breakeven::text
