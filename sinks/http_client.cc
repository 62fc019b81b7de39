#include "sinks/http_client.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>

#include "sinks/delivery_status.h"

namespace klaxon {
namespace {

// All header lines of an answer together.
constexpr size_t kAnswerHeaderBytesMax = 256 << 10;

struct UrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Url = std::unique_ptr<CURLU, UrlDeleter>;

struct ListDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, ListDeleter>;

// Empty where it has none.
std::string PartOf(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return {};
  std::string result(text);
  curl_free(text);
  return result;
}

char Lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = Lower(c);
  return lower;
}

bool IsTokenCharacter(char c) {
  return (c >= '0' && c <= '9') || (Lower(c) >= 'a' && Lower(c) <= 'z') ||
         (c != '\0' && std::strchr("!#$%&'*+-.^_`|~", c) != nullptr);
}

absl::Status CheckHeader(const std::string& name, std::string_view value) {
  if (name.empty() ||
      !std::all_of(name.begin(), name.end(), IsTokenCharacter)) {
    return absl::InvalidArgumentError(
        fmt::format("'{}' is not the name of a header", name));
  }
  for (const char* ours :
       {"connection", "content-length", "expect", "transfer-encoding"}) {
    if (Lower(name) != ours) continue;
    return absl::InvalidArgumentError(
        fmt::format("the header {} is not yours to set", name));
  }
  const bool fits = std::all_of(value.begin(), value.end(), [](char c) {
    return c == '\t' || (static_cast<uint8_t>(c) >= 0x20 && c != 0x7f);
  });
  if (fits && !value.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format(
      "the value of the header {} {}", name,
      fits ? "is empty" : "has control characters (a line feed at its end?)"));
}

bool InitialiseCurl() {
  static const bool ok = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  return ok;
}

long Milliseconds(absl::Duration duration) {  // NOLINT(google-runtime-int)
  return std::max<int64_t>(absl::ToInt64Milliseconds(duration), 1);
}

}  // namespace

struct HttpClient::Impl {
  explicit Impl(HttpClientOptions given) : options(std::move(given)) {}
  ~Impl() { Close(); }

  absl::Status Prepare();
  absl::Status PrepareAddress(CURLU* url);
  absl::Status OpenHandles();
  void Close();
  void SetOptions();
  HeaderList Headers(const HttpHeaders& more) const;
  CURLcode Perform();
  absl::StatusOr<HttpAnswer> Result(CURLcode code) const;

  static size_t OnBody(const char* data, size_t size, size_t count, void* self);
  static size_t OnHeader(const char* data, size_t size, size_t count,
                         void* self);

  // Constant after Prepare.
  HttpClientOptions options;
  std::string url;     // With server_name for its host, where there is one.
  std::string origin;  // Of the URL as it was given.
  std::string connect_to;

  // Of the thread that makes requests.
  CURL* easy = nullptr;
  HttpAnswer answer;
  size_t header_bytes = 0;
  bool cut_off = false;  // The body went on behind the limit.
  std::array<char, CURL_ERROR_SIZE> error{};

  std::atomic<bool> interrupted = false;
  std::atomic<bool> reopen = false;
  std::mutex mutex;
  CURLM* multi = nullptr;  // Replaced, and woken by others, under `mutex`.
};

