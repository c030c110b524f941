#include "ops/cuda/self_test.h"

#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "ops/cuda/self_test_memory.h"

namespace breakeven::ops::cuda {
namespace {

// One small encoder's sizes: enough that tiles, bucket ends and both stages of the attention are
// met, small enough for the host executor.
constexpr std::size_t kHeads = 2;
constexpr std::size_t kHeadSize = 64;
constexpr std::size_t kHidden = kHeads * kHeadSize;
constexpr std::size_t kRows = 160;
constexpr std::size_t kCodeRows = 48;
constexpr std::size_t kSplitRows = 16;
constexpr std::size_t kSequences = 2;
constexpr std::size_t kWide = 3 * kHidden;

// Of the format's rounding error; sums are fp32 in both twins.
template <class T>
constexpr double kTolerance = std::is_same_v<T, float>  ? 1e-5
                              : std::is_same_v<T, Half> ? 4e-3
                                                        : 3e-2;

// Tensor cores cut off what does not fit a sum: 2^-23 of it at each of some fifty steps.
constexpr double kSplitTolerance = 4e-5;
// bf16 sums that are added in another order move some values to the next code, 6 % away.
constexpr double kE4m3Tolerance = 2e-2;

template <class T>
class Tester : private TestMemory {
 public:
  using R = ResidualOf<T>;
  using TestMemory::TestMemory;

  // Of int8, fp8 and fp32x3 also the kernels that stand around their products, and those products.
  Result<SelfTest> run(Precision precision) {
    BREAKEVEN_TRY_VOID(prepare(precision));
    SelfTest result;
    result.passed.rows = check(result, "rows", [this](bool fast) { return rows(fast, false); });
    result.passed.wide_rows =
        check(result, "wide rows", [this](bool fast) { return rows(fast, true); });
    result.passed.attention =
        check(result, "attention of 64", [this](bool fast) { return attention<64>(fast); }) &&
        check(result, "attention of 32", [this](bool fast) { return attention<32>(fast); });
    const KeyWindow near{.window = 40};
    result.passed.window =
        check(result, "window of 64", [&](bool fast) { return attention<64>(fast, near); }) &&
        check(result, "window of 32", [&](bool fast) { return attention<32>(fast, near); });
    if constexpr (sizeof(T) == 2) {
      result.passed.wide_attention =
          check(result, "wide attention of 64",
                [this](bool fast) { return wide_attention<64>(fast); }) &&
          check(result, "wide attention of 32",
                [this](bool fast) { return wide_attention<32>(fast); });
      result.passed.relative = check(result, "relative attention of 64",
                                     [this](bool f) { return relative_keys<64>(f); }) &&
                               check(result, "relative attention of 32",
                                     [this](bool f) { return relative_keys<32>(f); });
    }
    result.passed.form_rows =
        check(result, "other rows", [this](bool fast) { return form_rows(fast); });
    result.passed.cls_attention =
        check(result, "cls attention", [this](bool fast) { return cls_attention(fast); });
    if constexpr (sizeof(T) == 2) {
      result.passed.cls_tiles =
          check(result, "cls tiles of 4", [this](bool fast) { return cls_tiles<4>(fast, 2); }) &&
          check(result, "cls tiles of 8", [this](bool fast) { return cls_tiles<8>(fast, 1); });
    }
    result.passed.gemm = runtime_.info().gemm_library &&
                         check(result, "gemm", [this](bool fast) { return product(fast, false); });
    if (std::is_same_v<T, R> && result.passed.gemm) {
      result.passed.residual_gemm = check(result, "gemm that adds a residual",
                                          [this](bool fast) { return product(fast, true); });
    }
    if constexpr (std::is_same_v<T, float>) {
      if (precision == Precision::fp32x3) add_halves(result);
    }
    if constexpr (std::is_same_v<T, Half>) {
      if (precision == Precision::int8) add_codes<std::int8_t>(result);
      if (precision == Precision::fp8) add_codes<E4m3>(result);
    }
    return result;
  }

