#include "text/tokenizer.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/check.h"
#include "text/by_stages.h"
#include "text/byte_level_pass.h"
#include "text/one_pass.h"
#include "text/spec.h"

namespace breakeven::text {

struct Tokenizer::Impl {
  explicit Impl(TokenizerSpec&& read)
      : spec(std::move(read)), model(spec.model.kind->make(spec.model)), by_stages(spec, *model) {
    spec.model.vocabulary = {};  // `model` has it now
    if (spec.model.is_bpe()) {
      keep(ByteLevelPass::build(spec, *model), byte_level);
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
  // At most one of the two.
  std::optional<OnePass> one_pass;
  std::optional<ByteLevelPass> byte_level;
};

class Tokenizer::Scratch {
 public:
  explicit Scratch(const Impl& impl) : owner(&impl) {
    if (impl.one_pass) one_pass.emplace();
    if (impl.byte_level) byte_level.emplace();
  }

  const Impl* owner;  // cached words are right for this vocabulary only
  std::optional<OnePass::Buffers> one_pass;
  std::optional<ByteLevelPass::Buffers> byte_level;
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

// longest_first: the longer text gives first; where both must, each gets half and the longer one,
// or the second of equals, the odd id.
std::pair<std::size_t, std::size_t> share(std::size_t first, std::size_t second,
                                          std::size_t limit) {
  if (limit == kNoLimit || first + second <= limit) return {first, second};
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

bool Tokenizer::encode(std::string_view text, const EncodeOptions& options, Scratch& scratch,
                       std::vector<std::int32_t>& ids) const {
  const Template& steps = impl_->spec.processor.single;
  const std::size_t limit = room_for_text(options, special_ids(steps));
  IdSink& sink = scratch.sinks[0];
  // One id more than may stay tells a text that fills them exactly from one that is cut.
  sink.start(limit == kNoLimit ? kNoLimit : limit + 1, options.truncation_side);
  impl_->read(text, options, scratch, sink);
  const auto kept = sink.cut(limit, options.truncation_side);
  for (const TemplateStep& step : steps) {
    if (step.kind == Kind::first_text) append(kept, ids);
    if (step.kind == Kind::special && options.add_special_tokens) append(step.ids, ids);
  }
  return sink.total() > limit;
}

void Tokenizer::encode_pair(std::string_view first, std::string_view second,
                            const EncodeOptions& options, Scratch& scratch,
                            std::vector<std::int32_t>& ids,
                            std::vector<std::int32_t>& token_types) const {
  const Template& steps = impl_->spec.processor.pair;
  const std::size_t limit = room_for_text(options, special_ids(steps));
  // Which text gets the odd id depends on both full lengths, so neither stops early.
  for (IdSink& sink : scratch.sinks) sink.start(kNoLimit, options.truncation_side);
  impl_->read(first, options, scratch, scratch.sinks[0]);
  impl_->read(second, options, scratch, scratch.sinks[1]);
  const auto [first_ids, second_ids] =
      share(scratch.sinks[0].total(), scratch.sinks[1].total(), limit);
  for (const TemplateStep& step : steps) {
    const std::size_t before = ids.size();
    if (step.kind == Kind::first_text)
      append(scratch.sinks[0].cut(first_ids, options.truncation_side), ids);
    if (step.kind == Kind::second_text)
      append(scratch.sinks[1].cut(second_ids, options.truncation_side), ids);
    if (step.kind == Kind::special && options.add_special_tokens) append(step.ids, ids);
    const Processor& processor = impl_->spec.processor;
    const std::int32_t plain =
        step.kind == Kind::second_text ? processor.plain_second_type : processor.plain_first_type;
    token_types.insert(token_types.end(), ids.size() - before,
                       options.add_special_tokens ? step.token_type : plain);
  }
}

std::string_view Tokenizer::token(std::int32_t id) const {
  const std::string_view entry = impl_->model->entry(id);
  if (!entry.empty()) return entry;
  for (const AddedToken& token : impl_->spec.added)
    if (token.id == id) return token.content;
  return {};
}

}  // namespace breakeven::text