absl::Status HttpClient::Impl::PrepareAddress(CURLU* parsed) {
  const std::string scheme = PartOf(parsed, CURLUPART_SCHEME);
  const std::string host = PartOf(parsed, CURLUPART_HOST);
  const std::string port = PartOf(parsed, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  const std::string given_port = PartOf(parsed, CURLUPART_PORT);
  if (scheme != "http" && scheme != "https") {
    return absl::InvalidArgumentError(
        "the url must begin with https:// or http://");
  }
  origin = fmt::format("{}://{}{}{}", scheme, host,
                       given_port.empty() ? "" : ":", given_port);
  const bool tls = !options.ca_file.empty() || !options.cert_file.empty() ||
                   !options.server_name.empty();
  if (tls && scheme == "http") {
    return absl::InvalidArgumentError(
        fmt::format("{}: TLS is configured, so the url must begin with "
                    "https://",
                    origin));
  }
  if (!options.server_name.empty()) {
    connect_to =
        fmt::format("{}:{}:{}:{}", options.server_name, port, host, port);
    if (curl_url_set(parsed, CURLUPART_HOST, options.server_name.c_str(), 0) !=
        CURLUE_OK) {
      return absl::InvalidArgumentError(
          fmt::format("'{}' is not the name of a server", options.server_name));
    }
  }
  url = PartOf(parsed, CURLUPART_URL);
  return absl::OkStatus();
}

absl::Status HttpClient::Impl::Prepare() {
  const Url parsed(curl_url());
  if (parsed == nullptr || !InitialiseCurl()) {
    return absl::ResourceExhaustedError("libcurl cannot be initialised");
  }
  if (curl_url_set(parsed.get(), CURLUPART_URL, options.url.c_str(), 0) !=
      CURLUE_OK) {
    return absl::InvalidArgumentError(
        "the url is malformed; it looks like https://host:port/path");
  }
  if (!PartOf(parsed.get(), CURLUPART_USER).empty() ||
      !PartOf(parsed.get(), CURLUPART_PASSWORD).empty()) {
    return absl::InvalidArgumentError(
        "the url holds a user or password; give an Authorization header from "
        "a file or the environment instead");
  }
  absl::Status status = PrepareAddress(parsed.get());
  if (!status.ok()) return status;
  if (options.cert_file.empty() != options.key_file.empty()) {
    return absl::InvalidArgumentError(fmt::format(
        "{}: a client certificate needs both cert and key", origin));
  }
  for (const auto& [name, value] : options.headers) {
    status = CheckHeader(name, value);
    if (!status.ok()) return status;
  }
  return OpenHandles();
}

absl::Status HttpClient::Impl::OpenHandles() {
  easy = curl_easy_init();
  {
    std::lock_guard<std::mutex> lock(mutex);
    multi = curl_multi_init();
  }
  if (easy == nullptr || multi == nullptr) {
    return absl::ResourceExhaustedError("libcurl has no memory");
  }
  SetOptions();
  return absl::OkStatus();
}

void HttpClient::Impl::Close() {
  curl_easy_cleanup(easy);
  easy = nullptr;
  std::lock_guard<std::mutex> lock(mutex);
  if (multi != nullptr) curl_multi_cleanup(multi);
  multi = nullptr;
}

void HttpClient::Impl::SetOptions() {
  const auto text = [&](CURLoption option, const std::string& value) {
    if (!value.empty()) curl_easy_setopt(easy, option, value.c_str());
  };
  curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                   Milliseconds(options.connect_timeout));
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, Milliseconds(options.timeout));
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error.data());
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &Impl::OnBody);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &Impl::OnHeader);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "klaxon");
  text(CURLOPT_CAINFO, options.ca_file);
  // Else the system's directory of authorities would be trusted beside it.
  if (!options.ca_file.empty()) {
    curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
  }
  text(CURLOPT_SSLCERT, options.cert_file);
  text(CURLOPT_SSLKEY, options.key_file);
  if (options.proxy) {
    curl_easy_setopt(easy, CURLOPT_PROXY, options.proxy->c_str());
  }
}

HeaderList HttpClient::Impl::Headers(const HttpHeaders& more) const {
  curl_slist* list = nullptr;
  const auto add = [&list](const std::string& line) {
    curl_slist* longer = curl_slist_append(list, line.c_str());
    if (longer != nullptr) list = longer;
  };
  // A large body is sent at once: a receiver that does not know the question
  // would cost a second.
  add("Expect:");
  for (const HttpHeaders* headers : {&options.headers, &more}) {
    for (const auto& [name, value] : *headers) {
      add(fmt::format("{}: {}", name, value));
    }
  }
  return HeaderList(list);
}

size_t HttpClient::Impl::OnBody(const char* data, size_t size, size_t count,
                                void* self) {
  auto* impl = static_cast<Impl*>(self);
  const size_t bytes = size * count;
  std::string& body = impl->answer.body;
  const size_t room = impl->options.answer_bytes_max - body.size();
  body.append(data, std::min(room, bytes));
  if (bytes <= room) return bytes;
  impl->cut_off = true;
  return 0;  // The connection is given up.
}

size_t HttpClient::Impl::OnHeader(const char* data, size_t size, size_t count,
                                  void* self) {
  auto* impl = static_cast<Impl*>(self);
  const std::string_view line(data, size * count);
  impl->header_bytes += line.size();
  if (impl->header_bytes > kAnswerHeaderBytesMax) return 0;
  constexpr std::string_view kName = "retry-after:";
  std::string& value = impl->answer.retry_after;
  if (line.starts_with("HTTP/")) {
    value.clear();  // Those of an answer 1xx before do not count.
  } else if (value.empty() && Lower(line.substr(0, kName.size())) == kName) {
    value = line.substr(kName.size());
    while (!value.empty() && (value.back() == '\r' || value.back() == '\n')) {
      value.pop_back();
    }
  }
  return line.size();
}

