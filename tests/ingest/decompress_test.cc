// Everything that is peeled off an input: gzip, zstd, what libarchive
// inflates, tar, and all of it nested.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <isa-l/crc.h>
#include <zstd.h>

#include <cstring>
#include <iterator>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "ingest/content_kind.h"
#include "ingest/content_stream.h"
#include "ingest/libarchive_reader.h"
#include "tests/ingest/ingest_fixture.h"
#include "tests/random_seed.h"

namespace klaxon {
namespace {

using std::string_literals::operator""s;

struct Peeled {
  std::string bytes;
  bool is_tar = false;
  std::vector<StreamProblem> problems;

  bool lost() const {
    return std::any_of(problems.begin(), problems.end(),
                       [](const StreamProblem& p) { return p.lost; });
  }
};

Peeled Peel(const std::string& raw, size_t piece_max = 1 << 20,
            uint32_t seed = 1, size_t capacity = 1 << 16, bool pauses = false) {
  Interrupter interrupter;
  StreamContext context(&interrupter);
  ContentStream content(
      std::make_unique<PiecesStream>(raw, piece_max, seed, pauses), 0,
      &context);
  Peeled peeled;
  while (content.Prepare() == StreamState::kBlocked) {
  }
  peeled.is_tar = content.is_tar();
  peeled.bytes = Drain(content, capacity);
  peeled.problems = context.problems;
  return peeled;
}

std::string RandomLines(size_t bytes, uint32_t seed = 7) {
  std::mt19937 random(seed);
  std::string lines = "{\"seed\":" + std::to_string(seed) + "}\n";
  while (lines.size() < bytes) {
    lines += "{\"a\":" + std::to_string(random()) + ",\"verb\":\"get\"}\n";
  }
  return lines;
}

struct FormatCase {
  const char* name;
  AddFilter filter;
};

constexpr FormatCase kFormats[] = {
    {"Gzip", archive_write_add_filter_gzip},
    {"Zstd", archive_write_add_filter_zstd},
    {"Bzip2", archive_write_add_filter_bzip2},
    {"Xz", archive_write_add_filter_xz},
    {"Lzip", archive_write_add_filter_lzip},
    {"Lz4", archive_write_add_filter_lz4},
    // Has neither a length nor an end mark: nobody can tell that it is
    // truncated, nor where a second one begins.
    {"Compress", archive_write_add_filter_compress},
};

class Compression : public ::testing::TestWithParam<FormatCase> {};
class FramedCompression : public Compression {};

TEST_P(Compression, IsRecognisedAndInflated) {
  for (size_t bytes : {size_t{40}, size_t{5'000}, size_t{500'000}}) {
    const std::string lines = RandomLines(bytes);
    const Peeled peeled = Peel(Compress(GetParam().filter, lines));
    EXPECT_EQ(peeled.bytes, lines);
    EXPECT_TRUE(peeled.problems.empty());
  }
}

TEST_P(FramedCompression, HoldsNothing) {
  // libarchive crashes when it is to write an empty lz4: this is lz4(1)'s.
  const std::string raw =
      GetParam().filter == archive_write_add_filter_lz4
          ? "\x04\x22\x4d\x18\x64\x40\xa7\0\0\0\0\x05\x5d\xcc\x02"s
          : Compress(GetParam().filter, "");
  const Peeled peeled = Peel(raw);
  EXPECT_EQ(peeled.bytes, "");
  EXPECT_TRUE(peeled.problems.empty());
}

TEST_P(Compression, DoesNotDependOnPieces) {
  const uint32_t seed = static_cast<uint32_t>(RandomSeed());
  std::mt19937 random(seed);
  for (int round = 0; round < 15; ++round) {
    SCOPED_TRACE("seed " + std::to_string(seed) + " round " +
                 std::to_string(round));
    const std::string lines = RandomLines(random() % 100'000, random());
    const std::string raw = Compress(GetParam().filter, lines);
    EXPECT_EQ(
        Peel(raw, 1 + random() % 3000, random(), 1 + random() % 5000).bytes,
        lines);
  }
}

TEST_P(FramedCompression, TruncatedGivesWhatCameBeforeAndSaysSo) {
  const std::string lines = RandomLines(300'000);
  const std::string raw = Compress(GetParam().filter, lines);
  for (size_t cut : {raw.size() / 10, raw.size() / 2, raw.size() - 1}) {
    SCOPED_TRACE(cut);
    const Peeled peeled = Peel(raw.substr(0, cut));
    EXPECT_EQ(peeled.bytes, lines.substr(0, peeled.bytes.size()));
    ASSERT_EQ(peeled.problems.size(), 1u);
    EXPECT_TRUE(peeled.lost());
    EXPECT_NE(peeled.problems[0].message.find("truncated"), std::string::npos)
        << peeled.problems[0].message;
  }
}

TEST_P(FramedCompression, TwoStreamsInOneFile) {
  const std::string a = RandomLines(1000, 1);
  const std::string b = RandomLines(2000, 2);
  const Peeled peeled =
      Peel(Compress(GetParam().filter, a) + Compress(GetParam().filter, b));
  EXPECT_EQ(peeled.bytes, a + b);
  EXPECT_TRUE(peeled.problems.empty());
}

INSTANTIATE_TEST_SUITE_P(All, Compression, ::testing::ValuesIn(kFormats),
                         [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(All, FramedCompression,
                         ::testing::ValuesIn(kFormats, std::end(kFormats) - 1),
                         [](const auto& info) { return info.param.name; });

class Members : public ::testing::TestWithParam<FormatCase> {
 protected:
  std::string Pack(const std::string& bytes) const {
    return Compress(GetParam().filter, bytes);
  }
};

TEST_P(Members, TruncatedAtEveryByte) {
  const std::string lines = RandomLines(700);
  const std::string one = Pack(lines);
  const std::string raw = one + Pack(lines);
  for (size_t cut = 1; cut < raw.size(); ++cut) {
    SCOPED_TRACE(cut);
    const Peeled peeled = Peel(raw.substr(0, cut), 1 << 20, 1, 100);
    if (raw[0] == '(' && cut == 1) continue;  // Might be anything.
    EXPECT_EQ(peeled.bytes, (lines + lines).substr(0, peeled.bytes.size()));
    if (cut >= one.size()) {
      EXPECT_GE(peeled.bytes.size(), lines.size());
    }
    ASSERT_EQ(peeled.problems.size(), cut == one.size() ? 0u : 1u);
    if (cut != one.size()) {
      EXPECT_TRUE(peeled.lost());
    }
  }
}

TEST_P(Members, ZerosBehindAreNoLoss) {
  const Peeled peeled = Peel(Pack("a\n") + std::string(1'000'000, '\0'));
  EXPECT_EQ(peeled.bytes, "a\n");
  ASSERT_EQ(peeled.problems.size(), 1u);
  EXPECT_FALSE(peeled.lost());
  EXPECT_NE(peeled.problems[0].message.find("1000000 zero bytes"),
            std::string::npos);
}

TEST_P(Members, ZerosBetweenArePadding) {
  const Peeled peeled =
      Peel(Pack("a\n") + std::string(511, '\0') + Pack("b\n"));
  EXPECT_EQ(peeled.bytes, "a\nb\n");
  EXPECT_FALSE(peeled.lost());
}

TEST_P(Members, GarbageBehindIsCounted) {
  const Peeled peeled = Peel(Pack("a\n") + "\0\0trailing junk"s);
  EXPECT_EQ(peeled.bytes, "a\n");
  ASSERT_EQ(peeled.problems.size(), 1u);
  EXPECT_FALSE(peeled.lost());
  EXPECT_NE(peeled.problems[0].message.find("15 bytes of garbage"),
            std::string::npos);
}

TEST_P(Members, ALogBehindIsALoss) {
  const Peeled peeled = Peel(Pack("a\n") + "{\"kind\":\"Event\"}\n");
  ASSERT_EQ(peeled.problems.size(), 1u);
  EXPECT_TRUE(peeled.lost());
}

TEST_P(Members, MillionEmptyOnesAreNoProblem) {
  std::string raw;
  const std::string empty = Pack("");
  for (int i = 0; i < 100'000; ++i) raw += empty;
  const Peeled peeled = Peel(raw + Pack("a\n"));
  EXPECT_EQ(peeled.bytes, "a\n");
  EXPECT_TRUE(peeled.problems.empty());
}

TEST_P(Members, CorruptByteAnywhereIsFoundAndNeverCrashes) {
  const uint32_t seed = static_cast<uint32_t>(RandomSeed());
  std::mt19937 random(seed);
  const std::string lines = RandomLines(5'000);
  // archive_write's zstd frames have no checksum.
  std::string raw;
  if (GetParam().filter == archive_write_add_filter_zstd) {
    ZSTD_CCtx* context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    raw.resize(ZSTD_compressBound(lines.size()));
    raw.resize(ZSTD_compress2(context, raw.data(), raw.size(), lines.data(),
                              lines.size()));
    ZSTD_freeCCtx(context);
  } else {
    raw = Pack(lines);
  }
  for (int round = 0; round < 500; ++round) {
    SCOPED_TRACE("seed " + std::to_string(seed) + " round " +
                 std::to_string(round));
    std::string broken = raw;
    const size_t at = 10 + random() % (raw.size() - 10);
    broken[at] ^= 1 << random() % 8;
    const Peeled peeled = Peel(broken, 1 << 20, 1, 1 + random() % 10'000);
    if (peeled.bytes == lines) continue;  // A spare bit.
    EXPECT_TRUE(peeled.lost()) << "byte " << at;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Members,
                         ::testing::Values(kFormats[0], kFormats[1]),
                         [](const auto& info) { return info.param.name; });

TEST(GzipStream, WrongChecksumIsReportedAndTheNextMemberRead) {
  std::string first = Gzip("a\n");
  first[first.size() - 8] ^= 1;
  const Peeled peeled = Peel(first + Gzip("b\n"));
  EXPECT_EQ(peeled.bytes, "a\nb\n");
  ASSERT_EQ(peeled.problems.size(), 1u);
  EXPECT_TRUE(peeled.lost());
  EXPECT_NE(peeled.problems[0].message.find("checksum"), std::string::npos);
}

TEST(GzipStream, ManyWrongChecksumsAreTwoProblems) {
  std::string member = Gzip("");
  member[member.size() - 8] ^= 1;
  std::string raw;
  for (int i = 0; i < 10'000; ++i) raw += member;
  const Peeled peeled = Peel(raw);
  ASSERT_EQ(peeled.problems.size(), 2u);
  EXPECT_NE(peeled.problems[1].message.find("10000 of its 10000"),
            std::string::npos);
}

TEST(GzipStream, HeaderFieldsAreSkippedWhereverTheInputPauses) {
  // FHCRC, FEXTRA, FNAME, FCOMMENT. isal_inflate alone forgets in the middle
  // of a header which of them there are.
  const std::string plain = Gzip("a\n");
  for (const bool checksum : {false, true}) {
    std::string header = plain.substr(0, 10);
    header[3] = checksum ? 0x1e : 0x1c;
    header += "\x04\x00"s + "abcd" + std::string(300, 'n') + '\0' + "why\0"s;
    if (checksum) {
      const uint32_t crc = crc32_gzip_refl(
          0, reinterpret_cast<const uint8_t*>(header.data()), header.size());
      header += static_cast<char>(crc & 0xff);
      header += static_cast<char>(crc >> 8 & 0xff);
    }
    const std::string raw = header + plain.substr(10);
    for (size_t piece_max : {1, 2, 7, 100, 1000}) {
      const Peeled peeled = Peel(raw + raw, piece_max);
      EXPECT_EQ(peeled.bytes, "a\na\n");
      EXPECT_TRUE(peeled.problems.empty());
    }
    for (size_t cut = 1; cut < raw.size(); ++cut) {
      const Peeled peeled = Peel(raw + raw.substr(0, cut));
      EXPECT_TRUE("a\na\n"s.starts_with(peeled.bytes));
      EXPECT_GE(peeled.bytes.size(), 2u);
      EXPECT_TRUE(peeled.lost());
    }
  }
}

TEST(ZstdStream, SkippableFramesAreSkipped) {
  const std::string skip = "\x53\x2a\x4d\x18\x05\x00\x00\x00hello"s;
  const Peeled peeled = Peel(skip + Zstd("a\n") + skip + Zstd("b\n") + skip, 3);
  EXPECT_EQ(peeled.bytes, "a\nb\n");
  EXPECT_TRUE(peeled.problems.empty());
}

TEST(ZstdStream, TooLargeAWindowSaysWhatToDo) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 28);
  std::string raw(1 << 16, '\0');
  ZSTD_inBuffer in = {"a\n", 2, 0};
  ZSTD_outBuffer out = {raw.data(), raw.size(), 0};
  ZSTD_compressStream2(context, &out, &in, ZSTD_e_flush);
  ZSTD_compressStream2(context, &out, &in, ZSTD_e_end);
  ZSTD_freeCCtx(context);
  const Peeled peeled = Peel(raw.substr(0, out.pos));
  ASSERT_EQ(peeled.problems.size(), 1u);
  EXPECT_NE(peeled.problems[0].message.find("--long=31"), std::string::npos);
}

TEST(FilterStream, GarbageBehindBzip2IsCounted) {
  const Peeled peeled =
      Peel(Compress(archive_write_add_filter_bzip2, "a\n") + "junk!");
  EXPECT_EQ(peeled.bytes, "a\n");
  ASSERT_EQ(peeled.problems.size(), 1u);
  EXPECT_FALSE(peeled.lost());
  EXPECT_NE(peeled.problems[0].message.find("5 bytes"), std::string::npos);
}

TEST(FilterStream, WhatOnlyBeginsLikeCompressedIsSaidOnce) {
  for (const std::string& raw : {"\x04"s, "\xfd\x37z"s, "\x04\x22\x4d\x18junk"s,
                                 "LZIP\x01junk"s, "\xfd\x37zXZ\0junk"s}) {
    const Peeled peeled = Peel(raw);
    ASSERT_EQ(peeled.problems.size(), 1u) << raw;
    EXPECT_THAT(peeled.problems[0].message,
                ::testing::HasSubstr("truncated or corrupt"));
    EXPECT_EQ(peeled.bytes, "");
  }
}

TEST(ContentStream, PausesOfAPipeDoNotShow) {
  const std::string lines = RandomLines(50'000);
  for (const FormatCase& format : {kFormats[0], kFormats[1]}) {
    Interrupter interrupter;
    StreamContext context(&interrupter);
    const std::string raw = Compress(format.filter, lines);
    ContentStream content(std::make_unique<PiecesStream>(raw, 500, 3, true), 0,
                          &context);
    std::string all;
    char buffer[777];
    for (bool end = false; !end;) {
      if (content.Prepare() == StreamState::kBlocked) continue;
      const StreamRead read = content.Read(buffer, sizeof(buffer));
      all.append(buffer, read.bytes);
      end = read.state == StreamState::kEnd;
    }
    EXPECT_TRUE(all == lines) << all.size() << " of " << lines.size();
  }
}

TEST(ContentStream, LayersArePeeledOneByOne) {
  std::string raw = SomeLines(100);
  for (const FormatCase& format : kFormats) raw = Compress(format.filter, raw);
  EXPECT_EQ(Peel(raw).bytes, SomeLines(100));
}

TEST(ContentStream, MatryoshkaIsBounded) {
  std::string raw = SomeLines(3);
  for (int i = 0; i < 12; ++i) raw = Gzip(raw);
  const Peeled peeled = Peel(raw);
  ASSERT_EQ(peeled.problems.size(), 1u);
  EXPECT_TRUE(peeled.lost());
}

TEST(ContentStream, TextIsNotWaitedFor) {
  Interrupter interrupter;
  StreamContext context(&interrupter);
  class Brace : public ByteStream {
   public:
    StreamRead Read(char* out, size_t) override {
      if (std::exchange(said_, true)) return {0, StreamState::kBlocked};
      out[0] = '{';
      return {1, StreamState::kData};
    }

   private:
    bool said_ = false;
  };
  ContentStream content(std::make_unique<Brace>(), 0, &context);
  EXPECT_EQ(content.Prepare(), StreamState::kData);
}

TEST(RecognizeContent, OnlyWhatIsOne) {
  const std::string tar = Tar({{"a", "b"}});
  EXPECT_EQ(RecognizeContent(tar, false), ContentKind::kTar);
  std::string broken = tar;
  broken[0] ^= 1;  // The checksum does not fit any more.
  EXPECT_EQ(RecognizeContent(broken, false), ContentKind::kPlain);
  EXPECT_EQ(RecognizeContent(std::string(512, '\0'), false),
            ContentKind::kPlain);
  EXPECT_EQ(RecognizeContent("BZh9 is how this text begins", true),
            ContentKind::kPlain);
  EXPECT_EQ(RecognizeContent("", false), ContentKind::kUndecided);
  EXPECT_EQ(RecognizeContent("", true), ContentKind::kPlain);
  EXPECT_EQ(RecognizeContent(" \n[", false), ContentKind::kPlain);
}

// -------------------------------------------------------------------- tar

using MemberList = std::vector<std::pair<std::string, std::string>>;

MemberList Untar(const std::string& raw, std::vector<StreamProblem>* problems) {
  Interrupter interrupter;
  StreamContext context(&interrupter);
  PiecesStream in(raw, 1 << 16, 1);
  TarReader tar(&in, &context);
  MemberList members;
  std::string name;
  while (tar.NextMember(&name) == StreamState::kData) {
    members.emplace_back(name, Drain(tar));
  }
  *problems = context.problems;
  return members;
}

TEST(TarReader, GivesRegularFilesInOrder) {
  std::vector<StreamProblem> problems;
  const MemberList want = {
      {"z.log", SomeLines(1000)}, {"a.log", ""}, {"d/b.log", "b"}};
  EXPECT_EQ(Untar(Tar({want[0], {"d/", ""}, want[1], want[2]}), &problems),
            want);
  EXPECT_TRUE(problems.empty());
}

TEST(TarReader, ConcatenatedTarsAreOne) {
  std::vector<StreamProblem> problems;
  EXPECT_EQ(Untar(Tar({{"a", "1"}}) + Tar({{"b", "2"}}), &problems),
            (MemberList{{"a", "1"}, {"b", "2"}}));
  EXPECT_TRUE(problems.empty());
}

TEST(TarReader, TruncatedGivesWhatCameBefore) {
  const std::string lines = SomeLines(1000);
  const std::string raw = Tar({{"a", lines}, {"b", lines}});
  for (size_t cut : {size_t{700}, size_t{20'000}, size_t{1000}}) {
    std::vector<StreamProblem> problems;
    const MemberList members = Untar(raw.substr(0, cut), &problems);
    ASSERT_FALSE(members.empty());
    EXPECT_TRUE(lines.starts_with(members.back().second));
    ASSERT_EQ(problems.size(), 1u);
    EXPECT_TRUE(problems[0].lost);
  }
}

TEST(TarReader, WithoutFilesIsAProblem) {
  std::vector<StreamProblem> problems;
  EXPECT_TRUE(Untar(Tar({{"d/", ""}}), &problems).empty());
  ASSERT_EQ(problems.size(), 1u);
}

TEST(TarReader, LongNamesAreBounded) {
  std::vector<StreamProblem> problems;
  const MemberList members =
      Untar(Tar({{std::string(100'000, 'n'), "a"}}), &problems);
  ASSERT_EQ(members.size(), 1u);
  EXPECT_LE(members[0].first.size(), 4096u);
}

}  // namespace
}  // namespace klaxon
