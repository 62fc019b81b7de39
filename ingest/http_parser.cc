// The one file that compiles Boost.Beast.
#include "ingest/http_parser.h"

#include <algorithm>
#include <boost/beast/http.hpp>
#include <functional>
#include <iterator>
#include <optional>

namespace klaxon {
namespace {

namespace http = boost::beast::http;
using boost::system::error_code;

// Of the head of a chunk that has not ended yet; and of all that a chunked
// body may spend on framing beyond its own size.
constexpr size_t kChunkHeadBytesMax = 1024;
constexpr size_t kChunkOverheadBytes = 64 << 10;

// A body that grows as its bytes arrive: what was announced costs nothing.
struct GrowingBody {
  using value_type = std::string;
  // The library's concept asks for the name.
  class reader {  // NOLINT(readability-identifier-naming)
   public:
    template <bool IsRequest, class Fields>
    reader(http::header<IsRequest, Fields>&, value_type& body) : body_(body) {}
    void init(const boost::optional<uint64_t>&, error_code& error) {
      error = {};
    }
    template <class Buffers>
    size_t put(const Buffers& buffers, error_code& error) {
      size_t bytes = 0;
      for (const boost::asio::const_buffer part :
           boost::beast::buffers_range_ref(buffers)) {
        body_.append(static_cast<const char*>(part.data()), part.size());
        bytes += part.size();
      }
      error = {};
      return bytes;
    }
    void finish(error_code& error) { error = {}; }

   private:
    value_type& body_;
  };
};

void RefuseExtensions(uint64_t, boost::beast::string_view extensions,
                      error_code& error) {
  if (!extensions.empty()) error = http::error::bad_chunk_extension;
}

// The library would wait for a better one.
bool HasBareLineFeed(std::string_view bytes) {
  for (size_t at = bytes.find('\n'); at != std::string_view::npos;
       at = bytes.find('\n', at + 1)) {
    if (at == 0 || bytes[at - 1] != '\r') return true;
  }
  return false;
}

}  // namespace

struct HttpParser::Library {
  http::request_parser<GrowingBody> parser;
  std::function<void(uint64_t, boost::beast::string_view, error_code&)>
      on_chunk = RefuseExtensions;
  size_t fields = 0;  // Of the head; more are trailers.
};

HttpParser::HttpParser(Options options) : options_(options) {}
HttpParser::~HttpParser() = default;

void HttpParser::Reset() {
  library_.reset();
  head_ = {};
  request_ = {};
  scanned_ = 0;
  raw_bytes_ = 0;
  status_ = 0;
  why_ = {};
}

HttpParser::Progress HttpParser::Bad(int status, std::string_view why) {
  status_ = status;
  why_ = why;
  return Progress::kBad;
}

HttpParser::Progress HttpParser::TakeHead(std::string* in) {
  const std::string_view bytes =
      std::string_view(*in).substr(0, options_.head_bytes_max);
  const HeadScan scan = FindHeadEnd(bytes, scanned_);
  if (scan.end == HeadEnd::kBad) {
    return Bad(400, "a line does not end in CR LF, or holds a NUL");
  }
  if (scan.end == HeadEnd::kNeedMore) {
    if (bytes.size() == options_.head_bytes_max) {
      return Bad(431, "the header is too long");
    }
    scanned_ = bytes.size();
    return Progress::kNeedMore;
  }
  const std::string_view head = bytes.substr(0, scan.size);
  head_ = CheckHead(head);
  if (head_.error != 0) return Bad(head_.error, head_.why);
  if (!ReadFields(head)) return Bad(400, "the header cannot be understood");
  in->erase(0, scan.size);
  return Progress::kDone;
}

// The library's reading of the head; false where it is not ours.
bool HttpParser::ReadFields(std::string_view bytes) {
  library_ = std::make_unique<Library>();
  auto& parser = library_->parser;
  parser.header_limit(static_cast<uint32_t>(options_.head_bytes_max));
  parser.body_limit(options_.body_bytes_max);
  // What is announced to be too large is told by TakeBody, after the caller
  // saw the head.
  if (head_.content_length.value_or(0) > options_.body_bytes_max) {
    parser.body_limit(boost::none);
  }
  parser.on_chunk_header(library_->on_chunk);
  error_code error;
  const size_t parsed =
      parser.put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
  if (error || parsed != bytes.size() || !parser.is_header_done()) {
    return false;
  }
  const auto length = parser.content_length();
  if (parser.chunked() != head_.chunked ||
      length.has_value() != head_.content_length.has_value() ||
      (length && *length != *head_.content_length)) {
    return false;
  }
  const auto& message = parser.get();
  request_.method = std::string(message.method_string());
  request_.target = std::string(message.target());
  request_.content_length = head_.content_length;
  for (const auto& field : message) {
    request_.fields.emplace_back(std::string(field.name_string()),
                                 std::string(field.value()));
  }
  library_->fields = request_.fields.size();
  parser.eager(true);
  return true;
}

HttpParser::Progress HttpParser::TakeBody(std::string* in) {
  if (head_.content_length.value_or(0) > options_.body_bytes_max) {
    return Bad(413, "the body is too large");
  }
  auto& parser = library_->parser;
  error_code error;
  if (!in->empty()) {
    const size_t parsed =
        parser.put(boost::asio::const_buffer(in->data(), in->size()), error);
    raw_bytes_ += parsed;
    in->erase(0, parsed);
  }
  if (error == http::error::body_limit) {
    return Bad(413, "the body is too large");
  }
  if (error && error != http::error::need_more) {
    return Bad(400, "the body's chunks cannot be understood");
  }
  const std::string_view wrong = CheckChunks(*in);
  if (!wrong.empty()) return Bad(400, wrong);
  return parser.is_done() ? Progress::kDone : Progress::kNeedMore;
}

// Of a chunked body, what is wrong; empty: nothing. `rest`: the head of a chunk
// that has not ended.
std::string_view HttpParser::CheckChunks(std::string_view rest) const {
  if (!head_.chunked) return {};
  const auto& parser = library_->parser;
  const auto& message = parser.get();
  if (parser.is_done()) {
    const auto fields = std::distance(message.begin(), message.end());
    if (static_cast<size_t>(fields) != library_->fields) {
      return "trailers are not accepted";
    }
  } else if (rest.size() > kChunkHeadBytesMax) {
    return "the head of a chunk is too long";
  } else if (HasBareLineFeed(rest)) {
    return "the head of a chunk does not end in CR LF";
  }
  const size_t body = message.body().size();
  if (raw_bytes_ - body > kChunkOverheadBytes + body) {
    return "the body is cut into too many chunks";
  }
  return {};
}

size_t HttpParser::body_bytes() const {
  return library_ ? library_->parser.get().body().size() : 0;
}

std::string HttpParser::TakeBodyBytes() {
  return library_ ? std::move(library_->parser.get().body()) : std::string();
}

}  // namespace klaxon
