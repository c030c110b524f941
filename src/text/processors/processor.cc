#include "text/processors/processor.h"

#include "text/part_kinds.h"

namespace breakeven::text {
namespace {

using Kind = TemplateStep::Kind;

Result<std::int32_t> as_id(const JsonObject& object, JsonValue value, std::string_view name) {
  BREAKEVEN_TRY(const std::uint64_t id, object.as_count(value, name, {0, kMostIds - 1}));
  return static_cast<std::int32_t>(id);
}

Result<TemplateStep> read_step(const JsonObject& step, const JsonObject& processor) {
  TemplateStep out;
  const bool special = step.find("SpecialToken").has_value();
  BREAKEVEN_TRY(const JsonObject object, step.object(special ? "SpecialToken" : "Sequence"));
  BREAKEVEN_TRY(const std::string id, object.text("id", ""));
  BREAKEVEN_TRY(const std::uint64_t token_type, object.count("type_id", {0, kMostIds}, 0));
  out.token_type = static_cast<std::int32_t>(token_type);
  if (!special) {
    if (id != "A" && id != "B") return object.wrong("id", "\"A\" or \"B\"");
    out.kind = id == "A" ? Kind::first_text : Kind::second_text;
    return out;
  }
  BREAKEVEN_TRY(const JsonObject tokens, processor.object("special_tokens"));
  BREAKEVEN_TRY(const JsonObject token, tokens.object(id));
  BREAKEVEN_TRY(const auto ids, token.list("ids"));
  for (const JsonValue each : ids) {
    BREAKEVEN_TRY(const std::int32_t value, as_id(token, each, "ids"));
    out.ids.push_back(value);
  }
  return out;
}

Result<Template> read_template(const JsonObject& processor, std::string_view field) {
  BREAKEVEN_TRY(const auto steps, processor.list(field));
  Template out;
  int first = 0, second = 0;
  for (const JsonValue each : steps) {
    BREAKEVEN_TRY(const JsonObject step, processor.as_object(each, field));
    BREAKEVEN_TRY(TemplateStep parsed, read_step(step, processor));
    first += parsed.kind == Kind::first_text ? 1 : 0;
    second += parsed.kind == Kind::second_text ? 1 : 0;
    out.push_back(std::move(parsed));
  }
  if (first != 1 || second != (field == "pair" ? 1 : 0))
    return unsupported(processor.where(field),
                       fmt::format("a template with {} times A and {} times B", first, second),
                       "each text once");
  return out;
}

Result<Processor> template_processing(const JsonObject& processor) {
  Processor out;
  BREAKEVEN_TRY(out.single, read_template(processor, "single"));
  BREAKEVEN_TRY(out.pair, read_template(processor, "pair"));
  for (const TemplateStep& step : out.pair) {
    if (step.kind == Kind::first_text) out.plain_first_type = step.token_type;
    if (step.kind == Kind::second_text) out.plain_second_type = step.token_type;
  }
  return out;
}

// ["[SEP]", 102].
Result<std::int32_t> read_named_id(const JsonObject& processor, std::string_view field) {
  BREAKEVEN_TRY(const auto pair, processor.list(field, {2, 2}));
  return as_id(processor, pair[1], field);
}

template <Processor (*Make)(std::int32_t cls, std::int32_t sep)>
Result<Processor> cls_sep_processing(const JsonObject& processor) {
  BREAKEVEN_TRY(const std::int32_t cls, read_named_id(processor, "cls"));
  BREAKEVEN_TRY(const std::int32_t sep, read_named_id(processor, "sep"));
  return Make(cls, sep);
}

Processor no_processing() {
  return Processor{{{Kind::first_text, {}, 0}},
                   {{Kind::first_text, {}, 0}, {Kind::second_text, {}, 1}}};
}

struct ProcessorKind {
  std::string_view type;
  Result<Processor> (*read)(const JsonObject& processor);
};
constexpr ProcessorKind kKinds[] = {{"TemplateProcessing", template_processing},
                                    {"BertProcessing", cls_sep_processing<bert_processor>},
                                    {"RobertaProcessing", cls_sep_processing<roberta_processor>}};
// It moves offsets, never ids.
constexpr std::string_view kByteLevel = "ByteLevel";

}  // namespace

Processor bert_processor(std::int32_t cls, std::int32_t sep) {
  Processor out;
  out.single = {{Kind::special, {cls}, 0}, {Kind::first_text, {}, 0}, {Kind::special, {sep}, 0}};
  out.pair = out.single;
  out.pair.push_back({Kind::second_text, {}, 1});
  out.pair.push_back({Kind::special, {sep}, 1});
  return out;
}

Processor roberta_processor(std::int32_t cls, std::int32_t sep) {
  Processor out;
  out.single = {{Kind::special, {cls}, 0}, {Kind::first_text, {}, 0}, {Kind::special, {sep}, 0}};
  out.pair = {{Kind::special, {cls}, 0},
              {Kind::first_text, {}, 0},
              {Kind::special, {sep, sep}, 0},
              {Kind::second_text, {}, 0},
              {Kind::special, {sep}, 0}};
  out.plain_second_type = 0;
  return out;
}

Result<Processor> read_processor(const JsonObject& root) {
  if (!root.find("post_processor")) return no_processing();
  BREAKEVEN_TRY(const JsonObject part, root.object("post_processor"));
  BREAKEVEN_TRY(auto parts, flatten(part, "processors"));
  for (auto each = parts.begin(); each != parts.end();) {
    BREAKEVEN_TRY(const std::string type, each->text("type", ""));
    each = type == kByteLevel ? parts.erase(each) : each + 1;
  }
  if (parts.empty()) return no_processing();
  // Hugging Face's own library fails on a template behind a template.
  if (parts.size() > 1)
    return unsupported(part.where("processors"), fmt::format("{} of them", parts.size()),
                       "one beside ByteLevel");
  BREAKEVEN_TRY(const auto* kind, find_kind(parts.front(), std::span<const ProcessorKind>(kKinds)));
  return kind->read(parts.front());
}

}  // namespace breakeven::text
