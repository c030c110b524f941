// safetensors files, read in place from a memory mapping: 8 bytes of header length (little endian),
// a JSON header, then the data of all tensors without gap or overlap.
//
// A file is checked whole before a tensor of it can be had. Errors, one for each cause:
//   safetensors/too-short         fewer than 8 bytes
//   safetensors/lfs-pointer       Git LFS's pointer to a file that was never downloaded
//   safetensors/header-too-small  a header of fewer than 2 bytes
//   safetensors/header-too-large  a header of more than 100 MB
//   safetensors/header-truncated  the file ends within the header
//   safetensors/header-utf8, safetensors/header-json
//   safetensors/metadata          __metadata__ is not a map of texts
//   safetensors/duplicate-name    a tensor twice
//   safetensors/field             an entry without dtype, shape, data_offsets, or with others
//   safetensors/dtype             a dtype that the format does not know
//   safetensors/shape             a dimension that is not a whole number from 0 on
//   safetensors/overflow          shape x dtype exceeds 2^64 bits
//   safetensors/offsets           data_offsets are not two numbers, begin <= end
//   safetensors/size              data_offsets hold another number of bytes than shape x dtype
//   safetensors/overlap, safetensors/gap
//   safetensors/truncated         data_offsets beyond the end of the file
//   safetensors/trailing-bytes    bytes after the last tensor
// and those of MappedFile::open.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/result.h"

namespace breakeven::model {

struct TensorEntry {
  std::string name;
  std::string dtype;               // "F32", "F16", "BF16", "I64" ...
  std::vector<std::size_t> shape;  // {} for a scalar
  std::size_t begin = 0;           // bytes from the start of the data
  std::size_t end = 0;
};

struct SafetensorsHeader {
  std::vector<TensorEntry> tensors;  // in the order of their data
  std::size_t data_begin = 0;        // bytes from the start of the file
};

// Reads and checks the header against the size of the file that `bytes` is. `where` names it in
// errors.
Result<SafetensorsHeader> parse_safetensors(std::span<const std::byte> bytes,
                                            const std::string& where);

class SafetensorsFile {
 public:
  static Result<SafetensorsFile> open(const std::string& path);

  const std::vector<TensorEntry>& tensors() const { return header_.tensors; }
  // The data of an entry of tensors(), in the mapping; aligned to nothing.
  std::span<const std::byte> data(const TensorEntry& entry) const {
    return file_.bytes().subspan(header_.data_begin + entry.begin, entry.end - entry.begin);
  }
  std::span<const std::byte> bytes() const { return file_.bytes(); }
  const std::string& path() const { return file_.path(); }

 private:
  SafetensorsFile(MappedFile file, SafetensorsHeader header)
      : file_(std::move(file)), header_(std::move(header)) {}
  MappedFile file_;
  SafetensorsHeader header_;
};

// Exact conversions of every value, subnormals, infinities and NaNs included. `from` holds
// to.size() little-endian numbers.
void convert_f16(std::span<const std::byte> from, std::span<float> to);
void convert_bf16(std::span<const std::byte> from, std::span<float> to);

// "[2, 768]", "[]".
std::string shape_text(std::span<const std::size_t> shape);

}  // namespace breakeven::model