 private:
  using Values = std::vector<float>;

  // Runs both twins on the same input.
  template <class Twin>
  bool check(SelfTest& result, const std::string& name, const Twin& twin,
             double tolerance = kTolerance<T>) {
    const Values right = start_and_read(twin, false);
    Values ours;
    try {
      ours = start_and_read(twin, true);
    } catch (const DeviceFailure& refused) {
      // One kernel or product that the device refuses is done plainly; a device that has failed
      // altogether throws once more here.
      runtime_.synchronise(*stream_);
      add_note(result, fmt::format("{}: {}", name, refused.what()));
      return false;
    }
    double squares = 0;
    double size = 0;
    for (std::size_t i = 0; i < right.size(); ++i) {
      const double delta = static_cast<double>(ours[i]) - static_cast<double>(right[i]);
      squares += delta * delta;
      size += static_cast<double>(right[i]) * static_cast<double>(right[i]);
    }
    const double relative = std::sqrt(squares / size);
    if (relative <= tolerance) return true;  // false for a NaN
    add_note(result, fmt::format("{} is off by {:.2g}", name, relative));
    return false;
  }
  static void add_note(SelfTest& result, const std::string& what) {
    result.note += (result.note.empty() ? "" : ", ") + what;
  }

  template <class Twin>
  Values start_and_read(const Twin& twin, bool fast) {
    start_anew();
    const auto [at, count] = twin(fast);
    std::vector<T> values(count);
    runtime_.copy_to_host(*stream_, values.data(), at, count * sizeof(T));
    runtime_.synchronise(*stream_);
    Values widened(count);
    for (std::size_t i = 0; i < count; ++i) widened[i] = to_float(values[i]);
    return widened;
  }

  template <class K>
  void launch(const K& kernel, const Grid& grid) {
    runtime_.launch(*stream_, {KernelOf<T>(kernel), grid});
  }
  template <class Fast, class Plain>
  void launch_rows(bool fast, const Fast& kernel, const Plain& plain, std::size_t work = kRows) {
    if (fast) {
      launch(kernel, {.x = (work + Fast::kRowsABlock - 1) / Fast::kRowsABlock});
    } else {
      launch(plain, {.x = (work + Plain::kRowsABlock - 1) / Plain::kRowsABlock});
    }
  }

  template <class Wide, class Fast, class Plain>
  void launch_norm(bool fast, bool wide, const Fast& kernel, const Plain& plain) {
    if (!fast || !wide) return launch_rows(fast, kernel, plain);
    launch(Wide{{}, kernel}, {.x = kRows, .shared_bytes = Wide::kSharedBytes});
  }

  // Embeddings, residual and activation one after the other.
  std::pair<const T*, std::size_t> rows(bool fast, bool wide) {
    const NormParameters norm{numbers<float>(kHidden, 1), numbers<float>(kHidden), 1e-12F};
    std::vector<std::int32_t> ids(kRows);
    for (std::size_t i = 0; i < kRows; ++i) ids[i] = static_cast<std::int32_t>(i * 7 % 50);
    const std::int32_t* places = place(ids);
    T* x = empty<T>(kRows * kHidden);
    R* residual = std::is_same_v<T, R> ? nullptr : empty<R>(kRows * kHidden);
    const EmbedNorm<T, R> embed{
        {numbers<T>(50 * kHidden), numbers<T>(50 * kHidden), numbers<T>(50 * kHidden), norm},
        places,
        places,
        places,
        x,
        residual,
        unsigned{kRows},
        unsigned{kHidden}};
    launch_norm<WideEmbedNorm<T, R>>(fast, wide, embed, PlainEmbedNorm<T, R>{embed});
    const ResidualNorm<T, R> add{numbers<T>(kRows * kHidden),
                                 numbers<float>(kHidden),
                                 norm,
                                 x,
                                 residual,
                                 unsigned{kRows},
                                 unsigned{kHidden}};
    launch_norm<WideResidualNorm<T, R>>(fast, wide, add, PlainResidualNorm<T, R>{add});
    const BiasActivation<T> gelu{x, numbers<float>(kHidden), Activation::gelu_erf, unsigned{kRows},
                                 unsigned{kHidden}};
    launch_rows(fast, gelu, PlainBiasActivation<T>{gelu}, kRows * kHidden);
    return {x, kRows * kHidden};
  }

