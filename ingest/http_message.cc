#include "ingest/http_message.h"

#include <fmt/format.h>

#include <iterator>
#include <string>

#include "ingest/http_head.h"

namespace klaxon {
namespace {

std::string_view ReasonOf(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Status";
  }
}

}  // namespace

std::string_view HttpRequest::path() const {
  const std::string_view whole(target);
  return whole.substr(0, whole.find('?'));
}

std::string_view HttpRequest::Field(std::string_view name) const {
  for (const auto& [field, value] : fields) {
    if (EqualsIgnoringCase(field, name)) return value;
  }
  return {};
}

HttpResponse HttpResponse::Text(int status, std::string_view text) {
  HttpResponse response;
  response.status = status;
  response.body = fmt::format("{}\n", text);
  return response;
}

HttpResponder::HttpResponder(HttpResponder&& other) noexcept
    : send_(std::exchange(other.send_, nullptr)) {}

HttpResponder& HttpResponder::operator=(HttpResponder&& other) noexcept {
  if (this != &other) {
    Respond(HttpResponse::Text(503, "not handled"));
    send_ = std::exchange(other.send_, nullptr);
  }
  return *this;
}

HttpResponder::~HttpResponder() {
  Respond(HttpResponse::Text(503, "not handled"));
}

void HttpResponder::Respond(HttpResponse response) {
  if (Send send = std::exchange(send_, nullptr)) send(std::move(response));
}

std::string SerializeResponse(const HttpResponse& response, bool keep_alive,
                              bool with_body) {
  std::string out =
      fmt::format("HTTP/1.1 {} {}\r\nContent-Length: {}\r\nConnection: {}\r\n",
                  response.status, ReasonOf(response.status),
                  response.body.size(), keep_alive ? "keep-alive" : "close");
  if (!response.body.empty()) {
    fmt::format_to(std::back_inserter(out),
                   "Content-Type: {}\r\nX-Content-Type-Options: nosniff\r\n",
                   response.content_type);
  }
  if (response.retry_after > absl::ZeroDuration()) {
    fmt::format_to(std::back_inserter(out), "Retry-After: {}\r\n",
                   absl::ToInt64Seconds(
                       absl::Ceil(response.retry_after, absl::Seconds(1))));
  }
  for (const auto& [name, value] : response.fields) {
    fmt::format_to(std::back_inserter(out), "{}: {}\r\n", name, value);
  }
  out += "\r\n";
  if (with_body) out += response.body;
  return out;
}

}  // namespace klaxon
