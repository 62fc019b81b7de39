#include "detectors/old_certificate.h"

#include <gtest/gtest.h>

#include "tests/testing/verdicts.h"

namespace klaxon {
namespace {

constexpr std::string_view kName = "old-certificate";

AuditLine Use(const std::string& credential, Nanos at = 0) {
  return AuditLine()
      .User("dana")
      .Credential("X509SHA256=" + credential)
      .Allow()
      .At(at);
}

EngineConfig Inventory(Nanos age, Nanos left = 200 * kDay) {
  EngineConfig config;
  CertificateInfo certificate;
  certificate.credential_id = "X509SHA256=a";
  certificate.not_before = kEpoch - age;
  certificate.not_after = kEpoch + left;
  config.base.inventory.push_back(certificate);
  return config;
}

TEST(OldCertificate, AgeByInventory) {
  const auto verdict = [](Nanos age) {
    return Lines(Inventory(age)).Add(Use("a")).Verdicts(kName);
  };
  EXPECT_EQ(verdict(30 * kDay - 1000), Words());
  EXPECT_EQ(verdict(30 * kDay), Words({"age:low:1"}));
  EXPECT_EQ(verdict(90 * kDay), Words({"age:medium:1"}));
  EXPECT_EQ(verdict(365 * kDay), Words({"age:high:1"}));
}

TEST(OldCertificate, FirstSeenIsALowerBoundAndSaidSo) {
  Lines lines;
  lines.Add(Use("a", 0)).Add(Use("a", 31 * kDay));
  EXPECT_EQ(lines.Verdicts(kName), Words({"age:low:1"}));
  EXPECT_EQ(lines.Alerts()[0].title,
            "Certificate of dana in use for at least 31 days");
}

TEST(OldCertificate, OncePerDay) {
  Lines lines(Inventory(40 * kDay));
  lines.Repeat(50, 0, kHour, Use("a"));
  EXPECT_EQ(lines.Verdicts(kName),
            Words({"age:low:21", "age:low:24", "age:low:5"}));
}

TEST(OldCertificate, Expiring) {
  EXPECT_EQ(Lines(Inventory(kDay, 29 * kDay)).Add(Use("a")).Verdicts(kName),
            Words({"expiring:info:1"}));
  EXPECT_EQ(Lines(Inventory(kDay, 30 * kDay)).Add(Use("a")).Verdicts(kName),
            Words());
}

TEST(OldCertificate, SupersededNeedsADayOfOverlap) {
  Lines lines;
  lines.Add(Use("old", 0)).Add(Use("new", 2 * kDay));
  EXPECT_EQ(Lines(lines).Add(Use("old", 3 * kDay)).Verdicts(kName), Words());
  EXPECT_EQ(Lines(lines).Add(Use("old", 3 * kDay + kSecond)).Verdicts(kName),
            Words({"superseded:high:1"}));
  // Certificates that came within a day of each other: one per host.
  Lines hosts;
  hosts.Add(Use("a", 0)).Add(Use("b", kHour)).Add(Use("a", 5 * kDay));
  EXPECT_EQ(hosts.Verdicts(kName), Words());
}

// Whatever is forgotten for want of room: an old certificate that comes back
// must not look like a new one.
TEST(OldCertificate, ForgettingAccusesNobody) {
  const auto verdicts = [](uint64_t keys_max) {
    EngineConfig config;
    config.keys_max = keys_max;
    Lines lines(config);
    lines.Add(Use("old", 0)).Add(Use("new", 2 * kDay));
    for (int i = 0; i < 9; ++i) {
      const std::string name = fmt::format("u{}", i);
      lines.Add(Use(name, 3 * kDay + i * kMinute).User(name));
    }
    lines.Add(Use("new", 4 * kDay)).Add(Use("old", 6 * kDay));
    lines.Add(Use("new", 8 * kDay));
    return lines.Verdicts(kName);
  };
  EXPECT_EQ(verdicts(1000), Words({"superseded:high:1"}));  // That of "old".
  for (uint64_t keys_max = 1; keys_max < 9; ++keys_max) {
    EXPECT_EQ(verdicts(keys_max), Words()) << keys_max;
  }
}

TEST(OldCertificate, ForgettingOfTheSameUser) {
  EngineConfig config;
  config.keys_max = 6;
  Lines lines(config);
  for (int day = 0; day < 20; ++day) {
    lines.Add(Use(fmt::format("c{}", day), day * kDay));
  }
  lines.Add(Use("c0", 20 * kDay)).Add(Use("c19", 22 * kDay));
  EXPECT_EQ(lines.Verdicts(kName), Words());
}

// Where notBefore is known no order of use is needed, nor memory of others.
TEST(OldCertificate, NotBeforeDecidesAfterForgetting) {
  EngineConfig config = Inventory(2 * kDay);
  CertificateInfo newer = config.base.inventory[0];
  newer.credential_id = "X509SHA256=b";
  newer.not_before += kDay;
  config.base.inventory.push_back(newer);
  config.keys_max = 6;
  Lines lines(config);
  for (int day = 0; day < 20; ++day) {
    lines.Add(Use(fmt::format("c{}", day), day * kDay));
  }
  lines.Add(Use("b", 20 * kDay)).Add(Use("a", 22 * kDay));
  EXPECT_EQ(lines.Verdicts(kName), Words({"superseded:high:1"}));
}

TEST(OldCertificate, InnocentLookAlikes) {
  const EngineConfig old = Inventory(300 * kDay);
  EXPECT_EQ(Lines(old).Add(Use("a").Kubelet("n1")).Verdicts(kName), Words());
  EXPECT_EQ(Lines(old)
                .Add(Use("a").User("system:kube-scheduler").From("127.0.0.1"))
                .Verdicts(kName),
            Words());
  EXPECT_EQ(Lines(old)
                .Add(Use("a").User("system:kube-scheduler").From("10.0.0.1"))
                .Verdicts(kName),
            Words({"age:medium:1"}));
}

}  // namespace
}  // namespace klaxon
