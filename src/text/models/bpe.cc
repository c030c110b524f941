#include "text/models/bpe.h"

#include <algorithm>
#include <array>
#include <bit>
#include <functional>
#include <optional>

#include "base/check.h"
#include "base/utf8.h"
#include "text/key_table.h"
#include "text/part_kinds.h"

namespace breakeven::text {
namespace {

// Printable bytes are spelled as themselves, the 68 others as U+0100 ... in their order.
std::array<char32_t, 256> byte_spellings() {
  std::array<char32_t, 256> out{};
  char32_t next = 0x100;
  for (std::size_t byte = 0; byte < out.size(); ++byte) {
    const bool printable =
        (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xFF && byte != 0xAD);
    out[byte] = printable ? static_cast<char32_t>(byte) : next++;
  }
  return out;
}

// The bytes that an entry stands for; nothing where it has a character that spells no byte, so that
// no text becomes it.
std::optional<std::string> bytes_of(std::string_view entry) {
  static const std::array<char32_t, 256> kSpellings = byte_spellings();
  std::u32string spelled;
  append_code_points(entry, spelled);
  std::string out;
  for (const char32_t c : spelled) {
    const auto at = std::find(kSpellings.begin(), kSpellings.end(), c);
    if (at == kSpellings.end()) return {};
    out.push_back(static_cast<char>(at - kSpellings.begin()));
  }
  return out;
}

// Fields that must say that nothing is added to a symbol or left to chance.
Result<void> refuse_variants(const JsonObject& model) {
  for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    BREAKEVEN_TRY(const std::string affix, model.text(name, ""));
    if (!affix.empty()) return unsupported(model.where(name), "'" + affix + "'", "none");
  }
  BREAKEVEN_TRY(const bool byte_fallback, model.boolean("byte_fallback", false));
  if (byte_fallback) return unsupported(model.where("byte_fallback"), "true", "false");
  BREAKEVEN_TRY(const double dropout, model.number("dropout", 0.0));
  if (dropout != 0)
    return unsupported(model.where("dropout"), fmt::format("{}", dropout), "no dropout");
  return {};
}

// "a b", or ["a", "b"].
Result<std::pair<std::string, std::string>> read_pair(const JsonObject& model, JsonValue value) {
  if (value.is_list()) {
    const auto parts = value.list();
    if (parts.size() == 2 && parts[0].text() && parts[1].text())
      return std::pair(std::string(*parts[0].text()), std::string(*parts[1].text()));
  } else if (const auto text = value.text()) {
    if (auto pair = split_merge(*text)) return *std::move(pair);
  }
  return model.wrong("merges", value, "two entries, \"a b\" or [\"a\", \"b\"]");
}

Result<void> read(const JsonObject& model, ModelSpec& spec) {
  BREAKEVEN_TRY_VOID(read_vocabulary(model, spec));
  BREAKEVEN_TRY_VOID(refuse_variants(model));
  BREAKEVEN_TRY(spec.unknown_token, model.text("unk_token", ""));
  BREAKEVEN_TRY(spec.fuse_unknown, model.boolean("fuse_unk", false));
  BREAKEVEN_TRY(spec.ignore_merges, model.boolean("ignore_merges", false));
  BREAKEVEN_TRY(const auto merges, model.list("merges"));
  MergeReader reader(model.where("merges"), spec);
  for (const JsonValue each : merges) {
    if (const auto text = each.text(); text && text->starts_with("#version")) continue;
    BREAKEVEN_TRY(const auto pair, read_pair(model, each));
    BREAKEVEN_TRY_VOID(reader.add(pair.first, pair.second));
  }
  return {};
}

std::unique_ptr<PieceModel> make(const ModelSpec& spec) {
  return std::make_unique<Bpe>(spec);
}

// Up to so many symbols a look at all of them for the best pair costs less than a queue.
constexpr std::size_t kShortWord = 48;
constexpr std::uint32_t kNowhere = static_cast<std::uint32_t>(-1);

}  // namespace

const ModelKind kBpe = {"BPE", read, make};

std::optional<std::pair<std::string, std::string>> split_merge(std::string_view line) {
  const std::size_t blank = line.find(' ');
  if (blank == std::string_view::npos || line.find(' ', blank + 1) != std::string_view::npos)
    return {};
  return std::pair(std::string(line.substr(0, blank)), std::string(line.substr(blank + 1)));
}

