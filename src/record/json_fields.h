// JSON of any struct that record/fields.h lists, for those that put one into a document of their
// own: a cell in a comparison, a request between our own processes. Whole records: record/json.h.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "record/fields.h"

namespace breakeven::record {

using OrderedJson = nlohmann::ordered_json;

// What is a type here and a text in a record.
template <class T>
inline constexpr bool kIsName = Named<T> || std::is_same_v<T, Device>;
template <class T>
Result<T> parsed_name(std::string_view text) {
  if constexpr (Named<T>) {
    return parse<T>(text);
  } else {
    return parse_device(text);
  }
}
template <class T>
std::string known_names() {
  if constexpr (Named<T>) {
    return "one of " + list_names<T>();
  } else {
    return "a device such as cpu, cuda:0 or cuda:0+cuda:1";
  }
}

template <class T>
inline constexpr bool kIsVector = false;
template <class T>
inline constexpr bool kIsVector<std::vector<T>> = true;
template <class T>
inline constexpr bool kIsMap = false;
template <class T>
inline constexpr bool kIsMap<std::map<std::string, T>> = true;
template <class T>
inline constexpr bool kIsOptional = false;
template <class T>
inline constexpr bool kIsOptional<std::optional<T>> = true;

inline std::string joined(const std::string& path, std::string_view key) {
  return fmt::format("{}.{}", path, key);
}

// Builds one JSON object; `bad` keeps the path of the first number that is not finite.
class JsonWriter {
 public:
  JsonWriter(std::string prefix, std::string& bad) : prefix_(std::move(prefix)), bad_(bad) {}

  template <class T>
  void operator()(const char* name, const T& value) {
    if constexpr (kIsOptional<T>) {
      if (value) object_[name] = encode(*value, prefix_ + name);
    } else {
      object_[name] = encode(value, prefix_ + name);
    }
  }

  OrderedJson take() { return std::move(object_); }

 private:
  template <class T>
  OrderedJson encode(const T& value, const std::string& path) {
    if constexpr (std::is_same_v<T, double>) {
      if (!std::isfinite(value) && bad_.empty()) bad_ = path;
      return value;
    } else if constexpr (kIsName<T>) {
      return to_string(value);
    } else if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>) {
      return value;
    } else if constexpr (kIsVector<T>) {
      OrderedJson array = OrderedJson::array();
      for (const auto& element : value) array.push_back(encode(element, path + "[]"));
      return array;
    } else if constexpr (kIsMap<T>) {
      OrderedJson object = OrderedJson::object();
      for (const auto& [key, element] : value) object[key] = encode(element, joined(path, key));
      return object;
    } else {
      JsonWriter inner(path + ".", bad_);
      fields(inner, value);
      return inner.take();
    }
  }

  std::string prefix_;
  std::string& bad_;
  OrderedJson object_ = OrderedJson::object();
};

// Fills a struct from one JSON object; `error` keeps the first complaint.
class JsonReader {
 public:
  JsonReader(JsonValue object, std::string prefix, std::string& error)
      : object_(object), prefix_(std::move(prefix)), error_(error) {}

  template <class T>
  void operator()(const char* name, T& value) {
    if (!error_.empty()) return;
    const auto found = object_.find(name);
    if (!found) return;
    if constexpr (kIsOptional<T>) {
      decode(*found, value.emplace(), prefix_ + name);
    } else {
      decode(*found, value, prefix_ + name);
    }
  }

 private:
  void complain(const std::string& path, JsonValue seen, std::string_view wanted) {
    error_ = fmt::format("{} is {}, not {}", path, seen.shown(), wanted);
  }

  // What it should be, or null where all is well.
  template <class T>
  static const char* decode_number(JsonValue json, T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      const auto boolean = json.boolean();
      if (!boolean) return "true or false";
      value = *boolean;
    } else if constexpr (std::is_same_v<T, double>) {
      const auto number = json.number();
      if (!number) return "a number";
      value = *number;
    } else {
      const auto count = json.count();
      if (!count || *count > std::uint64_t{std::numeric_limits<T>::max()})
        return "a whole number in range";
      value = static_cast<T>(*count);
    }
    return nullptr;
  }

  template <class T>
  void decode_many(JsonValue json, T& value, const std::string& path) {
    value.clear();
    if constexpr (kIsVector<T>) {
      if (!json.is_list()) return complain(path, json, "a list");
      const std::vector<JsonValue> elements = json.list();
      value.reserve(elements.size());
      for (const JsonValue element : elements) {
        auto& to = value.emplace_back();
        const auto where = [&] { return fmt::format("{}[{}]", path, value.size() - 1); };
        if constexpr (std::is_arithmetic_v<typename T::value_type>) {
          // No path is written down for each of 100,000 samples.
          if (const char* wanted = decode_number(element, to))
            return complain(where(), element, wanted);
        } else {
          decode(element, to, where());
          if (!error_.empty()) return;
        }
      }
    } else {
      if (!json.is_object()) return complain(path, json, "an object");
      for (const auto& [key, element] : json.object()) {
        if (error_.empty()) decode(element, value[std::string(key)], joined(path, key));
      }
    }
  }

  template <class T>
  void decode(JsonValue json, T& value, const std::string& path) {
    if constexpr (std::is_arithmetic_v<T>) {
      if (const char* wanted = decode_number(json, value)) complain(path, json, wanted);
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (!json.text()) return complain(path, json, "a text");
      value = *json.text();
    } else if constexpr (kIsName<T>) {
      if (!json.text()) return complain(path, json, "a text");
      auto parsed = parsed_name<T>(*json.text());
      if (!parsed) return complain(path, json, known_names<T>());
      value = *std::move(parsed);
    } else if constexpr (kIsVector<T> || kIsMap<T>) {
      decode_many(json, value, path);
    } else {
      if (!json.is_object()) return complain(path, json, "an object");
      JsonReader inner(json, path + ".", error_);
      fields(inner, value);
    }
  }

  JsonValue object_;
  std::string prefix_;
  std::string& error_;
};

// `value` as an object, in the order of its fields. Numbers must be finite.
template <class T>
OrderedJson json_of(const T& value) {
  std::string bad;
  JsonWriter writer("", bad);
  fields(writer, value);
  return writer.take();
}

// The struct that is the field `name` of `object`. Errors: record/field, as parse_record.
template <class T>
Result<T> from_json(const JsonObject& object, const std::string& name) {
  BREAKEVEN_TRY_VOID(object.object(name));
  T value;
  std::string error;
  JsonReader reader(*object.find(name), name + ".", error);
  fields(reader, value);
  if (!error.empty()) return fail("record/field", std::move(error));
  return value;
}

}  // namespace breakeven::record
