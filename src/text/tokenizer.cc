#include "text/tokenizer.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/check.h"
#include "text/by_stages.h"
#include "text/byte_level_pass.h"
#include "text/one_pass.h"
#include "text/spec.h"
#include "text/unigram_pass.h"

namespace breakeven::text {

struct Tokenizer::Impl {
  explicit Impl(TokenizerSpec&& read)
      : spec(std::move(read)), model(spec.model.kind->make(spec.model)), by_stages(spec, *model) {
    spec.model.vocabulary = {};  // `model` has it now
    if (spec.model.is_bpe()) {
      keep(ByteLevelPass::build(spec, *model), byte_level);
    } else if (spec.model.is_unigram()) {
      keep(UnigramPass::build(spec, *model, by_stages), unigram);
    } else {
      keep(OnePass::build(spec, *model), one_pass);
    }
  }

  template <class Pass>
  void keep(Result<Pass> built, std::optional<Pass>& pass) {
    spec.info.one_pass = built.has_value();
    if (built) {
      pass = *std::move(built);
    } else {
      spec.info.one_pass_refusal = built.error().message;
    }
  }

  void read(std::string_view text, const EncodeOptions& options, Scratch& scratch,
            IdSink& sink) const;

  TokenizerSpec spec;
  std::unique_ptr<PieceModel> model;
  ByStages by_stages;
  // At most one of the three.
  std::optional<OnePass> one_pass;
  std::optional<ByteLevelPass> byte_level;
  std::optional<UnigramPass> unigram;
};

class Tokenizer::Scratch {
 public:
  explicit Scratch(const Impl& impl) : owner(&impl) {
    if (impl.one_pass) one_pass.emplace();
    if (impl.byte_level) byte_level.emplace();
    if (impl.unigram) unigram.emplace();
  }

  const Impl* owner;  // cached words are right for this vocabulary only
  std::optional<OnePass::Buffers> one_pass;
  std::optional<ByteLevelPass::Buffers> byte_level;
  std::optional<UnigramPass::Buffers> unigram;
  ByStages::Buffers by_stages;
  std::array<IdSink, 2> sinks;  // of the first and the second text
};

void Tokenizer::Impl::read(std::string_view text, const EncodeOptions& options, Scratch& scratch,
                           IdSink& sink) const {
  BREAKEVEN_CHECK(scratch.owner == this, "the scratch belongs to another tokenizer");
  if (one_pass && options.route == Route::fastest) {
    one_pass->encode(text, *scratch.one_pass, sink);
  } else if (byte_level && options.route == Route::fastest) {
    byte_level->encode(text, *scratch.byte_level, sink);
  } else if (unigram && options.route == Route::fastest) {
    unigram->encode(text, *scratch.unigram, sink);
  } else {
    by_stages.encode(text, scratch.by_stages, sink);
  }
}

namespace {

using Kind = TemplateStep::Kind;

// How many ids of the texts may stay: kNoLimit where nothing is cut. HF subtracts the special
// tokens without looking, wraps around below zero and so cuts nothing there.
std::size_t room_for_text(const EncodeOptions& options, std::size_t specials) {
  if (!options.truncate) return kNoLimit;
  const std::size_t taken = options.add_special_tokens ? specials : 0;
  return options.max_length < taken ? kNoLimit : options.max_length - taken;
}

// How many ids of each text stay. longest_first: the longer text gives first; where both must, each
// gets half and the longer one, or the second of equals, the odd id.
std::pair<std::size_t, std::size_t> share(std::size_t first, std::size_t second, std::size_t limit,
                                          PairCut cut) {
  if (limit == kNoLimit || first + second <= limit) return {first, second};
  if (cut == PairCut::only_first && second < limit) return {limit - second, second};
  const bool first_is_longer = first > second;
  std::size_t shorter = std::min(first, second);
  std::size_t longer = shorter > limit ? shorter : std::max(shorter, limit - shorter);
  if (shorter + longer > limit) {
    shorter = limit / 2;
    longer = shorter + limit % 2;
  }
  return first_is_longer ? std::pair(longer, shorter) : std::pair(shorter, longer);
}

void append(std::span<const std::int32_t> from, std::vector<std::int32_t>& to) {
  to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

Result<Tokenizer> Tokenizer::load(const std::string& folder, std::size_t rows) {
  BREAKEVEN_TRY(TokenizerSpec spec, read_tokenizer_spec(folder, rows));
  return Tokenizer(std::make_unique<Impl>(std::move(spec)));
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

const TokenizerInfo& Tokenizer::info() const {
  return impl_->spec.info;
}

std::unique_ptr<Tokenizer::Scratch, void (*)(Tokenizer::Scratch*)> Tokenizer::make_scratch() const {
  return {new Scratch(*impl_), [](Scratch* scratch) { delete scratch; }};
}

bool Tokenizer::encode(const Text& text, const EncodeOptions& options, Scratch& scratch,
                       std::vector<std::int32_t>& ids,
                       std::vector<std::int32_t>* token_types) const {
  const Processor& processor = impl_->spec.processor;
  const Template& steps = text.second ? processor.pair : processor.single;
  const std::size_t specials = special_ids(steps);
  const std::size_t limit = room_for_text(options, specials);
  auto& [first, second] = scratch.sinks;
  second.start(kNoLimit, options.truncation_side);
  if (text.second) impl_->read(*text.second, options, scratch, second);
  // One id more than may stay tells a text that fills them exactly from one that is cut. Under
  // longest_first no text of a pair stops early: which one gets the odd id depends on both full
  // lengths.
  const bool only_first = options.pair_cut == PairCut::only_first;
  const bool stops = options.whole == nullptr && limit != kNoLimit &&
                     (!text.second || (only_first && second.total() < limit));
  first.start(stops ? limit - second.total() + 1 : kNoLimit, options.truncation_side);
  impl_->read(text.first, options, scratch, first);
  const auto [first_ids, second_ids] =
      share(first.total(), second.total(), limit, options.pair_cut);
  for (const TemplateStep& step : steps) {
    const std::size_t before = ids.size();
    if (step.kind == Kind::first_text) append(first.cut(first_ids, options.truncation_side), ids);
    if (step.kind == Kind::second_text)
      append(second.cut(second_ids, options.truncation_side), ids);
    if (step.kind == Kind::special && options.add_special_tokens) append(step.ids, ids);
    if (token_types == nullptr) continue;
    // Without special tokens HF leaves the token types of the plain texts.
    const std::int32_t plain = !text.second                     ? 0
                               : step.kind == Kind::second_text ? processor.plain_second_type
                                                                : processor.plain_first_type;
    token_types->insert(token_types->end(), ids.size() - before,
                        options.add_special_tokens ? step.token_type : plain);
  }
  const std::size_t total = first.total() + second.total();
  if (options.whole != nullptr) {
    *options.whole = total + (options.add_special_tokens ? specials : 0);
  }
  return total > limit;
}

std::string_view Tokenizer::token(std::int32_t id) const {
  const std::string_view entry = impl_->model->entry(id);
  if (!entry.empty()) return entry;
  for (const AddedToken& token : impl_->spec.added)
    if (token.id == id) return token.content;
  return {};
}

}  // namespace breakeven::text