MergeReader::MergeReader(std::string where, ModelSpec& spec)
    : where_(std::move(where)), spec_(spec) {
  for (const auto& [entry, id] : spec.vocabulary) ids_.emplace(entry, id);
}

Result<void> MergeReader::add(const std::string& left, const std::string& right) {
  std::array<std::int32_t, 3> ids{};
  const std::array<std::string, 3> parts = {left, right, left + right};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto at = ids_.find(parts[i]);
    if (at == ids_.end())
      return fail("tokenizer/vocabulary",
                  fmt::format("{}: '{}' and '{}' merge, and the vocabulary has no '{}'", where_,
                              left, right, parts[i]),
                  "download the tokenizer's files again: they do not belong together");
    ids[i] = at->second;
  }
  spec_.merges.push_back({ids[0], ids[1], ids[2]});
  return {};
}

Bpe::Bpe(const ModelSpec& spec)
    : unknown_id_(spec.unknown_token.empty() ? -1 : spec.unknown_id),
      fuse_unknown_(spec.fuse_unknown) {
  std::int32_t highest = -1;
  for (const auto& [entry, id] : spec.vocabulary) highest = std::max(highest, id);
  entries_.resize(static_cast<std::size_t>(highest) + 1);
  byte_ids_.fill(-1);
  for (const auto& [entry, id] : spec.vocabulary) {
    entries_[static_cast<std::size_t>(id)] = entry;
    const auto bytes = bytes_of(entry);
    if (!bytes || bytes->empty()) continue;
    if (bytes->size() == 1) byte_ids_[static_cast<unsigned char>(bytes->front())] = id;
    if (spec.ignore_merges) whole_words_.emplace(*bytes, id);
  }
  const auto width = static_cast<unsigned>(std::bit_width(2 * spec.merges.size() | 1));
  shift_ = 64 - width;
  slots_.resize(std::size_t{1} << width);
  for (std::size_t rank = 0; rank < spec.merges.size(); ++rank) {
    const ModelSpec::Merge& merge = spec.merges[rank];
    Slot& slot = slot_of(pair_of(merge.left, merge.right));
    slot.pair = pair_of(merge.left, merge.right);
    slot.merged = {static_cast<std::uint32_t>(rank), merge.result};  // of a pair twice, the last
  }
}

std::string_view Bpe::entry(std::int32_t id) const {
  const auto index = static_cast<std::size_t>(id);
  return id >= 0 && index < entries_.size() ? std::string_view(entries_[index])
                                            : std::string_view();
}

Bpe::Slot& Bpe::slot_of(std::uint64_t pair) {
  std::size_t at = pair * kHashLow >> shift_;
  while (slots_[at].pair != pair && slots_[at].pair != kFree) at = (at + 1) & (slots_.size() - 1);
  return slots_[at];
}

Bpe::Merged Bpe::find(std::int32_t left, std::int32_t right) const {
  const std::uint64_t pair = pair_of(left, right);
  for (std::size_t at = pair * kHashLow >> shift_;; at = (at + 1) & (slots_.size() - 1))
    if (slots_[at].pair == pair || slots_[at].pair == kFree) return slots_[at].merged;
}

// A symbol for each byte of the word.
void Bpe::start(std::string_view word, std::vector<std::int32_t>& ids) const {
  ids.clear();
  bool unknown_before = false;
  for (const char c : word) {
    const std::int32_t id = byte_ids_[static_cast<unsigned char>(c)];
    const bool unknown = id < 0;
    if (!unknown) ids.push_back(id);
    if (unknown && unknown_id_ >= 0 && !(fuse_unknown_ && unknown_before))
      ids.push_back(unknown_id_);
    unknown_before = unknown;
  }
}

std::span<const std::int32_t> Bpe::merge(std::string_view word, ModelBuffers& buffers) const {
  if (!whole_words_.empty()) {
    buffers.word = word;
    if (const auto at = whole_words_.find(buffers.word); at != whole_words_.end()) {
      buffers.ids.assign(1, at->second);
      return buffers.ids;
    }
  }
  start(word, buffers.ids);
  if (buffers.ids.size() <= kShortWord) {
    merge_short(buffers);
  } else {
    merge_long(buffers);
  }
  return buffers.ids;
}

