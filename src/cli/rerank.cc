// breakeven rerank: a query and passages in, the passages by how well they answer it out.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/numbers.h"
#include "cli/commands.h"
#include "cli/text_options.h"
#include "cli/text_stream.h"
#include "data/json_line.h"
#include "engine/decode.h"
#include "engine/native.h"

namespace breakeven::cli {
namespace {

constexpr std::uint64_t kMaxTop = 1'000'000'000;

struct RankFlags {
  std::string query{};
  std::string function{};  // "" = what the model's config.json makes it
  std::string top{};       // "" = all
  bool with_text = false;
};

struct RankOptions {
  std::optional<ScoreFunction> function{};
  std::size_t top = SIZE_MAX;
};

// Errors: flag/choice, flag/number.
Result<RankOptions> check_rank_flags(const RankFlags& flags) {
  RankOptions options;
  if (!flags.function.empty()) {
    BREAKEVEN_TRY(options.function, parse_score_function(flags.function));
    if (options.function == ScoreFunction::softmax) {
      return fail("flag/choice", "--function-to-apply softmax makes 1 of every passage's one logit",
                  "give sigmoid or none");
    }
  }
  if (!flags.top.empty() && flags.top != "all") {
    BREAKEVEN_TRY(options.top, parse_number("--top-k", flags.top, 1, kMaxTop));
  }
  return options;
}

struct Passage {
  std::uint64_t index = 0;  // of its text in the input
  float logit = 0;
  std::string text{}, extra{};
};

// The best passages seen so far, the best first; equal ones in the order of the input.
class Ranking {
 public:
  explicit Ranking(std::size_t top) : top_(top) {}

  void add(Passage passage) { passages_.push_back(std::move(passage)); }
  // Not needed before the end where all are kept.
  void forget_the_rest() {
    if (passages_.size() > top_) sort();
  }
  void sort() {
    // What is no number stands last, so that the order is one.
    const auto height = [](const Passage& passage) {
      return std::isnan(passage.logit) ? -HUGE_VALF : passage.logit;
    };
    std::stable_sort(passages_.begin(), passages_.end(),
                     [&](const Passage& a, const Passage& b) { return height(a) > height(b); });
    if (passages_.size() > top_) passages_.resize(top_);
  }
  std::span<const Passage> passages() const { return passages_; }

 private:
  std::size_t top_;
  std::vector<Passage> passages_;
};

// Errors: rerank/labels.
Result<void> check_reranker(const engine::LoadedModel& model) {
  const std::vector<std::string>& labels = model.checkpoint.plan.labels;
  if (labels.size() == 1) return {};
  return fail("rerank/labels",
              fmt::format("{} has {} labels ({}), and a reranker has one", model.name,
                          labels.size(), fmt::join(labels, ", ")),
              "take a cross-encoder with one label; breakeven classify gives the labels of pairs");
}

// Scores every passage with the query. Errors: those of the source and of the classifier;
// rerank/pair.
Result<LabelCounts> rank(data::Source& source, Classifier& classifier, const RankFlags& flags,
                         std::size_t batch, Ranking& ranking) {
  LabelCounts counts;
  std::vector<Text> pairs;
  StreamResult result;
  const auto use = [&](const Window& window) -> Result<void> {
    if (any_pair(window.texts)) {
      return fail("rerank/pair", "a passage is a pair already, and --query gives the first text",
                  "name the field of the passage alone: --text-field NAME");
    }
    pairs.clear();
    for (const Text& passage : window.texts) pairs.emplace_back(flags.query, passage.first);
    BREAKEVEN_TRY_VOID(classifier.run_stream(pairs, batch, result));
    for (std::size_t i = 0; i < pairs.size(); ++i) {
      const data::Review& review = window.reviews[i];
      ranking.add(
          {window.first + i, result.logits[i], flags.with_text ? review.text : "", review.extra});
      counts.cut += result.cut[i];
    }
    counts.texts += pairs.size();
    ranking.forget_the_rest();
    return {};
  };
  BREAKEVEN_TRY_VOID(for_each_window(source, {.first_texts = 4 * batch, .texts = 64 * batch}, use));
  return counts;
}

//   {"rank":1,"index":3,"score":0.98,"logits":[3.9],"text":"...", fields of the input}
std::string lines_of(std::span<const Passage> passages, ScoreFunction function, bool with_text) {
  std::string lines;
  std::vector<std::string_view> taken = {"rank", "index", "score", "logits"};
  if (with_text) taken.emplace_back("text");
  for (std::size_t i = 0; i < passages.size(); ++i) {
    const Passage& passage = passages[i];
    fmt::format_to(std::back_inserter(lines), R"({{"rank":{},"index":{},"score":)", i + 1,
                   passage.index);
    append_float(engine::decode(std::span(&passage.logit, 1), function).score, lines);
    lines += ",\"logits\":[";
    append_float(passage.logit, lines);
    lines += ']';
    if (with_text) {
      lines += ",\"text\":";
      data::append_json_string(passage.text, lines);
    }
    append_extra(passage.extra, taken, lines);
    lines += "}\n";
  }
  return lines;
}

Result<void> rerank(const TextFlags& flags, const RankFlags& rank_flags) {
  BREAKEVEN_TRY(const TextOptions options, check_text_flags(flags));
  BREAKEVEN_TRY(const RankOptions rank_options, check_rank_flags(rank_flags));
  BREAKEVEN_TRY(const auto source, open_texts(flags));
  BREAKEVEN_TRY(Output output, Output::open(flags.output, flags.input));
  BREAKEVEN_TRY(const OpenModel open, open_model(flags.model, options));
  BREAKEVEN_TRY_VOID(check_reranker(*open.model));
  BREAKEVEN_TRY(const auto classifier, engine::make_native(open.model, {.setup = open.setup}));

  Ranking ranking(rank_options.top);
  const auto counts = rank(*source, *classifier, rank_flags, options.batch, ranking);
  // Half of a ranking would be none: it is written when all passages are known.
  Result<void> written;
  if (counts) {
    ranking.sort();
    const auto passages = ranking.passages();
    written = output.write(
        lines_of(passages, rank_options.function.value_or(open.model->checkpoint.plan.score),
                 rank_flags.with_text),
        passages.size());
    tell_cut(counts->cut, counts->texts, open.setup.max_length, open.limit);
  } else {
    written = tl::unexpected<Error>(counts.error());
  }
  return finish_stream(std::move(written), *source, output);
}

}  // namespace

void add_rerank(CLI::App& app, Context& context) {
  CLI::App& command = *app.add_subcommand(
      "rerank",
      "Order passages by how well they answer a query: JSONL, CSV or plain lines in, one JSON line "
      "a passage out, the best first");
  command.footer(
      "Fields of the input other than the text are passed on; one that is called rank, index, "
      "score\n"
      "or logits becomes input_rank and so on.");
  const auto flags = std::make_shared<TextFlags>();
  const auto rank_flags = std::make_shared<RankFlags>();
  command.add_option("--query", rank_flags->query, "what the passages shall answer")->required();
  add_text_flags(command, *flags);
  command.add_option("--top-k", rank_flags->top, "only the N best passages [all]");
  command.add_flag("--with-text", rank_flags->with_text, "write the passages, too, as \"text\"");
  command.add_option("--function-to-apply", rank_flags->function,
                     "makes scores of logits: sigmoid or none [what config.json says, as "
                     "sentence-transformers]");
  command.callback([flags, rank_flags, &context] { finish(context, rerank(*flags, *rank_flags)); });
}

}  // namespace breakeven::cli