  // Queries and keys turned, what is there then gated, and that added to a stream, twice.
  std::pair<const T*, std::size_t> form_rows(bool fast) {
    constexpr std::size_t kValues = kRows * (kWide + kWide / 2 + 2 * kHidden);
    T* const all = numbers<T>(kValues);
    const auto* places = place(std::vector<std::int32_t>(kRows, 1));
    const Rotate<T> rotate{all,      numbers<float>(2 * kHeadSize), places, unsigned{kRows}, kHeads,
                           kHeadSize};
    launch_rows(fast, rotate, PlainRotate<T>{rotate}, kRows * kHidden / (fast ? 8 : 1));
    const GatedActivation<T> gate{.in = all,
                                  .bias = numbers<float>(kWide),
                                  .out = all + kRows * kWide,
                                  .rows = unsigned{kRows},
                                  .width = unsigned{kWide / 2}};
    launch_rows(fast, gate, PlainGatedActivation<T>{gate}, kRows * kWide / 2);
    const NormParameters norm{numbers<float>(kHidden, 1), numbers<float>(kHidden), 1e-5F};
    PreNorm<T> add{.in = gate.out,
                   .bias = numbers<float>(kHidden),
                   .norm = norm,
                   .x = gate.out + kRows * kWide / 2,
                   .stream = numbers<float>(kRows * kHidden),
                   .rows = unsigned{kRows},
                   .hidden = unsigned{kHidden}};
    launch_norm<WidePreNorm<T>>(fast, false, add, PlainPreNorm<T>{add});
    add.x += kRows * kHidden;
    launch_norm<WidePreNorm<T>>(fast, true, add, PlainPreNorm<T>{add});
    return {all, kValues};
  }

  // A sequence of two tiles and a half, of which some keys are padding, and a short one.
  template <unsigned Size, class Twins>
  std::pair<const T*, std::size_t> attend(bool fast, const Twins& twins, bool wide = false) {
    std::vector<AttentionTile> tiles{{0, 0, 150, 140}, {0, 128, 150, 140}, {150, 0, 10, 10}, {}};
    if (!fast || !wide) tiles.insert(tiles.begin(), {0, 64, 150, 140});
    AttentionParameters<T> parameters;
    parameters.tiles = place(tiles);
    parameters.qkv = numbers<T>(kRows * kWide);
    parameters.ctx = empty<T>(kRows * kHidden);
    parameters.hidden = kHidden;
    parameters.head_size = Size;
    parameters.scale = 1.0F / std::sqrt(static_cast<float>(Size));
    const auto [tiled, plain] = twins(parameters);
    Grid grid{.x = tiles.size(), .y = kHidden / Size};
    if (fast) {
      grid.shared_bytes = std::decay_t<decltype(tiled)>::kSharedBytes;
      launch(tiled, grid);
    } else {
      launch(plain, grid);
    }
    return {parameters.ctx, kRows * kHidden};
  }
  template <unsigned Size, class Scope = AllKeys>
  std::pair<const T*, std::size_t> attention(bool fast, const Scope& scope = {}) {
    return attend<Size>(fast, [&](const AttentionParameters<T>& parameters) {
      return std::pair(FlashAttention<T, Size, Scope>{parameters, scope},
                       PlainAttention<T, Scope>{parameters, scope});
    });
  }
  template <unsigned Size>
  std::pair<const T*, std::size_t> wide_attention(bool fast) {
    const auto twins = [](const AttentionParameters<T>& parameters) {
      return std::pair(WideAttention<T, Size>{{parameters}}, PlainAttention<T>{parameters});
    };
    return attend<Size>(fast, twins, true);
  }
  template <unsigned Size>
  std::pair<const T*, std::size_t> relative_keys(bool fast) {
    const RelativeDistances distances{.span = 24, .near = 12, .farthest = 100};
    const RelativeKeys<T> keys{.keys = numbers<T>(2 * distances.span * kHidden),
                               .queries = numbers<T>(2 * distances.span * kHidden),
                               .places = place(distances.rows(kRows)),
                               .positions = unsigned{kRows},
                               .hidden = unsigned{kHidden},
                               .rows = KeyWindow::kAll};
    return attend<Size>(fast, [&](const AttentionParameters<T>& parameters) {
      return std::pair(RelativeAttention<T, Size>{{parameters}, keys},
                       PlainAttention<T, RelativeKeys<T>>{parameters, keys});
    });
  }

