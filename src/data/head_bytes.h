// A stream whose first bytes can be looked at before they are read.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "data/bytes.h"

namespace breakeven::data {

class HeadBytes final : public ByteStream {
 public:
  explicit HeadBytes(std::unique_ptr<ByteStream> rest) : rest_(std::move(rest)) {}

  // The first bytes, enough to tell what they are; "" where there are none. Someone may be typing
  // them: of a line that has ended no more is waited for. Only before the first read().
  Result<std::string_view> head();

  Result<std::size_t> read(char* out, std::size_t size) override;
  const std::string& name() const override { return rest_->name(); }
  std::string losses() const override { return rest_->losses(); }

 private:
  std::unique_ptr<ByteStream> rest_;
  std::string head_;
  std::size_t read_ = 0;  // bytes of head_ that are read
};

}  // namespace breakeven::data
