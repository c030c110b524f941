// model.safetensors.index.json: which file of the same folder holds which tensor.
#pragma once

#include <map>
#include <string>

#include "base/result.h"

namespace breakeven {

using WeightMap = std::map<std::string, std::string>;  // tensor -> name of its file

// Errors: file/..., index/json, index/field (no map of names, or an empty one), index/path (a file
// of another folder), index/duplicate (a tensor twice).
Result<WeightMap> read_weight_index(const std::string& path);

}  // namespace breakeven
