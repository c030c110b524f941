// What torch.save writes of a state dict (pytorch_model.bin), read in place: a zip file with a
// pickle, which names the tensors, and one member of raw numbers for each storage. Nothing in it is
// run. Errors: those of zip.h and pickle.h, and
//   torch/lfs-pointer  Git LFS's pointer to a file that was never downloaded
//   torch/old-format   written before PyTorch 1.6, which was no zip file
//   torch/not-torch    no file of torch.save
//   torch/script       a TorchScript program
//   torch/big-endian   written on a machine of the other byte order
//   torch/storage      a storage that is missing or has another size than its tensors say
// and those of MappedFile::open.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/result.h"
#include "model/pickle.h"
#include "model/zip.h"

namespace breakeven::model {

struct TorchHeader {
  std::vector<PickledTensor> tensors;
  std::map<std::string, ZipMember, std::less<>> storages;  // by key; they point into the file
};

// Reads and checks all but the numbers. `where` names the file in errors.
Result<TorchHeader> parse_torch(std::span<const std::byte> bytes, const std::string& where);

class TorchFile {
 public:
  static Result<TorchFile> open(const std::string& path);

  const std::vector<PickledTensor>& tensors() const { return header_.tensors; }
  // The values of one of tensors(), one behind the other; aligned to nothing. They lie in the
  // mapping, or, of a deflated storage or a view that leaves values out, in memory that the file
  // keeps.
  Result<std::span<const std::byte>> data(const PickledTensor& tensor);
  std::span<const std::byte> bytes() const { return file_.bytes(); }
  const std::string& path() const { return file_.path(); }

 private:
  TorchFile(MappedFile file, TorchHeader header)
      : file_(std::move(file)), header_(std::move(header)) {}
  MappedFile file_;
  TorchHeader header_;
  std::map<std::string, std::vector<std::byte>> inflated_;  // by key
  std::vector<std::vector<std::byte>> gathered_;
};

}  // namespace breakeven::model
