#include "text/spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <unordered_map>

#include "base/files.h"
#include "base/utf8.h"
#include "text/bpe_files.h"
#include "text/normalizers/bert.h"
#include "text/pre_tokenizers/bert.h"
#include "text/pre_tokenizers/byte_level.h"
#include "text/tokenizer_config.h"
#include "text/tokenizer_json.h"
#include "text/unicode.h"

namespace breakeven::text {
namespace {

using Ids = std::unordered_map<std::string_view, std::int32_t>;

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
  spec.pre_tokenizer = std::make_unique<BertPreTokenizer>();
  return {};
}

// Tokens that HF's slow tokenizers kept in a file of their own; vocab.txt says nothing about them.
Result<void> refuse_added_tokens_file(const std::filesystem::path& folder) {
  const auto path = folder / "added_tokens.json";
  if (!is_there(path)) return {};
  return fail("tokenizer/unsupported",
              fmt::format("{} adds tokens to vocab.txt, which is not supported", path.string()),
              "save the tokenizer with Transformers again; that writes a tokenizer.json");
}

// An added token takes the place of an earlier one with the same content.
void add_token(const AddedToken& token, std::vector<AddedToken>& added) {
  const auto same = [&](const AddedToken& other) { return other.content == token.content; };
  const auto at = std::find_if(added.begin(), added.end(), same);
  if (at == added.end()) {
    added.push_back(token);
  } else {
    *at = token;
  }
}

void add_config_tokens(const TokenizerConfig& config, bool from_json, const Ids& ids,
                       TokenizerSpec& spec) {
  for (const AddedToken& token : config.added) add_token(token, spec.added);
  for (const auto* special : {&config.unk, &config.cls, &config.sep, &config.pad, &config.mask}) {
    AddedToken token = special->token;
    const auto id = ids.find(token.content);
    const bool known = std::any_of(spec.added.begin(), spec.added.end(),
                                   [&](const AddedToken& t) { return t.content == token.content; });
    if ((from_json && !special->named) || known || id == ids.end()) continue;
    token.id = id->second;
    spec.added.push_back(token);
  }
}

// HF gives a token that the vocabulary has not the next free id; a file that says otherwise would
// mean different ids there and here.
Result<void> check_added_ids(const std::string& where, const Ids& ids, TokenizerSpec& spec) {
  std::erase_if(spec.added, [](const AddedToken& token) { return token.content.empty(); });
  auto next = static_cast<std::int32_t>(spec.model.vocabulary.size());
  for (const AddedToken& token : spec.added) {
    const auto at = ids.find(token.content);
    const std::int32_t expected = at == ids.end() ? next : at->second;
    if (token.id != expected)
      return fail("tokenizer/vocabulary",
                  fmt::format("{}: the added token '{}' has id {}, but {} {}", where, token.content,
                              token.id,
                              at == ids.end() ? "the next free one is" : "in the vocabulary it has",
                              expected),
                  "save the tokenizer with Transformers again");
    if (at == ids.end()) ++next;
  }
  return {};
}

Result<std::int32_t> role_id(const std::string& where, std::string_view role,
                             const std::string& content, const Ids& ids,
                             const std::vector<AddedToken>& added) {
  if (const auto at = ids.find(content); at != ids.end()) return at->second;
  for (const AddedToken& token : added)
    if (token.content == content) return token.id;
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

void apply_config(const TokenizerConfig& config, bool from_json, TokenizerSpec& spec) {
  if (auto* bert = dynamic_cast<BertNormalizer*>(spec.normalizer.get())) {
    if (config.bert_class || (!from_json && !spec.model.is_bpe())) {
      bert->flags.lowercase = config.do_lower_case;
      bert->flags.strip_accents = config.strip_accents.value_or(config.do_lower_case);
      bert->flags.handle_chinese_chars = config.tokenize_chinese_chars;
    }
    spec.info.lowercase = bert->flags.lowercase;
  }
  if (auto* byte_level = dynamic_cast<ByteLevel*>(spec.pre_tokenizer.get());
      byte_level != nullptr && config.roberta_class)
    byte_level->flags.add_prefix_space = config.add_prefix_space;
  spec.info.model_max_length = config.model_max_length.value_or(spec.info.model_max_length);
  spec.info.truncation_side = config.truncation_side.value_or(spec.info.truncation_side);
}

Result<void> complete(const std::string& where, const TokenizerConfig& config, bool from_json,
                      TokenizerSpec& spec) {
  if (spec.model.vocabulary.empty())
    return fail("tokenizer/vocabulary", fmt::format("{}: the vocabulary is empty", where),
                "download the file again");
  Ids ids;
  for (const auto& [entry, id] : spec.model.vocabulary) ids.emplace(entry, id);
  add_config_tokens(config, from_json, ids, spec);
  BREAKEVEN_TRY_VOID(check_added_ids(where, ids, spec));
  TokenizerInfo& info = spec.info;
  const bool bpe = spec.model.is_bpe();
  // Of BPE, which may do without an unknown token, only those that a file or class names must be.
  const auto role = [&](std::string_view name,
                        const TokenizerConfig::Special& special) -> Result<std::int32_t> {
    if (bpe && !special.named) return -1;
    return role_id(where, name, special.token.content, ids, spec.added);
  };
  if (!from_json && !bpe) spec.model.unknown_token = config.unk.token.content;
  if (bpe && spec.model.unknown_token.empty()) {
    BREAKEVEN_TRY(info.unk_id, role("unk", config.unk));
  } else {
    // The model itself must know it; the other roles may be added tokens.
    BREAKEVEN_TRY(info.unk_id, role_id(where, "unk", spec.model.unknown_token, ids, {}));
  }
  spec.model.unknown_id = info.unk_id;
  BREAKEVEN_TRY(info.cls_id, role("cls", config.cls));
  BREAKEVEN_TRY(info.sep_id, role("sep", config.sep));
  BREAKEVEN_TRY(info.pad_id, role("pad", config.pad));
  if (!from_json)
    spec.processor = (bpe ? roberta_processor : bert_processor)(info.cls_id, info.sep_id);
  std::int32_t highest = 0;
  for (const auto& [entry, id] : spec.model.vocabulary) highest = std::max(highest, id);
  for (const AddedToken& token : spec.added) highest = std::max(highest, token.id);
  info.vocabulary = static_cast<std::size_t>(highest) + 1;
  apply_config(config, from_json, spec);
  return check_template(where, spec);
}

}  // namespace

Result<TokenizerSpec> read_tokenizer_spec(const std::string& folder) {
  const auto json = std::filesystem::path(folder) / "tokenizer.json";
  const auto vocab_txt = std::filesystem::path(folder) / "vocab.txt";
  const auto vocab_json = std::filesystem::path(folder) / "vocab.json";
  BREAKEVEN_TRY(const PathKind kind, look_at(json));
  const bool from_json = kind != PathKind::nothing;
  BREAKEVEN_TRY(const TokenizerConfig config, read_tokenizer_config(folder));
  const bool bpe_files = !from_json && config.roberta_class && has_bpe_files(folder);
  if (!from_json && !bpe_files && (config.roberta_class || !is_there(vocab_txt)))
    return fail("tokenizer/missing",
                fmt::format("{} has no tokenizer.json and no {}", folder,
                            config.roberta_class ? "vocab.json with merges.txt" : "vocab.txt"),
                "give the folder of a model with its tokenizer's files");
  TokenizerSpec spec;
  if (from_json) {
    BREAKEVEN_TRY_VOID(read_tokenizer_json(json.string(), spec));
  } else {
    BREAKEVEN_TRY_VOID(refuse_added_tokens_file(folder));
    BREAKEVEN_TRY_VOID(bpe_files ? read_bpe_files(folder, spec)
                                 : read_vocab_txt(vocab_txt.string(), spec));
  }
  const std::string where = (from_json ? json : bpe_files ? vocab_json : vocab_txt).string();
  BREAKEVEN_TRY_VOID(complete(where, config, from_json, spec));
  return spec;
}

}  // namespace breakeven::text
