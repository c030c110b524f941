// A Hugging Face hub on 127.0.0.1 with one model: small files from the hub itself, large ones by
// redirect from a storage host on another port, as the real one does it. Its faults can be set.
#pragma once

#include <atomic>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "hub/http_server.h"

namespace breakeven::hub::testing {

inline constexpr const char* kCommit = "0123456789abcdef0123456789abcdef01234567";

std::string sha256_of(const std::string& content);
std::string git_blob_of(const std::string& content);
// `size` bytes that no two places share.
std::string noise(std::size_t size, unsigned seed);

// What the storage host does to one download; the default is what it should.
struct Fault {
  std::size_t break_after = SIZE_MAX;  // closes the connection after so many bytes
  bool stalls = false;                 // ... says nothing instead
  bool ignores_range = false;          // answers 200 with everything
  bool no_length = false;              // no Content-Length: the end of the connection is the end
  long length_lie = 0;                 // added to the Content-Length
  bool wrong_range = false;            // 206 from another byte
  int status = 0;                      // answers only this
};

class FakeHub {
 public:
  explicit FakeHub(std::string name);

  std::string url() const { return hub_->url(); }
  std::string storage_url() const { return storage_->url(); }
  std::vector<ReceivedRequest> hub_requests() const { return hub_->requests(); }
  std::vector<ReceivedRequest> storage_requests() const { return storage_->requests(); }
  int downloads() const;  // GETs that reached the storage host

  // To be set before the first request.
  std::map<std::string, std::string> files;   // small: from the hub
  std::map<std::string, std::string> large;   // by redirect
  std::map<std::string, std::string> served;  // other bytes than the digest's
  std::map<std::string, std::string> etags;   // other ETags
  std::map<std::string, std::string> sizes;   // other sizes in HEAD
  std::string commit = kCommit;
  std::string needed_token;              // 401 without it
  bool is_gated = false;                 // 403 GatedRepo
  std::string moved_from;                // answers 307 to the model's name
  std::string large_location;            // redirects large files there instead
  int busy_heads = 0;                    // answers so many HEADs with 503
  std::function<void()> before_storage;  // called before each answer of the storage host

  // Faults of the storage host's next downloads, one each.
  void push_fault(const Fault& fault);

 private:
  void answer_hub(const ReceivedRequest& request, Connection& connection);
  void answer_storage(const ReceivedRequest& request, Connection& connection);
  Fault next_fault();
  std::string refusal(const ReceivedRequest& request);

  std::string name_;
  std::mutex mutex_;
  std::deque<Fault> faults_;
  std::unique_ptr<HttpServer> storage_;
  std::unique_ptr<HttpServer> hub_;
};

}  // namespace breakeven::hub::testing
