#include "event/check_json.h"

#include <gtest/gtest.h>

#include <string>

#include "event/decode.h"

namespace klaxon {
namespace {

TEST(CheckJson, AcceptsWholeValues) {
  for (std::string_view text :
       {"{}", "[]", "0", "-0", "-12.5e+3", "1E5", "0.5", "true", "false",
        "null", "\"\"", R"("\"\\\/\b\f\n\r\tA\ud800")", " [1 , 2] \r\n\t",
        R"({"a":{"b":[{},[],""]},"":null})", "\"\xff\xc3\"", "1e999999"}) {
    std::string what;
    EXPECT_EQ(CheckJson(text, &what), text.size()) << text << ": " << what;
  }
}

struct Fault {
  std::string_view text;
  size_t offset;
  std::string_view what;
};

TEST(CheckJson, NamesTheFirstFault) {
  for (const Fault& fault : {
           Fault{R"({"a":1,})", 7, "expected a key, found '}' after a comma"},
           Fault{R"([1,])", 3, "expected a value, found ']' after a comma"},
           Fault{"{,}", 1, "expected a key or '}', found ','"},
           Fault{R"({"a" 1})", 5, "expected ':', found '1'"},
           Fault{R"({"a":1 "b":2})", 7, "expected ',' or '}', found '\"'"},
           Fault{R"([1}])", 2, "expected ',' or ']', found '}'"},
           Fault{"{} x", 3,
                 "expected nothing more behind the value, found 'x'"},
           Fault{"01", 1, "expected no digit after a leading zero, found '1'"},
           Fault{"1.", 1,
                 "expected a digit after the decimal point, found the "
                 "end"},
           Fault{"tru", 2, "expected true, found the end"},
           Fault{"trux", 3, "expected true, found 'x'"},
           Fault{R"("a)", 1,
                 "expected the closing quote of a string, found the "
                 "end"},
           Fault{"\"a\tb\"", 2,
                 "expected an escape for a control character, "
                 "found byte 0x09"},
           Fault{R"("\x")", 2,
                 "expected one of \"\\/bfnrtu after a backslash, "
                 "found 'x'"},
           Fault{R"("\u12g4")", 5, "expected four hex digits, found 'g'"},
           Fault{"\xef\xbb\xbf{}", 0, "expected a value, found byte 0xef"},
           Fault{"[", 0, "expected a value, found the end"},
           Fault{R"({"a":[1)", 6, "expected a closing bracket, found the end"},
           Fault{"", 1, "expected a value, found the end"},
       }) {
    std::string what;
    EXPECT_EQ(CheckJson(fault.text, &what), fault.offset) << fault.text;
    EXPECT_EQ(what, fault.what) << fault.text;
  }
}

TEST(CheckJson, EveryPrefixOfAValueIsFaulty) {
  const std::string_view text =
      R"({"a":[1.5e3,true,null,{"b":"A\n"}],"c":"x","d":[[]]})";
  ASSERT_EQ(CheckJson(text, nullptr), text.size());
  for (size_t size = 0; size < text.size(); ++size) {
    const JsonCheck check = CheckJsonValue(text.substr(0, size), 0, nullptr);
    EXPECT_FALSE(check.ok) << size;
    EXPECT_EQ(check.offset, size);
    EXPECT_NE(CheckJson(text.substr(0, size), nullptr), size);
  }
}

TEST(CheckJson, NestingIsBounded) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_EQ(CheckJson(nested(100'000), nullptr), 200'000u);
  EXPECT_EQ(CheckJson(nested(100'001), nullptr), 100'000u);
}

TEST(CheckJson, ValueLeavesTheRestAlone) {
  const JsonCheck check = CheckJsonValue("{} {\"a\"", 0, nullptr);
  EXPECT_TRUE(check.ok);
  EXPECT_EQ(check.offset, 2u);
  EXPECT_EQ(SkipJsonSpace(" \t\r\nx", 0), 4u);
}

TEST(PositionOf, CountsLinesAndBytes) {
  const std::string_view text = "ab\n\ncd\n";
  const auto at = [text](size_t offset) {
    const TextPosition position = PositionOf(text, offset);
    return std::pair(position.line, position.column);
  };
  EXPECT_EQ(at(0), std::pair(1ul, 1ul));
  EXPECT_EQ(at(2), std::pair(1ul, 3ul));
  EXPECT_EQ(at(3), std::pair(2ul, 1ul));
  EXPECT_EQ(at(5), std::pair(3ul, 2ul));
  EXPECT_EQ(at(7), std::pair(4ul, 1ul));
  EXPECT_EQ(at(99), std::pair(4ul, 1ul));
}

}  // namespace
}  // namespace klaxon
