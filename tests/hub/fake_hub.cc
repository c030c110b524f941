#include "hub/fake_hub.h"

#include <fmt/format.h>
#include <openssl/sha.h>

#include <algorithm>
#include <random>

namespace breakeven::hub::testing {
namespace {

std::string hex(const unsigned char* bytes, std::size_t size) {
  std::string text;
  for (std::size_t i = 0; i < size; ++i) text += fmt::format("{:02x}", bytes[i]);
  return text;
}

std::size_t range_start(const ReceivedRequest& request) {
  const std::string range = request.header("range");
  return range.starts_with("bytes=") ? std::stoul(range.substr(6)) : 0;
}

}  // namespace

std::string sha256_of(const std::string& content) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(content.data()), content.size(), digest);
  return hex(digest, sizeof(digest));
}

std::string git_blob_of(const std::string& content) {
  const std::string all = fmt::format("blob {}", content.size()) + '\0' + content;
  unsigned char digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(all.data()), all.size(), digest);
  return hex(digest, sizeof(digest));
}

std::string noise(std::size_t size, unsigned seed) {
  std::mt19937_64 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

FakeHub::FakeHub(std::string name) : name_(std::move(name)) {
  storage_ =
      std::make_unique<HttpServer>([this](const ReceivedRequest& request, Connection& connection) {
        answer_storage(request, connection);
      });
  hub_ =
      std::make_unique<HttpServer>([this](const ReceivedRequest& request, Connection& connection) {
        answer_hub(request, connection);
      });
}

int FakeHub::downloads() const {
  const auto requests = storage_requests();
  return static_cast<int>(std::count_if(requests.begin(), requests.end(),
                                        [](const auto& each) { return each.method == "GET"; }));
}

void FakeHub::push_fault(const Fault& fault) {
  const std::lock_guard lock(mutex_);
  faults_.push_back(fault);
}

Fault FakeHub::next_fault() {
  const std::lock_guard lock(mutex_);
  if (faults_.empty()) return {};
  const Fault fault = faults_.front();
  faults_.pop_front();
  return fault;
}

// The answer that says no before a file is looked for, or "".
std::string FakeHub::refusal(const ReceivedRequest& request) {
  if (!needed_token.empty() && request.header("authorization") != "Bearer " + needed_token) {
    return head_of_answer(401, "X-Error-Code: RepoNotFound\r\nContent-Length: 0\r\n");
  }
  if (is_gated) return head_of_answer(403, "X-Error-Code: GatedRepo\r\nContent-Length: 0\r\n");
  const std::lock_guard lock(mutex_);
  if (request.method == "HEAD" && busy_heads > 0) {
    --busy_heads;
    return head_of_answer(503, "Content-Length: 0\r\n");
  }
  return "";
}

void FakeHub::answer_hub(const ReceivedRequest& request, Connection& connection) {
  if (const std::string no = refusal(request); !no.empty()) {
    connection.send(no);
    return;
  }
  if (!moved_from.empty() && request.path.starts_with("/" + moved_from + "/")) {
    connection.send(
        head_of_answer(307, fmt::format("Location: /{}{}\r\nContent-Length: 0\r\n", name_,
                                        request.path.substr(moved_from.size() + 1))));
    return;
  }
  const std::string prefix = "/" + name_ + "/resolve/";
  if (!request.path.starts_with(prefix)) {
    connection.send(head_of_answer(404, "X-Error-Code: RepoNotFound\r\nContent-Length: 0\r\n"));
    return;
  }
  const std::string rest = request.path.substr(prefix.size());
  const std::string revision = rest.substr(0, rest.find('/'));
  const std::string file = rest.substr(rest.find('/') + 1);
  if (revision != "main" && revision != "v1.0" && revision != "refs%2Fpr%2F1" &&
      revision != commit) {
    connection.send(head_of_answer(404, "X-Error-Code: RevisionNotFound\r\nContent-Length: 0\r\n"));
    return;
  }
  const bool is_large = large.contains(file);
  if (!is_large && !files.contains(file)) {
    connection.send(head_of_answer(404, "X-Error-Code: EntryNotFound\r\nContent-Length: 0\r\n"));
    return;
  }
  const std::string& content = is_large ? large[file] : files[file];
  const std::string etag = etags.contains(file) ? etags[file]
                           : is_large           ? sha256_of(content)
                                                : git_blob_of(content);
  const std::string size = sizes.contains(file) ? sizes[file] : std::to_string(content.size());
  const std::string commit_header = fmt::format("X-Repo-Commit: {}\r\n", commit);
  if (is_large) {
    const std::string location = large_location.empty()
                                     ? storage_->url() + "/" + file + "?signature=secret"
                                     : large_location;
    connection.send(head_of_answer(
        302, fmt::format("{}X-Linked-Etag: \"{}\"\r\nX-Linked-Size: {}\r\nETag: \"other\"\r\n"
                         "Location: {}\r\nContent-Length: 0\r\n",
                         commit_header, etag, size, location)));
    return;
  }
  connection.send(head_of_answer(
      200, fmt::format("{}ETag: W/\"{}\"\r\nContent-Length: {}\r\n", commit_header, etag, size)));
  if (request.method == "GET") connection.send(served.contains(file) ? served[file] : content);
}

void FakeHub::answer_storage(const ReceivedRequest& request, Connection& connection) {
  if (request.method != "GET") {
    // Its addresses are signed for GET.
    connection.send(head_of_answer(403, "Content-Length: 0\r\n"));
    return;
  }
  if (before_storage) before_storage();
  const std::string file = request.path.substr(1, request.path.find('?') - 1);
  const std::string& content = served.contains(file) ? served[file] : large[file];
  const Fault fault = next_fault();
  if (fault.status != 0) {
    connection.send(head_of_answer(fault.status, "Content-Length: 0\r\n"));
    return;
  }
  const std::size_t from = fault.ignores_range ? 0 : range_start(request);
  if (from > 0 && from >= content.size()) {
    connection.send(head_of_answer(416, "Content-Length: 0\r\n"));
    return;
  }
  const std::string body = content.substr(from);
  std::string headers;
  if (!fault.no_length) {
    headers +=
        fmt::format("Content-Length: {}\r\n", static_cast<long>(body.size()) + fault.length_lie);
  }
  if (from > 0) {
    headers += fmt::format("Content-Range: bytes {}-{}/{}\r\n", from + (fault.wrong_range ? 1 : 0),
                           content.size() - 1, content.size());
  }
  connection.send(head_of_answer(from > 0 ? 206 : 200, headers));
  connection.send(body.substr(0, fault.break_after));
  if (fault.stalls) connection.stall();
}

}  // namespace breakeven::hub::testing
