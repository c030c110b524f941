#include "record/json.h"

#include <fmt/format.h>

#include <cstdint>

#include "base/json.h"
#include "record/json_fields.h"

namespace breakeven::record {
namespace {

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
    } else if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string> || kIsName<T>) {
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

Result<OrderedJson> encode_record(const Record& record) {
  std::string bad;
  JsonWriter writer("", bad);
  fields(writer, record);
  if (!bad.empty()) {
    return fail("record/not-finite", fmt::format("{} is not a finite number", bad),
                "a result that cannot be computed must be left out, not written");
  }
  return writer.take();
}

std::string dump(const OrderedJson& json, int indent) {
  return json.dump(indent, ' ', false, OrderedJson::error_handler_t::replace);
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

Result<std::string> to_json_line(const Record& record) {
  BREAKEVEN_TRY(const OrderedJson json, encode_record(record));
  return dump(json, -1);
}

Result<std::string> to_json_array(std::span<const Record> records) {
  OrderedJson array = OrderedJson::array();
  for (const Record& record : records) {
    BREAKEVEN_TRY(OrderedJson json, encode_record(record));
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
  JsonReader reader(json, "", error);
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
