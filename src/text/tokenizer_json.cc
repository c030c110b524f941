#include "text/tokenizer_json.h"

#include <fmt/format.h>

#include <unordered_set>

#include "base/files.h"
#include "text/json_fields.h"

namespace breakeven::text {
namespace {

// A vocabulary's ids index arrays; ten times the largest published one is room enough.
constexpr std::int64_t kMaxVocabulary = std::int64_t{1} << 24;

tl::unexpected<Error> unsupported(const std::string& where, std::string_view what,
                                  std::string_view expected) {
  return fail("tokenizer/unsupported",
              fmt::format("{} is {}; only {} is supported", where, what, expected),
              "use a BERT or DistilBERT model, or run this one with another runtime");
}

// The type of a part of the file, "null" where it is missing.
Result<std::string> part_type(const JsonObject& root, std::string_view part) {
  if (!root.find(part)) return std::string("null");
  BREAKEVEN_TRY(const JsonObject object, root.child(part));
  return object.string("type", "without a type");
}

Result<void> read_vocabulary(const JsonObject& model, TokenizerSpec& spec) {
  BREAKEVEN_TRY(const JsonObject vocabulary, model.child("vocab"));
  std::unordered_set<std::string_view> entries;
  std::unordered_set<std::int64_t> ids;
  for (const auto field : vocabulary.object()) {
    std::int64_t id = 0;
    if (field.value.get(id) || id < 0 || id >= kMaxVocabulary)
      return fail("tokenizer/vocabulary",
                  fmt::format("{}: '{}' has no id from 0 to {}", vocabulary.where(), field.key,
                              kMaxVocabulary - 1),
                  "download the file again");
    if (!ids.insert(id).second)
      return fail("tokenizer/vocabulary",
                  fmt::format("{}: id {} is given twice, the second time to '{}'",
                              vocabulary.where(), id, field.key),
                  "give every entry an id of its own");
    if (!entries.insert(field.key).second)
      return fail("tokenizer/vocabulary",
                  fmt::format("{}: '{}' stands there twice", vocabulary.where(), field.key),
                  "remove one of the two");
    spec.vocabulary.emplace_back(field.key, static_cast<std::int32_t>(id));
  }
  return {};
}

Result<void> read_model(const JsonObject& root, TokenizerSpec& spec) {
  BREAKEVEN_TRY(const JsonObject model, root.child("model"));
  // Files older than 2020 leave the type out; WordPiece is the one with a continuing prefix.
  const bool untyped = !model.find("type") && model.find("continuing_subword_prefix");
  BREAKEVEN_TRY(const std::string type, model.string("type", "without a type"));
  if (type != "WordPiece" && !untyped) return unsupported(model.path("type"), type, "WordPiece");
  BREAKEVEN_TRY(spec.unknown_token, model.string("unk_token", "[UNK]"));
  BREAKEVEN_TRY(spec.continuing_prefix, model.string("continuing_subword_prefix", "##"));
  BREAKEVEN_TRY(const std::int64_t max_chars, model.integer("max_input_chars_per_word", 100));
  if (max_chars < 0) return wrong_type(model.path("max_input_chars_per_word"), "0 or more");
  spec.max_chars_per_word = static_cast<std::size_t>(max_chars);
  return read_vocabulary(model, spec);
}

Result<void> read_normalizer(const JsonObject& root, TokenizerSpec& spec) {
  BREAKEVEN_TRY(const std::string type, part_type(root, "normalizer"));
  if (type == "null") {
    spec.normalizer = {false, false, false, false};
    return {};
  }
  if (type != "BertNormalizer") return unsupported(root.path("normalizer"), type, "BertNormalizer");
  BREAKEVEN_TRY(const JsonObject object, root.child("normalizer"));
  NormalizerFlags& flags = spec.normalizer;
  BREAKEVEN_TRY(flags.clean_text, object.boolean("clean_text", true));
  BREAKEVEN_TRY(flags.handle_chinese_chars, object.boolean("handle_chinese_chars", true));
  BREAKEVEN_TRY(flags.lowercase, object.boolean("lowercase", true));
  BREAKEVEN_TRY(flags.strip_accents, object.boolean("strip_accents", flags.lowercase));
  return {};
}

Result<TemplateStep> read_step(const JsonObject& step, const JsonObject& processor) {
  TemplateStep out;
  const bool special = step.find("SpecialToken").has_value();
  BREAKEVEN_TRY(const JsonObject object, step.child(special ? "SpecialToken" : "Sequence"));
  BREAKEVEN_TRY(const std::string id, object.string("id", ""));
  BREAKEVEN_TRY(const std::int64_t token_type, object.integer("type_id", 0));
  out.token_type = static_cast<std::int32_t>(token_type);
  if (!special) {
    if (id != "A" && id != "B") return wrong_type(object.path("id"), "\"A\" or \"B\"");
    out.kind = id == "A" ? TemplateStep::Kind::first_text : TemplateStep::Kind::second_text;
    return out;
  }
  BREAKEVEN_TRY(const JsonObject tokens, processor.child("special_tokens"));
  BREAKEVEN_TRY(const JsonObject token, tokens.child(id));
  simdjson::dom::array ids;
  const auto element = token.find("ids");
  if (!element || element->get(ids)) return wrong_type(token.path("ids"), "a list");
  for (const auto each : ids) {
    std::int64_t value = 0;
    if (each.get(value) || value < 0 || value >= kMaxVocabulary)
      return wrong_type(token.path("ids"), "a list of ids");
    out.ids.push_back(static_cast<std::int32_t>(value));
  }
  return out;
}

Result<Template> read_template(const JsonObject& processor, std::string_view field) {
  simdjson::dom::array steps;
  const auto element = processor.find(field);
  if (!element || element->get(steps)) return wrong_type(processor.path(field), "a list");
  Template out;
  int first = 0, second = 0;
  for (const auto each : steps) {
    BREAKEVEN_TRY(const JsonObject step, JsonObject::from(each, processor.path(field)));
    BREAKEVEN_TRY(TemplateStep parsed, read_step(step, processor));
    first += parsed.kind == TemplateStep::Kind::first_text ? 1 : 0;
    second += parsed.kind == TemplateStep::Kind::second_text ? 1 : 0;
    out.push_back(std::move(parsed));
  }
  if (first != 1 || second != (field == "pair" ? 1 : 0))
    return unsupported(processor.path(field),
                       fmt::format("a template with {} times A and {} times B", first, second),
                       "each text once");
  return out;
}

// BertProcessing's pair: ["[SEP]", 102].
Result<std::int32_t> read_named_id(const JsonObject& processor, std::string_view field) {
  simdjson::dom::array pair;
  std::int64_t id = -1;
  const auto element = processor.find(field);
  if (!element || element->get(pair) || pair.size() != 2 || pair.at(1).get(id) || id < 0 ||
      id >= kMaxVocabulary)
    return wrong_type(processor.path(field), "a token with its id");
  return static_cast<std::int32_t>(id);
}

Result<void> read_post_processor(const JsonObject& root, TokenizerSpec& spec) {
  BREAKEVEN_TRY(const std::string type, part_type(root, "post_processor"));
  if (type == "null") {
    spec.single = {{TemplateStep::Kind::first_text, {}, 0}};
    spec.pair = {{TemplateStep::Kind::first_text, {}, 0}, {TemplateStep::Kind::second_text, {}, 1}};
    return {};
  }
  const bool bert = type == "BertProcessing";
  if (!bert && type != "TemplateProcessing")
    return unsupported(root.path("post_processor"), type, "TemplateProcessing or BertProcessing");
  BREAKEVEN_TRY(const JsonObject processor, root.child("post_processor"));
  if (bert) {
    BREAKEVEN_TRY(const std::int32_t cls, read_named_id(processor, "cls"));
    BREAKEVEN_TRY(const std::int32_t sep, read_named_id(processor, "sep"));
    spec.single = bert_template(cls, sep, false);
    spec.pair = bert_template(cls, sep, true);
    return {};
  }
  BREAKEVEN_TRY(spec.single, read_template(processor, "single"));
  BREAKEVEN_TRY(spec.pair, read_template(processor, "pair"));
  return {};
}

Result<void> read_added_tokens(const JsonObject& root, TokenizerSpec& spec) {
  const auto element = root.find("added_tokens");
  if (!element) return {};
  simdjson::dom::array tokens;
  if (element->get(tokens)) return wrong_type(root.path("added_tokens"), "a list");
  for (const auto each : tokens) {
    BREAKEVEN_TRY(const JsonObject object, JsonObject::from(each, root.path("added_tokens")));
    BREAKEVEN_TRY(AddedToken token, read_added_token(object));
    BREAKEVEN_TRY(const std::int64_t id, object.integer("id", -1));
    if (id < 0 || id >= kMaxVocabulary)
      return fail("tokenizer/vocabulary",
                  fmt::format("{}: '{}' has no id from 0 to {}", object.where(), token.content,
                              kMaxVocabulary - 1),
                  "download the file again");
    token.id = static_cast<std::int32_t>(id);
    spec.added.push_back(std::move(token));
  }
  return {};
}

Result<void> read_truncation(const JsonObject& root, TokenizerSpec& spec) {
  if (!root.find("truncation")) return {};
  BREAKEVEN_TRY(const JsonObject truncation, root.child("truncation"));
  BREAKEVEN_TRY(const std::int64_t length, truncation.integer("max_length", 512));
  if (length < 0) return wrong_type(truncation.path("max_length"), "0 or more");
  spec.info.model_max_length = static_cast<std::size_t>(length);
  BREAKEVEN_TRY(const std::string side, truncation.string("direction", "Right"));
  if (side != "Left" && side != "Right")
    return unsupported(truncation.path("direction"), side, "Left or Right");
  spec.info.truncation_side = side == "Left" ? TruncationSide::left : TruncationSide::right;
  BREAKEVEN_TRY(const std::string strategy, truncation.string("strategy", "LongestFirst"));
  if (strategy != "LongestFirst")
    return unsupported(truncation.path("strategy"), strategy, "LongestFirst");
  return {};
}

}  // namespace

Result<void> read_tokenizer_json(const std::string& path, TokenizerSpec& spec) {
  BREAKEVEN_TRY(const std::string content, read_file(path));
  JsonFile file;
  BREAKEVEN_TRY_VOID(parse_json(path, content, file));
  BREAKEVEN_TRY(const JsonObject root, JsonObject::from(file.root, path));
  BREAKEVEN_TRY(const std::string pre_tokenizer, part_type(root, "pre_tokenizer"));
  BREAKEVEN_TRY_VOID(read_normalizer(root, spec));
  if (pre_tokenizer != "BertPreTokenizer")
    return unsupported(root.path("pre_tokenizer"), pre_tokenizer, "BertPreTokenizer");
  BREAKEVEN_TRY_VOID(read_model(root, spec));
  BREAKEVEN_TRY_VOID(read_added_tokens(root, spec));
  BREAKEVEN_TRY_VOID(read_post_processor(root, spec));
  return read_truncation(root, spec);
}

}  // namespace breakeven::text
