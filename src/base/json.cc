#include "base/json.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "base/json_scan.h"
#include "base/numbers.h"
#include "base/utf8.h"

namespace breakeven {

namespace dom = simdjson::dom;

struct JsonAccess {
  using Bytes = decltype(JsonValue::element_);
  static JsonValue wrap(dom::element element) {
    JsonValue value;
    value.element_ = std::bit_cast<Bytes>(element);
    return value;
  }
  static dom::element element(const JsonValue& value) {
    return std::bit_cast<dom::element>(value.element_);
  }
};

struct JsonDocument::State {
  JsonSource source;
  dom::parser parser;
  dom::element root;
};

namespace {

template <class T>
std::optional<T> get(const JsonValue& value) {
  T out;
  if (JsonAccess::element(value).get(out) != simdjson::SUCCESS) return std::nullopt;
  return out;
}

// Calls visit(first byte, length) for each number outside of strings.
template <class Visit>
void for_each_number(std::string_view json, const Visit& visit) {
  bool in_string = false;
  for (std::size_t at = 0; at < json.size(); ++at) {
    const char c = json[at];
    if (c == '"') in_string = !in_string;
    if (in_string && c == '\\') ++at;
    if (in_string || (c != '-' && (c < '0' || c > '9'))) continue;
    const std::size_t stop = std::min(json.find_first_not_of("0123456789+-.eE", at), json.size());
    visit(at, stop - at);
    at = stop - 1;
  }
}

// simdjson refuses whole numbers beyond 64 bits. Gives such numbers a fraction, so that they are
// read as floating point.
std::string with_large_numbers_as_fractions(std::string_view json) {
  constexpr std::size_t kSafeDigits = 18;
  std::string out;
  std::size_t copied = 0;
  for_each_number(json, [&](std::size_t at, std::size_t size) {
    const std::size_t digits = json[at] == '-' ? size - 1 : size;
    if (digits <= kSafeDigits || json.substr(at, size).find_first_of(".eE") < size) return;
    out.append(json.substr(copied, at + size - copied)).append(".0");
    copied = at + size;
  });
  return out.append(json.substr(copied));
}

// The first number that no double holds ("1e999"), with its place; "" where there is none.
std::string overflowing_number(std::string_view json) {
  std::string found;
  for_each_number(json, [&](std::size_t at, std::size_t size) {
    if (!found.empty() || parse_number<double>(json.substr(at, size))) return;
    found = fmt::format("byte {}: {} is beyond all numbers", at,
                        json.substr(at, std::min<std::size_t>(size, 40)));
  });
  return found;
}

// Python's words for floats that JSON has no number for, replaced as JsonDialect says. Strings
// stay.
std::string with_words_as_values(std::string_view json) {
  std::string out;
  bool in_string = false;
  for (std::size_t at = 0; at < json.size();) {
    if (const std::size_t word = in_string ? 0 : not_finite_bytes(json.substr(at)); word > 0) {
      out += json[at] == 'N'   ? "\"NaN\""
             : json[at] == '-' ? "-1.7976931348623157e308"
                               : "1.7976931348623157e308";
      at += word;
      continue;
    }
    if (json[at] == '"') in_string = !in_string;
    const std::size_t size = in_string && json[at] == '\\' ? 2 : 1;
    out += json.substr(at, size);
    at += size;
  }
  return out;
}

std::string why_no_json(std::string_view text, simdjson::error_code error) {
  if (const std::size_t at = first_invalid_utf8(text); at < text.size())
    return fmt::format("byte {} is no UTF-8", at);
  if (const auto problem = scan_json(text))
    return fmt::format("byte {}: {}", problem->at, problem->what);
  // Good grammar: a number beyond all limits, or an escape that is no character.
  const std::string number = overflowing_number(text);
  return number.empty() ? simdjson::error_message(error) : number;
}

std::string with_where(const JsonSource& source, std::string_view message) {
  return source.where.empty() ? std::string(message) : fmt::format("{}: {}", source.where, message);
}

}  // namespace

std::optional<bool> JsonValue::boolean() const {
  return get<bool>(*this);
}

std::optional<std::int64_t> JsonValue::integer() const {
  return get<std::int64_t>(*this);
}

std::optional<std::uint64_t> JsonValue::count() const {
  return get<std::uint64_t>(*this);
}

std::optional<double> JsonValue::number() const {
  return get<double>(*this);
}

std::optional<std::string_view> JsonValue::text() const {
  return get<std::string_view>(*this);
}

std::vector<JsonValue> JsonValue::list() const {
  std::vector<JsonValue> values;
  if (const auto array = get<dom::array>(*this)) {
    values.reserve(array->size());
    for (const dom::element element : *array) values.push_back(JsonAccess::wrap(element));
  }
  return values;
}

std::vector<JsonField> JsonValue::object() const {
  std::vector<JsonField> fields;
  if (const auto object = get<dom::object>(*this)) {
    fields.reserve(object->size());
    for (const auto& [name, element] : *object) fields.push_back({name, JsonAccess::wrap(element)});
  }
  return fields;
}

std::optional<JsonValue> JsonValue::find(std::string_view name) const {
  std::optional<JsonValue> last;
  if (const auto object = get<dom::object>(*this)) {
    for (auto field = object->begin(); field != object->end(); ++field) {
      if (field.key_equals(name)) last = JsonAccess::wrap(field.value());
    }
  }
  return last;
}

bool JsonValue::is_null() const {
  return JsonAccess::element(*this).is_null();
}

bool JsonValue::is_list() const {
  return JsonAccess::element(*this).is_array();
}

bool JsonValue::is_object() const {
  return JsonAccess::element(*this).is_object();
}

std::string JsonValue::shown(std::size_t most) const {
  std::string text = simdjson::minify(JsonAccess::element(*this));
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;
  return text.substr(0, most) + "...";
}

Result<JsonDocument> JsonDocument::parse(std::string_view text, JsonSource source) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  const auto state = std::make_shared<State>();
  state->source = std::move(source);
  constexpr std::size_t kLeastCapacity = 64;
  auto error = state->parser.allocate(std::max(text.size(), kLeastCapacity), kMaxJsonDepth);
  if (!error) error = state->parser.parse(text.data(), text.size()).get(state->root);
  std::string replaced;
  if (error && state->source.dialect == JsonDialect::python) {
    replaced = with_words_as_values(text);
    text = replaced;
    error = state->parser.parse(replaced).get(state->root);
  }
  if (error == simdjson::NUMBER_ERROR)
    error = state->parser.parse(with_large_numbers_as_fractions(text)).get(state->root);
  if (error)
    return fail(state->source.json_code,
                with_where(state->source, "not JSON: " + why_no_json(text, error)),
                state->source.hint);
  return JsonDocument(state);
}

