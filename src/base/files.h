// Files: what stands at a path, memory-mapped reading, whole-file reading, and writing that never
// leaves half a file behind.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace breakeven {

// What stands at a path; links are followed. `file` is everything that is no folder.
enum class PathKind { nothing, file, folder };
// A name that is too long for any file is `nothing`. Errors: file/unreadable (for example a folder
// on the way that this user may not enter).
Result<PathKind> look_at(const std::string& path);
// The same as yes or no, for places where it does not matter why something cannot be used.
bool is_there(const std::string& path);
bool is_folder(const std::string& path);

// What a file is, by its first bytes: a tar archive (512 of them tell), Git LFS's pointer to a
// file.
bool is_tar(std::string_view head);
bool is_git_lfs_pointer(std::string_view head);

// What a folder holds, in no order. Errors: file/unreadable.
Result<std::vector<std::filesystem::path>> list_folder(const std::filesystem::path& folder);
// The same; empty where the folder cannot be read.
std::vector<std::filesystem::path> entries_of(const std::filesystem::path& folder);

// A read-only mapping of a whole file; unmapped on destruction. Movable, not copyable.
class MappedFile {
 public:
  // Errors: file/missing, file/not-a-file, file/unreadable. An empty file gives an empty span.
  static Result<MappedFile> open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }
  const std::string& path() const { return path_; }

 private:
  MappedFile() = default;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::string path_;
};

// The whole file as bytes. Errors as MappedFile::open.
Result<std::string> read_file(const std::string& path);

// Writes a temporary file beside `path`, syncs it and renames it into place, so that a reader sees
// the old or the new content and a full disk loses nothing. Errors: file/unwritable.
Result<void> write_file_atomic(const std::string& path, std::string_view content);
// The same for content that lies in several places, one after the other.
Result<void> write_file_atomic(const std::string& path, std::span<const std::string_view> parts);

// $XDG_CACHE_HOME/breakeven or ~/.cache/breakeven; made if it is missing. Errors: file/unwritable.
Result<std::string> cache_folder();

}  // namespace breakeven
