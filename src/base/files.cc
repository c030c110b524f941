#include "base/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "base/descriptor.h"
#include "base/unwritable.h"

namespace breakeven {
namespace {

std::string reason(int error_number) {
  return std::generic_category().message(error_number);
}

tl::unexpected<Error> unreadable(const std::string& path, int error_number) {
  return fail("file/unreadable", fmt::format("cannot read {}: {}", path, reason(error_number)));
}

}  // namespace

Result<PathKind> look_at(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) {
    return S_ISDIR(status.st_mode) ? PathKind::folder : PathKind::file;
  }
  if (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG) return PathKind::nothing;
  return unreadable(path, errno);
}

bool is_there(const std::string& path) {
  return look_at(path).value_or(PathKind::nothing) != PathKind::nothing;
}

bool is_folder(const std::string& path) {
  return look_at(path).value_or(PathKind::nothing) == PathKind::folder;
}

bool is_tar(std::string_view head) {
  constexpr std::size_t kMagicAt = 257;
  return head.size() > kMagicAt && head.substr(kMagicAt).starts_with("ustar");
}

bool is_git_lfs_pointer(std::string_view head) {
  return head.starts_with("version https://git-lfs");
}

Result<std::vector<std::filesystem::path>> list_folder(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> entries;
  std::error_code error;
  // Not a range-for: its ++ throws.
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    entries.push_back(entry->path());
  }
  if (error) return unreadable(folder.string(), error.value());
  return entries;
}

std::vector<std::filesystem::path> entries_of(const std::filesystem::path& folder) {
  return list_folder(folder).value_or(std::vector<std::filesystem::path>{});
}

Result<MappedFile> MappedFile::open(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) {
    if (errno == ENOENT || errno == ENOTDIR) {
      return fail("file/missing", fmt::format("there is no file {}", path));
    }
    return unreadable(path, errno);
  }
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return unreadable(path, errno);
  if (!S_ISREG(status.st_mode)) {
    return fail("file/not-a-file", fmt::format("{} is not a regular file", path));
  }
  MappedFile mapped;
  mapped.path_ = path;
  mapped.size_ = static_cast<std::size_t>(status.st_size);
  if (mapped.size_ > 0) {
    void* data = ::mmap(nullptr, mapped.size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (data == MAP_FAILED) {
      mapped.size_ = 0;
      return fail("file/unreadable", fmt::format("cannot map {}: {}", path, reason(errno)));
    }
    mapped.data_ = static_cast<const std::byte*>(data);
  }
  return mapped;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      path_(std::move(other.path_)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(path_, other.path_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

Result<std::string> read_file(const std::string& path) {
  BREAKEVEN_TRY(const MappedFile file, MappedFile::open(path));
  return std::string(file.text());
}

Result<void> write_file_atomic(const std::string& path, std::string_view content) {
  return write_file_atomic(path, {&content, 1});
}

Result<void> write_file_atomic(const std::string& path, std::span<const std::string_view> parts) {
  std::string temporary = path + ".XXXXXX";
  const Descriptor file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (file.get() < 0) {
    return unwritable(path, errno);
  }
  // mkostemp makes 0600 files; a result is for others to read as well.
  const mode_t mask = ::umask(0);
  ::umask(mask);
  ::fchmod(file.get(), 0666 & ~mask);
  int error = 0;
  for (const std::string_view part : parts) {
    if (error == 0) error = write_fully(file.get(), part);
  }
  if (error == 0 && ::fsync(file.get()) != 0) error = errno;
  if (error == 0 && ::rename(temporary.c_str(), path.c_str()) != 0) error = errno;
  if (error == 0) return {};
  ::unlink(temporary.c_str());
  return unwritable(path, error);
}

Result<std::string> cache_folder() {
  std::filesystem::path folder;
  if (const char* xdg = std::getenv("XDG_CACHE_HOME"); xdg != nullptr && xdg[0] == '/') {
    folder = xdg;
  } else if (const char* home = std::getenv("HOME"); home != nullptr && home[0] != '\0') {
    folder = std::filesystem::path(home) / ".cache";
  } else {
    return fail("file/unwritable", "there is no cache folder: HOME is not set",
                "set XDG_CACHE_HOME to a folder that you may write to");
  }
  folder /= "breakeven";
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    return fail("file/unwritable",
                fmt::format("cannot make {}: {}", folder.string(), error.message()),
                "set XDG_CACHE_HOME to a folder that you may write to");
  }
  return folder.string();
}

}  // namespace breakeven
