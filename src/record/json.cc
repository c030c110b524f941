#include "record/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "record/fields.h"

namespace breakeven::record {
namespace {

using Ordered = nlohmann::ordered_json;
using Json = nlohmann::json;

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

std::string joined(const std::string& path, const std::string& key) {
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
  Reader(const Json& object, std::string prefix, std::string& error)
      : object_(object), prefix_(std::move(prefix)), error_(error) {}

  template <class T>
  void operator()(const char* name, T& value) {
    if (!error_.empty()) return;
    const auto found = object_.find(name);
    if (found == object_.end()) return;
    if constexpr (kIsOptional<T>) {
      decode(*found, value.emplace(), prefix_ + name);
    } else {
      decode(*found, value, prefix_ + name);
    }
  }

 private:
  void complain(const std::string& path, const Json& seen, std::string_view wanted) {
    // Lists and objects are not shown: printing them recurses as deeply as the file likes.
    std::string shown = seen.is_structured()
                            ? seen.type_name()
                            : seen.dump(-1, ' ', true, Json::error_handler_t::replace);
    if (shown.size() > 40) shown = shown.substr(0, 37) + "...";
    error_ = fmt::format("{} is {}, not {}", path, shown, wanted);
  }

  template <class T>
  void decode_number(const Json& json, T& value, const std::string& path) {
    if constexpr (std::is_same_v<T, bool>) {
      if (!json.is_boolean()) return complain(path, json, "true or false");
      value = json.get<bool>();
    } else if constexpr (std::is_same_v<T, double>) {
      if (!json.is_number()) return complain(path, json, "a number");
      value = json.get<double>();
    } else {
      if (!json.is_number_unsigned() ||
          json.get<std::uint64_t>() > std::uint64_t{std::numeric_limits<T>::max()})
        return complain(path, json, "a whole number in range");
      value = static_cast<T>(json.get<std::uint64_t>());
    }
  }

  template <class T>
  void decode_many(const Json& json, T& value, const std::string& path) {
    if constexpr (kIsVector<T>) {
      if (!json.is_array()) return complain(path, json, "a list");
      value.clear();
      value.reserve(json.size());
      for (std::size_t i = 0; i < json.size() && error_.empty(); ++i) {
        decode(json[i], value.emplace_back(), fmt::format("{}[{}]", path, i));
      }
    } else {
      if (!json.is_object()) return complain(path, json, "an object");
      value.clear();
      for (const auto& [key, element] : json.items()) {
        if (error_.empty()) decode(element, value[key], joined(path, key));
      }
    }
  }

  template <class T>
  void decode(const Json& json, T& value, const std::string& path) {
    if constexpr (std::is_arithmetic_v<T>) {
      decode_number(json, value, path);
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (!json.is_string()) return complain(path, json, "a text");
      value = json.get<std::string>();
    } else if constexpr (std::is_same_v<T, Verdict>) {
      for (const Verdict verdict : {Verdict::valid, Verdict::noisy, Verdict::invalid}) {
        if (json.is_string() && json.get_ref<const std::string&>() == to_string(verdict)) {
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

  const Json& object_;
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
Result<void> check_schema(const Json& json) {
  const auto version = json.find("schema_version");
  if (version == json.end()) {
    return fail("record/field", "schema_version is missing",
                "this is no record of breakeven; give a file that `breakeven run` wrote");
  }
  if (!version->is_number_unsigned() || version->get<std::uint64_t>() == 0) {
    return fail("record/schema", "schema_version is not a whole number from 1");
  }
  if (const auto number = version->get<std::uint64_t>(); number > kSchemaVersion) {
    return fail(
        "record/schema",
        fmt::format("schema_version is {}; this program reads up to {}", number, kSchemaVersion),
        "read the file with the newer breakeven that wrote it");
  }
  if (!json.contains("cell")) return fail("record/field", "cell is missing");
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

namespace {

// What the parser says, less its own name and the number of the only line it saw.
std::string_view words_of(const Json::exception& error) {
  std::string_view words = error.what();
  if (words.starts_with('[')) {
    words.remove_prefix(std::min(words.size(), words.find("] ") + 2));
  }
  constexpr std::string_view kOnlyLine = "parse error at line 1, ";
  if (words.starts_with(kOnlyLine)) words.remove_prefix(kOnlyLine.size());
  return words;
}

}  // namespace

Result<Record> parse_record(std::string_view text) {
  Json json;
  try {
    json = Json::parse(text);
  } catch (const Json::exception& error) {
    return fail("record/json", fmt::format("not JSON: {}", words_of(error)),
                "give a file that `breakeven run` wrote");
  }
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
