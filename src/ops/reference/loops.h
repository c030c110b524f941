// The arithmetic of the blocks, as loops over rows, sequences and heads that read like the paper.
#pragma once

#include <cstddef>

#include "ops/reference/lane.h"

namespace breakeven::ops::reference {

// out[row] = LN(word[id] + position + token type), rows of E
void embed_row(const ReferenceModel& model, ReferenceLane& lane, std::size_t row, float* out);

// out[r] = linear(in[r]) for r < rows.
void linear(ReferenceLane& lane, const Linear& weights, const float* in, std::size_t rows,
            float* out);

// x[r] = LN(linear(in[r]) + x[r]) for r < rows.
void linear_residual_norm(ReferenceLane& lane, const Linear& weights, const Norm& norm,
                          const float* in, std::size_t rows, float* x);

// Where the queries of one sequence lie, and where their results go.
struct Queries {
  const float* query;  // [count, H]
  float* ctx;          // [count, H]
  std::size_t count;
};

// One head of one sequence: ctx = softmax(q k^T / sqrt(D)) v over its valid rows, with the terms of
// relative positions where the model has them.
void attend(ReferenceLane& lane, const Layer& layer, std::size_t b, std::size_t head,
            const Queries& queries, unsigned member);

}  // namespace breakeven::ops::reference
