#include "ingest/batch_framer.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "event/decode.h"
#include "tests/ingest/ingest_fixture.h"
#include "tests/random_seed.h"

namespace klaxon {
namespace {

struct Piece {
  BatchFraming framing;
  std::string bytes;
  uint64_t offset;
  uint64_t input_bytes;
  size_t head_bytes;
  uint64_t line_bytes;
  bool operator==(const Piece&) const = default;
};

struct Way {  // In which the bytes come; must not show.
  size_t batch_bytes = 1 << 20;
  size_t piece_max = 1 << 20;
  uint32_t seed = 1;
  bool pauses = false;
};

std::vector<Piece> Frame(std::string_view input, size_t line_bytes_max,
                         const Way& way = {}, size_t keep_bytes = 5) {
  Interrupter interrupter;
  StreamContext context(&interrupter);
  BatchFramer framer({way.batch_bytes, line_bytes_max, keep_bytes}, &context);
  PiecesStream stream(input, way.piece_max, way.seed, way.pauses);
  framer.Begin(&stream);
  std::vector<Piece> pieces;
  Batch batch;
  uint64_t offset = 0;
  bool first = true;
  while (!framer.finished()) {
    if (framer.Next(batch) != StreamState::kData) continue;
    EXPECT_EQ(batch.begin.offset, offset);
    EXPECT_EQ(batch.first_of_input, first);
    EXPECT_EQ(batch.last_of_input, framer.finished());
    for (size_t i = 0; i < BatchBuffer::kPadding; ++i) {
      EXPECT_EQ(batch.bytes.data()[batch.bytes.size() + i], '\0');
    }
    first = false;
    offset += batch.input_bytes;
    pieces.push_back({batch.framing, std::string(batch.bytes.view()),
                      batch.begin.offset, batch.input_bytes,
                      batch.oversize_head_bytes, batch.oversize_line_bytes});
  }
  EXPECT_EQ(offset, input.size());
  return pieces;
}

std::vector<std::string> Texts(const std::vector<Piece>& pieces) {
  std::vector<std::string> texts;
  for (const Piece& piece : pieces) texts.push_back(piece.bytes);
  return texts;
}

// One piece a line, or for each line that is too long: what it would be.
std::vector<Piece> SlowLines(const std::string& input, size_t line_bytes_max,
                             size_t keep_bytes) {
  std::vector<Piece> pieces;
  size_t begin = 0;
  while (begin < input.size()) {
    const size_t newline = input.find('\n', begin);
    const size_t end = std::min(newline, input.size());
    const size_t next = std::min(end + 1, input.size());
    const std::string line = input.substr(begin, end - begin);
    if (line.size() <= line_bytes_max) {
      pieces.push_back({BatchFraming::kLines, input.substr(begin, next - begin),
                        begin, next - begin, 0, 0});
    } else {
      pieces.push_back(
          {BatchFraming::kOversize,
           line.substr(0, keep_bytes) + line.substr(line.size() - keep_bytes),
           begin, next - begin, keep_bytes, line.size()});
    }
    begin = next;
  }
  return pieces;
}

// Batches of lines, taken apart into lines.
std::vector<Piece> SplitLines(const std::vector<Piece>& pieces) {
  std::vector<Piece> lines;
  for (const Piece& piece : pieces) {
    if (piece.framing != BatchFraming::kLines) {
      lines.push_back(piece);
      continue;
    }
    for (Piece line : SlowLines(piece.bytes, piece.bytes.size(), 1)) {
      line.offset += piece.offset;
      lines.push_back(line);
    }
  }
  return lines;
}

TEST(BatchFramer, LinesAreThoseOfASlowModel) {
  const uint32_t seed = static_cast<uint32_t>(RandomSeed());
  std::mt19937 random(seed);
  for (int round = 0; round < 3000; ++round) {
    SCOPED_TRACE("seed " + std::to_string(seed) + " round " +
                 std::to_string(round));
    std::string input;
    const int lines = random() % 30;
    for (int i = 0; i < lines; ++i) {
      const size_t length = random() % 4 == 0 ? random() % 300 : random() % 20;
      for (size_t j = 0; j < length; ++j) input += "ab\r\0{}\","[random() % 8];
      input += "x\n";  // Never the look of pretty-printed JSON.
    }
    if (random() % 2 == 0) input += std::string(random() % 100, 'z');
    const size_t line_bytes_max = 16 + random() % 120;
    const size_t keep_bytes = 1 + random() % (line_bytes_max / 2);
    const Way way = {1 + random() % 200, 1 + random() % 100, uint32_t(random()),
                     random() % 2 == 0};
    std::string plain = "x" + input;
    ASSERT_EQ(SplitLines(Frame(plain, line_bytes_max, way, keep_bytes)),
              SlowLines(plain, line_bytes_max, keep_bytes));
  }
}

TEST(BatchFramer, BatchesAreAboutAsLongAsAskedFor) {
  const std::string input = SomeLines(10'000);
  const auto pieces = Frame(input, 1 << 20, {.batch_bytes = 4096});
  EXPECT_GE(pieces.size(), input.size() / 4096);
  for (const Piece& piece : pieces) {
    EXPECT_LE(piece.bytes.size(), 4096u);
    EXPECT_EQ(piece.bytes.back(), '\n');
  }
}

TEST(BatchFramer, EmptyInputGivesOneEmptyBatch) {
  const auto pieces = Frame("", 100);
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_EQ(pieces[0].bytes, "");
}

TEST(BatchFramer, AnInputThatEndsWithABatchEndsInIt) {
  // The flag must stand on the batch with the bytes, not on an empty one.
  for (size_t batch_bytes : {4u, 8u, 12u, 100u}) {
    const auto pieces =
        Frame("abc\nabc\nabc\n", 100, {.batch_bytes = batch_bytes});
    for (const Piece& piece : pieces) EXPECT_NE(piece.bytes, "");
  }
}

TEST(BatchFramer, LineOfExactlyTheLimitIsWhole) {
  const std::string line(16, 'a');
  EXPECT_EQ(Texts(Frame(line + "\n" + line, 16, {.batch_bytes = 1})),
            (std::vector<std::string>{line + "\n", line}));
  const auto longer = Frame(line + "a\nb\n", 16);
  ASSERT_EQ(longer.size(), 2u);
  EXPECT_EQ(longer[0].framing, BatchFraming::kOversize);
  EXPECT_EQ(longer[0].line_bytes, 17u);
  EXPECT_EQ(longer[1].bytes, "b\n");
}

TEST(BatchFramer, HugeLineCostsNoMemory) {
  // 200 MB on one line, of which 2 × 5 bytes are kept.
  class Endless : public ByteStream {
   public:
    StreamRead Read(char* out, size_t capacity) override {
      const size_t bytes = std::min(capacity, left_);
      std::fill_n(out, bytes, 'y');
      left_ -= bytes;
      return {bytes, bytes > 0 ? StreamState::kData : StreamState::kEnd};
    }

   private:
    size_t left_ = 200'000'000;
  } stream;
  Interrupter interrupter;
  StreamContext context(&interrupter);
  BatchFramer framer({1 << 16, 1 << 20, 5}, &context);
  framer.Begin(&stream);
  Batch batch;
  ASSERT_EQ(framer.Next(batch), StreamState::kData);
  EXPECT_EQ(batch.framing, BatchFraming::kOversize);
  EXPECT_EQ(batch.bytes.view(), "yyyyyyyyyy");
  EXPECT_EQ(batch.oversize_line_bytes, 200'000'000u);
  EXPECT_LE(batch.bytes.capacity(), size_t{2} << 20);
  EXPECT_TRUE(framer.finished());
}

TEST(BatchFramer, PipeHandsOnWholeLinesWhenNothingMoreComes) {
  Interrupter interrupter;
  StreamContext context(&interrupter);
  class Paused : public ByteStream {
   public:
    StreamRead Read(char* out, size_t) override {
      if (said_) return {0, StreamState::kBlocked};
      said_ = true;
      std::copy_n("one\ntwo\nthr", 11, out);
      return {11, StreamState::kData};
    }

   private:
    bool said_ = false;
  } stream;
  BatchFramer framer({1 << 16, 1 << 20, 5}, &context);
  framer.Begin(&stream);
  Batch batch;
  ASSERT_EQ(framer.Next(batch), StreamState::kData);
  EXPECT_EQ(batch.bytes.view(), "one\ntwo\n");
  EXPECT_FALSE(batch.last_of_input);
  EXPECT_EQ(framer.Next(batch), StreamState::kBlocked);
}

TEST(BatchFramer, InterruptStopsALineWithoutEnd) {
  Interrupter interrupter;
  StreamContext context(&interrupter);
  class Endless : public ByteStream {
   public:
    explicit Endless(Interrupter* interrupter) : interrupter_(interrupter) {}
    StreamRead Read(char* out, size_t capacity) override {
      if (++reads_ == 1000) interrupter_->Interrupt();
      std::fill_n(out, capacity, 'y');
      return {capacity, StreamState::kData};
    }

   private:
    Interrupter* interrupter_;
    int reads_ = 0;
  } stream(&interrupter);
  BatchFramer framer({1 << 10, 1 << 12, 5}, &context);
  framer.Begin(&stream);
  Batch batch;
  EXPECT_EQ(framer.Next(batch), StreamState::kInterrupted);
}

// ---------------------------------------------------------------- documents

struct ModeCase {
  const char* name;
  std::string input;
  bool documents;
};

class BatchFramerMode : public ::testing::TestWithParam<ModeCase> {};

TEST_P(BatchFramerMode, IsToldByTheFirstLine) {
  for (size_t batch_bytes : {1u, 7u, 1000u}) {
    const auto pieces =
        Frame(GetParam().input, 100, {.batch_bytes = batch_bytes});
    EXPECT_EQ(pieces[0].framing == BatchFraming::kDocument,
              GetParam().documents);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, BatchFramerMode,
    ::testing::Values(
        ModeCase{"OpenBrace", "{\n \"a\": 1\n}\n", true},
        ModeCase{"OpenBracket", "[\n{}\n]\n", true},
        ModeCase{"BlankLinesFirst", "\n \r\n\t{\r\n}\n", true},
        ModeCase{"ByteOrderMark", "\xef\xbb\xbf{\n}\n", true},
        ModeCase{"OpenObject", "{\"items\": [\n{}]}\n", true},
        ModeCase{"TrailingComma", "{\"a\":1},\n{\"a\":2},\n", true},
        ModeCase{"ArrayWithAValueALine", "[{\"a\":1},\n{\"a\":2}]\n", true},
        ModeCase{"Lines", "{\"a\":1}\n{\n", false},
        ModeCase{"LineWithoutEnd", "{\"a\":1}", false},
        ModeCase{"Text", "main() {\n}\n", false},
        ModeCase{"Blank", "\n\n", false},
        ModeCase{"HalfLine", "\"x\",\n{\"a\":1}\n", false},
        ModeCase{"LoneBraceAtTheEnd", "{", true}),
    [](const auto& info) { return info.param.name; });

TEST(BatchFramer, DocumentsAreHandedOnOneByOne) {
  EXPECT_EQ(
      Texts(Frame("\n{\n \"a\": \"}\\\"{\"\n}\n\n{\"b\":[1]}{}\n[\n]\n", 1000)),
      (std::vector<std::string>{"\n{\n \"a\": \"}\\\"{\"\n}\n\n", "{\"b\":[1]}",
                                "{}\n", "[\n]\n"}));
}

TEST(BatchFramer, BrokenDocumentCostsOnlyItself) {
  struct Case {
    std::string broken;
    std::string what;
  };
  for (const Case& c : {
           Case{"{\n \"verb\": \"ge\n", "torn in a string"},
           Case{"{\n \"verb\": \"get\",\n", "torn behind a comma"},
           Case{"{\n \"verb\"\n", "torn behind a key"},
           Case{"{\n \"groups\": [\n  \"a\"\n", "torn in an array"},
           Case{"{\n \"groups\": [ }\n", "wrong bracket"},
           Case{"{\n", "torn behind the first bracket"},
           Case{"}\n", "bracket too many"},
           Case{"garbage } {\n  more [\n", "garbage"},
           Case{",\n", "comma"},
       }) {
    SCOPED_TRACE(c.what);
    EXPECT_EQ(
        Texts(Frame("{\n}\n" + c.broken + "{\n \"b\": 2\n}\n", 1000)),
        (std::vector<std::string>{"{\n}\n", c.broken, "{\n \"b\": 2\n}\n"}));
  }
}

TEST(BatchFramer, TornDocumentInFrontOfAnother) {
  EXPECT_EQ(Texts(Frame("{\n \"a\": 1,\n{\n \"b\": 2\n}\n", 1000)),
            (std::vector<std::string>{"{\n \"a\": 1,\n", "{\n \"b\": 2\n}\n"}));
}

TEST(BatchFramer, ByteOrderMarksBetweenDocuments) {
  const std::string document = "\xef\xbb\xbf{\n}\n";
  EXPECT_EQ(Texts(Frame(document + document, 1000)),
            (std::vector<std::string>{document, document}));
}

TEST(BatchFramer, OversizeDocumentKeepsHeadAndTail) {
  const std::string big = "{\n\"a\":\"" + std::string(100, 'x') + "\"}";
  const auto pieces = Frame("{\n}\n" + big + "\n{}\n", 64);
  ASSERT_EQ(pieces.size(), 3u);
  EXPECT_EQ(pieces[1].framing, BatchFraming::kOversize);
  EXPECT_EQ(pieces[1].bytes, "{\n\"a\"xx\"}\n");
  EXPECT_EQ(pieces[1].head_bytes, 5u);
  EXPECT_EQ(pieces[1].line_bytes, big.size() + 1);
  EXPECT_EQ(pieces[2].bytes, "{}\n");
}

TEST(BatchFramer, LongArrayIsSplitBetweenItsElements) {
  std::string input = "[\n";
  for (int i = 0; i < 100; ++i) {
    if (i > 0) input += ",\n";
    input += "{\"n\":[" + std::to_string(i) + ",0]}";
  }
  input += "\n]\n";
  const auto pieces = Frame(input, 64);
  ASSERT_GT(pieces.size(), 10u);
  std::string joined;
  for (const Piece& piece : pieces) {
    EXPECT_EQ(piece.framing, BatchFraming::kDocument);
    EXPECT_LE(piece.input_bytes, 64u);
    EXPECT_EQ(piece.bytes.front(), '[');
    const bool last = &piece == &pieces.back();
    EXPECT_TRUE(piece.bytes.ends_with(last ? "\n]\n" : "}]")) << piece.bytes;
    EXPECT_EQ(piece.bytes.size(), piece.input_bytes + (last ? 0 : 1));
    std::string bytes = piece.bytes.substr(0, piece.input_bytes);
    if (!joined.empty()) bytes[0] = ',';
    joined += bytes;
  }
  EXPECT_EQ(joined, input);
}

TEST(BatchFramer, OversizeElementOfALongArrayCostsOnlyItself) {
  const std::string big = "{\"big\":\"" + std::string(200, 'x') + "\"}";
  const auto pieces =
      Frame("[\n{\"a\":1},\n{\"a\":2},\n" + big + ",\n{\"a\":3}\n]\n", 64);
  ASSERT_EQ(pieces.size(), 3u);
  EXPECT_EQ(pieces[0].bytes, "[\n{\"a\":1},\n{\"a\":2}]");
  EXPECT_EQ(pieces[1].framing, BatchFraming::kOversize);
  EXPECT_EQ(pieces[1].line_bytes, big.size() + 2);
  EXPECT_EQ(pieces[2].bytes, "[\n{\"a\":3}\n]\n");
}

TEST(BatchFramer, LongLineOfValuesIsCutIntoThem) {
  // As kinesis and firehose write: no newline between the objects.
  std::string objects;
  for (int i = 0; i < 50; ++i) objects += "{\"n\":" + std::to_string(i) + "}";
  auto pieces = Frame(objects, 64);
  EXPECT_EQ(pieces.size(), 50u);
  EXPECT_EQ(pieces[49].bytes, "{\"n\":49}");
  std::string array = "[1";
  for (int i = 0; i < 50; ++i) array += ",{}";
  pieces = Frame(array + "]", 64);
  EXPECT_EQ(pieces[0].bytes.substr(0, 6), "[1,{},");
  EXPECT_EQ(pieces.back().bytes.back(), ']');
  EXPECT_EQ(pieces.back().framing, BatchFraming::kDocument);
  // One long object is a long line.
  pieces = Frame("{\"a\":\"" + std::string(100, 'x') + "\"}\n{}\n", 64);
  EXPECT_EQ(pieces[0].framing, BatchFraming::kOversize);
  EXPECT_EQ(pieces[1].framing, BatchFraming::kLines);
}

// A value and where it ends, by recursive descent over valid JSON only.
std::string RandomValue(std::mt19937& random, int depth) {
  const auto space = [&] {
    return std::string(random() % 3 == 0 ? 1 : 0, " \n"[random() % 2]);
  };
  switch (depth == 0 ? 4 + random() % 3 : random() % 7) {
    case 0:
    case 1:
    case 2: {
      std::string object = "{" + space();
      const int fields = random() % 4;
      for (int i = 0; i < fields; ++i) {
        if (i > 0) object += "," + space();
        object += "\"k{\\\"[\"" + space() + ":" + space() +
                  RandomValue(random, depth - 1);
      }
      return object + space() + "}";
    }
    case 3: {
      std::string array = "[" + space();
      const int elements = random() % 4;
      for (int i = 0; i < elements; ++i) {
        if (i > 0) array += space() + ",";
        array += space() + RandomValue(random, depth - 1);
      }
      return array + space() + "]";
    }
    case 4:
      return "-1.5e3";
    case 5:
      return "\"\\\\ \\\" } ] , { [\"";
    default:
      return "true";
  }
}

TEST(BatchFramer, DocumentsAreThoseThatWereWritten) {
  const uint32_t seed = static_cast<uint32_t>(RandomSeed());
  std::mt19937 random(seed);
  for (int round = 0; round < 2000; ++round) {
    SCOPED_TRACE("seed " + std::to_string(seed) + " round " +
                 std::to_string(round));
    std::vector<std::string> want = {"{\n}"};
    const int documents = random() % 6;
    for (int i = 0; i < documents; ++i) {
      want.back() += std::string(random() % 3, "\n "[random() % 2]);
      want.push_back("{\"a\":" + RandomValue(random, 4) + "}");
    }
    if (random() % 2 == 0) want.back() += "\n";
    std::string input;
    for (const std::string& document : want) input += document;
    const Way way = {1 + random() % 300, 1 + random() % 100, uint32_t(random()),
                     false};
    ASSERT_EQ(Texts(Frame(input, 100'000, way)), want);
  }
}

TEST(BatchFramer, CutsDoNotDependOnHowTheBytesCome) {
  const uint32_t seed = static_cast<uint32_t>(RandomSeed());
  std::mt19937 random(seed);
  for (int round = 0; round < 3000; ++round) {
    SCOPED_TRACE("seed " + std::to_string(seed) + " round " +
                 std::to_string(round));
    std::string input = random() % 2 == 0 ? "[\n" : "{\n";
    const int length = random() % 600;
    for (int i = 0; i < length; ++i) {
      if (random() % 20 == 0) input += RandomValue(random, 3);
      input += "{}[]\",:\\\n  \n\n{[x\xef"[random() % 17];
    }
    const size_t line_bytes_max = 16 + random() % 200;
    const auto want = Frame(input, line_bytes_max);
    const Way way = {1 + random() % 300, 1 + random() % 40, uint32_t(random()),
                     false};
    ASSERT_EQ(Frame(input, line_bytes_max, way), want) << input;
    // Pauses may cut white space off a document, and add nothing else.
    Frame(input, line_bytes_max, {50, 7, way.seed, true});
  }
}

// A container runtime's chunks, stdout's between stderr's: whatever the batch
// size, each batch decoded on its own gives every event.
TEST(BatchFramer, NoBatchEndsBetweenTheChunksOfALine) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE("KLAXON_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 60; ++round) {
    const std::string head = "2026-01-02T03:04:05.000000001Z ";
    std::string input;
    uint64_t events = 0;
    std::vector<std::string> open;  // Chunks of stdout still to come.
    for (int i = 0; i < 80 || !open.empty(); ++i) {
      if (random() % 3 == 0) {
        input += head + "stderr F I0102 03:04:05.000000 1 some klog text\n";
        continue;
      }
      if (open.empty()) {
        const std::string event =
            R"({"kind":"Event","apiVersion":"audit.k8s.io/v1","level":)"
            R"("Metadata","auditID":"a","stage":"ResponseComplete",)"
            R"("requestURI":"/","verb":"get","user":{},)"
            R"("requestReceivedTimestamp":"2026-01-02T03:04:05.000000Z",)"
            R"("stageTimestamp":"2026-01-02T03:04:05.000000Z"})";
        const size_t chunk = 20 + random() % event.size();
        for (size_t at = 0; at < event.size(); at += chunk) {
          open.insert(open.begin(), event.substr(at, chunk));
        }
        ++events;
      }
      input += head + (open.size() > 1 ? "stdout P " : "stdout F ") +
               open.back() + "\n";
      open.pop_back();
    }
    Way way;
    way.batch_bytes = 1 + random() % 3000;
    way.piece_max = 1 + random() % 500;
    way.seed = static_cast<uint32_t>(random());
    way.pauses = random() % 2 == 0;
    uint64_t found = 0;
    for (Piece& piece : Frame(input, 1 << 20, way)) {
      Decoder decoder;
      const size_t size = piece.bytes.size();
      piece.bytes.append(kDecodePadding, '\0');
      const std::string_view bytes(piece.bytes.data(), size);
      for (size_t begin = 0; begin < size;) {
        const size_t end = std::min(bytes.find('\n', begin), size);
        decoder.DecodeLine(bytes.substr(begin, end - begin),
                           [&](const EventView&) { ++found; });
        begin = end + 1;
      }
      EXPECT_EQ(decoder.FinishStream().reason, QuarantineReason::kNone);
    }
    ASSERT_EQ(found, events);
  }
}

}  // namespace
}  // namespace klaxon
