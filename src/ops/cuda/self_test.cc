#include "ops/cuda/self_test.h"

#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include "ops/cuda/arena.h"

namespace breakeven::ops::cuda {
namespace {

// One small encoder's sizes: enough that tiles, bucket ends and both stages of the attention are
// met, small enough for the host executor.
constexpr std::size_t kHeads = 2;
constexpr std::size_t kHeadSize = 64;
constexpr std::size_t kHidden = kHeads * kHeadSize;
constexpr std::size_t kRows = 160;
constexpr std::size_t kInt8Rows = 48;
constexpr std::size_t kSequences = 2;
constexpr std::size_t kWide = 3 * kHidden;
constexpr std::size_t kMemory_bytes = std::size_t{2} << 20;
constexpr std::size_t kWorkspace_bytes = std::size_t{4} << 20;

// Of the format's rounding error; sums are fp32 in both twins.
template <class T>
constexpr double kTolerance = std::is_same_v<T, float>  ? 1e-5
                              : std::is_same_v<T, Half> ? 4e-3
                                                        : 3e-2;

template <class T>
class Tester {
 public:
  using R = ResidualOf<T>;
  explicit Tester(Runtime& runtime) : runtime_(runtime) {}

  // `int8`: with the kernels that stand around int8 products, and those products.
  Result<SelfTest> run(bool int8) {
    BREAKEVEN_TRY(memory_, runtime_.allocate(kMemory_bytes, Purpose::library));
    BREAKEVEN_TRY(workspace_, runtime_.allocate(kWorkspace_bytes, Purpose::library));
    stream_ = runtime_.make_stream();
    SelfTest result;
    result.passed.rows = check(result, "rows", [this](bool fast) { return rows(fast); });
    if constexpr (sizeof(T) == 2) {
      result.passed.attention =
          check(result, "attention of 64", [this](bool fast) { return attention<64>(fast); }) &&
          check(result, "attention of 32", [this](bool fast) { return attention<32>(fast); });
    }
    result.passed.cls_attention =
        check(result, "cls attention", [this](bool fast) { return cls_attention(fast); });
    result.passed.gemm = runtime_.info().gemm_library &&
                         check(result, "gemm", [this](bool fast) { return product(fast); });
    if constexpr (std::is_same_v<T, Half>) {
      if (int8) add_int8(result);
    }
    return result;
  }

 private:
  using Values = std::vector<float>;

  // Runs both twins on the same input.
  template <class Twin>
  bool check(SelfTest& result, const char* name, const Twin& twin) {
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
    if (relative <= kTolerance<T>) return true;  // false for a NaN
    add_note(result, fmt::format("{} is off by {:.2g}", name, relative));
    return false;
  }
  static void add_note(SelfTest& result, const std::string& what) {
    result.note += (result.note.empty() ? "" : ", ") + what;
  }

  template <class Twin>
  Values start_and_read(const Twin& twin, bool fast) {
    random_.seed(7);
    arena_ = Arena(memory_->data);
    held_.clear();
    const auto [at, count] = twin(fast);
    std::vector<T> values(count);
    runtime_.copy_to_host(*stream_, values.data(), at, count * sizeof(T));
    runtime_.synchronise(*stream_);
    Values widened(count);
    for (std::size_t i = 0; i < count; ++i) widened[i] = to_float(values[i]);
    return widened;
  }

