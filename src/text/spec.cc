#include "text/spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <unordered_map>

#include "base/files.h"
#include "base/utf8.h"
#include "text/bpe_files.h"
#include "text/id_sink.h"
#include "text/normalizers/bert.h"
#include "text/part_kinds.h"
#include "text/pre_tokenizers/bert.h"
#include "text/pre_tokenizers/byte_level.h"
#include "text/sentencepiece.h"
#include "text/tokenizer_config.h"
#include "text/tokenizer_json.h"
#include "text/unicode.h"

namespace breakeven::text {
namespace {

void trim_whitespace_at_end(std::u32string& line) {
  while (!line.empty() && is_whitespace(line.back())) line.pop_back();
}

// vocab.txt: an entry a line, its id the number of the line. As in HF the last of two equal lines
// counts and whitespace at the end of a line does not.
Result<void> read_vocab_txt(const std::string& path, TokenizerSpec& spec) {
  BREAKEVEN_TRY(const std::string content, read_file(path));
  std::unordered_map<std::string, std::int32_t> last_line;
  std::int32_t line_number = 0;
  for (std::size_t at = 0; at < content.size(); ++line_number) {
    const std::size_t stop = std::min(content.find('\n', at), content.size());
    std::u32string line;
    if (!append_code_points(std::string_view(content).substr(at, stop - at), line))
      return fail("tokenizer/vocabulary",
                  fmt::format("{}: line {} is not UTF-8", path, line_number + 1),
                  "download the file again");
    trim_whitespace_at_end(line);
    std::string entry;
    for (const char32_t c : line) append_utf8(c, entry);
    last_line[entry] = line_number;
    at = stop + 1;
  }
  for (auto& [entry, id] : last_line) spec.model.vocabulary.emplace_back(entry, id);
  std::sort(spec.model.vocabulary.begin(), spec.model.vocabulary.end(),
            [](const auto& a, const auto& b) { return a.second < b.second; });
  spec.normalizer = std::make_unique<BertNormalizer>(BertNormalizer::Flags{});
  spec.normalizer_type = "BertNormalizer";
  spec.pre_tokenizer = std::make_unique<BertPreTokenizer>();
  return {};
}

bool is_in(const std::vector<AddedToken>& tokens, std::string_view content) {
  return std::any_of(tokens.begin(), tokens.end(),
                     [&](const AddedToken& token) { return token.content == content; });
}

// Everything that is looked for in a text, in the order in which HF adds it.
Result<AddedTokens> add_tokens(const std::string& where, const TokenizerConfig& config,
                               std::size_t rows, const TokenizerSpec& spec) {
  using Named = SpecialTokens::Named;
  AddedTokens all(where, spec.model.vocabulary);
  for (const AddedToken& token : spec.added) BREAKEVEN_TRY_VOID(all.add(token));
  for (const AddedToken& token : config.added) {
    // What is not from an added_tokens_decoder is older than tokenizer.json.
    if (config.has_decoder || !all.has(token.content)) BREAKEVEN_TRY_VOID(all.add(token));
  }
  std::vector<SpecialTokens::Token> special(config.special.roles.begin(),
                                            config.special.roles.end());
  special.insert(special.end(), config.special.further.begin(), config.special.further.end());
  for (const auto& [token, named, has_flags] : special) {
    if (named == Named::no) continue;
    const bool has_row = all.id(token.content) || static_cast<std::size_t>(all.next_id()) < rows;
    if (!has_row) continue;
    // Flags that stand beside an added_tokens_decoder without the token overrule tokenizer.json's.
    const bool overrules = has_flags && config.has_decoder && !is_in(config.added, token.content);
    if (overrules || !all.has(token.content)) BREAKEVEN_TRY_VOID(all.add(token));
  }
  return all;
}

// SentencePiece's file beside a class that does not read it.
Result<void> refuse_sentencepiece(const std::string& folder) {
  for (const char* name : {"sentencepiece.bpe.model", "spiece.model", "spm.model"}) {
    if (!is_there(std::filesystem::path(folder) / name)) continue;
    return fail("tokenizer/unsupported",
                fmt::format("{} has {} and no tokenizer.json, and its class does not say how the "
                            "pieces are numbered",
                            folder, name),
                "name the class in config.json (model_type xlm-roberta or camembert with "
                "sentencepiece.bpe.model, deberta-v2 with spm.model), or write tokenizer.json with "
                "Hugging Face Transformers: "
                "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)");
  }
  return {};
}

Result<std::int32_t> role_id(const std::string& where, std::string_view role,
                             const std::string& content, std::optional<std::int32_t> id) {
  if (id) return *id;
  return fail("tokenizer/vocabulary",
              fmt::format("{}: the {} token '{}' is not in the vocabulary", where, role, content),
              fmt::format("name the right one as \"{}_token\" in tokenizer_config.json", role));
}

Result<void> check_template(const std::string& where, const TokenizerSpec& spec) {
  for (const Template* steps : {&spec.processor.single, &spec.processor.pair})
    for (const TemplateStep& step : *steps)
      for (const std::int32_t id : step.ids)
        if (static_cast<std::size_t>(id) >= spec.info.vocabulary)
          return fail("tokenizer/vocabulary",
                      fmt::format("{}: the post_processor inserts id {}, the highest id is {}",
                                  where, id, spec.info.vocabulary - 1),
                      "download the file again");
  return {};
}

void apply_config(const TokenizerConfig& config, TokenizerSpec& spec) {
  // As Transformers 4, which looks at the flags of a BertNormalizer that stands alone. Where there
  // is no normaliser it fails, and Transformers 5 makes one of the flags.
  const bool none = spec.normalizer_type.empty();
  auto* bert = dynamic_cast<BertNormalizer*>(spec.normalizer.get());
  if (config.is(TokenizerConfig::Class::bert) && bert != nullptr &&
      spec.normalizer_type != kSequence) {
    bert->flags.clean_text |= none;
    bert->flags.lowercase = config.do_lower_case;
    bert->flags.strip_accents = config.strip_accents.value_or(config.do_lower_case);
    bert->flags.handle_chinese_chars = config.tokenize_chinese_chars;
  }
  if (auto* byte_level = dynamic_cast<ByteLevel*>(spec.pre_tokenizer.get());
      byte_level != nullptr && config.is(TokenizerConfig::Class::roberta))
    byte_level->flags.add_prefix_space = config.add_prefix_space;
  spec.info.model_max_length = config.model_max_length.value_or(kNoLimit);
  spec.info.model_takes_types = config.model_takes_types;
  spec.info.special_ids = special_ids(spec.processor.single);
  spec.info.pair_special_ids = special_ids(spec.processor.pair);
  for (const Template* steps : {&spec.processor.single, &spec.processor.pair})
    for (const TemplateStep& step : *steps)
      spec.info.token_types =
          std::max(spec.info.token_types, static_cast<std::size_t>(step.token_type) + 1);
  spec.info.truncation_side = config.truncation_side.value_or(spec.info.truncation_side);
}

// `is_whole`: the file says itself which token is unknown and what goes around a text.
Result<void> complete(const std::string& where, TokenizerConfig config, bool is_whole,
                      std::size_t rows, TokenizerSpec& spec) {
  if (spec.model.vocabulary.empty())
    return fail("tokenizer/vocabulary", fmt::format("{}: the vocabulary is empty", where),
                "download the file again");
  auto& roles = config.special.roles;
  if (auto& pad = roles[SpecialTokens::pad];
      pad.named == SpecialTokens::Named::no && !spec.padding_token.empty()) {
    pad.token.content = spec.padding_token;
    pad.named = SpecialTokens::Named::by_file;
  }
  BREAKEVEN_TRY(AddedTokens added, add_tokens(where, config, rows, spec));
  const auto content = [&](SpecialTokens::Role role) { return roles[role].token.content; };
  const bool bpe = spec.model.is_bpe();
  if (!is_whole && !bpe) spec.model.unknown_token = content(SpecialTokens::unk);
  // The model itself must know it, if it has one; the other roles may be added tokens.
  if (const std::string& unknown = spec.model.unknown_token; !bpe || !unknown.empty()) {
    BREAKEVEN_TRY(spec.model.unknown_id,
                  role_id(where, "unk", unknown, added.id_in_vocabulary(unknown)));
  }
  if (!is_whole) {
    const std::string cls = content(SpecialTokens::cls), sep = content(SpecialTokens::sep);
    BREAKEVEN_TRY(const std::int32_t cls_id, role_id(where, "cls", cls, added.id(cls)));
    BREAKEVEN_TRY(const std::int32_t sep_id, role_id(where, "sep", sep, added.id(sep)));
    spec.processor = (bpe ? roberta_processor : bert_processor)(cls_id, sep_id);
  }
  spec.info.vocabulary = static_cast<std::size_t>(added.highest_id()) + 1;
  spec.added = std::move(added).take();
  for (AddedToken& token : spec.added)
    token.plain_text = config.split_special_tokens && token.special;
  apply_config(config, spec);
  return check_template(where, spec);
}

}  // namespace

Result<TokenizerSpec> read_tokenizer_spec(const std::string& folder, std::size_t rows) {
  const std::filesystem::path path = folder;
  const auto json = path / "tokenizer.json", vocab_txt = path / "vocab.txt";
  BREAKEVEN_TRY(const PathKind kind, look_at(json));
  const bool from_json = kind != PathKind::nothing;
  BREAKEVEN_TRY(TokenizerConfig config, read_tokenizer_config(folder, from_json));
  const bool roberta = config.is(TokenizerConfig::Class::roberta);
  const auto pieces = from_json ? std::nullopt : find_sentencepiece(path, config);
  TokenizerSpec spec;
  std::filesystem::path where = json;
  if (from_json) {
    BREAKEVEN_TRY_VOID(read_tokenizer_json(json.string(), spec));
  } else if (pieces) {
    where = *pieces;
    BREAKEVEN_TRY_VOID(read_sentencepiece(*pieces, config, spec));
  } else if (roberta && has_bpe_files(path)) {
    where = path / "vocab.json";
    BREAKEVEN_TRY_VOID(read_bpe_files(path, spec));
  } else if (!roberta && is_there(vocab_txt)) {
    where = vocab_txt;
    BREAKEVEN_TRY_VOID(read_vocab_txt(vocab_txt.string(), spec));
  } else {
    BREAKEVEN_TRY_VOID(refuse_sentencepiece(folder));
    return fail("tokenizer/missing",
                fmt::format("{} has no tokenizer.json and no {}", folder,
                            roberta ? "vocab.json with merges.txt" : "vocab.txt"),
                "give the folder of a model with its tokenizer's files");
  }
  BREAKEVEN_TRY_VOID(complete(where.string(), std::move(config), from_json || pieces, rows, spec));
  return spec;
}

}  // namespace breakeven::text
