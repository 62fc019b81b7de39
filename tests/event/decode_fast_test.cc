// The fast path against the slow one, and the kernels against each other.
#include "event/decode_fast.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "event/decode.h"
#include "tests/event/decode_dump.h"
#include "tests/event/decode_samples.h"
#include "tests/random_seed.h"
#include "tests/testing/shared_folder.h"

namespace klaxon {
namespace {

using Random = std::mt19937_64;

struct FastResult {
  bool read = false;
  std::string event;
};

FastResult RunKernel(const FastKernel& kernel, std::string_view line) {
  const PaddedText text(line);
  std::string arena(line.size() + kFastArenaSlack, '\0');
  FastScratch scratch;
  scratch.arena = arena.data();
  EventView view;
  FastResult result;
  const char* const end = text.view().data() + text.view().size();
  result.read = kernel.decode(text.view().data(), end, &scratch, &view) == end;
  if (result.read) result.event = Dump(view);
  return result;
}

// Every kernel, and with the fast path as without it.
void ExpectAllAgree(std::string_view line) {
  const FastResult first = RunKernel(FastKernels().front(), line);
  for (const FastKernel& kernel : FastKernels().subspan(1)) {
    const FastResult other = RunKernel(kernel, line);
    ASSERT_EQ(first.read, other.read) << kernel.name << ": " << line;
    ASSERT_EQ(first.event, other.event) << kernel.name << ": " << line;
  }
  Decoder fast;
  Decoder slow(DecoderOptions{.slow_path_only = true});
  const Decoded by_fast = DecodeOneLine(&fast, line);
  const Decoded by_slow = DecodeOneLine(&slow, line);
  ASSERT_EQ(DumpAll(by_fast), DumpAll(by_slow)) << line;
}

bool IsFast(std::string_view line) {
  return RunKernel(FastKernels().front(), line).read;
}

std::string Replaced(std::string_view line, std::string_view from,
                     std::string_view to) {
  std::string text(line);
  const size_t at = text.find(from);
  EXPECT_NE(at, text.npos) << from;
  return text.replace(at, from.size(), to);
}

// One event, which the fast path takes.
template <typename Check>
void ReadFast(std::string_view line, Check check) {
  Decoder decoder;
  const PaddedText text(line);
  int events = 0;
  decoder.DecodeLine(text.view(), [&](const EventView& event) {
    ++events;
    check(event);
  });
  EXPECT_EQ(events, 1);
  EXPECT_EQ(decoder.counters().fast_path_events, 1u);
}

TEST(DecodeFast, TakesWhatKubeApiserverWrites) {
  for (std::string_view line : kSampleLines) {
    EXPECT_TRUE(IsFast(line)) << line;
    ExpectAllAgree(line);
  }
}

TEST(DecodeFast, FillsEveryField) {
  ReadFast(kSampleLines[3], [](const EventView& event) {
    EXPECT_EQ(event.level, Level::kRequestResponse);
    EXPECT_EQ(event.stage, Stage::kResponseComplete);
    EXPECT_EQ(event.code, 200);
    EXPECT_EQ(event.odd, 0u);
    EXPECT_EQ(event.audit_id, "1");
    EXPECT_EQ(event.verb, "patch");
    EXPECT_EQ(event.user.username, "oidc:eli@corp.example");
    ASSERT_EQ(event.user.groups.size(), 2u);
    EXPECT_TRUE(event.user.InGroup("oidc:admins"));
    ASSERT_EQ(event.user.extra.size(), 3u);
    EXPECT_EQ(event.user.extra[2].key, "corp.example/amr");
    EXPECT_EQ(event.user.extra[2].value, "otp");
    EXPECT_EQ(event.user.credential_id, "JTI=1");
    EXPECT_TRUE(event.has_impersonated_user);
    EXPECT_EQ(event.impersonated_user.substr(0, 18), R"({"username":"root")");
    EXPECT_EQ(event.impersonated_user.back(), '}');
    ASSERT_EQ(event.source_ips.size(), 1u);
    EXPECT_EQ(event.source_ips[0], "10.1.2.3");
    EXPECT_EQ(event.user_agent, "kubectl/v1.35.4");
    EXPECT_TRUE(event.has_object_ref);
    EXPECT_EQ(event.object_ref.resource, "clusterrolebindings");
    EXPECT_EQ(event.object_ref.name, "x");
    EXPECT_EQ(event.object_ref.uid, "u-1");
    EXPECT_EQ(event.object_ref.api_group, "rbac.authorization.k8s.io");
    EXPECT_EQ(event.request_object.front(), '[');
    EXPECT_EQ(event.request_object.back(), ']');
    EXPECT_EQ(event.response_object.substr(0, 8), R"({"kind":)");
    EXPECT_EQ(FormatTime(event.request_received_time),
              "2026-01-02T03:04:08.000000Z");
    EXPECT_EQ(FormatTime(event.stage_time), "2026-01-02T03:04:08.001000Z");
    ASSERT_EQ(event.annotations.size(), 3u);
    EXPECT_EQ(event.Annotation("apiserver.latency.k8s.io/etcd"), "1.2ms");
    EXPECT_EQ(event.decision, "allow");
    EXPECT_EQ(event.decision_reason.Text(), "RBAC: allowed");
  });
}

TEST(DecodeFast, UnescapesStrings) {
  const std::string line =
      Replaced(kSampleLines[0], "cart/v1 (linux/amd64)",
               R"(\"\\\/\b\f\n\r\t\u0026\u003C\u00e9\u2028\ufffd )" +
                   std::string(70, 'x') + R"(\\)");
  ReadFast(line, [](const EventView& event) {
    EXPECT_EQ(event.user_agent,
              "\"\\/\b\f\n\r\t&<\xc3\xa9\xe2\x80\xa8\xef\xbf\xbd " +
                  std::string(70, 'x') + "\\");
    EXPECT_EQ(event.decision_reason.Text(),
              "RBAC: allowed by RoleBinding \"r/shop\" of Role \"r\" to "
              "ServiceAccount \"cart/shop\"");
    EXPECT_EQ(event.request_uri,
              "/api/v1/namespaces/shop/secrets?limit=500&resourceVersion=0");
  });
}

TEST(DecodeFast, ReadsWhyAuthenticationFailed) {
  ReadFast(kSampleLines[1], [](const EventView& event) {
    EXPECT_EQ(event.status_message, "Unauthorized");
    EXPECT_EQ(event.status_reason, "Unauthorized");
    EXPECT_EQ(event.code, 401);
    EXPECT_EQ(event.stage_time - event.request_received_time, 400'000);
  });
}

// The whole of it is compared at once: with any other byte it is read again.
TEST(DecodeFast, EveryByteOfAStatusCounts) {
  const std::string_view line = kSampleLines[1];
  const size_t begin = line.find("{\"metadata\"");
  const size_t end = line.find(",\"requestReceivedTimestamp\"");
  for (size_t at = begin; at < end; ++at) {
    for (char other : {'x', '"', '\\', '4', '}', ',', '\0', '\xff'}) {
      std::string changed(line);
      changed[at] = other;
      ExpectAllAgree(changed);
    }
    ExpectAllAgree(std::string(line).erase(at, 1));
    ExpectAllAgree(std::string(line).insert(at, 1, 'x'));
  }
}

// What is kept of one stamp for the next must not show, whatever it was.
TEST(DecodeFast, StampsDoNotDependOnThoseBefore) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE("KLAXON_TEST_SEED=" + std::to_string(seed));
  Random random(seed);
  const std::string stamps[] = {
      "2026-01-02T03:04:06.000001Z",        "2026-01-02T03:04:59.999999Z",
      "2026-01-02T03:05:00.000000Z",        "2026-01-03T03:04:06.000001Z",
      "2026-02-31T03:04:06.000001Z",        "2026-01-02T24:04:06.000001Z",
      "2026-01-02T03:60:06.000001Z",        "2026-01-02T03:04:60.000001Z",
      "1970-01-01T00:00:00.000001Z",        "0000-00-00T00:00:00.000001Z",
      std::string(16, '\0') + ":06.000001Z"};
  const auto any = [&] { return stamps[random() % std::size(stamps)]; };
  Decoder kept;
  for (int round = 0; round < 20'000; ++round) {
    std::string line = Replaced(kSampleLines[1], stamps[0], any());
    line = Replaced(line, "2026-01-02T03:04:06.000401Z", any());
    if (random() % 8 == 0) {
      line[line.size() - 2 - random() % 80] = static_cast<char>(random());
    }
    Decoder fresh;
    Decoder slow(DecoderOptions{.slow_path_only = true});
    const std::string want = DumpAll(DecodeOneLine(&slow, line));
    ASSERT_EQ(DumpAll(DecodeOneLine(&kept, line)), want) << line;
    ASSERT_EQ(DumpAll(DecodeOneLine(&fresh, line)), want) << line;
  }
}

struct Surprise {
  const char* what;
  int sample;
  std::string_view from;
  std::string_view to;
};

class DecodeFastSurprise : public testing::TestWithParam<Surprise> {};

TEST_P(DecodeFastSurprise, IsLeftToTheSlowPath) {
  const Surprise& c = GetParam();
  const std::string line = Replaced(kSampleLines[c.sample], c.from, c.to);
  EXPECT_FALSE(IsFast(line)) << c.what;
  ExpectAllAgree(line);
}

INSTANTIATE_TEST_SUITE_P(
    All, DecodeFastSurprise,
    testing::Values(
        Surprise{"white space", 0, "\"verb\":", "\"verb\": "},
        Surprise{"order", 1, R"("requestURI":"/api/v1/pods","verb":"list")",
                 R"("verb":"list","requestURI":"/api/v1/pods")"},
        Surprise{"case of a key", 0, "\"verb\"", "\"Verb\""},
        Surprise{"escape in a key", 0, "\"verb\"", "\"\\u0076erb\""},
        Surprise{"duplicate key", 0, "\"verb\":\"list\"",
                 "\"verb\":\"get\",\"verb\":\"list\""},
        Surprise{"unknown key", 0, ",\"userAgent\"",
                 ",\"cluster\":\"x\",\"userAgent\""},
        Surprise{"unknown key at the end", 0, "cart/shop\\\"\"}}",
                 "cart/shop\\\"\"},\"tag\":1}"},
        Surprise{"unknown level", 0, "Metadata", "None"},
        Surprise{"unknown stage", 0, "ResponseComplete", "Done"},
        Surprise{"other group of the API", 0, "audit.k8s.io/v1\"",
                 "audit.k8s.io/v1beta1\""},
        Surprise{"number for a string", 0, "\"verb\":\"list\"", "\"verb\":1"},
        Surprise{"string for a number", 0, "\"code\":200", "\"code\":\"200\""},
        Surprise{"code of no digits", 0, "\"code\":200", "\"code\":"},
        Surprise{"negative code", 0, "\"code\":200", "\"code\":-1"},
        Surprise{"leading zero", 0, "\"code\":200", "\"code\":0200"},
        Surprise{"no comma", 0, "\",\"uid\"", "\"\"uid\""},
        Surprise{"trailing comma", 0, "cart/shop\\\"\"}}",
                 "cart/shop\\\"\",}}"},
        Surprise{"trailing comma in user", 1, "\"user\":{}",
                 "\"user\":{\"username\":\"a\",}"},
        Surprise{"comma first", 1, "\"user\":{}",
                 "\"user\":{,\"username\":\"a\"}"},
        Surprise{"null user", 1, "\"user\":{}", "\"user\":null"},
        Surprise{"empty list", 0, "[\"10.0.3.7\"]", "[]"},
        Surprise{"list of numbers", 0, "[\"10.0.3.7\"]", "[1]"},
        Surprise{"string for a list", 0, "[\"10.0.3.7\"]", "\"10.0.3.7\""},
        Surprise{"annotations out of order", 3, "apiserver.latency.k8s.io/etcd",
                 "zzz"},
        Surprise{"annotation twice", 3,
                 "mutation.webhook.admission.k8s.io/round_0_index_0",
                 "authorization.k8s.io/decision"},
        Surprise{"extra twice", 7, "\"sessionName\"", "\"arn\""},
        Surprise{"extras out of order", 7, "accessKeyId", "zzz"},
        Surprise{"empty extra", 7, "[\"s\"]", "[]"},
        Surprise{"surrogate pair", 0, "cart/v1", "\\ud83d\\ude00"},
        Surprise{"lone surrogate", 0, "cart/v1", "\\ud83d"},
        Surprise{"lone surrogate in a body", 3, "line\\none", "\\udc00"},
        Surprise{"no such escape", 0, "cart/v1", "\\x"},
        Surprise{"invalid UTF-8", 0, "cart/v1", "\xff"},
        Surprise{"invalid UTF-8 before an escape", 0, "limit=500\\u0026",
                 "\xc3\\u0026"},
        Surprise{"invalid UTF-8 in a body", 3, "line\\none", "\xc3("},
        Surprise{"tab in a string", 0, "cart/v1", "a\tb"},
        Surprise{"tab in a body", 3, "line\\none", "a\tb"},
        Surprise{"body that is a string", 3, R"("responseObject":{"kind":)",
                 R"("responseObject":"skipped","x":{"kind":)"},
        Surprise{"unbalanced body", 3, "\"subjects\":[]", "\"subjects\":[[]"},
        Surprise{"stamp of 9 digits", 0, "05.000123Z", "05.000123456Z"},
        Surprise{"stamp with an offset", 0, "05.000123Z", "05.000123+02:00"},
        Surprise{"31 February", 0, "2026-01-02T03:04:05.000123Z",
                 "2026-02-31T03:04:05.000123Z"},
        Surprise{"25 h", 0, "T03:04:05.000123Z", "T25:04:05.000123Z"},
        Surprise{"60 s", 0, "T03:04:05.000123Z", "T03:04:60.000123Z"},
        Surprise{"letter in a stamp", 0, "T03:04:05.000123Z",
                 "T03:04:05.00x123Z"},
        Surprise{"colon for a digit", 0, "T03:04:05.000123Z",
                 "T03:04:05.00:123Z"},
        Surprise{"a second event", 1, "000401Z\"}", "000401Z\"}{}"},
        Surprise{"cut", 1, "000401Z\"}", "000401Z\""},
        Surprise{"end of the line in a string", 1, "000401Z\"}", "000401Z"}));

// Strings and bodies of every length meet the ends of blocks everywhere.
TEST(DecodeFast, LengthsAroundABlock) {
  for (size_t size = 0; size < 200; ++size) {
    std::string agent(size, 'x');
    ExpectAllAgree(Replaced(kSampleLines[0], "cart/v1 (linux/amd64)", agent));
    agent += "\\\"y";
    const std::string escaped =
        Replaced(kSampleLines[0], "cart/v1 (linux/amd64)", agent);
    EXPECT_TRUE(IsFast(escaped));
    ExpectAllAgree(escaped);
    std::string body(size, '\\');
    if (size % 2 != 0) body += '"';
    body += "]}";
    const std::string with_body = Replaced(kSampleLines[3], "line\\none", body);
    EXPECT_TRUE(IsFast(with_body)) << size;
    ExpectAllAgree(with_body);
  }
}

// A reason keeps its `\\"` until it is asked for, and no other escape.
TEST(DecodeFast, EscapesOfAReasonAroundABlock) {
  for (size_t before = 0; before < 140; ++before) {
    for (std::string_view piece :
         {R"(\")", R"(\"\")", R"(\\)", R"(\\\")", R"(\"\u00e9)", R"(\/)",
          R"(\")"
          "\xc3\xa9",
          R"(\)"
          "\xff",
          R"(\q)", "\x01", R"(\"\\)"}) {
      const std::string line =
          Replaced(kSampleLines[0], "RBAC: allowed by",
                   std::string(before, 'x').append(piece).append("y"));
      ExpectAllAgree(line);
    }
  }
}

TEST(DecodeFast, ListsOfAnyLength) {
  for (size_t count : {1, 2, 127, 128, 129, 1000}) {
    std::string list = "\"10.0.0.1\"";
    for (size_t i = 1; i < count; ++i) list += ",\"10.0.0.1\"";
    const std::string line = Replaced(kSampleLines[0], "\"10.0.3.7\"", list);
    EXPECT_EQ(IsFast(line), count <= FastScratch::kListMax) << count;
    ExpectAllAgree(line);
  }
}

TEST(DecodeFast, DepthBeyondThousandIsOdd) {
  for (int depth : {10, 800, 990, 996, 997, 998, 999, 1000, 1100, 10000}) {
    const std::string line = Replaced(
        kSampleLines[3], "\"subjects\":[]",
        "\"subjects\":" + std::string(depth, '[') + std::string(depth, ']'));
    ExpectAllAgree(line);
    Decoder decoder;
    const PaddedText text(line);
    int events = 0;
    decoder.DecodeLine(text.view(), [&](const EventView& event) {
      ++events;
      // The event and the response object are two levels more.
      EXPECT_EQ((event.odd & kOddDepth) != 0, depth + 2 > 1000) << depth;
    });
    EXPECT_EQ(events, 1);
  }
}

// The next line stands behind this one, or what a line was cut from: exactly
// what would make it whole.
TEST(DecodeFast, NothingBehindTheEndIsBelieved) {
  for (std::string_view line : kSampleLines) {
    const PaddedText text(line);
    std::string arena(line.size() + kFastArenaSlack, '\0');
    for (size_t size = 1; size < line.size(); ++size) {
      for (const FastKernel& kernel : FastKernels()) {
        FastScratch scratch;
        scratch.arena = arena.data();
        EventView view;
        const char* const begin = text.view().data();
        ASSERT_FALSE(kernel.decode(begin, begin + size, &scratch, &view) ==
                     begin + size)
            << kernel.name << ": " << line.substr(0, size);
        ASSERT_EQ(kernel.value_end(begin, begin + size).end, nullptr);
      }
    }
  }
}

// ------------------------------------------------------------- random lines

std::string Mutated(std::string_view line, Random* random) {
  static constexpr std::string_view kBits[] = {
      "\"",
      "\\",
      "{",
      "}",
      "[",
      "]",
      ",",
      ":",
      " ",
      "\\u0041",
      "\\ud800",
      "\xff",
      "null",
      "\"verb\":\"x\",",
      "{}",
      "\t",
      "\\\"",
      "0",
      "\"user\":{\"uid\":\"9\"},",
      ",\"code\":500",
      "\xc3\xa9",
      "\\n",
      "\"Verb\":1,",
      "}{",
      "\"annotations\":{\"authorization.k8s.io/decision\""
      ":\"x\"},",
      "-",
      "2"};
  const auto below = [random](size_t n) {
    return std::uniform_int_distribution<size_t>(0, n - 1)(*random);
  };
  std::string text(line);
  for (size_t edits = 1 + below(3); edits > 0 && !text.empty(); --edits) {
    const size_t at = below(text.size());
    const size_t length = std::min(below(40), text.size() - at);
    switch (below(6)) {
      case 0:
        text[at] = static_cast<char>(below(256));
        break;
      case 1:
        text.erase(at, length);
        break;
      case 2:
        text.insert(at, text.substr(at, length));
        break;
      case 3:
        text.insert(at, kBits[below(std::size(kBits))]);
        break;
      case 4: {
        // At a seam of the grammar, where mutations hurt.
        const size_t seam = text.find_first_of("\",:{}[]", at);
        if (seam != text.npos) {
          text.replace(seam, below(2), kBits[below(std::size(kBits))]);
        }
        break;
      }
      default:
        text.resize(at);
        break;
    }
  }
  return text;
}

void CheckMutations(const std::vector<std::string>& lines, int rounds) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Random random(seed);
  for (int i = 0; i < rounds; ++i) {
    const std::string& line = lines[std::uniform_int_distribution<size_t>(
        0, lines.size() - 1)(random)];
    ExpectAllAgree(Mutated(line, &random));
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(DecodeFast, AgreesWithTheSlowPathOnMutatedLines) {
  CheckMutations({kSampleLines.begin(), kSampleLines.end()}, 20'000);
}

// The recordings of a real kube-apiserver, where they are at hand.
TEST(DecodeFast, AgreesWithTheSlowPathOnRecordings) {
  const std::filesystem::path folder = SharedFolder() / "recordings";
  if (!std::filesystem::exists(folder)) {
    GTEST_SKIP() << "no recordings at " << folder;
  }
  std::vector<std::string> lines;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".log") continue;
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) {
      lines.push_back(line);
    }
  }
  ASSERT_GT(lines.size(), 1000u);
  for (const std::string& line : lines) {
    ExpectAllAgree(line);
    if (HasFatalFailure()) return;
  }
  CheckMutations(lines, 5'000);
}

// DecodeFastLine takes whole lines off the front of a batch and is then what
// DecodeLine would have been; what it does not take it leaves alone.
TEST(DecodeFastLine, IsDecodeLineWithoutLookingForTheEnd) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE("KLAXON_TEST_SEED=" + std::to_string(seed));
  Random random(seed);
  const std::vector<std::string> samples(kSampleLines.begin(),
                                         kSampleLines.end());
  for (int round = 0; round < 300; ++round) {
    std::string batch;
    for (int i = 0; i < 6; ++i) {
      std::string line = samples[random() % samples.size()];
      if (random() % 2 == 0) {  // Damage it.
        const size_t at = random() % line.size();
        if (random() % 2 == 0)
          line.resize(at);
        else
          line[at] = static_cast<char>(random() % 128);
      }
      batch += line + "\n";
    }
    const PaddedText text(batch);
    const std::string_view bytes = text.view();
    std::string want;
    std::string got;
    Decoder plain;
    Decoder fast;
    const auto to = [](std::string* out) {
      return [out](const EventView& event) { *out += Dump(event) + "\n"; };
    };
    for (size_t begin = 0; begin < bytes.size();) {
      const size_t end = std::min(bytes.find('\n', begin), bytes.size());
      plain.DecodeLine(bytes.substr(begin, end - begin), to(&want));
      begin = end + 1;
    }
    for (size_t begin = 0; begin < bytes.size();) {
      if (const size_t size =
              fast.DecodeFastLine(bytes.substr(begin), to(&got))) {
        begin += size + 1;
        continue;
      }
      const size_t end = std::min(bytes.find('\n', begin), bytes.size());
      fast.DecodeLine(bytes.substr(begin, end - begin), to(&got));
      begin = end + 1;
    }
    ASSERT_EQ(want, got) << batch;
    ASSERT_EQ(plain.counters().lines, fast.counters().lines);
    ASSERT_EQ(plain.counters().events, fast.counters().events);
  }
}

}  // namespace
}  // namespace klaxon
