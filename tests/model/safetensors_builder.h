// Builds safetensors files for tests: right ones from tensors, and wrong ones from a header's text.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace breakeven::model::testing {

// 8 bytes of length, the header, the data; `length` lies about the header where it is given.
inline std::string safetensors(std::string_view header, std::string_view data,
                               std::uint64_t length = UINT64_MAX) {
  if (length == UINT64_MAX) length = header.size();
  std::string file(sizeof(length), '\0');
  std::memcpy(file.data(), &length, sizeof(length));
  return file.append(header).append(data);
}

template <class T>
std::string raw_bytes(std::span<const T> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

class SafetensorsBuilder {
 public:
  SafetensorsBuilder& add(std::string_view name, std::string_view dtype,
                          const std::vector<std::size_t>& shape, std::string_view data) {
    header_ += fmt::format(R"({}"{}":{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                           header_.empty() ? "" : ",", name, dtype, fmt::join(shape, ","),
                           data_.size(), data_.size() + data.size());
    data_ += data;
    return *this;
  }
  SafetensorsBuilder& add_f32(std::string_view name, const std::vector<std::size_t>& shape,
                              std::span<const float> values) {
    return add(name, "F32", shape, raw_bytes(values));
  }
  // `pad` spaces behind the header shift the data, so that it can stand at an odd address.
  std::string build(std::size_t pad = 0) const {
    return safetensors("{" + header_ + "}" + std::string(pad, ' '), data_);
  }

 private:
  std::string header_;
  std::string data_;
};

inline void write_file(const std::filesystem::path& path, std::string_view content) {
  std::ofstream(path, std::ios::binary) << content;
}

}  // namespace breakeven::model::testing
