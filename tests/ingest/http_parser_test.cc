#include "ingest/http_parser.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/random_seed.h"

namespace klaxon {
namespace {

using Progress = HttpParser::Progress;
constexpr HttpParser::Options kOptions{.head_bytes_max = 16 << 10,
                                       .body_bytes_max = 100'000};

struct Outcome {
  Progress progress = Progress::kNeedMore;
  int status = 0;
  std::string method;
  std::string target;
  std::string body;
  std::string rest;  // Behind the request.

  bool operator==(const Outcome&) const = default;
};

// Feeds `bytes` in pieces of `piece()` bytes.
template <typename Piece>
Outcome Parse(std::string_view bytes, Piece piece) {
  HttpParser parser(kOptions);
  Outcome outcome;
  std::string in;
  bool head_done = false;
  for (;;) {
    outcome.progress = Progress::kNeedMore;
    if (!head_done) {
      outcome.progress = parser.TakeHead(&in);
      head_done = outcome.progress == Progress::kDone;
      if (head_done && parser.head().has_body()) continue;
    } else {
      outcome.progress = parser.TakeBody(&in);
    }
    if (outcome.progress != Progress::kNeedMore || bytes.empty()) break;
    const size_t size = std::min<size_t>(piece(), bytes.size());
    in += bytes.substr(0, size);
    bytes.remove_prefix(size);
  }
  outcome.status = parser.status();
  if (outcome.progress != Progress::kDone) return outcome;
  outcome.method = parser.request().method;
  outcome.target = parser.request().target;
  outcome.body = parser.TakeBodyBytes();
  outcome.rest = in + std::string(bytes);
  return outcome;
}
Outcome Parse(std::string_view bytes) {
  return Parse(bytes, [] { return size_t{1 << 20}; });
}

std::string Request(std::string_view fields, std::string_view body = {}) {
  return "POST /audit HTTP/1.1\r\nHost: k\r\n" + std::string(fields) + "\r\n" +
         std::string(body);
}

TEST(HttpParser, TakesWhatKubeApiserverSends) {
  const Outcome outcome = Parse(
      "POST /audit/prod/a?timeout=30s HTTP/1.1\r\nHost: 127.0.0.1:18444\r\n"
      "User-Agent: Go-http-client/1.1\r\nContent-Length: 5\r\n"
      "Accept: application/json, */*\r\nContent-Type: application/json\r\n"
      "Accept-Encoding: gzip\r\n\r\nabcdeGET");
  EXPECT_EQ(outcome.progress, Progress::kDone);
  EXPECT_EQ(outcome.method, "POST");
  EXPECT_EQ(outcome.target, "/audit/prod/a?timeout=30s");
  EXPECT_EQ(outcome.body, "abcde");
  EXPECT_EQ(outcome.rest, "GET");
}

TEST(HttpParser, TakesChunks) {
  const Outcome outcome =
      Parse(Request("Transfer-Encoding: chunked\r\n",
                    "3\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\nX"));
  EXPECT_EQ(outcome.progress, Progress::kDone);
  EXPECT_EQ(outcome.body, "abc0123456789");
  EXPECT_EQ(outcome.rest, "X");
}

struct BadCase {
  std::string name;
  std::string bytes;
  int status;
};

const std::string& ChunkedField() {
  static const std::string* const field =
      new std::string("Transfer-Encoding: chunked\r\n");
  return *field;
}

// Whose length can be read in two ways, and lines that can.
std::vector<BadCase> BadFraming() {
  const std::string& chunked = ChunkedField();
  return {
      {"both_lengths", Request("Content-Length: 3\r\n" + chunked, "0\r\n\r\n"),
       400},
      {"both_lengths_other_order",
       Request(chunked + "Content-Length: 3\r\n", "0\r\n\r\n"), 400},
      {"two_content_lengths",
       Request("Content-Length: 3\r\nContent-Length: 4\r\n", "abcd"), 400},
      {"the_same_content_length_twice",
       Request("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"), 400},
      {"list_of_content_lengths", Request("Content-Length: 3, 3\r\n", "abc"),
       400},
      {"signed_content_length", Request("Content-Length: +3\r\n", "abc"), 400},
      {"negative_content_length", Request("Content-Length: -1\r\n"), 400},
      {"hexadecimal_content_length", Request("Content-Length: 0x3\r\n"), 400},
      {"empty_content_length", Request("Content-Length:\r\n"), 400},
      {"overflowing_content_length",
       Request("Content-Length: 18446744073709551619\r\n"), 400},
      {"content_length_with_a_tail", Request("Content-Length: 3 3\r\n"), 400},
      {"space_before_colon", Request("Content-Length : 3\r\n", "abc"), 400},
      {"folded_line", Request("X: a\r\n b\r\n"), 400},
      {"folded_coding", Request("Transfer-Encoding:\r\n chunked\r\n"), 400},
      {"folded_first_line", "POST /a HTTP/1.1\r\n Host: k\r\n\r\n", 400},
      {"bare_line_feed", "POST /a HTTP/1.1\nHost: k\n\n", 400},
      {"bare_line_feed_in_field", Request("X: a\nContent-Length: 3\r\n"), 400},
      {"bare_carriage_return", Request("X: a\rContent-Length: 3\r\n"), 400},
      {"nul_in_field", Request(std::string("X: a\0b\r\n", 8)), 400},
      {"control_in_field", Request("X: a\x01\r\n"), 400},
      {"unknown_coding", Request("Transfer-Encoding: xchunked\r\n"), 501},
      {"list_of_codings", Request("Transfer-Encoding: gzip, chunked\r\n"), 501},
      {"identity_coding", Request("Transfer-Encoding: identity\r\n"), 501},
      {"two_codings", Request(chunked + chunked), 400},
      {"control_in_coding", Request("Transfer-Encoding: \x0b chunked\r\n"),
       400},
      {"coding_in_http_1_0",
       "POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
  };
}

std::vector<BadCase> BadHeads() {
  std::string fields;
  for (int i = 0; i < 100; ++i) fields += "X" + std::to_string(i) + ": a\r\n";
  return {
      {"many_fields", Request(fields), 431},
      {"absolute_form", "GET http://evil/a HTTP/1.1\r\nHost: k\r\n\r\n", 400},
      {"authority_form", "CONNECT evil:80 HTTP/1.1\r\nHost: k\r\n\r\n", 400},
      {"asterisk_form", "OPTIONS * HTTP/1.1\r\nHost: k\r\n\r\n", 400},
      {"fragment", "GET /a#b HTTP/1.1\r\nHost: k\r\n\r\n", 400},
      {"space_in_target", "GET /a b HTTP/1.1\r\nHost: k\r\n\r\n", 400},
      {"two_spaces", "GET  /a HTTP/1.1\r\nHost: k\r\n\r\n", 400},
      {"raw_utf8_in_target", "GET /\xc3\xa4 HTTP/1.1\r\nHost: k\r\n\r\n", 400},
      {"no_version", "GET /a\r\nHost: k\r\n\r\n", 400},
      {"http_0_9", "GET /a\r\n\r\n", 400},
      {"http_2_preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"http_1_2", "GET /a HTTP/1.2\r\nHost: k\r\n\r\n", 505},
      {"lower_case_version", "GET /a http/1.1\r\nHost: k\r\n\r\n", 400},
      {"no_host", "GET /a HTTP/1.1\r\n\r\n", 400},
      {"two_hosts", Request("Host: other\r\n"), 400},
      {"host_with_a_path", "GET /a HTTP/1.1\r\nHost: k/b\r\n\r\n", 400},
      {"field_without_colon", Request("Nonsense\r\n"), 400},
      {"field_without_name", Request(": x\r\n"), 400},
      {"empty_line_first", "\r\nGET /a HTTP/1.1\r\nHost: k\r\n\r\n", 400},
      {"two_authorizations",
       Request("Authorization: Bearer a\r\nAuthorization: Bearer b\r\n"), 400},
      {"connection_drops_the_length",
       Request("Connection: close, Content-Length\r\nContent-Length: 3\r\n"),
       400},
      {"other_expectation", Request("Expect: 200-ok\r\n"), 417},
      {"method_with_bad_letters", "G(T /a HTTP/1.1\r\nHost: k\r\n\r\n", 400},
      {"tls_hello", std::string("\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", 11),
       400},
      {"long_target",
       "GET /" + std::string(5000, 'a') + " HTTP/1.1\r\nHost: k\r\n\r\n", 414},
      {"long_header", Request("X: " + std::string(20'000, 'a')), 431},
  };
}

std::vector<BadCase> BadBodies() {
  const std::string& chunked = ChunkedField();
  std::string ones;
  for (int i = 0; i < 60'000; ++i) ones += "1\r\na\r\n";
  return {
      {"one_byte_chunks", Request(chunked, ones), 400},
      {"chunk_extension", Request(chunked, "3;a=b\r\nabc\r\n0\r\n\r\n"), 400},
      {"chunk_extension_at_the_end", Request(chunked, "0;a\r\n\r\n"), 400},
      {"chunk_extension_flood",
       Request(chunked, "3;" + std::string(1 << 20, 'a')), 400},
      {"quoted_chunk_extension",
       Request(chunked, "3;a=\"\r\n\"\r\nabc\r\n0\r\n\r\n"), 400},
      {"chunk_size_flood", Request(chunked, std::string(1 << 20, '0')), 400},
      {"chunk_size_overflow",
       Request(chunked, "10000000000000003\r\nabc\r\n0\r\n\r\n"), 400},
      {"chunk_size_signed", Request(chunked, "+3\r\nabc\r\n0\r\n\r\n"), 400},
      {"chunk_size_prefixed", Request(chunked, "0x3\r\nabc\r\n0\r\n\r\n"), 400},
      {"chunk_size_empty", Request(chunked, "\r\nabc\r\n0\r\n\r\n"), 400},
      {"chunk_line_feed", Request(chunked, "3\nabc\n0\n\n    "), 400},
      {"chunk_too_short", Request(chunked, "2\r\nabc\r\n0\r\n\r\n"), 400},
      {"chunk_too_long", Request(chunked, "4\r\nabc\r\n0\r\n\r\n"), 400},
      {"trailer", Request(chunked, "0\r\nX: y\r\n\r\n"), 400},
      {"trailer_with_a_length",
       Request(chunked, "0\r\nContent-Length: 9\r\n\r\n"), 400},
      {"trailer_flood",
       Request(chunked, "0\r\nX: " + std::string(1 << 20, 'a')), 400},
      {"body_too_large", Request("Content-Length: 100001\r\n"), 413},
      {"chunks_too_large", Request(chunked, "186a1\r\n"), 413},
  };
}

class HttpParserRefuses : public testing::TestWithParam<BadCase> {};

TEST_P(HttpParserRefuses, WithItsStatusHoweverItComes) {
  const BadCase& bad = GetParam();
  std::mt19937_64 random(RandomSeed());
  Outcome outcome = Parse(bad.bytes);
  EXPECT_EQ(outcome.progress, Progress::kBad);
  EXPECT_EQ(outcome.status, bad.status);
  const size_t piece_max = bad.bytes.size() > 10'000 ? 5000 : 4;
  outcome = Parse(bad.bytes, [&] { return 1 + random() % piece_max; });
  EXPECT_EQ(outcome.progress, Progress::kBad);
  EXPECT_EQ(outcome.status, bad.status);
}

std::string NameOf(const testing::TestParamInfo<BadCase>& info) {
  return info.param.name;
}
INSTANTIATE_TEST_SUITE_P(Framing, HttpParserRefuses,
                         testing::ValuesIn(BadFraming()), NameOf);
INSTANTIATE_TEST_SUITE_P(Heads, HttpParserRefuses,
                         testing::ValuesIn(BadHeads()), NameOf);
INSTANTIATE_TEST_SUITE_P(Bodies, HttpParserRefuses,
                         testing::ValuesIn(BadBodies()), NameOf);

TEST(HttpParser, IncompleteIsNeverDone) {
  const std::string whole = Request("Content-Length: 4\r\n", "abcd");
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(Parse(whole.substr(0, size)).progress, Progress::kNeedMore);
  }
  EXPECT_EQ(Parse(whole).progress, Progress::kDone);
  const std::string chunks = Request("Transfer-Encoding: chunked\r\n",
                                     "2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n");
  for (size_t size = 0; size < chunks.size(); ++size) {
    EXPECT_EQ(Parse(chunks.substr(0, size)).progress, Progress::kNeedMore);
  }
  EXPECT_EQ(Parse(chunks).body, "abcd");
}

// A second reading of a whole request, line by line, with no shared code: what
// the body is, and where the next request begins. Nothing: it is not one.
class SlowReader {
 public:
  explicit SlowReader(std::string_view bytes) : bytes_(bytes) {}

  std::optional<Outcome> Read() {
    std::string line;
    if (!Line(&line)) return std::nullopt;
    Outcome outcome;
    outcome.progress = Progress::kDone;
    outcome.method = line.substr(0, line.find(' '));
    outcome.target = line.substr(outcome.method.size() + 1);
    outcome.target = outcome.target.substr(0, outcome.target.find(' '));
    bool chunked = false;
    size_t length = 0;
    while (Line(&line) && !line.empty()) {
      std::transform(line.begin(), line.end(), line.begin(), tolower);
      if (line.rfind("transfer-encoding:", 0) == 0) chunked = true;
      if (line.rfind("content-length:", 0) == 0) {
        length = strtoul(line.c_str() + 15, nullptr, 10);
      }
    }
    if (!(chunked ? Chunks(&outcome.body) : Take(length, &outcome.body))) {
      return std::nullopt;
    }
    outcome.rest = std::string(bytes_);
    return outcome;
  }

 private:
  bool Line(std::string* line) {
    const size_t end = bytes_.find("\r\n");
    if (end == std::string_view::npos) return false;
    *line = std::string(bytes_.substr(0, end));
    bytes_.remove_prefix(end + 2);
    return true;
  }
  bool Take(size_t size, std::string* out) {
    if (bytes_.size() < size) return false;
    *out += bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return true;
  }
  bool Chunks(std::string* body) {
    std::string line;
    while (Line(&line)) {
      const size_t size = strtoul(line.c_str(), nullptr, 16);
      if (size == 0) return Line(&line) && line.empty();
      if (!Take(size, body) || !Line(&line) || !line.empty()) return false;
    }
    return false;
  }
  std::string_view bytes_;
};

std::string Mutate(std::string bytes, std::mt19937_64& random) {
  static const std::vector<std::string> pieces = {
      "\r\n",
      "\n",
      "\r",
      " ",
      "\t",
      ":",
      "0",
      "3",
      "\r\n\r\n",
      ";",
      std::string(1, '\0'),
      "Content-Length: 3\r\n",
      "Transfer-Encoding: chunked\r\n",
      "chunked",
      "Host: k\r\n",
      "HTTP/1.1",
      "\xff",
      "GET / HTTP/1.1\r\n",
      ","};
  const size_t times = 1 + random() % 4;
  for (size_t time = 0; time < times; ++time) {
    const size_t at = random() % (bytes.size() + 1);
    switch (random() % 4) {
      case 0:
        bytes.insert(at, pieces[random() % pieces.size()]);
        break;
      case 1:
        bytes.erase(at, 1 + random() % 6);
        break;
      case 2:
        if (at < bytes.size()) bytes[at] = static_cast<char>(random() % 256);
        break;
      default: {
        const std::string part = bytes.substr(at, random() % 40);
        bytes.insert(random() % (bytes.size() + 1), part);
      }
    }
  }
  return bytes;
}

TEST(HttpParser, MutatedRequestsAreReadInOneWayOrNotAtAll) {
  std::mt19937_64 random(RandomSeed());
  SCOPED_TRACE("KLAXON_TEST_SEED=" + std::to_string(RandomSeed()));
  const std::vector<std::string> seeds = {
      Request("Content-Length: 5\r\nContent-Type: application/json\r\n",
              "{}   GET / HTTP/1.1\r\n\r\n"),
      Request("Transfer-Encoding: chunked\r\n",
              "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\nGET /x HTTP/1.1\r\n"),
      Request("Connection: keep-alive\r\nExpect: 100-continue\r\n"),
      "GET /metrics HTTP/1.0\r\nAccept: */*\r\n\r\n"};
  int done = 0;
  for (int round = 0; round < 60'000; ++round) {
    const std::string bytes = Mutate(seeds[random() % seeds.size()], random);
    const Outcome whole = Parse(bytes);
    const Outcome pieces = Parse(bytes, [&] { return 1 + random() % 7; });
    ASSERT_EQ(whole, pieces) << testing::PrintToString(bytes);
    if (whole.progress != Progress::kDone) continue;
    ++done;
    const auto slow = SlowReader(bytes).Read();
    ASSERT_TRUE(slow.has_value()) << testing::PrintToString(bytes);
    ASSERT_EQ(whole, *slow) << testing::PrintToString(bytes);
  }
  EXPECT_GT(done, 5000) << done;
}

}  // namespace
}  // namespace klaxon
