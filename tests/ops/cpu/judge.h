// What the reference computes of an encoder and a batch, once for all that is compared with it.
#pragma once

#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "harness.h"
#include "ops/reference/reference.h"

namespace breakeven::testing {

class Judge {
 public:
  // `made_by`: what the weights depend on besides the shape.
  const std::vector<Tapped>& run(const EncoderShape& shape, const ops::EncoderWeights& weights,
                                 const RandomBatch& batch, const std::string& made_by) {
    std::ostringstream key;
    key << made_by << shape.hidden << ' ' << shape.heads << ' ' << shape.intermediate << ' '
        << shape.token_types << ' ' << shape.layers << ' ' << shape.labels << ' '
        << static_cast<int>(shape.activation) << ' ' << shape.uncounted_id << ' ' << shape.embedding
        << ' ' << shape.distances.span << ' ' << shape.distances.near << ' ' << shape.window << ' '
        << shape.biases << ' ' << shape.gain;
    for (const int field :
         {static_cast<int>(shape.form.norm), static_cast<int>(shape.form.position),
          static_cast<int>(shape.form.ffn), static_cast<int>(shape.form.pooling)}) {
      key << ' ' << field;
    }
    for (std::size_t s = 0; s < batch.valid_len.size(); ++s) {
      key << ' ' << batch.cu_seqlens[s + 1] << ':' << batch.valid_len[s];
    }
    const auto [at, fresh] = results_.try_emplace(key.str());
    if (fresh) {
      Runner reference(ops::make_reference_backend(), weights,
                       {batch.ids.size(), batch.valid_len.size(), 2});
      at->second = run_all(*reference.backend, *reference.lane, shape, batch.batch());
    }
    return at->second;
  }

 private:
  std::map<std::string, std::vector<Tapped>> results_;
};
inline Judge& judge() {
  static Judge the_judge;
  return the_judge;
}

}  // namespace breakeven::testing
