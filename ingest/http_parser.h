// The bytes of one request, as they come, made into a head and a body. First
// our own strict look (http_head.h), then the parser of Boost.Beast, and both
// must have read the same request; whatever is odd is an error with a status.
//
// Not thread-safe: one parser belongs to one connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "ingest/http_head.h"
#include "ingest/http_message.h"

namespace klaxon {

class HttpParser {
 public:
  struct Options {
    size_t head_bytes_max = 16 << 10;
    size_t body_bytes_max = 1 << 20;
  };
  enum class Progress : uint8_t { kNeedMore, kDone, kBad };

  explicit HttpParser(Options options);
  ~HttpParser();

  // Forgets the request.
  void Reset();
  // Takes a whole head from the front of `in`; without one it takes nothing.
  // kBad: see status() and why().
  Progress TakeHead(std::string* in);
  // After a head with a body: takes what it can from the front of `in`. A body
  // beyond `body_bytes_max` is 413 (if its length was announced, before its
  // first byte).
  Progress TakeBody(std::string* in);

  const HttpHead& head() const { return head_; }
  // Method, target, fields and content length; the caller adds the rest.
  HttpRequest& request() { return request_; }
  size_t body_bytes() const;                       // So far.
  size_t raw_bytes() const { return raw_bytes_; }  // With what frames them.
  std::string TakeBodyBytes();
  // Why it is bad, or was refused.
  int status() const { return status_; }
  std::string_view why() const { return why_; }

 private:
  struct Library;
  Progress Bad(int status, std::string_view why);
  bool ReadFields(std::string_view bytes);
  std::string_view CheckChunks(std::string_view rest) const;

  const Options options_;
  std::unique_ptr<Library> library_;
  HttpHead head_;
  HttpRequest request_;
  size_t scanned_ = 0;  // Of a head that is not whole yet.
  size_t raw_bytes_ = 0;
  int status_ = 0;
  std::string_view why_;
};

}  // namespace klaxon