  // A sequence of `valid` rows, and a short one.
  ClsParameters<T> cls_parameters(std::size_t hidden, std::int32_t valid) {
    ClsParameters<T> parameters;
    parameters.first_row = place(std::vector<std::int32_t>{0, 150});
    parameters.valid = place(std::vector<std::int32_t>{valid, 10});
    parameters.x = numbers<T>(kRows * hidden);
    parameters.keys = numbers<T>(kSequences * kHeads * hidden);
    parameters.mix = empty<T>(kSequences * kHeads * hidden);
    parameters.hidden = static_cast<unsigned>(hidden);
    parameters.heads = kHeads;
    parameters.longest = kRows;
    parameters.scale = 1.0F / std::sqrt(static_cast<float>(hidden));
    return parameters;
  }
  void plain_cls_attention(const ClsParameters<T>& parameters) {
    launch(PlainClsAttention<T>{parameters, unsigned{kSequences}}, {.x = 1});
  }
  std::pair<const T*, std::size_t> cls_attention(bool fast) {
    const ClsParameters<T> parameters = cls_parameters(kHidden, 140);
    if (fast) {
      launch(ClsAttention<T>{parameters},
             {.x = kSequences, .shared_bytes = ClsAttention<T>::shared_bytes(kHidden, kRows)});
    } else {
      plain_cls_attention(parameters);
    }
    return {parameters.mix, kSequences * kHeads * kHidden};
  }
  // The warps' last columns lie beyond the rows' ends.
  template <unsigned Warps>
  std::pair<const T*, std::size_t> cls_tiles(bool fast, unsigned parts) {
    using Tiles = ClsTiles<T, Warps>;
    constexpr std::size_t kWidth = Tiles::kWidest / 2 + 56;
    const ClsParameters<T> parameters = cls_parameters(kWidth, 40);
    if (fast) {
      auto* mixes = empty<float>(kSequences * parts * ClsSplit::floats(kHeads, kWidth));
      const ClsSplit split{parts, mixes, mixes + kSequences * parts * kHeads * kWidth};
      launch(Tiles{parameters, split},
             {.x = kSequences, .y = parts, .shared_bytes = Tiles::kSharedBytes});
      if (parts > 1) launch(ClsMerge<T>{parameters, split}, {.x = kSequences, .y = kHeads});
    } else {
      plain_cls_attention(parameters);
    }
    return {parameters.mix, kSequences * kHeads * kWidth};
  }