  // Random numbers on the device. The host's copy lives until the device has read it.
  template <class V>
  V* numbers(std::size_t count, float mean = 0) {
    std::normal_distribution<float> normal(mean, 1);
    std::vector<V> values(count);
    for (V& value : values) value = from_float<V>(normal(random_));
    return place(values);
  }
  template <class V>
  V* place(const std::vector<V>& values) {
    const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
    const auto& kept = held_.emplace_back(
        std::make_unique<std::vector<std::byte>>(bytes, bytes + values.size() * sizeof(V)));
    V* at = arena_.take<V>(values.size());
    runtime_.copy_to_device(*stream_, at, kept->data(), kept->size());
    return at;
  }
  template <class V>
  V* empty(std::size_t count) {
    V* at = arena_.take<V>(count);
    runtime_.fill_zero(*stream_, at, count * sizeof(V));
    return at;
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

  // Embeddings, residual and activation one after the other.
  std::pair<const T*, std::size_t> rows(bool fast) {
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
    launch_rows(fast, embed, PlainEmbedNorm<T, R>{embed});
    const ResidualNorm<T, R> add{numbers<T>(kRows * kHidden),
                                 numbers<float>(kHidden),
                                 norm,
                                 x,
                                 residual,
                                 unsigned{kRows},
                                 unsigned{kHidden}};
    launch_rows(fast, add, PlainResidualNorm<T, R>{add});
    const BiasActivation<T> gelu{x, numbers<float>(kHidden), Activation::gelu_erf, unsigned{kRows},
                                 unsigned{kHidden}};
    launch_rows(fast, gelu, PlainBiasActivation<T>{gelu}, kRows * kHidden);
    return {x, kRows * kHidden};
  }

  // A sequence of two tiles and a half, of which some keys are padding, and a short one.
  template <unsigned Size>
  std::pair<const T*, std::size_t> attention(bool fast) {
    const std::vector<AttentionTile> tiles{
        {0, 0, 150, 140}, {0, 64, 150, 140}, {0, 128, 150, 140}, {150, 0, 10, 10}, {}};
    AttentionParameters<T> parameters;
    parameters.tiles = place(tiles);
    parameters.qkv = numbers<T>(kRows * kWide);
    parameters.ctx = empty<T>(kRows * kHidden);
    parameters.hidden = kHidden;
    parameters.head_size = Size;
    parameters.scale = 1.0F / std::sqrt(static_cast<float>(Size));
    Grid grid{.x = tiles.size(), .y = kHidden / Size};
    if (fast) {
      grid.shared_bytes = FlashAttention<T, Size>::kSharedBytes;
      launch(FlashAttention<T, Size>{parameters}, grid);
    } else {
      launch(PlainAttention<T>{parameters}, grid);
    }
    return {parameters.ctx, kRows * kHidden};
  }

  std::pair<const T*, std::size_t> cls_attention(bool fast) {
    ClsParameters<T> parameters;
    parameters.first_row = place(std::vector<std::int32_t>{0, 150});
    parameters.valid = place(std::vector<std::int32_t>{140, 10});
    parameters.x = numbers<T>(kRows * kHidden);
    parameters.keys = numbers<T>(kSequences * kHeads * kHidden);
    parameters.mix = empty<T>(kSequences * kHeads * kHidden);
    parameters.hidden = kHidden;
    parameters.heads = kHeads;
    parameters.longest = kRows;
    parameters.scale = 1.0F / std::sqrt(static_cast<float>(kHidden));
    if (fast) {
      launch(ClsAttention<T>{parameters},
             {.x = kSequences, .shared_bytes = ClsAttention<T>::shared_bytes(kHidden, kRows)});
    } else {
      launch(PlainClsAttention<T>{parameters, unsigned{kSequences}}, {.x = 1});
    }
    return {parameters.mix, kSequences * kHeads * kHidden};
  }

  // Both orders of the weights, a batch and a bias: [160, 128] x [128, 128] as two heads.
  std::pair<const T*, std::size_t> product(bool fast) {
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
    call.out = out;
    call.out_row = kHidden;
    call.out_stride = kHeadSize;
    multiply(fast, call);
    call.b_in_by_out = true;
    call.b_stride = kHeadSize;
    call.bias = nullptr;
    call.bias_stride = 0;
    call.out = out + kRows * kHidden;
    multiply(fast, call);
    return {out, 2 * kRows * kHidden};
  }
  void multiply(bool fast, const GemmCall& call) {
    if (!fast) return launch(PlainGemm<T>{call}, PlainGemm<T>::grid(call));
    by_library(call);
  }
  // A call that the library has no algorithm for is computed plainly later on, too.
  void by_library(const GemmCall& call) {
    const auto algorithms = runtime_.gemm_algorithms(call, workspace_->bytes, 1);
    if (!algorithms.empty()) {
      runtime_.multiply(*stream_, call, algorithms.front(), *workspace_);
    } else if constexpr (std::is_same_v<T, Half>) {
      if (call.precision == Precision::int8) {
        return launch(PlainInt8Gemm{call}, PlainInt8Gemm::grid(call));
      }
      launch(PlainGemm<T>{call}, PlainGemm<T>::grid(call));
    } else {
      launch(PlainGemm<T>{call}, PlainGemm<T>::grid(call));
    }
  }

  void add_int8(SelfTest& result) {
    // Both at once, then the product alone with kernels that are known to be right.
    result.passed.rows = result.passed.rows && check(result, "int8 rows", [this](bool fast) {
                           return int8_chain(fast, false);
                         });
    if (!runtime_.info().gemm_library) return;
    result.passed.gemm = result.passed.gemm && check(result, "int8 gemm", [this](bool fast) {
                           return int8_chain(false, fast);
                         });
  }

  // Rows quantised, multiplied, activated, multiplied again in two blocks, added and normalised.
  std::pair<const T*, std::size_t> int8_chain(bool fast_rows, bool fast_products) {
    constexpr std::size_t kBlocks = 2;
    constexpr std::size_t kInner = kBlocks * kHidden;
    T* x = numbers<T>(kInt8Rows * kHidden);
    const QuantisedRows in = quantised(kHidden, 1);
    const QuantisedRows inner = quantised(kInner, kBlocks);
    auto* sums = empty<std::int32_t>(kInt8Rows * kInner);
    const QuantiseRows<T> quantise{x, in, unsigned{kInt8Rows}, unsigned{kHidden}};
    launch_rows(fast_rows, quantise, PlainQuantiseRows<T>{quantise}, kInt8Rows);
    GemmCall call{
        .precision = Precision::int8, .rows = kInt8Rows, .columns = kInner, .depth = kHidden};
    call.a = in.values;
    call.a_row = call.b_row = kHidden;
    call.out = sums;
    call.out_row = kInner;
    const DequantiseActivation activate{.in = weights_for(call, sums, in, 1),
                                        .out = inner,
                                        .rows = unsigned{kInt8Rows},
                                        .width = unsigned{kHidden},
                                        .blocks = unsigned{kBlocks}};
    multiply_int8(fast_products, call);
    launch_rows(fast_rows, activate, PlainDequantiseActivation{activate}, kInt8Rows * kBlocks);
    GemmCall down{
        .precision = Precision::int8, .rows = kInt8Rows, .columns = kHidden, .depth = kHidden};
    down.batch = kBlocks;
    down.a = inner.values;
    down.a_row = down.b_row = kInner;
    down.a_stride = down.b_stride = kHidden;
    down.out = sums;
    down.out_row = kHidden;
    down.out_stride = kInt8Rows * kHidden;
    const NormParameters norm{numbers<float>(kHidden, 1), numbers<float>(kHidden), 1e-12F};
    const DequantiseNorm<T> add{.in = weights_for(down, sums, inner, kBlocks),
                                .norm = norm,
                                .x = x,
                                .out = in,
                                .rows = unsigned{kInt8Rows},
                                .hidden = unsigned{kHidden},
                                .blocks = unsigned{kBlocks}};
    multiply_int8(fast_products, down);
    launch_rows(fast_rows, add, PlainDequantiseNorm<T>{add}, kInt8Rows);
    call.columns = call.out_row = kHidden;  // what the last kernel has quantised, once more
    const DequantiseBias<T> last{.in = weights_for(call, sums, in, 1),
                                 .out = x,
                                 .rows = unsigned{kInt8Rows},
                                 .columns = unsigned{kHidden}};
    multiply_int8(fast_products, call);
    launch_rows(fast_rows, last, PlainDequantiseBias<T>{last}, kInt8Rows * kHidden);
    return {x, kInt8Rows * kHidden};
  }
  QuantisedRows quantised(std::size_t width, std::size_t blocks) {
    return {empty<std::int8_t>(kInt8Rows * width), empty<float>(kInt8Rows * blocks),
            empty<std::int32_t>(kInt8Rows * blocks)};
  }
  // Random weights for the call, and what brings its sums back.
  Dequantise weights_for(GemmCall& call, const std::int32_t* sums, const QuantisedRows& in,
                         std::size_t blocks) {
    const std::size_t depth = call.depth * blocks;
    std::vector<std::int8_t> weights(call.columns * depth);
    std::vector<std::int32_t> whole(blocks * call.columns);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      weights[i] = static_cast<std::int8_t>(static_cast<int>(random_() % 255) - 127);
      whole[i % depth / call.depth * call.columns + i / depth] += weights[i];
    }
    call.b = place(weights);
    std::vector<float> scale(blocks * call.columns, 1.0F / 1024);
    return {sums, in.scale, in.zero, place(scale), place(whole), numbers<float>(call.columns)};
  }
  void multiply_int8(bool fast, const GemmCall& call) {
    if (!fast) return launch(PlainInt8Gemm{call}, PlainInt8Gemm::grid(call));
    by_library(call);
  }

  Runtime& runtime_;
  std::mt19937 random_;
  Arena arena_;
  std::vector<std::unique_ptr<std::vector<std::byte>>> held_;
  std::unique_ptr<Runtime::Memory> memory_, workspace_;
  std::unique_ptr<Runtime::Stream> stream_;
};

}  // namespace

Result<SelfTest> test_kernels(Runtime& runtime, Precision precision) {
  switch (precision) {
    case Precision::fp32:
      return Tester<float>(runtime).run(false);
    case Precision::bf16:
      return Tester<Bf16>(runtime).run(false);
    case Precision::fp16:
      return Tester<Half>(runtime).run(false);
    case Precision::int8:
      return Tester<Half>(runtime).run(true);
    case Precision::fp32x3:
      break;
  }
  return fail("ops/unsupported", std::string(to_string(precision)) + " does not run on a GPU here",
              "choose fp16, bf16 or int8");
}

}  // namespace breakeven::ops::cuda
