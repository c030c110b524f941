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

// x[r] += linear(in[r]) for r < rows, and read[r] = LN(x[r]); read may be x.
void linear_residual_norm(ReferenceLane& lane, const Linear& weights, const Norm& norm,
                          const float* in, std::size_t rows, float* x, float* read);

// read[r] = LN(x[r]) for r < rows, or x[r] where there is no norm; read may be x.
void norm_rows(ReferenceLane& lane, const Norm& norm, const float* x, std::size_t rows,
               float* read);

// Turns the heads of rows of H (queries or keys) by their positions, in place.
void rotate(ReferenceLane& lane, const float* table, float* rows);

// inner[r] = activation(up[r]), or the gated product of its halves, for r < rows.
void activate_rows(ReferenceLane& lane, std::size_t rows);

// pooled[b] = the mean of the valid rows of `rows`, [B, H].
void mean_rows(ReferenceLane& lane, const float* rows, float* pooled);

// Where the queries of one sequence lie, and where their results go.
struct Queries {
  const float* query;  // [count, H]
  float* ctx;          // [count, H]
  std::size_t count;
};

// One head of one sequence: ctx = softmax(q k^T / sqrt(D)) v over its valid rows in the layer's
// window, with the terms of relative positions where the model has them.
void attend(ReferenceLane& lane, const Layer& layer, std::size_t b, std::size_t head,
            const Queries& queries, unsigned member);

}  // namespace breakeven::ops::reference
