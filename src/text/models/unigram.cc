#include "text/models/unigram.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/utf8.h"
#include "text/part_kinds.h"

namespace breakeven::text {
namespace {

// An unknown character costs so much more than the worst entry.
constexpr double kUnknownPenalty = 10;

// [["▁the", -3.5] ...]: an entry's id is its place.
Result<void> read_entries(const JsonObject& model, ModelSpec& spec) {
  BREAKEVEN_TRY(const auto rows, model.list("vocab", {1, kMostIds}));
  UnigramEntries entries(model.where("vocab"), spec);
  for (const JsonValue row : rows) {
    const auto pair = row.list();
    const auto entry = pair.size() == 2 ? pair[0].text() : std::nullopt;
    const auto score = pair.size() == 2 ? pair[1].number() : std::nullopt;
    if (!entry || !score) return model.wrong("vocab", row, "an entry with its score, [\"a\", -1]");
    BREAKEVEN_TRY_VOID(entries.add(*entry, *score));
  }
  return entries.check_size();
}

Result<void> read(const JsonObject& model, ModelSpec& spec) {
  BREAKEVEN_TRY_VOID(read_entries(model, spec));
  if (!model.find("unk_id"))
    return unsupported(model.where("unk_id"), "null", "a vocabulary with an unknown token");
  BREAKEVEN_TRY(const std::uint64_t unknown, model.count("unk_id", {0, spec.scores.size() - 1}));
  spec.unknown_token = spec.vocabulary[unknown].first;
  BREAKEVEN_TRY(spec.byte_fallback, model.boolean("byte_fallback", false));
  return {};
}

std::unique_ptr<PieceModel> make(const ModelSpec& spec) {
  return std::make_unique<Unigram>(spec);
}

std::size_t bytes_of_lead(unsigned char lead) {
  return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

}  // namespace

const ModelKind kUnigram = {"Unigram", read, make};

Result<void> UnigramEntries::add(std::string_view entry, double score) {
  if (!entries_.emplace(entry).second)
    return fail("tokenizer/vocabulary", fmt::format("{}: '{}' stands there twice", where_, entry),
                "remove one of the two");
  bytes_ += entry.size();
  spec_.vocabulary.emplace_back(entry, static_cast<std::int32_t>(spec_.scores.size()));
  spec_.scores.push_back(score);
  return {};
}

Result<void> UnigramEntries::check_size() const {
  if (bytes_ < PieceTrie::kMostBytes && spec_.scores.size() <= PieceTrie::kMostEntries) return {};
  return unsupported(where_, fmt::format("{} entries of {} bytes", spec_.scores.size(), bytes_),
                     fmt::format("less than {} bytes", PieceTrie::kMostBytes));
}

Unigram::Unigram(const ModelSpec& spec) : scores_(spec.scores), unknown_id_(spec.unknown_id) {
  for (const auto& [entry, id] : spec.vocabulary) entries_.push_back(entry);
  BREAKEVEN_CHECK(entries_.size() == scores_.size() && !scores_.empty(), "entries={}",
                  entries_.size());
  trie_.build(entries_);
  unknown_score_ = *std::min_element(scores_.begin(), scores_.end()) - kUnknownPenalty;
  for (std::size_t byte = 0; byte < byte_ids_.size(); ++byte)
    byte_ids_[byte] = spec.byte_fallback ? trie_.find(fmt::format("<0x{:02X}>", byte)) : -1;
}

std::string_view Unigram::entry(std::int32_t id) const {
  const auto index = static_cast<std::size_t>(id);
  return id >= 0 && index < entries_.size() ? std::string_view(entries_[index])
                                            : std::string_view();
}

// The best way to every place of the word. Sums are made from the left, in double, and only a
// better one replaces what is there: of equal ones that stays which Hugging Face keeps.
void Unigram::reach_all(std::string_view word, std::vector<ModelBuffers::Reached>& reached) const {
  constexpr std::uint32_t kNever = ModelBuffers::Reached::kNever;
  reached.assign(word.size() + 1, {0, kNever, -1});
  const auto reach = [&](std::size_t end, double score, std::size_t start, std::int32_t id) {
    ModelBuffers::Reached& place = reached[end];
    if (place.start != kNever && !(score > place.score)) return;
    place = {score, static_cast<std::uint32_t>(start), id};
  };
  for (std::size_t start = 0; start < word.size();) {
    const double before = reached[start].score;
    const std::size_t first = bytes_of_lead(static_cast<unsigned char>(word[start]));
    bool known = false;  // the first character alone is an entry
    PieceTrie::Node node = trie_.root();
    std::int32_t id = -1;
    for (std::size_t end = start; end < word.size();) {
      if (!trie_.step(node, static_cast<unsigned char>(word[end++]), id)) break;
      if (id < 0) continue;
      reach(end, scores_[static_cast<std::size_t>(id)] + before, start, id);
      known = known || end - start == first;
    }
    if (!known) reach(start + first, unknown_score_ + before, start, unknown_id_);
    start += first;
  }
}

// Unknown characters in a row, fused into one part.
void Unigram::append_unknown(std::string_view part, std::vector<std::int32_t>& ids) const {
  if (const std::int32_t id = trie_.find(part); id >= 0) {
    ids.push_back(id);
    return;
  }
  const auto byte_id = [this](char c) { return byte_ids_[static_cast<unsigned char>(c)]; };
  if (std::any_of(part.begin(), part.end(), [&](char c) { return byte_id(c) < 0; })) {
    ids.push_back(unknown_id_);
    return;
  }
  for (const char c : part) ids.push_back(byte_id(c));
}

std::span<const std::int32_t> Unigram::cut(std::string_view word, ModelBuffers& buffers) const {
  BREAKEVEN_CHECK(word.size() < ModelBuffers::Reached::kNever, "bytes={}", word.size());
  auto& reached = buffers.reached;
  reach_all(word, reached);
  // Each part of the best way gets its end where it starts: so it is read from the left.
  auto& ends = buffers.ends;
  ends.clear();
  for (std::size_t end = word.size(); end > 0; end = reached[end].start)
    ends.push_back(static_cast<std::uint32_t>(end));
  std::vector<std::int32_t>& ids = buffers.ids;
  ids.clear();
  std::size_t unknown_from = word.size(), start = 0;
  for (auto end = ends.rbegin(); end != ends.rend(); start = *end++) {
    const std::int32_t id = reached[*end].id;
    if (id == unknown_id_) {
      unknown_from = std::min(unknown_from, start);
      continue;
    }
    if (unknown_from < start) append_unknown(word.substr(unknown_from, start - unknown_from), ids);
    unknown_from = word.size();
    ids.push_back(id);
  }
  if (unknown_from < word.size()) append_unknown(word.substr(unknown_from), ids);
  return ids;
}

void Unigram::word_to_ids(std::string_view word, std::size_t /*chars*/, ModelBuffers& buffers,
                          IdSink& ids) const {
  for (const std::int32_t id : cut(word, buffers)) ids.push_back(id);
}

}  // namespace breakeven::text
