// Builds files as torch.save writes them, for tests: a zip file with a pickle and raw storages.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace breakeven::model::testing {

template <class T>
std::string little_endian(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

// Pickle instructions of protocol 2, as Python's pickler writes them.
namespace pickle {

inline std::string text(std::string_view value) {
  return "X" + little_endian(static_cast<std::uint32_t>(value.size())) + std::string(value);
}
inline std::string name(std::string_view module, std::string_view attribute) {
  return "c" + std::string(module) + "\n" + std::string(attribute) + "\n";
}
inline std::string integer(std::int64_t value) {
  return "\x8A\x08" + little_endian(value);
}
inline std::string tuple(const std::vector<std::string>& items) {
  std::string all = "(";
  for (const std::string& item : items) all += item;
  return all + "t";
}
inline std::string integers(const std::vector<std::size_t>& values) {
  std::vector<std::string> items;
  for (const std::size_t value : values) items.push_back(integer(static_cast<std::int64_t>(value)));
  return tuple(items);
}
inline std::string call(const std::string& callable, const std::vector<std::string>& arguments) {
  return callable + tuple(arguments) + "R";
}
// What torch._utils calls a storage: "FloatStorage" of `elements` in data/KEY.
inline std::string storage(std::string_view kind, std::string_view key, std::size_t elements) {
  return tuple({text("storage"), name("torch", kind), text(key), text("cpu"),
                integer(static_cast<std::int64_t>(elements))}) +
         "Q";
}
inline std::string ordered_dict() {
  return call(name("collections", "OrderedDict"), {});
}
inline std::vector<std::size_t> strides_of(const std::vector<std::size_t>& shape) {
  std::vector<std::size_t> strides(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}
inline std::string tensor(const std::string& storage, std::size_t offset,
                          const std::vector<std::size_t>& shape,
                          const std::vector<std::size_t>& strides) {
  return call(name("torch._utils", "_rebuild_tensor_v2"),
              {storage, integer(static_cast<std::int64_t>(offset)), integers(shape),
               integers(strides), "\x89", ordered_dict()});
}
inline std::string tensor(const std::string& storage, const std::vector<std::size_t>& shape) {
  return tensor(storage, 0, shape, strides_of(shape));
}
// A whole pickle of an OrderedDict. `entries`: key, value.
inline std::string dict(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string all = "\x80\x02" + ordered_dict() + "(";
  for (const auto& [key, value] : entries) all += text(key) + value;
  return all + "u}" + text("_metadata") + ordered_dict() + "sb.";
}

}  // namespace pickle

// A zip file of stored members, or deflated ones (in blocks that do not compress).
class ZipBuilder {
 public:
  enum class Form { plain, deflated, wide };  // wide: zip64
  explicit ZipBuilder(Form form = Form::plain) : form_(form) {}

  ZipBuilder& add(std::string_view name, std::string_view content) {
    const std::string stored = form_ == Form::deflated ? deflated(content) : std::string(content);
    const std::uint64_t at = file_.size();
    file_ +=
        "PK\x03\x04" + common(name, stored.size(), content.size(), "") + std::string(name) + stored;
    const bool wide = form_ == Form::wide;
    const std::string extra =
        wide ? little_endian<std::uint16_t>(1) + little_endian<std::uint16_t>(24) +
                   little_endian<std::uint64_t>(content.size()) +
                   little_endian<std::uint64_t>(stored.size()) + little_endian(at)
             : "";
    directory_ +=
        "PK\x01\x02" + little_endian<std::uint16_t>(20) +
        common(name, wide ? UINT32_MAX : stored.size(), wide ? UINT32_MAX : content.size(), extra) +
        std::string(10, '\0') + little_endian(wide ? UINT32_MAX : static_cast<std::uint32_t>(at)) +
        std::string(name) + extra;
    ++count_;
    return *this;
  }
  std::string build() const {
    const std::uint64_t begin = file_.size();
    const bool wide = form_ == Form::wide;
    std::string all = file_ + directory_;
    if (wide) {
      const std::uint64_t end = all.size();
      all += "PK\x06\x06" + little_endian<std::uint64_t>(44) + std::string(12, '\0') +
             little_endian<std::uint64_t>(count_) + little_endian<std::uint64_t>(count_) +
             little_endian<std::uint64_t>(directory_.size()) + little_endian(begin);
      all += "PK\x06\x07" + little_endian<std::uint32_t>(0) + little_endian(end) +
             little_endian<std::uint32_t>(1);
    }
    const auto number = [wide](std::uint64_t value) {
      return little_endian(wide ? UINT32_MAX : static_cast<std::uint32_t>(value));
    };
    const auto count =
        little_endian(wide ? std::uint16_t{0xFFFF} : static_cast<std::uint16_t>(count_));
    return all + "PK\x05\x06" + std::string(4, '\0') + count + count + number(directory_.size()) +
           number(begin) + std::string(2, '\0');
  }

 private:
  static std::string deflated(std::string_view content) {
    std::string out;
    do {
      const auto size = static_cast<std::uint16_t>(std::min<std::size_t>(content.size(), 0xFFFF));
      out += content.size() == size ? '\1' : '\0';
      out += little_endian(size) + little_endian(static_cast<std::uint16_t>(~size));
      out += content.substr(0, size);
      content.remove_prefix(size);
    } while (!content.empty());
    return out;
  }
  // From "version needed" to the length of the extra field, with a checksum that nobody looks at.
  std::string common(std::string_view name, std::size_t stored, std::size_t size,
                     const std::string& extra) const {
    return little_endian<std::uint16_t>(20) + std::string(2, '\0') +
           little_endian<std::uint16_t>(form_ == Form::deflated ? 8 : 0) + std::string(8, '\0') +
           little_endian(static_cast<std::uint32_t>(stored)) +
           little_endian(static_cast<std::uint32_t>(size)) +
           little_endian(static_cast<std::uint16_t>(name.size())) +
           little_endian(static_cast<std::uint16_t>(extra.size()));
  }

  Form form_;
  std::string file_, directory_;
  std::size_t count_ = 0;
};

// A state dict, one storage a tensor, as torch.save(model.state_dict(), path) writes it.
class TorchBuilder {
 public:
  TorchBuilder& add(const std::string& name, std::string_view kind, std::size_t element_bytes,
                    const std::vector<std::size_t>& shape, const std::string& data) {
    const std::string key = std::to_string(storages_.size());
    storages_.push_back(data);
    return add_pickled(
        name, pickle::tensor(pickle::storage(kind, key, data.size() / element_bytes), shape));
  }
  TorchBuilder& add_pickled(const std::string& name, const std::string& value) {
    entries_.emplace_back(name, value);
    return *this;
  }
  std::string build(ZipBuilder::Form form = ZipBuilder::Form::plain) const {
    return build_with(pickle::dict(entries_), form);
  }
  // With another pickle over the same storages.
  std::string build_with(const std::string& pickle,
                         ZipBuilder::Form form = ZipBuilder::Form::plain) const {
    ZipBuilder zip(form);
    zip.add("archive/data.pkl", pickle).add("archive/byteorder", "little");
    for (std::size_t i = 0; i < storages_.size(); ++i) {
      zip.add("archive/data/" + std::to_string(i), storages_[i]);
    }
    return zip.add("archive/version", "3\n").build();
  }

 private:
  std::vector<std::string> storages_;
  std::vector<std::pair<std::string, std::string>> entries_;
};

}  // namespace breakeven::model::testing
