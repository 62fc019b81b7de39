// The slow path's reading of an event: Go's rules for keys, and what exporters
// make of the types.
#include "event/decode_event.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/event/decode_dump.h"

namespace klaxon {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kHead =
    R"({"kind":"Event","apiVersion":"audit.k8s.io/v1","stage":"ResponseComplete",)"
    R"("stageTimestamp":"2026-01-02T03:04:05Z",)";

// Decodes an event with these members behind the necessary ones.
Decoded DecodeMembers(std::string_view members,
                      std::string cluster_field = "") {
  Decoder decoder(DecoderOptions{.cluster_field = std::move(cluster_field)});
  return DecodeOneLine(&decoder,
                       std::string(kHead) + std::string(members) + "}");
}

struct Case {
  std::string_view members;
  std::string_view field;  // A line of Dump.
  uint32_t odd = 0;
};

class DecodeEvent : public testing::TestWithParam<Case> {};

TEST_P(DecodeEvent, FillsTheField) {
  const Case& c = GetParam();
  const Decoded decoded = DecodeMembers(c.members);
  ASSERT_EQ(decoded.events.size(), 1u) << decoded.outcome.message;
  EXPECT_EQ(decoded.outcome.reason, QuarantineReason::kNone);
  EXPECT_THAT(decoded.events[0], HasSubstr(std::string(c.field) + "\n"));
  EXPECT_THAT(decoded.events[0],
              HasSubstr("odd=<" + std::to_string(c.odd) + ">\n"));
}

INSTANTIATE_TEST_SUITE_P(
    Keys, DecodeEvent,
    testing::Values(
        Case{R"("verb":"get")", "verb=<get>"},
        Case{R"( "verb" : "get" )", "verb=<get>"},
        Case{R"("Verb":"get")", "verb=<get>", kOddKeyCase},
        Case{R"("\u0076erb":"get")", "verb=<get>"},
        Case{R"("REQUESTURI":"/x")", "request_uri=</x>", kOddKeyCase},
        // Go folds the long s and the Kelvin sign too.
        Case{"\"\xc5\xbf"
             "ourceIPs\":[\"1.1.1.1\"]",
             "ip=<1.1.1.1>", kOddKeyCase},
        Case{R"("verb":"get","verb":"list")", "verb=<list>", kOddDuplicateKey},
        Case{R"("verb":"get","VERB":"list")", "verb=<list>",
             kOddDuplicateKey | kOddKeyCase},
        Case{R"("verb":"get","verb":null)", "verb=<get>", kOddDuplicateKey},
        Case{R"("verb":"get","verb":7)", "verb=<get>", kOddDuplicateKey},
        Case{R"("unknown":{"a":[}],"verb":"x")", "verb=<x>"}));

INSTANTIATE_TEST_SUITE_P(
    Merging, DecodeEvent,
    testing::Values(
        Case{R"("user":{"username":"a","uid":"1"},"user":{"username":"b"})",
             "username=<b>\nuid=<1>", kOddDuplicateKey},
        Case{R"("user":{"username":"a"},"user":null)", "username=<a>",
             kOddDuplicateKey},
        Case{R"("user":{"groups":["a","b"]},"user":{"groups":["c"]})",
             "uid=<>\ngroup=<c>\ncredential_id=<>", kOddDuplicateKey},
        Case{
            R"("objectRef":{"name":"n","resource":"r"},"objectRef":{"name":"m"})",
            "has_object_ref=<1>\nresource=<r>\nnamespace=<>\nname=<m>",
            kOddDuplicateKey},
        Case{R"("objectRef":{"name":"n"},"objectRef":null)",
             "has_object_ref=<0>\nresource=<>\nnamespace=<>\nname=<>",
             kOddDuplicateKey},
        Case{R"("annotations":{"a":"1","b":"2"},"annotations":{"a":"3"})",
             "annotation=<b>\nannotation value=<2>\nannotation=<a>\n"
             "annotation value=<3>",
             kOddDuplicateKey},
        Case{R"("annotations":{"a":"1"},"annotations":null)",
             "received=<-9223372036854775808>\n"
             "stage_time=<1767323045000000000>\ndecision=<>",
             kOddDuplicateKey},
        Case{R"("user":{"extra":{"k":["1"],"k":["2","3"]}})",
             "extra=<k>\nextra value=<2>\nextra=<k>\nextra value=<3>",
             kOddDuplicateKey},
        Case{R"("user":{"extra":{"k":["1"],"k":[]}})",
             "uid=<>\ncredential_id=<>", kOddDuplicateKey},
        Case{R"("requestObject":{"a":1},"requestObject":[2])",
             "request_object=<[2]>", kOddDuplicateKey},
        Case{R"("requestObject":{"a":1},"requestObject":null)",
             "request_object=<>", kOddDuplicateKey}));

INSTANTIATE_TEST_SUITE_P(
    Types, DecodeEvent,
    testing::Values(
        Case{R"("responseStatus":{"code":403})", "code=<403>"},
        Case{R"("responseStatus":{"code":"403"})", "code=<403>"},
        Case{R"("responseStatus":{"code":403.0})", "code=<403>"},
        Case{R"("responseStatus":{"code":403.5})", "code=<0>"},
        Case{R"("responseStatus":{"code":-1})", "code=<0>"},
        Case{R"("responseStatus":{"code":4e2})", "code=<0>"},
        Case{R"("responseStatus":{"code":99999999999999999999})", "code=<0>"},
        Case{R"("responseStatus":[401])", "code=<0>"},
        Case{R"("sourceIPs":["1.1.1.1","2.2.2.2"])",
             "ip=<1.1.1.1>\nip=<2.2.2.2>"},
        Case{R"("sourceIPs":"1.1.1.1")", "ip=<1.1.1.1>"},
        Case{R"("sourceIPs":["1.1.1.1",7,null,"2.2.2.2"])",
             "ip=<1.1.1.1>\nip=<2.2.2.2>"},
        Case{R"("user":{"groups":"a"})", "group=<a>"},
        Case{R"("user":{"extra":{"k":"v"}})", "extra=<k>\nextra value=<v>"},
        Case{
            R"("user":{"extra":{"authentication.kubernetes.io/credential-id":"JTI=1"}})",
            "credential_id=<JTI=1>"},
        Case{
            R"("user":{"extra":{"authentication.kubernetes.io/pod-name":["a","b"]}})",
            "pod_name=<a>"},
        Case{R"("user":"bob")", "username=<>"},
        Case{R"("impersonatedUser":{ "username" : "x" })",
             R"(impersonated_user=<{ "username" : "x" }>)"},
        Case{R"("impersonatedUser":"x")", "has_impersonated_user=<0>"},
        Case{R"("requestObject":"skipped-too-big-size-object")",
             R"(request_object=<"skipped-too-big-size-object">)"},
        Case{R"("requestObject":true)", "request_object=<true>"},
        Case{R"("requestObject":1e999999)", "request_object=<1e999999>"},
        Case{R"("requestObject":null)", "request_object=<>"},
        Case{R"("annotations":{"a":1,"authorization.k8s.io/decision":"allow"})",
             "decision=<allow>"},
        Case{R"("level":"Nonsense")", "level=<0>"},
        Case{R"("userAgent":"\ud83d\ude00")",
             "user_agent=<\xf0\x9f\x98\x80>"}));

INSTANTIATE_TEST_SUITE_P(
    Times, DecodeEvent,
    testing::Values(
        Case{
            R"("requestReceivedTimestamp":"2026-01-02T05:04:05.123456789+02:00")",
            "received=<1767323045123456789>"},
        Case{R"("requestReceivedTimestamp":null)",
             "received=<-9223372036854775808>"},
        Case{R"("requestReceivedTimestamp":"yesterday")",
             "received=<-9223372036854775808>"},
        // v1alpha1 had one stamp; where there is a better one it is not used.
        Case{R"("timestamp":"2026-01-02T03:04:06Z")",
             "received=<1767323046000000000>"},
        Case{
            R"("timestamp":"2026-01-02T03:04:06Z","requestReceivedTimestamp":"2026-01-02T03:04:05Z")",
            "received=<1767323045000000000>"}));

INSTANTIATE_TEST_SUITE_P(
    Odd, DecodeEvent,
    testing::Values(
        Case{"\"userAgent\":\"a\xff\xfe"
             "b\"",
             "user_agent=<a\xef\xbf\xbd\xef\xbf\xbd"
             "b>",
             kOddInvalidUtf8},
        // Overlong, and a surrogate in UTF-8: each byte by itself.
        Case{"\"verb\":\"\xc0\x80\xed\xa0\x80\"",
             "verb=<"
             "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd>",
             kOddInvalidUtf8},
        Case{R"("userAgent":"a\ud800b")",
             "user_agent=<a\xef\xbf\xbd"
             "b>",
             kOddInvalidUtf8},
        Case{"\"requestObject\":{\"a\":\"\xff\\udfff\"}",
             "request_object=<{\"a\":\"\xef\xbf\xbd\\ufffd\"}>",
             kOddInvalidUtf8},
        Case{R"("requestObject":{"a":"\\ud800"})",
             R"(request_object=<{"a":"\\ud800"}>)"}));

TEST(DecodeEventRules, ClusterFieldIsAnyTopLevelKey) {
  EXPECT_THAT(DecodeMembers(R"("cluster":"prod-eu-1")", "cluster").events[0],
              HasSubstr("cluster=<prod-eu-1>"));
  EXPECT_THAT(
      DecodeMembers(R"("Cluster":"x","cluster":5)", "cluster").events[0],
      HasSubstr("cluster=<>"));
  EXPECT_THAT(DecodeMembers(R"("cluster":"prod-eu-1")").events[0],
              HasSubstr("cluster=<>"));
}

TEST(DecodeEventRules, AMillionKeysCostNoMoreThanSorting) {
  std::string members = "\"annotations\":{";
  for (int i = 0; i < 200'000; ++i) {
    members +=
        "\"k" + std::to_string(i % 1000) + "\":\"" + std::to_string(i) + "\",";
  }
  members.back() = '}';
  Decoder decoder;
  const PaddedText text(std::string(kHead) + members + "}");
  int events = 0;
  decoder.DecodeLine(text.view(), [&](const EventView& event) {
    ++events;
    EXPECT_EQ(event.annotations.size(), 1000u);
    EXPECT_EQ(event.Annotation("k0"), "199000");
    EXPECT_NE(event.odd & kOddDuplicateKey, 0u);
  });
  EXPECT_EQ(events, 1);
}

struct Recognised {
  std::string_view object;
  Likeness want;
};

TEST(RecogniseEvent, ByKindOrByKeys) {
  constexpr Likeness kYes = Likeness::kAuditEvent;
  constexpr Likeness kNo = Likeness::kOther;
  Arena arena;
  JsonSplitter splitter(&arena);
  for (
      const Recognised& c : {
          Recognised{R"({"kind":"Event","apiVersion":"audit.k8s.io/v1"})",
                     kYes},
          Recognised{R"({"kind":"Event","apiVersion":"audit.k8s.io/v1beta1"})",
                     kYes},
          Recognised{R"({"kind":"Event","apiVersion":"audit.k8s.io/v1alpha1"})",
                     kYes},
          Recognised{R"({"kind":"Event","auditID":"x","stage":"Panic"})", kYes},
          Recognised{R"({"auditID":"x","stage":"Panic"})", kYes},
          Recognised{R"({"AuditID":"x","Stage":"Panic"})", kYes},
          Recognised{R"({"stage":"x","verb":"get","requestURI":"/"})", kYes},
          Recognised{R"({"kind":"Event","apiVersion":"v1","reason":"Killing"})",
                     Likeness::kCoreEvent},
          Recognised{
              R"({"kind":"Event","apiVersion":"events.k8s.io/v1","stage":"x","auditID":"y"})",
              Likeness::kCoreEvent},
          Recognised{R"({"kind":"EventList","apiVersion":"audit.k8s.io/v1"})",
                     kNo},
          Recognised{R"({"kind":"Pod","auditID":"x","stage":"y"})", kNo},
          // Rancher's own audit log.
          Recognised{
              R"({"auditID":"x","requestURI":"/","user":{"name":"a"},"method":"GET"})",
              kNo},
          Recognised{R"({})", kNo},
      }) {
    const PaddedText text(c.object);
    std::vector<JsonMember> members;
    ASSERT_EQ(splitter.SplitObject(text.view(), &members), JsonError::kNone);
    EXPECT_EQ(RecogniseEvent(members), c.want) << c.object;
  }
}

// What On-Demand accepts, or walks beyond, when nobody looks.
TEST(JsonSplitter, RefusesWhatIsNoObjectOrArray) {
  Arena arena;
  JsonSplitter splitter(&arena);
  std::vector<JsonMember> members;
  for (std::string_view object :
       {R"({"a":1,})", R"({"a":})", R"({"a":1 2})", R"({"a":"b" "c"})",
        R"({"a" 1})", R"({1:2})", R"({,})", R"({"a":1]})", "{\"a\":\"\t\"}",
        R"({"\x":1})", R"({"a":,})", R"({"a"::1})"}) {
    const PaddedText text(std::string(object) + ",\"b\":2");
    EXPECT_EQ(
        splitter.SplitObject(text.view().substr(0, object.size()), &members),
        JsonError::kSyntax)
        << object;
  }
  std::vector<std::string_view> elements;
  for (std::string_view array :
       {"[1,]", "[,1]", "[1 2]", R"(["a":1])", R"(["a"}])", "[1}", "[:]"}) {
    const PaddedText text(std::string(array) + ",[2]");
    EXPECT_EQ(
        splitter.SplitArray(text.view().substr(0, array.size()), &elements),
        JsonError::kSyntax)
        << array;
  }
  const PaddedText bad("{\"a\":\"\xff\"}");
  EXPECT_EQ(splitter.SplitObject(bad.view(), &members), JsonError::kUtf8);
}

TEST(JsonSplitter, GivesValuesAsTheyAreWritten) {
  Arena arena;
  JsonSplitter splitter(&arena);
  std::vector<JsonMember> members;
  const PaddedText text(
      R"({ "a" : {"x":[1, 2 ]} , "b\u0062":"}\"{" ,"c":-1.5e3 , "d":null})");
  ASSERT_EQ(splitter.SplitObject(text.view(), &members), JsonError::kNone);
  ASSERT_EQ(members.size(), 4u);
  EXPECT_EQ(members[0].key, "a");
  EXPECT_EQ(members[0].value, R"({"x":[1, 2 ]})");
  EXPECT_EQ(members[1].key, "bb");
  EXPECT_EQ(members[1].value, R"("}\"{")");
  EXPECT_EQ(members[2].value, "-1.5e3");
  EXPECT_EQ(members[3].value, "null");
  std::vector<std::string_view> elements;
  const PaddedText array(R"([ [] , "a", {} ])");
  ASSERT_EQ(splitter.SplitArray(array.view(), &elements), JsonError::kNone);
  EXPECT_THAT(elements, testing::ElementsAre("[]", "\"a\"", "{}"));
}

TEST(Arena, PiecesStayWhereTheyAre) {
  Arena arena;
  char* const first = arena.Allocate(10);
  std::fill(first, first + 10, 'a');
  char* const large = arena.Allocate(1 << 20);
  std::fill(large, large + (1 << 20), 'b');
  arena.Shrink(large, 5);
  char* const next = arena.Allocate(5);
  std::fill(next, next + 5, 'c');
  EXPECT_EQ(std::string_view(first, 10), "aaaaaaaaaa");
  EXPECT_EQ(std::string_view(large, 5), "bbbbb");
  EXPECT_LT(next, large + 100);
  arena.Reset();
  EXPECT_EQ(arena.Allocate(1 << 20), large);  // The larger block was kept.
}

}  // namespace
}  // namespace klaxon
