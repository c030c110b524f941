#include "model/torch_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace breakeven::model {
namespace {

using Bytes = std::span<const std::byte>;

constexpr const char* kFetchAgain = "the file is damaged: fetch or save it again";

tl::unexpected<Error> refuse(const char* cause, const std::string& where, const std::string& what,
                             const std::string& hint = kFetchAgain) {
  return fail(fmt::format("torch/{}", cause), fmt::format("{}: {}", where, what), hint);
}

Result<void> check_kind(Bytes bytes, const std::string& where) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  // torch.save's magic number, as the first value of the first pickle of several.
  constexpr std::string_view kOldMagic = "\x8A\x0A\x6C\xFC\x9C\x46\xF9\x20\x6A\xA8\x50\x19";
  if (text.starts_with("PK\x03\x04")) return {};
  if (is_git_lfs_pointer(text)) {
    return refuse("lfs-pointer", where, "this is only Git LFS's pointer to the file",
                  "run git lfs pull in the model's folder, or breakeven fetch");
  }
  const bool tar = is_tar(text);
  const bool is_chain =
      text.size() > 2 && text.front() == '\x80' && text.substr(2).starts_with(kOldMagic);
  if (tar || is_chain) {
    return refuse("old-format", where, "it is in the format that PyTorch wrote before 1.6",
                  fmt::format("convert it once: python3 -c \"import torch; F = '{}'; "
                              "torch.save(torch.load(F, map_location='cpu'{}), F)\"",
                              where, tar ? ", weights_only=False" : ""));
  }
  return refuse("not-torch", where, "this is no file of torch.save");
}

// The folder that all members lie in, "archive/"; torch.save names it after the file.
Result<std::string> find_prefix(const std::vector<ZipMember>& members, const std::string& where) {
  const auto has = [&](std::string_view name) {
    return std::any_of(members.begin(), members.end(),
                       [name](const ZipMember& each) { return each.name == name; });
  };
  constexpr std::string_view kPickle = "data.pkl";
  for (const ZipMember& member : members) {
    if (!member.name.ends_with(kPickle)) continue;
    std::string prefix(member.name.substr(0, member.name.size() - kPickle.size()));
    if (!prefix.empty() && !prefix.ends_with('/')) continue;
    if (!has(prefix + "constants.pkl")) return prefix;
    return refuse("script", where, "it is a TorchScript program, not a state dict",
                  "save the weights alone: model.save_pretrained(FOLDER)");
  }
  return refuse("not-torch", where, "it is a zip file without the data.pkl of torch.save",
                "give the file as torch.save or save_pretrained wrote it");
}

// The content of a member; `room` keeps what is unpacked.
Result<Bytes> content(const ZipMember& member, const std::string& where,
                      std::vector<std::byte>& room) {
  if (!member.deflated) return member.data;
  BREAKEVEN_TRY(room, inflate(member, where));
  return Bytes(room);
}

// Copies the values of a view in the order of its indices.
void gather(const PickledTensor& tensor, const std::byte* storage, std::byte* to) {
  std::vector<std::size_t> index(tensor.shape.size(), 0);
  std::size_t at = tensor.offset;
  for (std::size_t left = tensor.count(); left > 0; --left) {
    std::memcpy(to, storage + at * tensor.element_bytes, tensor.element_bytes);
    to += tensor.element_bytes;
    for (std::size_t d = index.size(); d-- > 0;) {
      at += tensor.strides[d];
      if (++index[d] < tensor.shape[d]) break;
      at -= tensor.strides[d] * tensor.shape[d];
      index[d] = 0;
    }
  }
}

}  // namespace

Result<TorchHeader> parse_torch(Bytes bytes, const std::string& where) {
  BREAKEVEN_TRY_VOID(check_kind(bytes, where));
  BREAKEVEN_TRY(const std::vector<ZipMember> members, read_zip(bytes, where));
  BREAKEVEN_TRY(const std::string prefix, find_prefix(members, where));
  TorchHeader header;
  std::vector<std::byte> room;
  Bytes pickle;
  for (const ZipMember& member : members) {
    std::string_view name = member.name;
    if (!name.starts_with(prefix)) continue;
    name.remove_prefix(prefix.size());
    if (name == "data.pkl") {
      BREAKEVEN_TRY(pickle, content(member, where, room));
    } else if (name == "byteorder" && !member.deflated && !member.data.empty() &&
               member.data.front() == std::byte{'b'}) {
      return refuse("big-endian", where, "its numbers are big endian",
                    "save it again on a little-endian machine, or as safetensors");
    } else if (name.starts_with("data/")) {
      header.storages.emplace(name.substr(5), member);
    }
  }
  BREAKEVEN_TRY(header.tensors, read_state_dict(pickle, where));
  for (const PickledTensor& tensor : header.tensors) {
    const auto storage = header.storages.find(tensor.storage);
    if (storage != header.storages.end() && storage->second.size == tensor.storage_bytes) continue;
    return refuse("storage", where,
                  fmt::format("the storage {} of {} {}", tensor.storage, tensor.name,
                              storage == header.storages.end()
                                  ? "is missing"
                                  : fmt::format("has {} bytes, not {}", storage->second.size,
                                                tensor.storage_bytes)));
  }
  return header;
}

Result<TorchFile> TorchFile::open(const std::string& path) {
  BREAKEVEN_TRY(MappedFile file, MappedFile::open(path));
  BREAKEVEN_TRY(TorchHeader header, parse_torch(file.bytes(), path));
  return TorchFile(std::move(file), std::move(header));
}

Result<Bytes> TorchFile::data(const PickledTensor& tensor) {
  const ZipMember& member = header_.storages.find(tensor.storage)->second;
  Bytes storage = member.data;
  if (member.deflated) {
    const auto [unpacked, is_new] = inflated_.try_emplace(tensor.storage);
    if (is_new) {
      BREAKEVEN_TRY(unpacked->second, inflate(member, path()));
    }
    storage = unpacked->second;
  }
  const std::size_t size = tensor.count() * tensor.element_bytes;
  if (size == 0) return Bytes();
  if (tensor.is_contiguous()) return storage.subspan(tensor.offset * tensor.element_bytes, size);
  gathered_.emplace_back(size);
  gather(tensor, storage.data(), gathered_.back().data());
  return Bytes(gathered_.back());
}

}  // namespace breakeven::model
