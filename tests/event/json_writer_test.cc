#include "event/json_writer.h"

#include <gtest/gtest.h>
#include <simdjson.h>

#include <random>
#include <string>

#include "tests/random_seed.h"

namespace klaxon {
namespace {

std::string Json(std::string_view text) {
  std::string out;
  AppendJsonString(text, &out);
  return out;
}

TEST(AppendJsonString, EscapesWhatMustBeAndNoMore) {
  using std::string_view_literals::operator""sv;
  struct Case {
    std::string_view text;
    const char* want;
  };
  const Case cases[] = {
      {""sv, R"("")"},
      {"plain /text' <&>"sv, R"("plain /text' <&>")"},
      {"\"\\"sv, R"("\"\\")"},
      {"\b\f\n\r\t"sv, R"("\b\f\n\r\t")"},
      {"\0\x01\x1b\x1f"sv, R"("\u0000\u0001\u001b\u001f")"},
      {"\x7f"sv, R"("\u007f")"},
      {"\xc2\x80\xc2\x9b\xc2\x9f"sv, R"("\u0080\u009b\u009f")"},
      {"\xc2\xa0é€𝄞"sv, "\"\xc2\xa0é€𝄞\""},
      // Ill-formed: one U+FFFD per maximal sequence (Unicode 3.9, U+FFFD
      // substitution of maximal subparts, table 3-8 and its neighbours).
      {"\x80"sv, "\"\xef\xbf\xbd\""},
      {"\xff\xfe"sv, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
      {"\xc3"sv, "\"\xef\xbf\xbd\""},
      {"\xc3("sv, "\"\xef\xbf\xbd(\""},
      {"\xe2\x82"sv, "\"\xef\xbf\xbd\""},
      {"\xe2\x82x"sv, "\"\xef\xbf\xbdx\""},
      {"\xf0\x9d\x84"sv, "\"\xef\xbf\xbd\""},
      {"\xc0\xaf"sv, "\"\xef\xbf\xbd\xef\xbf\xbd\""},  // Overlong '/'.
      {"\xed\xa0\x80"sv, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
      {"\xf4\x90\x80\x80"sv,
       "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
      {"a\xf1\x80\x80\xe1\x80\xc2"
       "b\x80"
       "c\x80\xbf"
       "d"sv,
       "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
       "b\xef\xbf\xbd"
       "c\xef\xbf\xbd\xef\xbf\xbd"
       "d\""},
  };
  for (const Case& c : cases) EXPECT_EQ(Json(c.text), c.want);
}

TEST(AppendJsonString, FindsEveryByteAtEveryOffset) {
  for (size_t size = 0; size < 20; ++size) {
    for (int byte = 0; byte < 256; ++byte) {
      const std::string text = std::string(size, 'x') +
                               static_cast<char>(byte) + std::string(9, '~');
      const std::string want =
          "\"" + std::string(size, 'x') +
          Json(std::string(1, static_cast<char>(byte))).substr(1);
      const std::string got = Json(text);
      EXPECT_EQ(got, want.substr(0, want.size() - 1) + "~~~~~~~~~\"");
    }
  }
}

// Random bytes, biased towards multi-byte leads. What comes out must be
// printable, valid JSON that reads back as the text with every ill-formed
// sequence replaced, as simdjson and an independent count see it.
TEST(AppendJsonString, IsReadBackBySimdjson) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(::testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  simdjson::dom::parser parser;
  int kept_whole = 0;
  for (int i = 0; i < 100'000; ++i) {
    std::string text;
    for (uint64_t n = random() % 24; n > 0; --n) {
      switch (random() % 4) {
        case 0:
          text += static_cast<char>(random());
          break;
        case 1:
          text += static_cast<char>(0x80 | random() % 0x80);
          break;
        case 2:
          text += static_cast<char>(random() % 0x80);
          break;
        default:
          for (const char* c : {"é", "€", "𝄞"}) {
            if (random() % 2) text += c;
          }
      }
    }
    const std::string json = "[" + Json(text) + "]";
    for (char c : json) {
      ASSERT_GE(static_cast<uint8_t>(c), 0x20);
      ASSERT_NE(c, 0x7f);
    }
    simdjson::dom::element document;
    ASSERT_EQ(parser.parse(json).get(document), simdjson::SUCCESS) << json;
    std::string_view back;
    ASSERT_EQ(document.at(0).get(back), simdjson::SUCCESS) << json;
    if (simdjson::validate_utf8(text)) {
      ASSERT_EQ(back, text);
      ++kept_whole;
    } else {
      ASSERT_NE(back.find("\xef\xbf\xbd"), std::string_view::npos);
      // Writing it again changes nothing.
      ASSERT_EQ("[" + Json(back) + "]", json);
    }
  }
  EXPECT_GT(kept_whole, 1000);
}

TEST(JsonWriter, PutsCommasWhereTheyBelong) {
  std::string out = "prefix ";
  JsonWriter json(&out);
  json.BeginObject();
  json.Field("a", "x");
  json.FieldUnlessEmpty("none", "");
  json.FieldUnlessEmpty("some", "y");
  json.Field("n", int64_t{-5});
  json.Key("list");
  json.BeginArray();
  json.Int(std::numeric_limits<int64_t>::min());
  json.Uint(std::numeric_limits<uint64_t>::max());
  json.Bool(true);
  json.Bool(false);
  json.Null();
  json.BeginArray();
  json.EndArray();
  json.BeginObject();
  json.EndObject();
  json.Raw(R"({"r":1})");
  json.String("s");
  json.EndArray();
  json.Key("o");
  json.BeginObject();
  json.Field("q\"", "");
  json.EndObject();
  json.Field("z", "");
  json.EndObject();
  EXPECT_EQ(out,
            R"(prefix {"a":"x","some":"y","n":-5,"list":[-9223372036854775808,)"
            R"(18446744073709551615,true,false,null,[],{},{"r":1},"s"],)"
            R"("o":{"q\"":""},"z":""})");
}

TEST(JsonWriter, EscapesWhatATerminalWouldActUpon) {
  std::string out;
  AppendJsonString("a\u009b\u2028\u202e\u2066b\u2030\x7f", &out);
  EXPECT_EQ(out, "\"a\\u009b\\u2028\\u202e\\u2066b\xe2\x80\xb0\\u007f\"");
}

}  // namespace
}  // namespace klaxon
