// The op contract: what a device must be able to do so that the one forward pass (model/forward.cc)
// runs on it.
//
// Ops are *blocks*, coarse enough that a backend may fuse GEMM + bias + residual + LayerNorm + row
// scale in one call. The forward pass never sees a matrix, a transpose or a softmax, and never
// touches activations: it names them (Act), and layout, number format, scales and the residual copy
// are the backend's.
//
// Three implementations: ops/reference (plain fp32 loops, the judge), ops/cpu, ops/cuda.
// This header is reachable from .cu files: C++20 only, no CUDA header, no build flag.
//
// Letters: B sequences in a group, T packed rows (all sequences one after the other), H hidden, N
// heads, D = H/N head size, E width of the embeddings, F intermediate, V vocabulary, P rows of the
// position table, L layers, C labels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "setup/setup.h"

namespace breakeven::ops {

using breakeven::Precision;
using breakeven::to_string;

enum class Activation : std::uint8_t { gelu_erf, gelu_tanh, relu, tanh };

// A weight matrix with its bias, as the model file has it.
struct LinearWeights {
  std::span<const float> weight;  // [out, in], row-major
  std::span<const float> bias;    // [out]; empty: none
  std::size_t out = 0;
  std::size_t in = 0;
};

// LayerNorm over the last axis: (x - mean) / sqrt(variance + eps) * gamma + beta; variance is the
// biased one.
struct NormWeights {
  std::span<const float> gamma;  // [H]; empty: no norm, x stays as it is
  std::span<const float> beta;   // [H]; empty: none
  float eps = 1e-12F;
};

struct EmbeddingWeights {
  std::span<const float> word;      // [V, E]
  std::span<const float> position;  // [P, E]; empty where positions are relative
  std::span<const float>
      token_type;  // [token types, E]; empty when the model has none (DistilBERT)
  // A token of this id takes position uncounted_id, and the others count from it on, without those:
  // uncounted_id + 1, uncounted_id + 2 ... (RoBERTa's <pad>). -1: all count, from 0 on.
  std::int32_t uncounted_id = -1;
  NormWeights norm;       // [E]
  LinearWeights project;  // [H, E], after the norm; empty where E is H
  std::size_t width(std::size_t hidden) const { return project.out == 0 ? hidden : project.in; }
};

struct LayerWeights {
  LinearWeights query, key, value;  // [H, H]; the 1/sqrt(D) is *not* folded in
  LinearWeights project;            // [H, H] attention output
  NormWeights attention_norm;       // of EncoderForm::Norm::pre: before attention
  // [F, H]. Of a gated FFN [2F, H]: the rows that are activated, then those they are multiplied by.
  LinearWeights up;
  LinearWeights down;    // [H, F]
  NormWeights ffn_norm;  // of EncoderForm::Norm::pre: before the FFN
  // Keys further from their query than this are not attended to (from as far they are); 0: all are.
  std::size_t window = 0;
  double theta = 0;  // of rotary positions
};

struct HeadWeights {
  LinearWeights dense;                       // [H, H]: DistilBERT's pre_classifier, BERT's pooler
  Activation activation = Activation::relu;  // relu for DistilBERT, tanh for BERT
  NormWeights norm;                          // [H], after the activation; ModernBERT's
  LinearWeights classifier;                  // [C, H]
};

// Which row of a table of 2 * span rows stands for a distance, query - key: span + distance up to
// `near` either way, logarithmically fewer rows from there to `farthest`, the outermost row beyond.
struct RelativeDistances {
  std::size_t span = 0;  // 0: the encoder has none
  std::size_t near = 0;  // farthest where all rows are for one distance
  std::size_t farthest = 0;
  std::size_t row(std::ptrdiff_t distance) const;
  // Rows of the distances of a query and the keys around it: [positions - 1 + key - query].
  std::vector<std::int32_t> rows(std::size_t positions) const;
};

// DeBERTa's disentangled attention (He et al. 2021, as Transformers has it): with R = norm(table),
// the score of query i and key j is (q_i k_j + q_i key(R)[row(i - j)] + query(R)[row(i - j)] k_j) /
// sqrt(3 D).
struct RelativeWeights {
  RelativeDistances distances;
  std::span<const float> table;                         // [2 * span, H]
  NormWeights norm;                                     // [H]; empty: R is the table
  std::vector<float> normed(std::size_t hidden) const;  // R, [2 * span, H]
};

// Rotary positions (Su et al. 2021), as Transformers computes them: values d and d + D / 2 of a
// query or key at position p are a pair that is turned by p * theta^(-2 d / D). Of each position
// the D / 2 cosines, then the sines: [positions, D]. D is even.
std::vector<float> rotary_table(double theta, std::size_t head_size, std::size_t positions);

// The FFN's hidden layer of F columns as `blocks` blocks of `block` columns, zeros behind the last
// of F. int8 gives each block of a row a range of its own, so every backend cuts as this says: the
// same weights and ranges on all devices.
struct FfnCut {
  std::size_t block = 0, blocks = 0;
};
FfnCut cut_ffn(std::size_t hidden, std::size_t intermediate);

// In what one encoder differs from another beside sizes and activation, a field for each question;
// the defaults are BERT's. A backend computes the forms that it has kernels for, and refuses others
// in pack().
struct EncoderForm {
  enum class Norm : std::uint8_t { post, pre };  // LN(x + f(x)), or x + f(LN(x))
  enum class Position : std::uint8_t { learned, rotary, relative };
  enum class Ffn : std::uint8_t { plain, gated };
  enum class Attention : std::uint8_t { full, windowed };
  enum class Pooling : std::uint8_t { cls, mean };  // what the head reads: row 0, or all rows
  Norm norm = Norm::post;
  Position position = Position::learned;
  Ffn ffn = Ffn::plain;
  Attention attention = Attention::full;
  Pooling pooling = Pooling::cls;
};
// Everything of one model, as views into memory that the caller keeps alive until pack() has
// returned.
struct EncoderWeights {
  std::size_t hidden = 0;        // H
  std::size_t heads = 0;         // N
  std::size_t intermediate = 0;  // F
  std::size_t vocabulary = 0;    // V
  std::size_t positions = 0;     // P
  std::size_t labels = 0;        // C
  EncoderForm form;
  Activation activation = Activation::gelu_erf;  // of the FFN
  EmbeddingWeights embedding;
  RelativeWeights relative;
  std::vector<LayerWeights> layers;
  NormWeights final_norm;  // of EncoderForm::Norm::pre: after the last layer
  HeadWeights head;
};

// One group of sequences, packed: rows cu_seqlens[b] .. cu_seqlens[b+1] belong to sequence b. Under
// the padding policies longest and max_length a sequence also has rows of pad tokens at its end;
// they are computed like any other, and only the first valid_len[b] rows of a sequence may be
// attended to.
struct Batch {
  std::span<const std::int32_t> ids;          // [T], 0 <= id < V
  std::span<const std::int32_t> token_types;  // [T], or empty: all 0
  std::span<const std::int32_t> cu_seqlens;   // [B + 1], cu_seqlens[0] = 0, cu_seqlens[B] = T
  std::span<const std::int32_t> valid_len;    // [B], 1 <= valid_len[b] <= rows of b
  std::size_t sequences() const { return valid_len.size(); }
  std::size_t rows() const { return ids.size(); }
};

// Writes the row of the position table of every token, [T].
void write_positions(const Batch& batch, std::int32_t uncounted_id, std::span<std::int32_t> to);

// Names of the activations that a lane holds.
enum class Act : std::uint8_t {
  x,        // [T, H] the residual stream, before the norm where that stands before a block
  ctx,      // [T, H] attention output before its projection
  x_cls,    // [B, H] row 0 of each sequence
  ctx_cls,  // [B, H]
};

// A model's weights in the backend's own layout. Immutable, shared by all lanes and threads.
class PackedModel {
 public:
  PackedModel() = default;
  PackedModel(const PackedModel&) = delete;
  PackedModel& operator=(const PackedModel&) = delete;
  virtual ~PackedModel() = default;
  virtual std::size_t weight_bytes() const = 0;
};

// What a lane must be able to take at once. An arena of that size is made with the lane; nothing is
// allocated later.
struct LaneLimits {
  std::size_t rows = 0;       // T at most
  std::size_t sequences = 0;  // B at most
  unsigned threads = 1;       // CPU: workers of the lane's own team
  unsigned helpers = 0;       // CPU: threads of others that may take part (Lane::help)
};

// A place where one group is computed at a time: arena plus thread team (CPU) or stream, arena,
// graphs (CUDA). One thread drives a lane at a time; different lanes run side by side.
class Lane {
 public:
  Lane() = default;
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;
  virtual ~Lane() = default;
  virtual std::size_t activation_bytes() const = 0;
  // For a thread that has nothing else to do while another one drives this lane: takes part in the
  // ops from the next one on and returns when the pass is over. False at once where no pass is
  // under way or no room is left.
  virtual bool help() { return false; }
};

// A call that a device refused: what, where, and the driver's own words. Thrown by ops and by
// wait(); caught once, in the engine.
class DeviceFailure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Of one pass by the device's own clock.
struct DeviceSeconds {
  double upload = 0;
  double compute = 0;
  double download = 0;
};

struct BackendInfo {
  std::string name;  // "reference", "cpu", "cuda"
  std::string
      instruction_set;  // what really runs, for example "avx512_core_amx"; "" when not applicable
  Precision precision = Precision::fp32;
  std::string gemm{};  // cuda: whose GEMMs run, "own" or the library's name; else ""
};

class Backend {
 public:
  Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;
  virtual ~Backend() = default;

