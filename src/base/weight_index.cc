#include "base/weight_index.h"

#include <fmt/format.h>

#include "base/files.h"
#include "base/json.h"

namespace breakeven {

Result<WeightMap> read_weight_index(const std::string& path) {
  constexpr const char* kFetchAgain = "fetch or save the model again";
  BREAKEVEN_TRY(const std::string text, read_file(path));
  BREAKEVEN_TRY(const auto document, JsonDocument::parse(text, {path, "index/json", "index/field",
                                                                kFetchAgain, JsonDialect::python}));
  BREAKEVEN_TRY(const JsonObject root, document.object());
  BREAKEVEN_TRY(const JsonObject map, root.object("weight_map"));
  WeightMap weight_map;
  for (const JsonField& field : map.fields()) {
    BREAKEVEN_TRY(const std::string file, map.as_text(field.value, field.name));
    if (file.empty()) return map.wrong(field.name, field.value, "the name of a file");
    if (file.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos || file == "." ||
        file == "..") {
      return fail("index/path",
                  fmt::format("{}: {} is to be read from {}, and only files of the same folder are",
                              path, field.name, file),
                  "put the shards beside their index");
    }
    if (!weight_map.emplace(field.name, file).second) {
      return fail("index/duplicate", fmt::format("{} names {} twice", path, field.name),
                  kFetchAgain);
    }
  }
  if (weight_map.empty()) return root.wrong("weight_map", "a map of tensors to files");
  return weight_map;
}

}  // namespace breakeven
