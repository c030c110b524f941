// The folder of a job's results on a file system: _plan.jsonl, part-000000.jsonl ..., _done/ with a
// record a shard, _tmp/ with what is being written.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "shards/commit.h"

namespace breakeven::shards {

class Folder final : public Store {
 public:
  static constexpr const char* kPlan = "_plan.jsonl";
  static constexpr const char* kDone = "_done";
  static constexpr const char* kAside = "_tmp";
  static constexpr const char* kFinished = "_finished.json";

  // Makes it where it is missing. Errors: file/unwritable; shards/foreign-folder (it holds what is
  // no job's of ours).
  static Result<Folder> open(const std::string& path);
  Folder(Folder&& other) noexcept : path_(std::move(other.path_)) {}
  ~Folder() override = default;

  const std::string& path() const { return path_; }
  std::string at(const std::string& name) const { return path_ + "/" + name; }

  Result<bool> has(const std::string& name) override;
  Result<Seen> look(const std::string& name) override;
  Result<void> write_aside(const std::string& name, std::string_view content) override;
  Result<bool> publish(const std::string& aside, const std::string& name) override;
  void remove_aside(const std::string& name) override;

  // Writes aside and publishes. Errors: those of the two.
  Result<bool> put(const std::string& name, std::string_view content);

  // Names for a shard's part and done file, and for what this process writes aside.
  AttemptNames names(std::uint64_t shard) const;
  // A name below _tmp that no other process of any machine uses.
  std::string aside(const std::string& name) const;
  static std::string part_name(std::uint64_t shard);
  static std::string done_name(std::uint64_t shard);
  static std::string check_name(std::uint64_t shard);  // of its comparison with another device

 private:
  explicit Folder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace breakeven::shards
