// breakeven tokenize: texts in, token ids out.
#include <CLI/CLI.hpp>
#include <charconv>
#include <memory>
#include <numeric>
#include <vector>

#include "base/thread_team.h"
#include "cli/commands.h"
#include "cli/text_options.h"
#include "cli/text_stream.h"
#include "engine/load.h"

namespace breakeven::cli {
namespace {

// "[1,2]"
void append_numbers(const std::vector<std::int32_t>& ids, std::string& out) {
  out += '[';
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) out += ',';
    char digits[12];
    const auto written = std::to_chars(digits, digits + sizeof(digits), ids[i]);
    out.append(digits, written.ptr);
  }
  out += ']';
}

// Tokenises a window with all threads: each member takes a run of neighbours, so that the lines
// only have to be joined.
class WindowTokenizer {
 public:
  WindowTokenizer(const text::Tokenizer& tokenizer, const text::EncodeOptions& options,
                  unsigned threads)
      : tokenizer_(tokenizer), options_(options), team_(threads), lines_(threads), cut_(threads) {}

  std::uint64_t cut() const { return std::accumulate(cut_.begin(), cut_.end(), std::uint64_t{0}); }

  Result<void> operator()(const Window& window, std::string& lines) {
    team_.run([&](unsigned member) { run_member(window, member); });
    for (const std::string& part : lines_) lines += part;
    return {};
  }

 private:
  void run_member(const Window& window, unsigned member) {
    const std::size_t count = window.texts.size();
    const std::size_t begin = count * member / team_.size();
    const std::size_t end = count * (member + 1) / team_.size();
    const auto scratch = tokenizer_.make_scratch();
    std::vector<std::int32_t> ids, token_types;
    const std::vector<std::string_view> of_text = {"input_ids"};
    const std::vector<std::string_view> of_pair = {"input_ids", "token_type_ids"};
    std::string& out = lines_[member];
    out.clear();
    for (std::size_t i = begin; i < end; ++i) {
      ids.clear();
      token_types.clear();
      const Text& text = window.texts[i];
      cut_[member] += tokenizer_.encode(text, options_, *scratch, ids, &token_types) ? 1U : 0U;
      out += "{\"input_ids\":";
      append_numbers(ids, out);
      if (text.second) {
        out += ",\"token_type_ids\":";
        append_numbers(token_types, out);
      }
      append_extra(window.reviews[i].extra, text.second ? of_pair : of_text, out);
      out += "}\n";
    }
  }

  const text::Tokenizer& tokenizer_;
  text::EncodeOptions options_;
  ThreadTeam team_;
  std::vector<std::string> lines_;  // of each member
  std::vector<std::uint64_t> cut_;  // texts, by each member
};

Result<void> tokenize(const TextFlags& flags) {
  BREAKEVEN_TRY(const TextOptions options, check_text_flags(flags));
  BREAKEVEN_TRY(const auto source, open_texts(flags));
  BREAKEVEN_TRY(Output output, Output::open(flags.output, flags.input));
  BREAKEVEN_TRY(const auto model, engine::load_tokenizer({flags.model}));
  if (!model.note.empty()) tell(model.note);
  const text::TokenizerInfo& info = model.tokenizer->info();
  text::EncodeOptions encode;
  encode.truncation_side = info.truncation_side;
  encode.truncate = options.asked_length != 0;
  if (encode.truncate) encode.max_length = cut_length(options.asked_length, model.length_limit);
  WindowTokenizer tokenizer(*model.tokenizer, encode, options.threads);
  // Tokens come fast: windows may be large from the start.
  const WindowLimits limits{.first_texts = 1024, .texts = 4096};
  auto finished =
      finish_stream(stream_texts(*source, limits, std::ref(tokenizer), output), *source, output);
  tell_cut(tokenizer.cut(), output.records(), encode.max_length, model.length_limit);
  return finished;
}

}  // namespace

void add_tokenize(CLI::App& app, Context& context) {
  CLI::App& command = *app.add_subcommand(
      "tokenize", "Turn texts into token ids: one line {\"input_ids\": [...]} a text, in order");
  command.footer(
      "--max-length 0 does not cut. --batch, --precision and --device are taken so that a line "
      "for\n"
      "classify works here, too; they do not change the ids. Fields of the input other than the "
      "text\n"
      "are passed on; one that is called input_ids becomes input_input_ids.");
  const auto flags = std::make_shared<TextFlags>();
  add_text_flags(command, *flags);
  command.callback([flags, &context] { finish(context, tokenize(*flags)); });
}

}  // namespace breakeven::cli
