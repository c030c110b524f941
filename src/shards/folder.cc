#include "shards/folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <random>
#include <utility>

#include "base/content_hash.h"
#include "base/descriptor.h"
#include "base/files.h"
#include "base/unwritable.h"

namespace breakeven::shards {
namespace {

// What two processes never share, on whatever machines: they may have one pid and one clock.
std::string process_mark() {
  static const std::string kMark = [] {
    std::random_device random;
    return fmt::format("{}-{:08x}{:08x}", static_cast<long>(::getpid()), random(), random());
  }();
  return kMark;
}

Result<void> make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0777) == 0 || errno == EEXIST) return {};
  return unwritable(path, errno);
}

bool is_ours(const std::string& name) {
  return name == Folder::kPlan || name == Folder::kDone || name == Folder::kAside ||
         name == Folder::kFinished || name.starts_with("part-");
}

}  // namespace

Result<Folder> Folder::open(const std::string& path) {
  Folder folder(path.size() > 1 && path.ends_with('/') ? path.substr(0, path.size() - 1) : path);
  BREAKEVEN_TRY(const PathKind kind, look_at(folder.path_));
  if (kind == PathKind::file) {
    return fail("shards/foreign-folder",
                fmt::format("{} is a file, and shards go into a folder", folder.path_),
                "name another --output");
  }
  BREAKEVEN_TRY_VOID(make_folder(folder.path_));
  BREAKEVEN_TRY(const auto entries, list_folder(folder.path_));
  // Asked after the names, which may have been listed while others were planning.
  BREAKEVEN_TRY(const bool planned, folder.has(kPlan));
  for (const std::filesystem::path& entry : entries) {
    const std::string name = entry.filename().string();
    // Someone may look at the results with a tool that leaves a file.
    if (planned || (is_ours(name) && !name.starts_with("part-"))) continue;
    return fail(
        "shards/foreign-folder",
        fmt::format("{} holds {} and no {}: it is no job's folder", folder.path_, name, kPlan),
        "name a new folder, or an empty one");
  }
  BREAKEVEN_TRY_VOID(make_folder(folder.at(kDone)));
  BREAKEVEN_TRY_VOID(make_folder(folder.at(kAside)));
  return folder;
}

Result<bool> Folder::has(const std::string& name) {
  BREAKEVEN_TRY(const PathKind kind, look_at(at(name)));
  return kind != PathKind::nothing;
}

Result<Seen> Folder::look(const std::string& name) {
  BREAKEVEN_TRY(const MappedFile file, MappedFile::open(at(name)));
  const std::string_view text = file.text();
  return Seen{text.size(), static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n')),
              sha256_hex(text)};
}

Result<void> Folder::write_aside(const std::string& name, std::string_view content) {
  const Descriptor file(::open(at(name).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!file.is_open()) return unwritable(at(name), errno);
  if (const int error = write_fully(file.get(), content); error != 0) {
    return unwritable(at(name), error);
  }
  return {};
}

Result<bool> Folder::publish(const std::string& aside, const std::string& name) {
  {
    const Descriptor file(::open(at(aside).c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.is_open() || ::fsync(file.get()) != 0) return unwritable(at(aside), errno);
  }
  const std::string target = at(name);
  if (::link(at(aside).c_str(), target.c_str()) != 0) {
    if (errno == EEXIST) return false;
    // File systems without links: EPERM, EOPNOTSUPP and others.
    const int why = errno;
    if (::renameat2(AT_FDCWD, at(aside).c_str(), AT_FDCWD, target.c_str(), RENAME_NOREPLACE) != 0) {
      if (errno == EEXIST) return false;
      return unwritable(target, errno == EINVAL || errno == ENOSYS ? why : errno);
    }
  }
  // The name, too, before anything is said to be done.
  const std::string folder = std::filesystem::path(target).parent_path().string();
  const Descriptor parent(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent.is_open() || (::fsync(parent.get()) != 0 && errno != EINVAL)) {
    return unwritable(target, errno);
  }
  return true;
}

void Folder::remove_aside(const std::string& name) {
  ::unlink(at(name).c_str());
}

Result<bool> Folder::put(const std::string& name, std::string_view content) {
  const std::string unfinished = aside(std::filesystem::path(name).filename().string());
  Result<void> written = write_aside(unfinished, content);
  Result<bool> first = written ? publish(unfinished, name) : propagate(std::move(written));
  remove_aside(unfinished);
  return first;
}

AttemptNames Folder::names(std::uint64_t shard) const {
  const std::string part = part_name(shard);
  return {part, done_name(shard), aside(part), aside(part + ".done")};
}

std::string Folder::aside(const std::string& name) const {
  static std::atomic<std::uint64_t> count{0};
  return fmt::format("{}/{}.{}-{}", kAside, name, process_mark(), count++);
}

std::string Folder::part_name(std::uint64_t shard) {
  return fmt::format("part-{:06}.jsonl", shard);
}

std::string Folder::done_name(std::uint64_t shard) {
  return fmt::format("{}/{:06}.json", kDone, shard);
}

std::string Folder::check_name(std::uint64_t shard) {
  return fmt::format("{}/{:06}.check.json", kDone, shard);
}

}  // namespace breakeven::shards
