#include "pipeline/engine_config_wire.h"

#include <gtest/gtest.h>

#include <random>

#include "pipeline/judge.h"
#include "tests/random_seed.h"

namespace klaxon {
namespace {

EngineConfig Unusual() {
  EngineConfig config;
  config.default_cluster = "prod";
  config.keys_max = 4711;
  config.reorder.kafka = 7 * kSecond;
  config.base.networks.internal = CidrSet({*Cidr::Parse("198.51.100.0/24")});
  config.base.networks.trusted_proxies =
      CidrSet({*Cidr::Parse("2001:db8::/32")});
  config.base.public_paths = {"/healthz", "/mine"};
  config.base.detectors.at("unauthorized-burst").Set("threshold", int64_t{3});
  config.base.detectors.at("old-certificate")
      .Set("warn", Duration{3 * kMinute});
  config.base.detectors.at("forged-identity").enabled = false;
  config.base.detectors.at("service-account-external")
      .Set("allow",
           std::vector<AllowEntry>{
               {"ns/name", *Cidr::Parse("203.0.113.0/24"), 123456789}});
  config.base.inventory = {
      {"X509SHA256=ab", "dana", {"dev", "ops"}, 5, 6, "a.crt"}};
  config.clusters["edge"] = config.base;
  config.clusters["edge"].networks = Networks();
  return config;
}

bool SameClusters(const ClusterConfig& a, const ClusterConfig& b) {
  return a.networks == b.networks && a.public_paths == b.public_paths &&
         a.detectors == b.detectors && a.inventory == b.inventory;
}

TEST(EngineConfigWire, ComesBackAsItWas) {
  const EngineConfig config = Unusual();
  std::string bytes;
  EncodeTo(config, &bytes);
  EngineConfig read;
  ASSERT_TRUE(Decode(bytes, &read));
  EXPECT_EQ(read.default_cluster, "prod");
  EXPECT_EQ(read.keys_max, 4711u);
  EXPECT_EQ(read.reorder.kafka, 7 * kSecond);
  EXPECT_EQ(read.reorder.file, kSecond / 2);
  EXPECT_TRUE(SameClusters(read.base, config.base));
  ASSERT_EQ(read.clusters.size(), 1u);
  EXPECT_TRUE(SameClusters(read.For("edge"), config.For("edge")));
  std::string again;
  EncodeTo(read, &again);
  EXPECT_EQ(again, bytes);
}

TEST(EngineConfigWire, NothingDamagedIsTakenForWhole) {
  std::string bytes;
  EncodeTo(Unusual(), &bytes);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EngineConfig read;
    EXPECT_FALSE(Decode(bytes.substr(0, size), &read)) << size;
  }
  EngineConfig read;
  EXPECT_FALSE(Decode(bytes + "x", &read));
  std::mt19937_64 random(RandomSeed());
  for (int i = 0; i < 2000; ++i) {
    std::string changed = bytes;
    changed[random() % changed.size()] = static_cast<char>(random());
    Decode(changed, &read);  // Must not crash, whatever it says.
  }
}

TEST(DetectorHash, ChangesWithWhatTheDetectorDependsOnAlone) {
  const auto differs = [](const ClusterConfig& a, const ClusterConfig& b,
                          const char* detector) {
    return DetectorHash(a, 10, detector) != DetectorHash(b, 10, detector);
  };
  const ClusterConfig defaults = ClusterConfig::Defaults();
  ClusterConfig threshold = defaults;
  threshold.detectors.at("unauthorized-burst").Set("threshold", int64_t{3});
  EXPECT_TRUE(differs(defaults, threshold, "unauthorized-burst"));
  EXPECT_FALSE(differs(defaults, threshold, "anonymous-probing"));
  ClusterConfig inventory = defaults;
  inventory.inventory = {{"X509SHA256=ab", "dana", {}, 5, 6, "a.crt"}};
  EXPECT_TRUE(differs(defaults, inventory, "old-certificate"));
  EXPECT_FALSE(differs(defaults, inventory, "unauthorized-burst"));
  ClusterConfig networks = defaults;
  networks.networks.internal = CidrSet();
  EXPECT_TRUE(differs(defaults, networks, "unauthorized-burst"));
  EXPECT_NE(DetectorHash(defaults, 10, "unauthorized-burst"),
            DetectorHash(defaults, 11, "unauthorized-burst"));
}

}  // namespace
}  // namespace klaxon
