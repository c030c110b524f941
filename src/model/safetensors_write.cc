#include "model/safetensors_write.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/files.h"
#include "base/json_scan.h"

namespace breakeven::model {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kTokenizerFiles[] = {"tokenizer.json", "tokenizer_config.json", "vocab.txt",
                                           "special_tokens_map.json", "added_tokens.json"};

std::string_view bytes_of(std::span<const float> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

// Eight bytes of length (little endian), then the header, padded with spaces so that the data
// starts at a multiple of 8 bytes.
std::string safetensors_header(const std::vector<TensorSpec>& table, const ModelWeights& weights) {
  Json header;
  header["__metadata__"]["format"] = "pt";
  std::size_t at = 0;
  for (const TensorSpec& spec : table) {
    const std::size_t end = at + weights.tensor(spec.name).size_bytes();
    Json& entry = header[spec.name];
    entry["dtype"] = "F32";
    entry["shape"] = spec.shape;
    entry["data_offsets"] = {at, end};
    at = end;
  }
  std::string json = header.dump();
  json.resize((json.size() + 7) / 8 * 8, ' ');
  std::string text;
  for (unsigned byte = 0; byte < 8; ++byte) {
    text += static_cast<char>((static_cast<std::uint64_t>(json.size()) >> (8 * byte)) & 0xFFU);
  }
  return text + json;
}

Result<void> write_weights(const ModelWeights& weights, const std::string& path) {
  const std::string header = safetensors_header(weights.table(), weights);
  std::vector<std::string_view> parts{header};
  for (const TensorSpec& spec : weights.table()) {
    parts.push_back(bytes_of(weights.tensor(spec.name)));
  }
  return write_file_atomic(path, parts);
}

// Fields that stay the same keep their bytes; those of the new sizes come last.
Result<std::string> changed_config(const EncoderPlan& plan, const std::string& path) {
  BREAKEVEN_TRY(std::string text, read_file(path));
  BREAKEVEN_TRY(const EncoderPlan source, parse_plan(text, path));
  const auto sizes = [](const EncoderPlan& of) {
    return std::tuple(of.hidden, of.heads, of.intermediate);
  };
  if (sizes(plan) == sizes(source)) return text;
  std::vector<RawJsonField> fields;
  if (const auto problem = scan_json_object(text, fields)) {
    return fail("config/json", fmt::format("{}: byte {}: {}", path, problem->at, problem->what),
                "fetch it again");
  }
  const std::pair<std::string_view, std::string> changed[] = {
      {plan.architecture->hidden.front(), std::to_string(plan.hidden)},
      {plan.architecture->heads.front(), std::to_string(plan.heads)},
      {plan.architecture->intermediate.front(), std::to_string(plan.intermediate)},
      {"dtype", "\"float32\""}};
  std::string config;
  const auto add = [&config](std::string_view key, std::string_view value) {
    config += fmt::format("{}  \"{}\": {}", config.empty() ? "{\n" : ",\n", key, value);
  };
  for (const RawJsonField& field : fields) {
    const bool goes =
        std::ranges::any_of(changed, [&](const auto& each) { return each.first == field.key; });
    if (!goes && field.key != "torch_dtype") add(field.key, field.value);  // dtype's older name
  }
  for (const auto& [key, value] : changed) add(key, value);
  return config + "\n}\n";
}

}  // namespace

Result<void> write_checkpoint(const Checkpoint& checkpoint, const std::string& source_folder,
                              const std::string& folder) {
  const fs::path from(source_folder);
  const fs::path to(folder);
  std::error_code error;
  fs::create_directories(to, error);
  if (error) {
    return fail("file/unwritable", fmt::format("cannot make {}: {}", folder, error.message()),
                "choose a folder that you may write to");
  }
  BREAKEVEN_TRY(const std::string config, changed_config(checkpoint.plan, from / "config.json"));
  BREAKEVEN_TRY_VOID(write_weights(checkpoint.weights, to / "model.safetensors"));
  for (const char* name : kTokenizerFiles) {
    if (!is_there(from / name)) continue;
    BREAKEVEN_TRY(const std::string content, read_file(from / name));
    BREAKEVEN_TRY_VOID(write_file_atomic(to / name, content));
  }
  return write_file_atomic(to / "config.json", config);
}

}  // namespace breakeven::model