  // Both orders of the weights, a batch and a bias: [160, 128] x [128, 128] as two heads; added to
  // another matrix or not.
  std::pair<const T*, std::size_t> product(bool fast, bool adds) {
    T* out = empty<T>(2 * kRows * kHidden);
    GemmCall call;
    call.precision = kPrecisionOf<T>;
    call.rows = kRows;
    call.columns = kHeadSize;
    call.depth = kHidden;
    call.batch = kHeads;
    call.a = numbers<T>(kRows * kHidden);
    call.a_row = kHidden;
    call.b = numbers<T>(kHidden * kHidden);
    call.b_row = kHidden;
    call.b_stride = kHeadSize * kHidden;
    call.bias = numbers<T>(kHidden);
    call.bias_stride = kHeadSize;
    if (adds) call.add = numbers<T>(kRows * kHidden);
    call.out = out;
    call.out_row = kHidden;
    call.out_stride = kHeadSize;
    multiply<T>(fast, call);
    call.b_in_by_out = true;
    call.b_stride = kHeadSize;
    call.bias = nullptr;
    call.bias_stride = 0;
    call.out = out + kRows * kHidden;
    multiply<T>(fast, call);
    return {out, 2 * kRows * kHidden};
  }
  // A call that the library has no algorithm for is computed plainly later on, too.
  template <class V>
  void multiply(bool fast, const GemmCall& call) {
    if (fast) {
      const auto algorithms = runtime_.gemm_algorithms(call, workspace_->bytes, 1);
      if (!algorithms.empty())
        return runtime_.multiply(*stream_, call, algorithms.front(), *workspace_);
    }
    if (call.row_scale != nullptr) throw DeviceFailure("the library has none");  // nor have we
    launch(PlainGemm<V>{call}, PlainGemm<V>::grid(call));
  }

  void add_halves(SelfTest& result) {
    const auto rows = [this](bool fast) { return split_chain(fast, false); };
    result.passed.rows = result.passed.rows && check(result, "fp32x3 rows", rows, kSplitTolerance);
    if (!runtime_.info().gemm_library) return;
    const auto products = [this](bool fast) { return split_chain(false, fast); };
    result.passed.gemm =
        result.passed.gemm && check(result, "fp32x3 gemm", products, kSplitTolerance);
  }

  // Rows added and normalised; then split, multiplied, activated and split again, and multiplied
  // with a bias.
  std::pair<const float*, std::size_t> split_chain(bool fast_rows, bool fast_products) {
    constexpr std::size_t kInner = 2 * kHidden;
    auto* x = numbers<float>(2 * kSplitRows * kHidden);
    auto* halves = empty<SplitHalf>(3 * kSplitRows * kInner);
    auto* sums = empty<float>(kSplitRows * kInner);
    const NormParameters norm{numbers<float>(kHidden, 1), numbers<float>(kHidden), 1e-12F};
    const SplitNorm add{.norm = {.in = numbers<float>(kSplitRows * kHidden),
                                 .bias = numbers<float>(kHidden),
                                 .norm = norm,
                                 .x = x,
                                 .rows = unsigned{kSplitRows},
                                 .hidden = unsigned{kHidden}},
                        .out = halves};
    const SplitRows alone{
        .in = x, .out = halves, .rows = unsigned{kSplitRows}, .width = unsigned{kHidden}};
    if (fast_rows) {
      launch(add, {.x = kSplitRows / SplitNorm::kRowsABlock});
    } else {
      const PlainResidualNorm<float, float> plain{add.norm};
      launch_rows(false, plain.fast, plain, kSplitRows);
      launch_rows(false, alone, PlainSplitRows{alone}, kSplitRows * kHidden);
    }
    multiply_halves(fast_products, halves, kHidden, kInner, nullptr, sums);
    const SplitRows activated{.in = sums,
                              .bias = numbers<float>(kInner),
                              .out = halves,
                              .rows = unsigned{kSplitRows},
                              .width = unsigned{kInner}};
    launch_rows(fast_rows, activated, PlainSplitRows{activated}, kSplitRows * kInner);
    multiply_halves(fast_products, halves, kInner, kHidden, numbers<float>(kHidden),
                    x + kSplitRows * kHidden);
    return {x, 2 * kSplitRows * kHidden};
  }
  // Random weights: their halves need not belong together.
  void multiply_halves(bool fast, const SplitHalf* rows, std::size_t depth, std::size_t columns,
                       const float* bias, float* out) {
    GemmCall call = dense_product(kSplitRows, columns, 3 * depth, rows,
                                  numbers<Half>(3 * depth * columns), out);
    call.precision = Precision::fp32x3;
    call.bias = bias;
    multiply<SplitHalf>(fast, call);
  }