JsonValue JsonDocument::value() const {
  return JsonAccess::wrap(state_->root);
}

Result<JsonObject> JsonDocument::object() const {
  const JsonSource& source = state_->source;
  if (!value().is_object())
    return fail(source.json_code, with_where(source, "not a JSON object"), source.hint);
  return JsonObject(value(), "", source);
}

std::optional<JsonValue> JsonObject::find(std::string_view name) const {
  const auto value = value_.find(name);
  return value && !value->is_null() ? value : std::nullopt;
}

Result<bool> JsonObject::boolean(std::string_view name, std::optional<bool> absent) const {
  const auto value = find(name);
  if (!value && absent) return *absent;
  if (!value || !value->boolean()) return wrong(name, "true or false");
  return *value->boolean();
}

Result<std::uint64_t> JsonObject::count(std::string_view name, JsonRange range,
                                        std::optional<std::uint64_t> absent) const {
  const auto value = find(name);
  if (!value && absent) return *absent;
  if (!value) return wrong(name, "");
  return as_count(*value, name, range);
}

Result<double> JsonObject::number(std::string_view name, std::optional<double> absent) const {
  const auto value = find(name);
  if (!value && absent) return *absent;
  if (!value || !value->number()) return wrong(name, "a number");
  return *value->number();
}

Result<std::string> JsonObject::text(std::string_view name,
                                     std::optional<std::string> absent) const {
  const auto value = find(name);
  if (!value && absent) return *std::move(absent);
  if (!value) return wrong(name, "");
  return as_text(*value, name);
}

Result<std::vector<JsonValue>> JsonObject::list(std::string_view name, JsonRange size) const {
  const auto value = find(name);
  if (!value || !value->is_list()) return wrong(name, "a list");
  std::vector<JsonValue> values = value->list();
  if (values.size() < size.least || values.size() > size.most)
    return fail(
        source_->field_code,
        fmt::format("{} has {} entries, not {}", where(name), values.size(), to_string(size)),
        source_->hint);
  return values;
}

Result<JsonObject> JsonObject::object(std::string_view name) const {
  const auto value = find(name);
  if (!value) return wrong(name, "");
  return as_object(*value, name);
}

Result<JsonObject> JsonObject::as_object(JsonValue value, std::string_view name) const {
  if (!value.is_object()) return wrong(name, value, "an object");
  return JsonObject(value, path(name), *source_);
}

Result<std::uint64_t> JsonObject::as_count(JsonValue value, std::string_view name,
                                           JsonRange range) const {
  const auto count = value.count();
  if (!count || *count < range.least || *count > range.most)
    return wrong(name, value, fmt::format("a whole number from {}", to_string(range)));
  return *count;
}

Result<std::string> JsonObject::as_text(JsonValue value, std::string_view name) const {
  const auto text = value.text();
  if (!text) return wrong(name, value, "a text");
  return std::string(*text);
}

std::string JsonObject::path(std::string_view name) const {
  return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
}

std::string JsonObject::where(std::string_view name) const {
  return with_where(*source_, path(name));
}

tl::unexpected<Error> JsonObject::wrong(std::string_view name, std::string_view wanted) const {
  if (const auto value = value_.find(name)) return wrong(name, *value, wanted);
  return fail(source_->field_code, fmt::format("{} is missing", where(name)), source_->hint);
}

tl::unexpected<Error> JsonObject::wrong(std::string_view name, JsonValue value,
                                        std::string_view wanted) const {
  return fail(source_->field_code,
              fmt::format("{} is {}{}{}", where(name), value.shown(),
                          wanted.empty() ? "" : ", not ", wanted),
              source_->hint);
}

std::string to_string(const JsonRange& range) {
  if (range.least == range.most) return fmt::format("{}", range.least);
  const bool limited = range.most != JsonRange().most;
  return limited ? fmt::format("{} to {}", range.least, range.most)
                 : fmt::format("{} on", range.least);
}

}  // namespace breakeven
