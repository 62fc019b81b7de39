// The fast path with what it remembers of callers against itself without.
#include "event/identity_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <random>
#include <string>
#include <string_view>

#include "event/decode.h"
#include "event/decode_fast.h"
#include "event/identity_key_impl.h"
#include "tests/event/decode_dump.h"
#include "tests/event/decode_samples.h"
#include "tests/random_seed.h"

namespace klaxon {
namespace {

using Random = std::mt19937_64;

struct Read {
  bool whole = false;
  std::string event;
  IdentityKey identity;
  uint32_t number = 0;
};

// The first `size` bytes of the line, which stands there to its end.
Read ReadWith(const FastKernel& kernel, IdentityCache* identities,
              std::string_view line, size_t size = std::string_view::npos) {
  const PaddedText text(line);
  const std::string_view part = text.view().substr(0, size);
  std::string arena(part.size() + kFastArenaSlack, '\0');
  FastScratch scratch;
  scratch.arena = arena.data();
  scratch.identities = identities;
  EventView view;
  const char* const end = part.data() + part.size();
  Read read;
  read.whole = kernel.decode(part.data(), end, &scratch, &view) == end;
  EXPECT_LE(scratch.arena, arena.data() + part.size());
  if (!read.whole) return read;
  read.event = Dump(view);
  read.identity = view.identity;
  read.number = view.identity_number;
  return read;
}

TEST(IdentityCache, WhoIsKnownIsReadAsWhoIsNot) {
  for (const FastKernel& kernel : FastKernels()) {
    IdentityCache identities;
    size_t recalled = 0;
    for (int round = 0; round < 2; ++round) {
      for (std::string_view line : kSampleLines) {
        const Read plain = ReadWith(kernel, nullptr, line);
        const Read cached = ReadWith(kernel, &identities, line);
        ASSERT_TRUE(cached.whole) << kernel.name << ": " << line;
        EXPECT_EQ(cached.event, plain.event) << kernel.name << ": " << line;
        EXPECT_EQ(cached.identity, plain.identity) << line;
        EXPECT_EQ(plain.number, 0u);
        if (cached.number != 0) ++recalled;
      }
    }
    // Not nobody, nor who has escapes, impersonates or sends no user agent.
    EXPECT_EQ(identities.size(), 3u) << kernel.name;
    EXPECT_EQ(recalled, 3u) << kernel.name;
  }
}

// A user agent with escapes is unescaped once, into room for one.
TEST(IdentityCache, UserAgentWithEscapesIsReadOnce) {
  std::string line(kSampleLines[0]);
  line.insert(line.find("cart/v1"), "\\\"" + std::string(5'000, 'x'));
  for (const FastKernel& kernel : FastKernels()) {
    IdentityCache identities;
    EXPECT_EQ(ReadWith(kernel, &identities, line).event,
              ReadWith(kernel, nullptr, line).event);
  }
}

// One that sends no user agent, before a body or a line in which there is one.
TEST(IdentityCache, UserAgentOfSomethingElseIsNobodys) {
  std::string line(kSampleLines[3]);
  const size_t begin = line.find(",\"impersonatedUser\"");
  line.erase(begin, line.find(",\"sourceIPs\"") - begin);
  const size_t agent = line.find(",\"userAgent\"");
  line.erase(agent, line.find(",\"objectRef\"") - agent);
  line.insert(line.find("\"subjects\""), "\"a\":1,\"userAgent\":\"body\",");
  const std::string two = line + "\n" + std::string(kSampleLines[0]);
  for (const FastKernel& kernel : FastKernels()) {
    IdentityCache identities;
    for (int round = 0; round < 2; ++round) {
      for (const std::string& text : {line, two}) {
        const Read plain = ReadWith(kernel, nullptr, text, line.size());
        const Read cached = ReadWith(kernel, &identities, text, line.size());
        ASSERT_TRUE(cached.whole);
        EXPECT_EQ(cached.event, plain.event) << kernel.name;
        EXPECT_EQ(cached.event.find("user_agent=<body>"), std::string::npos);
        EXPECT_EQ(cached.identity, plain.identity);
        EXPECT_EQ(cached.number, 0u);
      }
    }
    EXPECT_EQ(identities.size(), 0u);
  }
}

// Equal keys, equal callers: every text of one counts.
TEST(IdentityCache, EveryByteOfAnIdentityIsItsKey) {
  const std::string_view line = kSampleLines[0];
  const size_t begin = line.find("\"user\":{") + 7;
  const size_t end = line.find(",\"objectRef\"");
  const FastKernel& kernel = FastKernels().front();
  IdentityCache identities;
  const Read original = ReadWith(kernel, &identities, line);
  for (size_t at = begin; at < end; ++at) {
    std::string changed(line);
    changed[at] = changed[at] == 'x' ? 'y' : 'x';
    const Read plain = ReadWith(kernel, nullptr, changed);
    const Read cached = ReadWith(kernel, &identities, changed);
    ASSERT_EQ(cached.whole, plain.whole) << changed;
    ASSERT_EQ(cached.event, plain.event) << changed;
    if (cached.whole) {
      ASSERT_NE(cached.identity, original.identity);
      EXPECT_EQ(cached.number, 0u);
    }
  }
  EXPECT_GT(identities.size(), 200u);
  EXPECT_NE(ReadWith(kernel, &identities, line).number, 0u);
}

// What stands behind the end would make it whole, and its identity is known.
TEST(IdentityCache, NothingBehindTheEndIsBelieved) {
  for (const FastKernel& kernel : FastKernels()) {
    for (std::string_view line : kSampleLines) {
      IdentityCache identities;
      ReadWith(kernel, &identities, line);
      for (size_t size = 1; size < line.size(); ++size) {
        ASSERT_FALSE(ReadWith(kernel, &identities, line, size).whole)
            << kernel.name << ": " << line.substr(0, size);
      }
    }
  }
}

std::string Changed(std::string_view line, Random* random) {
  static constexpr std::string_view kPieces[] = {
      "\"",
      "\\\"",
      ",\"userAgent\":\"",
      ",\"userAgent\":\"A\"",
      "\"userAgent\"",
      "A",
      "}",
      "{",
      "[\"x\"]",
      ",\"objectRef\":{}",
      "\"extra\":{\"userAgent\":[\"A\"]},",
      "\\u0041",
      "\xff",
      ",\"impersonatedUser\":{\"username\":\"A\"}",
  };
  const auto below = [random](size_t n) {
    return static_cast<size_t>((*random)() % n);
  };
  std::string text(line);
  for (size_t edits = below(3); edits > 0; --edits) {
    const std::string_view piece = kPieces[below(std::size(kPieces))];
    // Mostly at a seam, and mostly among who sent it.
    size_t at = below(text.size());
    const size_t agent = text.find("\"userAgent\"");
    if (agent != text.npos && below(2) == 0)
      at = agent - std::min(agent, below(60));
    if (below(2) == 0) at = std::min(text.find_first_of("\",{}", at), at);
    text.replace(at, below(3), piece);
  }
  return text;
}

// One decoder that has seen them all, and one that has seen nothing.
TEST(IdentityCache, WhatWasReadBeforeDoesNotShow) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE("KLAXON_TEST_SEED=" + std::to_string(seed));
  Random random(seed);
  Decoder kept;
  Decoder slow(DecoderOptions{.slow_path_only = true});
  for (int round = 0; round < 20'000; ++round) {
    const std::string_view sample =
        kSampleLines[random() % kSampleLines.size()];
    const std::string line = Changed(sample, &random);
    ASSERT_EQ(DumpAll(DecodeOneLine(&kept, line)),
              DumpAll(DecodeOneLine(&slow, line)))
        << line;
  }
}

std::string LineOf(int caller) {
  std::string line(kSampleLines[0]);
  const std::string name = "cart-" + std::to_string(caller);
  line.replace(line.find("shop:cart") + 5, 4, name);
  return line;
}

TEST(IdentityCache, ForgetsWhereThereAreTooMany) {
  constexpr int kCallers = 40'000;
  static_assert(kCallers > 2 * IdentityCache::kIdentitiesMax);
  const FastKernel& kernel = FastKernels().front();
  IdentityCache identities;
  for (int caller = 0; caller < kCallers; ++caller) {
    const std::string line = LineOf(caller);
    const Read first = ReadWith(kernel, &identities, line);
    ASSERT_TRUE(first.whole);
    ASSERT_EQ(first.number, 0u);
    ASSERT_LE(identities.size(), IdentityCache::kIdentitiesMax);
    const Read again = ReadWith(kernel, &identities, line);
    ASSERT_EQ(again.event, first.event);
    ASSERT_EQ(again.identity, first.identity);
    ASSERT_GT(again.number, 0u);
    ASSERT_LE(again.number, IdentityCache::kIdentitiesMax);
  }
}

// As many texts as there is room for, and one more; a user agent that stands as
// far behind as one may, and farther. Those are read each time.
TEST(IdentityCache, KeepsNoneThatIsTooLarge) {
  const std::string_view sample = kSampleLines[0];
  struct Case {
    size_t more_groups;
    size_t padding;  // In one of them.
    bool kept;
  };
  // Three groups, an address, five extras of two texts are there.
  constexpr size_t kListed = 14;
  static_assert(KnownIdentity::kListedMax == 24);
  const size_t before = sample.find(",\"userAgent\"") - sample.find("{\"user");
  // The first byte of `,"userAgent":"` is looked for in so many.
  const size_t room = IdentityCache::kBytesMax - 14 - before;
  for (const Case& c : {Case{24 - kListed, 0, true},
                        Case{25 - kListed, 0, false}, Case{40, 0, false},
                        Case{1, room - 4 - 1, true}, Case{1, room - 4, false},
                        Case{1, 3'000, false}, Case{1, 70'000, false}}) {
    std::string line(sample);
    std::string more;
    for (size_t i = 0; i < c.more_groups; ++i) {
      more += "g" + std::string(i == 0 ? c.padding : 0, 'p') + "\",\"";
    }
    line.insert(line.find("system:authenticated"), more);
    for (const FastKernel& kernel : FastKernels()) {
      IdentityCache identities;
      const Read plain = ReadWith(kernel, nullptr, line);
      ASSERT_TRUE(plain.whole);
      for (int round = 0; round < 2; ++round) {
        const Read cached = ReadWith(kernel, &identities, line);
        EXPECT_EQ(cached.event, plain.event);
        EXPECT_EQ(cached.identity, plain.identity);
        EXPECT_EQ(cached.number != 0, c.kept && round == 1)
            << c.more_groups << " more groups, " << c.padding;
      }
    }
  }
}

TEST(IdentityKey, IsTheSameByAnyInstructions) {
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2")) GTEST_SKIP() << "no AVX2 here";
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE("KLAXON_TEST_SEED=" + std::to_string(seed));
  Random random(seed);
  IdentitySecret secret;
  for (uint8_t& byte : secret) byte = static_cast<uint8_t>(random());
  for (size_t size = 0; size < 1'500; ++size) {
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    ASSERT_EQ(IdentityKeyAvx2(bytes, secret), IdentityKeyPlain(bytes, secret))
        << size;
  }
#else
  GTEST_SKIP() << "one way only";
#endif
}

}  // namespace
}  // namespace klaxon
