#include "model/pickle.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/process.h"
#include "model/torch_formats.h"

namespace breakeven::model {
namespace {

using Bytes = std::span<const std::byte>;
using Ref = std::uint32_t;  // a value's place in the machine: lists may hold themselves

// An encoder of 24 layers takes 60 kB. What a pickle may be made of bounds the memory that it
// takes.
constexpr std::size_t kMostBytes = std::size_t{4} << 20;
constexpr std::size_t kMostDimensions = 64;
constexpr std::size_t kLongestKey = 64;

// The names that make up a state dict, beside those of formats.
constexpr std::string_view kOrderedDict = "collections.OrderedDict";
constexpr std::string_view kSize = "torch.Size";
constexpr std::string_view kTensorMakers[] = {"torch._utils._rebuild_tensor",
                                              "torch._utils._rebuild_tensor_v2",
                                              "torch._utils._rebuild_tensor_v3"};
constexpr std::string_view kParameterMakers[] = {"torch._utils._rebuild_parameter",
                                                 "torch._utils._rebuild_parameter_with_state"};

bool is_one_of(std::span<const std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool is_known(std::string_view name) {
  return name == kOrderedDict || name == kSize || is_one_of(kTensorMakers, name) ||
         is_one_of(kParameterMakers, name) || find_torch_storage(name) != nullptr ||
         find_torch_dtype(name) != nullptr;
}

struct Storage {
  std::string key;
  const TorchFormat* format;
  std::uint64_t bytes;
};

enum class Kind : std::uint8_t { other, integer, text, tuple, list, dict, name, storage, tensor };

struct Value {
  Kind kind = Kind::other;
  std::int64_t integer = 0;  // of a storage or tensor: its index
  std::string text;          // of a name, too
  std::vector<Ref> items;    // of a dict: key, value, key, value ...
};

class Machine {
 public:
  Machine(Bytes pickle, const std::string& where)
      : rest_(pickle), size_(pickle.size()), where_(where) {}

  // Runs to STOP and reads the value that is left as a state dict.
  Result<std::vector<PickledTensor>> state_dict();

 private:
  tl::unexpected<Error> broken(
      const char* cause, const std::string& what,
      const char* hint = "the file is damaged: fetch or save it again") const {
    return fail(fmt::format("pickle/{}", cause), fmt::format("{}: {}", where_, what), hint);
  }
  // An instruction that does not find the values that it takes.
  tl::unexpected<Error> misfit() const {
    return broken("instruction", fmt::format("its pickle is broken at byte {} of {}", at_, size_));
  }
  tl::unexpected<Error> foreign(const std::string& name) const {
    return broken(
        "name",
        fmt::format("its pickle asks Python for {}; tensors alone are read, and nothing in "
                    "the file is run",
                    printable(name, 100)),
        "if you trust the file, load it in Python and save it with "
        "model.save_pretrained(FOLDER)");
  }

  Result<Bytes> take(std::uint64_t size) {
    if (size > rest_.size()) {
      return broken("truncated", fmt::format("its pickle of {} bytes ends too early", size_));
    }
    const Bytes taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }
  // Little endian; T is as wide as it stands in the file.
  template <class T>
  Result<T> number() {
    BREAKEVEN_TRY(const Bytes bytes, take(sizeof(T)));
    T value;
    std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }
  Result<std::string> text(std::uint64_t size) {
    BREAKEVEN_TRY(const Bytes bytes, take(size));
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  Result<std::string> line();

  const Value& at(Ref ref) const { return values_[ref]; }
  Result<void> push(Value value) {
    values_.push_back(std::move(value));
    stack_.push_back(static_cast<Ref>(values_.size() - 1));
    return {};
  }
  Result<void> push_integer(std::int64_t integer) { return push({Kind::integer, integer, "", {}}); }
  Result<void> push_name(const std::string& name) {
    if (!is_known(name)) return foreign(name);
    return push({Kind::name, 0, name, {}});
  }
  Result<Ref> pop();
  // What was pushed since the last mark, which goes.
  Result<std::vector<Ref>> pop_to_mark();
  Result<void> tuple_of(std::size_t count);
  // Appends to the value on top of the stack, which has to be of that kind.
  Result<void> extend(Kind kind, const std::vector<Ref>& items);

  Result<void> push_text(std::uint64_t size);
  Result<void> push_long(std::uint64_t size);
  Result<void> skip(std::uint64_t size);
  Result<void> memoize(std::uint32_t key);
  Result<void> recall(std::uint32_t key);
  Result<void> stack_global();
  Result<void> persistent_id();
  Result<void> reduce();
  Result<void> build();
  Result<void> make_tensor(const Value& arguments);
  std::optional<std::vector<std::size_t>> extents(Ref ref) const;

  // Each knows some of the instructions; nothing for those it does not know.
  std::optional<Result<void>> containers(std::uint8_t code);
  std::optional<Result<void>> constants(std::uint8_t code);
  std::optional<Result<void>> others(std::uint8_t code);

  Bytes rest_;
  std::size_t size_;
  const std::string& where_;
  std::size_t at_ = 0;  // of the instruction that runs
  std::vector<Value> values_;
  std::vector<Ref> stack_;
  std::vector<std::size_t> marks_;  // heights of the stack
  std::unordered_map<std::uint32_t, Ref> memo_;
  std::vector<Storage> storages_;
  std::vector<PickledTensor> tensors_;
};

// With what stands in the file for a number: `return with(number<T>(), f)`.
template <class T, class Use>
Result<void> with(Result<T> value, const Use& use) {
  if (!value) return propagate(std::move(value));
  return use(*std::move(value));
}

Result<std::string> Machine::line() {
  const auto end = std::find(rest_.begin(), rest_.end(), std::byte{'\n'});
  BREAKEVEN_TRY(std::string text, this->text(static_cast<std::size_t>(end - rest_.begin())));
  BREAKEVEN_TRY_VOID(skip(1));
  return text;
}

Result<Ref> Machine::pop() {
  const std::size_t floor = marks_.empty() ? 0 : marks_.back();
  if (stack_.size() <= floor) return misfit();
  const Ref top = stack_.back();
  stack_.pop_back();
  return top;
}

Result<std::vector<Ref>> Machine::pop_to_mark() {
  if (marks_.empty()) return misfit();
  const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<Ref> items(begin, stack_.end());
  stack_.erase(begin, stack_.end());
  marks_.pop_back();
  return items;
}

Result<void> Machine::tuple_of(std::size_t count) {
  std::vector<Ref> items(count);
  for (std::size_t i = count; i-- > 0;) {
    BREAKEVEN_TRY(items[i], pop());
  }
  return push({Kind::tuple, 0, "", std::move(items)});
}

Result<void> Machine::extend(Kind kind, const std::vector<Ref>& items) {
  BREAKEVEN_TRY(const Ref target, pop());
  if (at(target).kind != kind || (kind == Kind::dict && items.size() % 2 != 0)) return misfit();
  values_[target].items.insert(values_[target].items.end(), items.begin(), items.end());
  stack_.push_back(target);
  return {};
}

Result<void> Machine::push_text(std::uint64_t size) {
  BREAKEVEN_TRY(std::string text, this->text(size));
  return push({Kind::text, 0, std::move(text), {}});
}

// Two's complement, little endian, as many bytes as it takes.
Result<void> Machine::push_long(std::uint64_t size) {
  BREAKEVEN_TRY(const Bytes bytes, take(size));
  if (size > sizeof(std::int64_t)) return push({});  // no number of a tensor
  std::uint64_t value = 0;
  for (std::size_t i = size; i-- > 0;)
    value = value << 8U | std::to_integer<std::uint64_t>(bytes[i]);
  const bool negative = size > 0 && std::to_integer<unsigned>(bytes[size - 1]) >= 0x80;
  if (negative && size < sizeof(value)) value |= ~std::uint64_t{0} << (8 * size);
  return push_integer(static_cast<std::int64_t>(value));
}

Result<void> Machine::skip(std::uint64_t size) {
  BREAKEVEN_TRY([[maybe_unused]] const Bytes bytes, take(size));
  return {};
}

Result<void> Machine::memoize(std::uint32_t key) {
  BREAKEVEN_TRY(const Ref top, pop());
  stack_.push_back(top);
  memo_.insert_or_assign(key, top);
  return {};
}

Result<void> Machine::recall(std::uint32_t key) {
  const auto found = memo_.find(key);
  if (found == memo_.end()) return misfit();
  stack_.push_back(found->second);
  return {};
}

Result<void> Machine::stack_global() {
  BREAKEVEN_TRY(const Ref name, pop());
  BREAKEVEN_TRY(const Ref module, pop());
  if (at(name).kind != Kind::text || at(module).kind != Kind::text) return misfit();
  return push_name(at(module).text + "." + at(name).text);
}

// ("storage", its class, its key, "cpu", elements)
Result<void> Machine::persistent_id() {
  BREAKEVEN_TRY(const Ref top, pop());
  const std::vector<Ref>& parts = at(top).items;
  if (at(top).kind != Kind::tuple || parts.size() != 5 || at(parts[0]).text != "storage" ||
      at(parts[1]).kind != Kind::name || at(parts[2]).kind != Kind::text ||
      at(parts[2]).text.size() > kLongestKey || at(parts[4]).kind != Kind::integer) {
    return misfit();
  }
  const TorchFormat* const format = find_torch_storage(at(parts[1]).text);
  const std::int64_t count = at(parts[4]).integer;
  std::uint64_t bytes = 0;
  if (format == nullptr || count < 0 ||
      __builtin_mul_overflow(static_cast<std::uint64_t>(count), format->bytes, &bytes)) {
    return misfit();
  }
  storages_.push_back({at(parts[2]).text, format, bytes});
  return push({Kind::storage, static_cast<std::int64_t>(storages_.size() - 1), "", {}});
}

Result<void> Machine::reduce() {
  BREAKEVEN_TRY(const Ref arguments, pop());
  BREAKEVEN_TRY(const Ref callable, pop());
  if (at(callable).kind != Kind::name || at(arguments).kind != Kind::tuple) return misfit();
  const std::string& name = at(callable).text;
  const std::vector<Ref>& items = at(arguments).items;
  if (name == kOrderedDict && items.empty()) return push({Kind::dict, 0, "", {}});
  if (is_one_of(kTensorMakers, name)) return make_tensor(at(arguments));
  const bool is_parameter = is_one_of(kParameterMakers, name);
  const Kind wanted = is_parameter ? Kind::tensor : Kind::tuple;
  if ((!is_parameter && name != kSize) || items.empty() || at(items[0]).kind != wanted) {
    return misfit();
  }
  stack_.push_back(items[0]);
  return {};
}

// A tuple of whole numbers from 0 on.
std::optional<std::vector<std::size_t>> Machine::extents(Ref ref) const {
  if (at(ref).kind != Kind::tuple || at(ref).items.size() > kMostDimensions) return std::nullopt;
  std::vector<std::size_t> extents;
  for (const Ref item : at(ref).items) {
    if (at(item).kind != Kind::integer || at(item).integer < 0) return std::nullopt;
    extents.push_back(static_cast<std::size_t>(at(item).integer));
  }
  return extents;
}

// Whether the last element lies within the storage, and nothing overflows.
bool fits(const PickledTensor& tensor) {
  std::size_t last = tensor.offset;
  std::size_t count = 1;
  bool empty = false;
  for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
    const std::size_t size = tensor.shape[i];
    empty = empty || size == 0;
    std::size_t way = 0;
    if (size > 0 &&
        (__builtin_mul_overflow(size - 1, tensor.strides[i], &way) ||
         __builtin_add_overflow(last, way, &last) || __builtin_mul_overflow(count, size, &count))) {
      return false;
    }
  }
  std::size_t bytes = 0;
  return empty ||
         (last < SIZE_MAX && !__builtin_mul_overflow(count, tensor.element_bytes, &bytes) &&
          !__builtin_mul_overflow(last + 1, tensor.element_bytes, &bytes) &&
          bytes <= tensor.storage_bytes);
}

// (storage, offset, sizes, strides, requires_grad, hooks[, dtype in version 3])
Result<void> Machine::make_tensor(const Value& arguments) {
  const std::vector<Ref>& parts = arguments.items;
  if (parts.size() < 4 || at(parts[0]).kind != Kind::storage ||
      at(parts[1]).kind != Kind::integer) {
    return misfit();
  }
  const Storage& storage = storages_[static_cast<std::size_t>(at(parts[0]).integer)];
  const TorchFormat* format = storage.format;
  if (parts.size() > 6 && at(parts[6]).kind == Kind::name) {
    format = find_torch_dtype(at(parts[6]).text);
    if (format == nullptr) return misfit();
  }
  const auto shape = extents(parts[2]);
  const auto strides = extents(parts[3]);
  if (!shape || !strides || shape->size() != strides->size() || at(parts[1]).integer < 0) {
    return broken(
        "tensor",
        fmt::format("a tensor in it (in its storage {}) has an impossible shape", storage.key));
  }
  PickledTensor tensor{"",
                       std::string(format->dtype),
                       *shape,
                       *strides,
                       static_cast<std::size_t>(at(parts[1]).integer),
                       storage.key,
                       storage.bytes,
                       format->bytes};
  if (!fits(tensor)) {
    return broken("tensor", fmt::format("a tensor in it reaches beyond its storage {} of {} bytes",
                                        storage.key, storage.bytes));
  }
  tensors_.push_back(std::move(tensor));
  return push({Kind::tensor, static_cast<std::int64_t>(tensors_.size() - 1), "", {}});
}

// Attributes of a dict: state dicts keep the versions of their modules there.
Result<void> Machine::build() {
  BREAKEVEN_TRY([[maybe_unused]] const Ref state, pop());
  if (stack_.empty() || at(stack_.back()).kind != Kind::dict) return misfit();
  return {};
}

std::optional<Result<void>> Machine::containers(std::uint8_t code) {
  switch (code) {
    case '(':
      marks_.push_back(stack_.size());
      return Result<void>();
    case '}':
      return push({Kind::dict, 0, "", {}});
    case ']':
      return push({Kind::list, 0, "", {}});
    case ')':
      return tuple_of(0);
    case 0x85:
      return tuple_of(1);
    case 0x86:
      return tuple_of(2);
    case 0x87:
      return tuple_of(3);
    case 't':
      return with(pop_to_mark(), [this](std::vector<Ref> items) {
        return push({Kind::tuple, 0, "", std::move(items)});
      });
    case 'a':
      return with(pop(), [this](Ref item) { return extend(Kind::list, {item}); });
    case 'e':
      return with(pop_to_mark(),
                  [this](const std::vector<Ref>& items) { return extend(Kind::list, items); });
    case 's':
      return with(pop(), [this](Ref value) {
        return with(pop(), [&](Ref key) { return extend(Kind::dict, {key, value}); });
      });
    case 'u':
      return with(pop_to_mark(),
                  [this](const std::vector<Ref>& items) { return extend(Kind::dict, items); });
    default:
      return std::nullopt;
  }
}

std::optional<Result<void>> Machine::constants(std::uint8_t code) {
  const auto as_integer = [this](auto value) { return push_integer(value); };
  const auto as_text = [this](auto size) { return push_text(size); };
  switch (code) {
    case 'N':   // None
    case 0x88:  // True
    case 0x89:  // False
      return push({});
    case 'G':  // a float
      return with(take(sizeof(double)), [this](Bytes) { return push({}); });
    case 'J':
      return with(number<std::int32_t>(), as_integer);
    case 'K':
      return with(number<std::uint8_t>(), as_integer);
    case 'M':
      return with(number<std::uint16_t>(), as_integer);
    case 0x8A:
      return with(number<std::uint8_t>(), [this](std::uint8_t size) { return push_long(size); });
    case 0x8B:
      return with(number<std::uint32_t>(), [this](std::uint32_t size) { return push_long(size); });
    case 0x8C:  // UTF-8 by its length in 1, 4 and 8 bytes
    case 'U':   // what Python 2 called a string
      return with(number<std::uint8_t>(), as_text);
    case 'X':
    case 'T':
      return with(number<std::uint32_t>(), as_text);
    case 0x8D:
      return with(number<std::uint64_t>(), as_text);
    default:
      return std::nullopt;
  }
}

std::optional<Result<void>> Machine::others(std::uint8_t code) {
  const auto as_key = [this](auto key) { return memoize(key); };
  const auto from_key = [this](auto key) { return recall(key); };
  switch (code) {
    case 0x80:  // protocol
      return with(number<std::uint8_t>(), [this](std::uint8_t version) -> Result<void> {
        if (version >= 2 && version <= 5) return {};
        return broken("instruction",
                      fmt::format("its pickle has protocol {}, not 2 to 5", version));
      });
    case 0x95:  // a frame's size
      return skip(sizeof(std::uint64_t));
    case 'q':
      return with(number<std::uint8_t>(), as_key);
    case 'r':
      return with(number<std::uint32_t>(), as_key);
    case 0x94:
      return memoize(static_cast<std::uint32_t>(memo_.size()));
    case 'h':
      return with(number<std::uint8_t>(), from_key);
    case 'j':
      return with(number<std::uint32_t>(), from_key);
    case 'c':
      return with(line(), [this](const std::string& module) {
        return with(line(),
                    [&](const std::string& name) { return push_name(module + "." + name); });
      });
    case 0x93:
      return stack_global();
    case 'Q':
      return persistent_id();
    case 'R':
      return reduce();
    case 'b':
      return build();
    default:
      return std::nullopt;
  }
}

Result<std::vector<PickledTensor>> Machine::state_dict() {
  if (size_ > kMostBytes) {
    return broken("too-large",
                  fmt::format("its pickle has {} bytes, too many for a state dict", size_));
  }
  for (;;) {
    at_ = size_ - rest_.size();
    BREAKEVEN_TRY(const std::uint8_t code, number<std::uint8_t>());
    if (code == '.') break;
    auto done = containers(code);
    if (!done) done = constants(code);
    if (!done) done = others(code);
    if (!done) {
      return broken(
          "instruction",
          fmt::format("its pickle has the instruction 0x{:02X} at byte {}, which no state "
                      "dict needs; nothing in the file is run",
                      code, at_));
    }
    if (!*done) return propagate(*std::move(done));
  }
  BREAKEVEN_TRY(const Ref top, pop());
  constexpr const char* kHint = "save the classifier's own: model.save_pretrained(FOLDER)";
  if (at(top).kind != Kind::dict)
    return broken("not-a-state-dict", "it holds no state dict", kHint);
  std::vector<PickledTensor> tensors;
  std::unordered_map<std::string_view, std::size_t> places;
  const std::vector<Ref>& items = at(top).items;
  for (std::size_t i = 0; i < items.size(); i += 2) {
    const Value& key = at(items[i]);
    const Value& value = at(items[i + 1]);
    const bool holds_more =
        value.kind == Kind::dict || value.kind == Kind::list || value.kind == Kind::tuple;
    if (key.kind != Kind::text || (holds_more && !value.items.empty())) {
      return broken(
          "not-a-state-dict",
          fmt::format("\"{}\" in it is no tensor: this is a training checkpoint or another "
                      "program's file",
                      printable(key.text, 100)),
          kHint);
    }
    if (value.kind != Kind::tensor) continue;
    PickledTensor tensor = tensors_[static_cast<std::size_t>(value.integer)];
    tensor.name = key.text;
    const auto [place, is_new] = places.emplace(key.text, tensors.size());
    if (is_new) {
      tensors.push_back(std::move(tensor));
    } else {
      tensors[place->second] = std::move(tensor);
    }
  }
  if (tensors.empty()) return broken("not-a-state-dict", "it holds no tensors", kHint);
  return tensors;
}

}  // namespace

std::size_t PickledTensor::count() const {
  std::size_t count = 1;
  for (const std::size_t size : shape) count *= size;
  return count;
}

bool PickledTensor::is_contiguous() const {
  std::size_t stride = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    if (shape[i] != 1 && strides[i] != stride) return false;
    stride *= shape[i];
  }
  return true;
}

Result<std::vector<PickledTensor>> read_state_dict(Bytes pickle, const std::string& where) {
  return Machine(pickle, where).state_dict();
}

}  // namespace breakeven::model
