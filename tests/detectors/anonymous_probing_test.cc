#include "detectors/anonymous_probing.h"

#include <gtest/gtest.h>

#include <utility>

#include "tests/testing/verdicts.h"

namespace klaxon {
namespace {

constexpr std::string_view kName = "anonymous-probing";

AuditLine Denied(int path = 0) {
  return AuditLine()
      .Anonymous()
      .From("203.0.113.7")
      .Verb("get")
      .Uri(fmt::format("/p{}", path))
      .Code(403)
      .Forbid();
}

TEST(AnonymousProbing, ByRequestsAndByPaths) {
  EXPECT_EQ(Lines().Repeat(9, 0, kSecond, Denied()).Verdicts(kName), Words());
  EXPECT_EQ(Lines().Repeat(10, 0, kSecond, Denied()).Verdicts(kName),
            Words({"probing:low:10"}));
  Lines four;
  for (int i = 0; i < 4; ++i) four.Add(Denied(i).At(i * kSecond));
  EXPECT_EQ(four.Verdicts(kName), Words());
  EXPECT_EQ(Lines(four).Add(Denied(4).At(60 * kSecond)).Verdicts(kName),
            Words({"probing:low:5"}));
  EXPECT_EQ(Lines(four).Add(Denied(4).At(60 * kSecond + 1000)).Verdicts(kName),
            Words());
  // The query makes no other path.
  Lines queries;
  for (int i = 0; i < 5; ++i) {
    queries.Add(Denied().Uri(fmt::format("/p?x={}", i)).At(i * kSecond));
  }
  EXPECT_EQ(queries.Verdicts(kName), Words());
}

TEST(AnonymousProbing, MediumFromAHundredInAMinute) {
  EXPECT_EQ(Lines().Repeat(99, 0, kSecond / 2, Denied()).Verdicts(kName),
            Words({"probing:low:99"}));
  EXPECT_EQ(Lines().Repeat(130, 0, kSecond / 4, Denied()).Verdicts(kName),
            Words({"probing:medium:130"}));
}

// The episode outlives the window, and what is kept of its client.
TEST(AnonymousProbing, GoesOnForTenMinutesOfQuiet) {
  Lines lines;
  lines.Repeat(10, 0, kSecond, Denied());
  lines.Add(Denied().At(9 * kSecond + 10 * kMinute));
  EXPECT_EQ(lines.Verdicts(kName), Words({"probing:low:11"}));
}

TEST(AnonymousProbing, InnocentLookAlikes) {
  AuditLine admitted = Denied().Allow();
  EXPECT_EQ(Lines().Repeat(20, 0, kSecond, admitted).Verdicts(kName), Words());
  AuditLine login = Denied().Code(401).Annotation(
      "authentication.openshift.io/username", "eve");
  EXPECT_EQ(Lines().Repeat(20, 0, kSecond, login).Verdicts(kName), Words());
  EXPECT_EQ(
      Lines().Repeat(20, 0, kSecond, login).Verdicts("unauthorized-burst"),
      Words({"burst:medium:20"}));
  AuditLine named = Denied().User("dana");
  EXPECT_EQ(Lines().Repeat(20, 0, kSecond, named).Verdicts(kName), Words());
}

TEST(AnonymousProbing, BothStagesOfADeniedWatchAreOneRequest) {
  Lines lines;
  for (int i = 0; i < 9; ++i) {
    AuditLine watch = Denied().Verb("watch").Id(fmt::format("w{}", i));
    const Nanos at = 55 * kSecond + i * kSecond;  // Across a minute's edge.
    lines.Add(watch.Stage("ResponseStarted").At(at).Received(at - 1000));
    lines.Add(
        watch.Stage("ResponseComplete").At(at + 1000).Received(at - 1000));
  }
  EXPECT_EQ(lines.Verdicts(kName), Words());
}

// More than are told one by one; whichever events of them a policy keeps.
TEST(AnonymousProbing, AFloodOfDeniedWatchesIsCountedOnce) {
  const auto watches = [](int count, bool begins, bool ends, Lines* lines) {
    for (int i = 0; i < count; ++i) {
      AuditLine watch = Denied().Verb("watch").Id(fmt::format("w{}", i));
      const Nanos at = i * (kSecond / 10);
      const Nanos received = at - 1000;
      if (begins) {
        lines->Add(watch.Stage("ResponseStarted").At(at).Received(received));
      }
      if (ends) {
        const Nanos end = at + kSecond / 1000;
        lines->Add(watch.Stage("ResponseComplete").At(end).Received(received));
      }
    }
  };
  for (const auto& [begins, ends] :
       {std::pair(true, true), std::pair(true, false),
        std::pair(false, true)}) {
    Lines lines;
    watches(550, begins, ends, &lines);
    EXPECT_EQ(lines.Verdicts(kName), Words({"probing:medium:550"}))
        << begins << ends;
    // Other requests hide none of them.
    Lines mixed;
    watches(80, begins, ends, &mixed);
    mixed.Repeat(500, 0, kSecond / 9, Denied());
    EXPECT_EQ(mixed.Verdicts(kName), Words({"probing:medium:580"}))
        << begins << ends;
  }
}

// Many at once, their ends behind all begins, more of them than the window
// keeps one by one.
TEST(AnonymousProbing, EndsOfParallelWatchesAreNoRequests) {
  const auto parallel = [](int watches, int others) {
    Lines lines;
    for (int i = 0; i < watches; ++i) {
      AuditLine watch = Denied().Verb("watch").Id(fmt::format("w{}", i));
      const Nanos at = i * (kSecond / 1000);
      const Nanos received = at - 1000;
      lines.Add(watch.Stage("ResponseStarted").At(at).Received(received));
      lines.Add(watch.Stage("ResponseComplete")
                    .At(at + 20 * kSecond)
                    .Received(received));
    }
    lines.Repeat(others, 1000, kSecond / 1000, Denied());
    return lines;
  };
  EXPECT_EQ(parallel(90, 90).Verdicts(kName), Words({"probing:medium:180"}));
  EXPECT_EQ(parallel(150, 0).Verdicts(kName), Words({"probing:medium:150"}));
  EXPECT_EQ(parallel(180, 90).Verdicts(kName), Words({"probing:medium:270"}));
}

// Rules of a policy may keep begins of some requests and only ends of others.
TEST(AnonymousProbing, EndsWithoutABeginAreRequests) {
  Lines lines;
  for (int i = 0; i < 99; ++i) {
    AuditLine watch = Denied().Verb("watch").Id(fmt::format("w{}", i));
    const Nanos at = i * (kSecond / 100);
    lines.Add(watch.Stage("ResponseStarted").At(at).Received(at - 1000));
    lines.Add(
        watch.Stage("ResponseComplete").At(at + 1000).Received(at - 1000));
  }
  for (int i = 0; i < 201; ++i) {
    AuditLine log = Denied().Verb("watch").Id(fmt::format("e{}", i));
    lines.Add(log.Stage("ResponseComplete").At(kSecond + i * (kSecond / 10)));
  }
  EXPECT_EQ(lines.Verdicts(kName), Words({"probing:medium:300"}));
}

}  // namespace
}  // namespace klaxon
