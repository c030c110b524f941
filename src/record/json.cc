#include "record/json.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/json.h"
#include "record/fields.h"

namespace breakeven::record {
namespace {

using Ordered = nlohmann::ordered_json;

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

std::string joined(const std::string& path, std::string_view key) {
  return fmt::format("{}.{}", path, key);
}

// Builds one JSON object; `bad` keeps the path of the first number that is not finite.
class Writer {
 public:
  Writer(std::string prefix, std::string& bad) : prefix_(std::move(prefix)), bad_(bad) {}

  template <class T>
  void operator()(const char* name, const T& value) {
    if constexpr (kIsOptional<T>) {
      if (value) object_[name] = encode(*value, prefix_ + name);
    } else {
      object_[name] = encode(value, prefix_ + name);
    }
  }

  Ordered take() { return std::move(object_); }

 private:
  template <class T>
  Ordered encode(const T& value, const std::string& path) {
    if constexpr (std::is_same_v<T, double>) {
      if (!std::isfinite(value) && bad_.empty()) bad_ = path;
      return value;
    } else if constexpr (std::is_same_v<T, Verdict>) {
      return std::string(to_string(value));
    } else if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>) {
      return value;
    } else if constexpr (kIsVector<T>) {
      Ordered array = Ordered::array();
      for (const auto& element : value) array.push_back(encode(element, path + "[]"));
      return array;
    } else if constexpr (kIsMap<T>) {
      Ordered object = Ordered::object();
      for (const auto& [key, element] : value) object[key] = encode(element, joined(path, key));
      return object;
    } else {
      Writer inner(path + ".", bad_);
      fields(inner, value);
      return inner.take();
    }
  }

  std::string prefix_;
  std::string& bad_;
  Ordered object_ = Ordered::object();
};

// Fills a struct from one JSON object; `error` keeps the first complaint.
class Reader {
 public:
  Reader(JsonValue object, std::string prefix, std::string& error)
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
    } else if constexpr (std::is_same_v<T, Verdict>) {
      for (const Verdict verdict : {Verdict::valid, Verdict::noisy, Verdict::invalid}) {
        if (json.text() == to_string(verdict)) {
          value = verdict;
          return;
        }
      }
      complain(path, json, "VALID, NOISY or INVALID");
    } else if constexpr (kIsVector<T> || kIsMap<T>) {
      decode_many(json, value, path);
    } else {
      if (!json.is_object()) return complain(path, json, "an object");
      Reader inner(json, path + ".", error_);
      fields(inner, value);
    }
  }

  JsonValue object_;
  std::string prefix_;
  std::string& error_;
};

// Lists paths from an empty record: optionals and lists are looked into as if they held something.
class PathLister {
 public:
  PathLister(std::string prefix, std::vector<std::string>& paths)
      : prefix_(std::move(prefix)), paths_(paths) {}

  template <class T>
  void operator()(const char* name, const T& /*value*/) {
    list<T>(prefix_ + name);
  }

 private:
  template <class T>
  void list(const std::string& path) {
    if constexpr (kIsOptional<T>) {
      list<typename T::value_type>(path);
    } else if constexpr (kIsVector<T>) {
      list<typename T::value_type>(path + "[]");
    } else if constexpr (kIsMap<T>) {
      list<typename T::mapped_type>(path + ".*");
    } else if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string> ||
                         std::is_same_v<T, Verdict>) {
      paths_.push_back(path);
    } else {
      const T empty{};
      PathLister inner(path + ".", paths_);
      fields(inner, empty);
    }
  }

  std::string prefix_;
  std::vector<std::string>& paths_;
};

Result<Ordered> encode_record(const Record& record) {
  std::string bad;
  Writer writer("", bad);
  fields(writer, record);
  if (!bad.empty()) {
    return fail("record/not-finite", fmt::format("{} is not a finite number", bad),
                "a result that cannot be computed must be left out, not written");
  }
  return writer.take();
}

std::string dump(const Ordered& json, int indent) {
  return json.dump(indent, ' ', false, Ordered::error_handler_t::replace);
}

// The version must be known before any other field can be trusted.
Result<void> check_schema(JsonValue json) {
  const auto version = json.find("schema_version");
  if (!version) {
    return fail("record/field", "schema_version is missing",
                "this is no record of breakeven; give a file that `breakeven run` wrote");
  }
  const std::uint64_t number = version->count().value_or(0);
  if (number == 0) return fail("record/schema", "schema_version is not a whole number from 1");
  if (number > kSchemaVersion) {
    return fail(
        "record/schema",
        fmt::format("schema_version is {}; this program reads up to {}", number, kSchemaVersion),
        "read the file with the newer breakeven that wrote it");
  }
  if (!json.find("cell")) return fail("record/field", "cell is missing");
  return {};
}

}  // namespace

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::valid:
      return "VALID";
    case Verdict::noisy:
      return "NOISY";
    case Verdict::invalid:
      break;
  }
  return "INVALID";
}

Result<std::string> to_json_line(const Record& record) {
  BREAKEVEN_TRY(const Ordered json, encode_record(record));
  return dump(json, -1);
}

Result<std::string> to_json_array(std::span<const Record> records) {
  Ordered array = Ordered::array();
  for (const Record& record : records) {
    BREAKEVEN_TRY(Ordered json, encode_record(record));
    array.push_back(std::move(json));
  }
  return dump(array, 2);
}

Result<Record> parse_record(std::string_view text) {
  BREAKEVEN_TRY(const auto document,
                JsonDocument::parse(text, {"", "record/json", "record/field",
                                           "give a file that `breakeven run` wrote"}));
  const JsonValue json = document.value();
  if (!json.is_object()) return fail("record/json", "not a JSON object");
  BREAKEVEN_TRY_VOID(check_schema(json));
  Record record;
  std::string error;
  Reader reader(json, "", error);
  fields(reader, record);
  if (!error.empty()) return fail("record/field", std::move(error));
  return record;
}

std::vector<std::string> field_paths() {
  std::vector<std::string> paths;
  const Record empty;
  PathLister lister("", paths);
  fields(lister, empty);
  return paths;
}

}  // namespace breakeven::record