CURLcode HttpClient::Impl::Perform() {
  curl_multi_add_handle(multi, easy);
  int running = 1;
  CURLMcode status = CURLM_OK;
  while (status == CURLM_OK && !interrupted) {
    status = curl_multi_perform(multi, &running);
    if (status != CURLM_OK || running == 0) break;
    status = curl_multi_poll(multi, nullptr, 0, 1000, nullptr);
  }
  CURLcode result = CURLE_ABORTED_BY_CALLBACK;
  int left = 0;
  while (CURLMsg* message = curl_multi_info_read(multi, &left)) {
    if (message->msg == CURLMSG_DONE) result = message->data.result;
  }
  curl_multi_remove_handle(multi, easy);
  return result;
}

absl::StatusOr<HttpAnswer> HttpClient::Impl::Result(CURLcode code) const {
  if (code == CURLE_ABORTED_BY_CALLBACK && interrupted) {
    return absl::CancelledError(fmt::format("{}: interrupted", origin));
  }
  HttpAnswer result = answer;
  long http_code = 0;  // NOLINT(google-runtime-int)
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &http_code);
  result.code = http_code;
  const bool whole = code == CURLE_OK || (code == CURLE_WRITE_ERROR && cut_off);
  if (whole && http_code > 0) return result;
  return absl::UnavailableError(
      fmt::format("{}: {}", origin,
                  error[0] != '\0' ? error.data() : curl_easy_strerror(code)));
}

HttpClient::HttpClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpClient::~HttpClient() = default;

absl::StatusOr<std::unique_ptr<HttpClient>> HttpClient::Make(
    HttpClientOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  absl::Status status = impl->Prepare();
  if (!status.ok()) return status;
  return std::unique_ptr<HttpClient>(new HttpClient(std::move(impl)));
}

absl::Status HttpClient::CheckFiles() const {
  for (const std::string* file :
       {&impl_->options.ca_file, &impl_->options.cert_file,
        &impl_->options.key_file}) {
    if (file->empty() || access(file->c_str(), R_OK) == 0) continue;
    return absl::FailedPreconditionError(fmt::format(
        "{}: {}: cannot be read: {}", origin(), *file, std::strerror(errno)));
  }
  return absl::OkStatus();
}

absl::StatusOr<HttpAnswer> HttpClient::Post(const HttpHeaders& headers,
                                            std::string_view body) {
  if (impl_->reopen.exchange(false)) impl_->Close();
  if (impl_->easy == nullptr) {
    absl::Status status = impl_->OpenHandles();
    if (!status.ok()) {
      impl_->Close();
      return status;
    }
  }
  impl_->answer = HttpAnswer();
  impl_->header_bytes = 0;
  impl_->cut_off = false;
  impl_->error[0] = '\0';
  CURL* easy = impl_->easy;
  const HeaderList list = impl_->Headers(headers);
  curl_slist* connect_to = nullptr;
  if (!impl_->connect_to.empty()) {
    connect_to = curl_slist_append(nullptr, impl_->connect_to.c_str());
  }
  const HeaderList connect_list(connect_to);
  curl_easy_setopt(easy, CURLOPT_CONNECT_TO, connect_list.get());
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list.get());
  curl_easy_setopt(easy, CURLOPT_POST, 1L);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                   static_cast<curl_off_t>(body.size()));
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.data());
  const CURLcode code = impl_->Perform();
  // They live no longer than this call.
  curl_easy_setopt(easy, CURLOPT_CONNECT_TO, nullptr);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, nullptr);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, nullptr);
  return impl_->Result(code);
}

const std::string& HttpClient::origin() const { return impl_->origin; }

void HttpClient::Interrupt() noexcept {
  impl_->interrupted = true;
  std::lock_guard<std::mutex> lock(impl_->mutex);
  if (impl_->multi != nullptr) curl_multi_wakeup(impl_->multi);
}

void HttpClient::Reopen() noexcept { impl_->reopen = true; }

absl::Status DeliveryStatusOf(const HttpAnswer& answer, std::string_view origin,
                              absl::Time now) {
  const int64_t code = answer.code;
  if (code >= 200 && code < 300) return absl::OkStatus();
  if (code >= 400 && code < 500 && code != 408 && code != 429) {
    return absl::InvalidArgumentError(
        fmt::format("{}: refused with {}", origin, code));
  }
  absl::Status status = absl::UnavailableError(fmt::format(
      "{}: answered {}{}", origin, code,
      code >= 300 && code < 400
          ? ", a redirect, and none is followed; name the final address"
          : ""));
  const auto wait = ParseRetryAfter(answer.retry_after, now);
  return wait ? WithRetryAfter(std::move(status), *wait) : status;
}

}  // namespace klaxon
