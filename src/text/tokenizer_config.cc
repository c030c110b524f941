#include "text/tokenizer_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "base/files.h"
#include "base/numbers.h"
#include "text/tokenizer_json.h"

namespace breakeven::text {
namespace {

namespace fs = std::filesystem;

// BERT's tokenizer under the names of the models that took it over, without "Fast".
constexpr std::array<std::string_view, 15> kBertClasses = {"BertTokenizer",
                                                           "BertTokenizerLegacy",
                                                           "BertWordPieceTokenizer",
                                                           "ConvBertTokenizer",
                                                           "DPRContextEncoderTokenizer",
                                                           "DPRQuestionEncoderTokenizer",
                                                           "DPRReaderTokenizer",
                                                           "DistilBertTokenizer",
                                                           "ElectraTokenizer",
                                                           "LayoutLMTokenizer",
                                                           "LxmertTokenizer",
                                                           "MobileBertTokenizer",
                                                           "RealmTokenizer",
                                                           "RetriBertTokenizer",
                                                           "SqueezeBertTokenizer"};
constexpr std::array<std::string_view, 4> kGenericClasses = {
    "PreTrainedTokenizer", "PreTrainedTokenizerBase", "TokenizersBackend", "PythonBackend"};
// Models whose class is one of the first list where no file names another.
constexpr std::array<std::string_view, 16> kBertModelTypes = {
    "bert",      "convbert",      "distilbert", "electra",    "ernie",   "layoutlm",
    "lxmert",    "megatron-bert", "mobilebert", "nezha",      "qdqbert", "realm",
    "retribert", "squeezebert",   "vilt",       "visual_bert"};
// Classes that take nothing from tokenizer_config.json but tokens, and those of SentencePiece.
struct NamedClass {
  std::string_view name, model_type;
  TokenizerConfig::Class value;
};
using Class = TokenizerConfig::Class;
constexpr std::array<NamedClass, 4> kNamedClasses = {
    NamedClass{"RobertaTokenizer", "roberta", Class::roberta},
    NamedClass{"XLMRobertaTokenizer", "xlm-roberta", Class::xlm_roberta},
    NamedClass{"CamembertTokenizer", "camembert", Class::camembert},
    NamedClass{"DebertaV2Tokenizer", "deberta-v2", Class::deberta_v2}};
// HF writes 1e30 for "no limit"; nothing real comes near this.
constexpr double kNoLengthLimit = 1e9;
// [CLS] and [SEP] alone; what HF is told to cut below that, it does not cut.
constexpr double kLeastLength = 2;

template <std::size_t Size>
bool contains(const std::array<std::string_view, Size>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// A file of JSON, read by `read`; nothing where it is not there.
template <class Read>
Result<void> read_json(const fs::path& path, Read read) {
  if (!is_there(path)) return {};
  BREAKEVEN_TRY(const std::string content, read_file(path.string()));
  BREAKEVEN_TRY(const auto document, JsonDocument::parse(content, tokenizer_source(path.string())));
  BREAKEVEN_TRY(const JsonObject object, document.object());
  return read(object);
}

// tokenizer_class; nothing where the file names none.
Result<std::optional<Class>> read_class(const JsonObject& config) {
  BREAKEVEN_TRY(std::string name, config.text("tokenizer_class", ""));
  if (name.empty()) return std::optional<Class>();
  constexpr std::string_view kFast = "Fast";
  if (name.ends_with(kFast)) name.resize(name.size() - kFast.size());
  if (contains(kBertClasses, name)) return std::optional(Class::bert);
  if (contains(kGenericClasses, name)) return std::optional(Class::generic);
  for (const NamedClass& each : kNamedClasses)
    if (name == each.name) return std::optional(each.value);
  return fail("tokenizer/unsupported",
              fmt::format("{} is '{}'; only the tokenizers of BERT, RoBERTa, XLM-RoBERTa, "
                          "CamemBERT and DeBERTa-v2 are "
                          "supported",
                          config.where("tokenizer_class"), name),
              "use a model with another tokenizer, or run this one with another runtime");
}

Result<void> read_lengths(const JsonObject& config, TokenizerConfig& out) {
  // max_len is its name of 2019.
  const char* field = config.find("model_max_length") ? "model_max_length" : "max_len";
  if (config.find(field)) {
    BREAKEVEN_TRY(const double length, config.number(field));
    if (!(length >= 0)) return config.wrong(field, "a length");
    if (length >= kLeastLength && length < kNoLengthLimit)
      out.model_max_length = static_cast<std::size_t>(length);
  }
  BREAKEVEN_TRY(const std::string side, config.text("truncation_side", ""));
  if (side == "left") out.truncation_side = TruncationSide::left;
  if (side == "right") out.truncation_side = TruncationSide::right;
  if (!side.empty() && !out.truncation_side)
    return fail("tokenizer/unsupported",
                fmt::format("{} is '{}'", config.where("truncation_side"), side),
                "use \"left\" or \"right\"");
  return {};
}

Result<void> read_added_decoder(const JsonObject& config, std::vector<AddedToken>& added) {
  BREAKEVEN_TRY(const JsonObject decoder, config.object("added_tokens_decoder"));
  for (const auto& [name, value] : decoder.fields()) {
    BREAKEVEN_TRY(const JsonObject object, decoder.as_object(value, name));
    BREAKEVEN_TRY(AddedToken token, read_added_token(object, false));
    token.id = parse_number<std::int32_t>(name).value_or(-1);
    if (token.id < 0) return decoder.wrong(name, value, "named by an id");
    added.push_back(std::move(token));
  }
  return {};
}

// Whether a file names the token as one of the roles.
bool is_role(const SpecialTokens& special, std::string_view content) {
  return std::any_of(
      special.roles.begin(), special.roles.end(), [&](const SpecialTokens::Token& role) {
        return role.named == SpecialTokens::Named::by_file && role.token.content == content;
      });
}

// {"content": id}, which HF's slow tokenizers wrote. Only what the other files name is special.
Result<void> read_added_file(const JsonObject& file, TokenizerConfig& out) {
  const auto& further = out.special.further;
  for (const auto& [name, value] : file.fields()) {
    AddedToken token;
    token.content = name;
    BREAKEVEN_TRY(const std::uint64_t id, file.as_count(value, name, {0, INT32_MAX - 1}));
    token.id = static_cast<std::int32_t>(id);
    token.special =
        is_role(out.special, name) ||
        std::any_of(further.begin(), further.end(), [&](const SpecialTokens::Token& other) {
          return other.token.content == token.content;
        });
    token.normalized = !token.special;
    out.added.push_back(std::move(token));
  }
  return {};
}

Result<void> read_input_names(const JsonObject& config, TokenizerConfig& out) {
  if (!config.find("model_input_names")) return {};
  BREAKEVEN_TRY(const auto names, config.list("model_input_names"));
  out.model_takes_types = false;
  for (const JsonValue each : names) {
    BREAKEVEN_TRY(const std::string name, config.as_text(each, "model_input_names"));
    out.model_takes_types |= name == "token_type_ids";
  }
  return {};
}

Result<void> read_fields(const JsonObject& config, TokenizerConfig& out) {
  BREAKEVEN_TRY(out.do_lower_case, config.boolean("do_lower_case", out.do_lower_case));
  BREAKEVEN_TRY(out.split_by_punct, config.boolean("split_by_punct", false));
  BREAKEVEN_TRY(out.add_prefix_space, config.boolean("add_prefix_space", false));
  BREAKEVEN_TRY(out.tokenize_chinese_chars, config.boolean("tokenize_chinese_chars", true));
  if (config.find("strip_accents")) {
    BREAKEVEN_TRY(out.strip_accents, config.boolean("strip_accents", false));
  }
  BREAKEVEN_TRY(out.split_special_tokens, config.boolean("split_special_tokens", false));
  BREAKEVEN_TRY_VOID(read_input_names(config, out));
  BREAKEVEN_TRY_VOID(read_lengths(config, out));
  BREAKEVEN_TRY_VOID(read_special_tokens(config, false, out.special));
  out.has_decoder = config.find("added_tokens_decoder").has_value();
  return out.has_decoder ? read_added_decoder(config, out.added) : Result<void>();
}

// tokenizer_config.json names the class, else config.json does, else its model_type.
Result<std::optional<Class>> find_class(const fs::path& folder) {
  std::optional<Class> found;
  BREAKEVEN_TRY_VOID(
      read_json(folder / "tokenizer_config.json", [&](const JsonObject& config) -> Result<void> {
        BREAKEVEN_TRY(found, read_class(config));
        return {};
      }));
  if (found) return found;
  BREAKEVEN_TRY_VOID(
      read_json(folder / "config.json", [&](const JsonObject& config) -> Result<void> {
        BREAKEVEN_TRY(found, read_class(config));
        if (found) return {};
        BREAKEVEN_TRY(const std::string type, config.text("model_type", ""));
        if (contains(kBertModelTypes, type)) found = Class::bert;
        for (const NamedClass& each : kNamedClasses)
          if (type == each.model_type) found = each.value;
        return {};
      }));
  return found;
}

}  // namespace

Result<TokenizerConfig> read_tokenizer_config(const std::string& folder, bool has_tokenizer_json) {
  const fs::path path = folder;
  TokenizerConfig out;
  BREAKEVEN_TRY(const std::optional<Class> found, find_class(path));
  // What stands in vocab.txt is BERT's.
  out.tokenizer_class = found.value_or(has_tokenizer_json ? Class::generic : Class::bert);
  if (!has_tokenizer_json && out.tokenizer_class == Class::generic)
    out.tokenizer_class = Class::bert;
  if (out.is(Class::bert)) out.special = bert_special_tokens();
  if (out.has_roberta_tokens()) out.special = roberta_special_tokens();
  if (out.is(Class::deberta_v2)) out.special = deberta_special_tokens();
  out.model_takes_types = !out.has_roberta_tokens();
  out.do_lower_case = !out.is(Class::deberta_v2);
  BREAKEVEN_TRY_VOID(read_json(path / "tokenizer_config.json",
                               [&](const JsonObject& config) { return read_fields(config, out); }));
  // HF looks at the two older files only where that has no added_tokens_decoder.
  if (!out.has_decoder) {
    BREAKEVEN_TRY_VOID(
        read_json(path / "special_tokens_map.json", [&](const JsonObject& map) -> Result<void> {
          return read_special_tokens(map, true, out.special);
        }));
    BREAKEVEN_TRY_VOID(read_json(
        path / "added_tokens.json",
        [&](const JsonObject& file) -> Result<void> { return read_added_file(file, out); }));
  }
  // RoBERTa's kin look for the white space before <mask> wherever flags do not say otherwise.
  auto& mask = out.special.roles[SpecialTokens::mask];
  if (out.has_roberta_tokens() && !mask.has_flags) mask.token.lstrip = true;
  // DeBERTa's slow class, which reads SentencePiece's file, looks for [UNK] in the normalised text.
  auto& unk = out.special.roles[SpecialTokens::unk];
  if (out.is(Class::deberta_v2) && !has_tokenizer_json && !unk.has_flags)
    unk.token.normalized = true;
  if (out.is(Class::camembert) && out.special.further.empty())
    out.special.further = camembert_further_tokens();
  for (AddedToken& token : out.added) token.special |= is_role(out.special, token.content);
  std::stable_sort(out.added.begin(), out.added.end(),
                   [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  return out;
}

}  // namespace breakeven::text