  virtual BackendInfo info() const = 0;

  // Lays the weights out for this backend and precision, once; quantising happens here.
  // Errors: ops/unsupported (a shape or activation that this backend cannot run), ops/memory.
  virtual Result<std::shared_ptr<const PackedModel>> pack(const EncoderWeights& weights) = 0;

  // Bytes that make_lane would take for the same limits: told before they are taken.
  virtual std::size_t lane_bytes(const PackedModel& model, const LaneLimits& limits) const = 0;
  // Errors: ops/memory.
  virtual Result<std::unique_ptr<Lane>> make_lane(std::shared_ptr<const PackedModel> model,
                                                  const LaneLimits& limits) = 0;

  // One pass of one group is upload, run(body that calls the ops below), wait.
  // upload: the batch becomes the lane's; its spans need to live only until upload returns.
  virtual void upload(Lane& lane, const Batch& batch) = 0;
  // run: the CPU calls body; CUDA captures it once a bucket and replays the graph afterwards.
  virtual void run(Lane& lane, const std::function<void()>& body) = 0;
  // wait: blocks until the logits [B, C] can be read on the host; valid until the lane's next
  // upload.
  virtual std::span<const float> wait(Lane& lane) = 0;

  // x[t] = LN(word[ids[t]] + position[write_positions()[t]] + token_type[...]), projected where the
  // embeddings are narrower than x
  virtual void embed_ln(Lane& lane) = 0;
  // ctx[t, head] = softmax(q k^T / sqrt(D)) v over the valid rows of t's sequence that lie within
  // the layer's window (0 where there is none); q, k, v = linear(x). Relative positions change the
  // scores (RelativeWeights), rotary ones turn q and k. EncoderForm::Norm::pre: linear(LN(x)).
  virtual void attention(Lane& lane, std::size_t layer) = 0;
  // The same for row 0 of each sequence only: x_cls = those rows of x, ctx_cls = their attention
  // output.
  virtual void cls_attention(Lane& lane, std::size_t layer) = 0;
  // x = LN(project(ctx) + x), for (ctx, x) or (ctx_cls, x_cls): `x` names which. Norm::pre: without
  // the norm, which the next block takes of what it reads.
  virtual void project_ln(Lane& lane, std::size_t layer, Act x) = 0;
  // x = LN(down(activation(up(x))) + x), for x or x_cls. A gated FFN: down(activation(a) * b), a
  // and b being the halves of up(x). Norm::pre: x = down(activation(up(LN(x)))) + x.
  virtual void ffn_ln(Lane& lane, std::size_t layer, Act x) = 0;
  // logits[B, C] = classifier(norm(activation(dense(y)))), y being x_cls, or the mean of the valid
  // rows of x; Norm::pre: of their final norm.
  virtual void head(Lane& lane) = 0;

  // For tests: copies an activation into out as fp32, [rows, H] row-major. Not for a timed path.
  virtual void tap(Lane& lane, Act act, std::span<float> out) = 0;

  // What a backend with memory and a clock of its own has to tell; the CPU keeps the defaults.
  virtual bool has_device() const { return false; }
  // Of the pass that wait() returned from last.
  virtual DeviceSeconds device_seconds(const Lane& /*lane*/) const { return {}; }
  // The most device memory that was taken at once, from the backend's own allocator.
  virtual std::size_t peak_device_bytes() const { return 0; }
  // Device memory that can still be taken.
  virtual std::size_t free_device_bytes() const { return 0; }
  // "fast", or which kernels are plain and why; known once a model is packed.
  virtual std::string kernels() const { return {}; }
  // Where the matrix library's algorithms came from: "tuned 12, cached 30"; "" without a library.
  virtual std::string gemm_algorithms() const { return {}; }
};

}  // namespace breakeven::ops
