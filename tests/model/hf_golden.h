// What Hugging Face Transformers computed (tools/make_model_goldens.py, tools/hf_logits.py), and
// how far the reference is from it.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "model/safetensors.h"
#include "model_testing.h"

namespace breakeven::model::testing {

class Golden {
 public:
  explicit Golden(const std::filesystem::path& path) {
    auto opened = SafetensorsFile::open(path);
    BREAKEVEN_CHECK(opened.has_value(), "{}", opened.error().message);
    for (const TensorEntry& entry : opened->tensors()) {
      const auto data = opened->data(entry);
      if (entry.dtype == "I32") {
        copy(data, integers_[entry.name]);
      } else {
        BREAKEVEN_CHECK(entry.dtype == "F32", "{} is {}", entry.name, entry.dtype);
        copy(data, floats_[entry.name]);
      }
    }
    tokens.ids = integers_.at("ids");
    tokens.cu_seqlens = integers_.at("cu_seqlens");
    if (integers_.contains("token_types")) tokens.token_types = integers_.at("token_types");
    for (std::size_t b = 0; b + 1 < tokens.cu_seqlens.size(); ++b) {
      tokens.valid_len.push_back(tokens.cu_seqlens[b + 1] - tokens.cu_seqlens[b]);
    }
  }
  const std::vector<float>& hidden(std::size_t layer) const {
    return floats_.at("hidden." + std::to_string(layer));
  }
  const std::vector<float>& logits() const { return floats_.at("logits"); }

  Tokens tokens;

 private:
  template <class T>
  static void copy(std::span<const std::byte> data, std::vector<T>& to) {
    to.resize(data.size() / sizeof(T));
    std::memcpy(to.data(), data.data(), data.size());
  }
  std::map<std::string, std::vector<std::int32_t>> integers_;
  std::map<std::string, std::vector<float>> floats_;
};

// NaN when one of the values is.
inline double most_different(const std::vector<float>& a, const std::vector<float>& b) {
  BREAKEVEN_CHECK(a.size() == b.size() && !a.empty(), "{} {}", a.size(), b.size());
  double most = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!(difference <= most)) most = difference;
    if (std::isnan(most)) return most;
  }
  return most;
}

// The tokens with every sequence padded by [PAD] to the longest one.
inline Tokens padded(const Tokens& tokens, std::int32_t pad_id) {
  std::int32_t longest = 0;
  for (const std::int32_t length : tokens.valid_len) longest = std::max(longest, length);
  Tokens out;
  out.valid_len = tokens.valid_len;
  for (std::size_t b = 0; b < tokens.sequences(); ++b) {
    for (std::int32_t s = 0; s < longest; ++s) {
      const bool valid = s < tokens.valid_len[b];
      const auto row = static_cast<std::size_t>(tokens.cu_seqlens[b] + s);
      out.ids.push_back(valid ? tokens.ids[row] : pad_id);
      out.token_types.push_back(valid && !tokens.token_types.empty() ? tokens.token_types[row] : 0);
    }
    out.cu_seqlens.push_back(static_cast<std::int32_t>(out.ids.size()));
  }
  return out;
}

// Rows of real tokens of every sequence; of row 0 only when `cls`.
inline std::vector<float> real_rows(const std::vector<float>& all, const Tokens& layout,
                                    std::size_t hidden, bool cls) {
  std::vector<float> out;
  for (std::size_t b = 0; b < layout.sequences(); ++b) {
    const auto first = all.begin() + layout.cu_seqlens[b] * static_cast<std::ptrdiff_t>(hidden);
    const std::int32_t rows = cls ? 1 : layout.valid_len[b];
    out.insert(out.end(), first, first + rows * static_cast<std::ptrdiff_t>(hidden));
  }
  return out;
}

// Loads the model of `folder`, runs it on golden.safetensors' texts, packed and padded, and expects
// each layer and the logits within `limit`.
inline void expect_golden(const std::filesystem::path& folder, double limit) {
  SCOPED_TRACE(folder.filename().string());
  const auto loaded = load_checkpoint(folder);
  ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
  const Golden golden(folder / "golden.safetensors");
  const std::size_t hidden = loaded->plan.hidden;
  for (const Tokens& tokens : {golden.tokens, padded(golden.tokens, loaded->plan.pad_id)}) {
    ReferenceModel model(*loaded, tokens.ids.size(), tokens.sequences());
    model.backend->upload(*model.lane, tokens.batch());
    std::size_t layers_seen = 0;
    forward(*model.backend, *model.lane, model.plan, [&](std::size_t layer, ops::Act act) {
      const bool cls = act == ops::Act::x_cls;
      std::vector<float> all((cls ? tokens.sequences() : tokens.ids.size()) * hidden);
      model.backend->tap(*model.lane, act, all);
      const std::vector<float> actual = cls ? all : real_rows(all, tokens, hidden, false);
      const std::vector<float> expected =
          cls ? real_rows(golden.hidden(layer), golden.tokens, hidden, true) : golden.hidden(layer);
      EXPECT_LE(most_different(actual, expected), limit) << "after layer " << layer;
      ++layers_seen;
    });
    EXPECT_EQ(layers_seen, loaded->plan.layers + 1);
    const auto logits = model.backend->wait(*model.lane);
    EXPECT_LE(most_different({logits.begin(), logits.end()}, golden.logits()), limit) << "logits";
  }
}

}  // namespace breakeven::model::testing