  template <class Code>
  void add_codes(SelfTest& result) {
    const std::string name(to_string(kPrecisionOfCode<Code>));
    const double tolerance = kHasZero<Code> ? kTolerance<T> : kE4m3Tolerance;
    // Both at once, then the product alone with kernels that are known to be right.
    const auto rows = [this](bool fast) { return code_chain<Code>(fast, false); };
    result.passed.rows = result.passed.rows && check(result, name + " rows", rows, tolerance);
    const auto forms = [this](bool fast) { return code_chain<Code>(fast, false, true); };
    result.passed.form_rows &= check(result, name + " other rows", forms, tolerance);
    if (!runtime_.info().gemm_library) return;
    const auto products = [this](bool fast) { return code_chain<Code>(false, fast); };
    result.passed.gemm = result.passed.gemm && check(result, name + " gemm", products, tolerance);
    if (kHasZero<Code> || !runtime_.info().scaled_gemm) return;
    const auto scaled = [this](bool fast) { return code_chain<Code>(false, false, false, fast); };
    result.passed.scaled_gemm = check(result, name + " gemm with scales", scaled, tolerance);
  }

  // Rows quantised, multiplied, activated, multiplied again (s8: in two blocks), added and
  // normalised; unless in a stream, multiplied once more, by a product that knows scales or not.
  template <class Code>
  std::pair<const T*, std::size_t> code_chain(bool fast_rows, bool fast_products,
                                              bool stream = false, bool scaled = false) {
    constexpr std::size_t kInner = 2 * kHidden;
    constexpr std::size_t kBlocks = kHasZero<Code> ? 2 : 1;
    T* x = numbers<T>(kCodeRows * kHidden);
    const QuantisedRows in = quantised<Code>(kHidden, 1);
    const QuantisedRows inner = quantised<Code>(kInner, kBlocks);
    auto* sums = empty<SumOf<Code>>(kCodeRows * kInner);
    const QuantiseRows<T, Code> quantise{x, in, unsigned{kCodeRows}, unsigned{kHidden}};
    launch_rows(fast_rows, quantise, PlainQuantiseRows<T, Code>{quantise}, kCodeRows);
    GemmCall call{.precision = kPrecisionOfCode<Code>,
                  .rows = kCodeRows,
                  .columns = kInner,
                  .depth = kHidden};
    call.a = in.values;
    call.a_row = call.b_row = kHidden;
    call.out = sums;
    call.out_row = kInner;
    const Dequantise<Code> up = weights_for<Code>(call, sums, in, 1);
    multiply<Code>(fast_products, call);
    activate(fast_rows, up, inner);
    GemmCall down{.precision = kPrecisionOfCode<Code>,
                  .rows = kCodeRows,
                  .columns = kHidden,
                  .depth = kInner / kBlocks};
    down.batch = kBlocks;
    down.a = inner.values;
    down.a_row = down.b_row = kInner;
    down.a_stride = down.b_stride = down.depth;
    down.out = sums;
    down.out_row = kHidden;
    down.out_stride = kCodeRows * kHidden;
    const NormParameters norm{numbers<float>(kHidden, 1), numbers<float>(kHidden), 1e-12F};
    const DequantiseNorm<T, Code> add{.in = weights_for<Code>(down, sums, inner, kBlocks),
                                      .norm = norm,
                                      .x = x,
                                      .out = in,
                                      .rows = unsigned{kCodeRows},
                                      .hidden = unsigned{kHidden},
                                      .blocks = unsigned{kBlocks}};
    multiply<Code>(fast_products, down);
    if (stream) {
      const DequantisePreNorm<T, Code> pre{add, numbers<float>(kCodeRows * kHidden)};
      launch_rows(fast_rows, pre, PlainDequantisePreNorm<T, Code>{pre}, kCodeRows);
      return {x, kCodeRows * kHidden};
    }
    launch_rows(fast_rows, add, PlainDequantiseNorm<T, Code>{add}, kCodeRows);
    call.columns = call.out_row = kHidden;  // what the last kernel has quantised, once more
    Dequantise<Code> back = weights_for<Code>(call, sums, in, 1);
    back.bias = place(std::vector<float>(kHidden, 0.5F));
    if (scaled) {
      call.row_scale = back.row_scale;
      call.column_scale = back.column_scale;
      call.bias = place(std::vector<T>(kHidden, from_float<T>(0.5F)));
      call.out = x;
      multiply<Code>(true, call);
      return {x, kCodeRows * kHidden};
    }
    const DequantiseBias<T, Code> last{
        .in = back, .out = x, .rows = unsigned{kCodeRows}, .columns = unsigned{kHidden}};
    multiply<Code>(fast_products, call);
    launch_rows(fast_rows, last, PlainDequantiseBias<T, Code>{last}, kCodeRows * kHidden);
    return {x, kCodeRows * kHidden};
  }
  void activate(bool fast, const Dequantise<std::int8_t>& in, const QuantisedRows& out) {
    const DequantiseActivation kernel{
        .in = in, .out = out, .rows = unsigned{kCodeRows}, .width = unsigned{kHidden}, .blocks = 2};
    launch_rows(fast, kernel, PlainDequantiseActivation{kernel}, 2 * kCodeRows);
  }
  void activate(bool fast, const Dequantise<E4m3>& in, const QuantisedRows& out) {
    const DequantiseRowActivation kernel{.in = in, .out = out, .width = unsigned{2 * kHidden}};
    if (fast) {
      launch(kernel, {.x = kCodeRows, .shared_bytes = DequantiseRowActivation::kSharedBytes});
    } else {
      launch(PlainDequantiseRowActivation{kernel, unsigned{kCodeRows}}, {.x = 1});
    }
  }
  template <class Code>
  QuantisedRows quantised(std::size_t width, std::size_t blocks) {
    return {empty<std::uint8_t>(kCodeRows * width), empty<float>(kCodeRows * blocks),
            kHasZero<Code> ? empty<std::int32_t>(kCodeRows * blocks) : nullptr};
  }
  // Random weights for the call, and what brings its sums back.
  template <class Code>
  Dequantise<Code> weights_for(GemmCall& call, const SumOf<Code>* sums, const QuantisedRows& in,
                               std::size_t blocks) {
    const std::size_t depth = call.depth * blocks;
    const std::vector<std::uint8_t> weights = codes(call.columns * depth, kHasZero<Code>);
    std::vector<std::int32_t> whole(blocks * call.columns);
    for (std::size_t i = 0; i < weights.size() && kHasZero<Code>; ++i) {
      whole[i % depth / call.depth * call.columns + i / depth] +=
          static_cast<std::int8_t>(weights[i]);
    }
    call.b = place(weights);
    const std::vector<float> scale(blocks * call.columns, 1.0F / 1024);
    return {sums,
            in.scale,
            in.zero,
            place(scale),
            kHasZero<Code> ? place(whole) : nullptr,
            numbers<float>(call.columns)};
  }
};

}  // namespace

Result<SelfTest> test_kernels(Runtime& runtime, Precision precision) {
  switch (precision) {
    case Precision::fp32:
    case Precision::fp32x3:
      return Tester<float>(runtime).run(precision);
    case Precision::bf16:
      return Tester<Bf16>(runtime).run(precision);
    case Precision::fp16:
    case Precision::int8:
    case Precision::fp8:
      return Tester<Half>(runtime).run(precision);
  }
  return fail("ops/unsupported", std::string(to_string(precision)) + " does not run on a GPU here",
              "choose fp16, bf16, int8 or fp8");
}

}  // namespace breakeven::ops::cuda