void Bpe::merge_short(ModelBuffers& buffers) const {
  std::vector<std::int32_t>& ids = buffers.ids;
  std::array<Merged, kShortWord> with_next;  // of each symbol with the one behind it
  std::size_t size = ids.size();
  for (std::size_t i = 0; i + 1 < size; ++i) with_next[i] = find(ids[i], ids[i + 1]);
  while (size > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < size; ++i)
      if (with_next[i].rank < with_next[best].rank) best = i;
    if (with_next[best].rank == kNoRank) break;
    ids[best] = with_next[best].id;
    --size;
    for (std::size_t i = best + 1; i < size; ++i) ids[i] = ids[i + 1];
    for (std::size_t i = best + 1; i + 1 < size; ++i) with_next[i] = with_next[i + 1];
    if (best > 0) with_next[best - 1] = find(ids[best - 1], ids[best]);
    if (best + 1 < size) with_next[best] = find(ids[best], ids[best + 1]);
  }
  ids.resize(size);
}

// The same with a queue of pairs, for words so long that the search would be quadratic. A pair in
// it that has changed since is passed over.
void Bpe::merge_long(ModelBuffers& buffers) const {
  std::vector<std::int32_t>& ids = buffers.ids;
  BREAKEVEN_CHECK(ids.size() < kNowhere, "symbols={}", ids.size());
  const auto size = static_cast<std::uint32_t>(ids.size());
  std::vector<std::uint32_t>& next = buffers.queue.next;
  std::vector<std::uint32_t>& previous = buffers.queue.previous;
  std::vector<std::uint64_t>& queue = buffers.queue.pairs;
  next.resize(size);
  previous.resize(size);
  queue.clear();
  const auto lowest_first = std::greater<>();
  const auto offer = [&](std::uint32_t at) {
    const std::uint32_t rank = find(ids[at], ids[next[at]]).rank;
    if (rank != kNoRank) queue.push_back(std::uint64_t{rank} << 32 | at);
    return rank != kNoRank;
  };
  for (std::uint32_t i = 0; i < size; ++i) {
    next[i] = i + 1 < size ? i + 1 : kNowhere;
    previous[i] = i > 0 ? i - 1 : kNowhere;
    if (i + 1 < size) offer(i);
  }
  std::make_heap(queue.begin(), queue.end(), lowest_first);
  const auto offer_later = [&](std::uint32_t at) {
    if (offer(at)) std::push_heap(queue.begin(), queue.end(), lowest_first);
  };
  while (!queue.empty()) {
    std::pop_heap(queue.begin(), queue.end(), lowest_first);
    const auto at = static_cast<std::uint32_t>(queue.back());
    const auto rank = static_cast<std::uint32_t>(queue.back() >> 32);
    queue.pop_back();
    if (ids[at] < 0 || next[at] == kNowhere) continue;
    const std::uint32_t right = next[at];
    const Merged merged = find(ids[at], ids[right]);
    if (merged.rank != rank) continue;
    ids[at] = merged.id;
    ids[right] = -1;
    next[at] = next[right];
    if (next[at] != kNowhere) previous[next[at]] = at;
    if (previous[at] != kNowhere) offer_later(previous[at]);
    if (next[at] != kNowhere) offer_later(at);
  }
  std::erase(ids, -1);
}

void Bpe::word_to_ids(std::string_view word, std::size_t /*chars*/, ModelBuffers& buffers,
                      IdSink& ids) const {
  for (const std::int32_t id : merge(word, buffers)) ids.push_back(id);
}

std::vector<std::pair<std::string, std::int32_t>> Bpe::single_words() const {
  std::vector<std::pair<std::string, std::int32_t>> out;
  ModelBuffers buffers;
  for (const std::string& entry : entries_) {
    auto bytes = bytes_of(entry);
    if (!bytes || bytes->empty()) continue;
    const auto ids = merge(*bytes, buffers);
    if (ids.size() == 1) out.emplace_back(*std::move(bytes), ids.front());
  }
  return out;
}

}  // namespace breakeven::text
