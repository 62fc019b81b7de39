#include "app/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "app/commands.h"
#include "tests/random_seed.h"

namespace klaxon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Loaded {
  bool ok = false;
  Config config;
  std::vector<std::string> errors;    // "k.yaml:1:2: message"
  std::vector<std::string> warnings;  // Likewise.
  std::vector<std::string> notes;
};

Loaded Load(std::string_view yaml, std::vector<std::string> settings = {},
            std::string_view base_dir = ".") {
  Loaded loaded;
  ConfigRequest request;
  request.settings = std::move(settings);
  ConfigProblems problems;
  loaded.ok = LoadConfigText(yaml, "k.yaml", base_dir, request, &loaded.config,
                             &problems);
  for (const ConfigProblem& problem : problems.Sorted()) {
    std::string text = problem.place.ToString() + ": " + problem.message;
    if (problem.level == ProblemLevel::kError) loaded.errors.push_back(text);
    if (problem.level == ProblemLevel::kWarning) {
      loaded.warnings.push_back(text);
    }
    if (problem.level == ProblemLevel::kNote) loaded.notes.push_back(text);
  }
  return loaded;
}

const DetectorOptions& OptionsOf(const ClusterConfig& config,
                                 std::string_view detector) {
  return config.detectors.find(detector)->second;
}

void ExpectDefaults(const Config& config) {
  Config defaults;
  EXPECT_EQ(config.engine.default_cluster, defaults.engine.default_cluster);
  EXPECT_TRUE(config.engine.base.networks == defaults.engine.base.networks);
  EXPECT_EQ(config.engine.base.public_paths, defaults.engine.base.public_paths);
  EXPECT_TRUE(config.engine.base.detectors == defaults.engine.base.detectors);
  EXPECT_TRUE(config.engine.base.inventory.empty());
  EXPECT_TRUE(config.engine.clusters.empty());
  EXPECT_EQ(config.engine.keys_max, defaults.engine.keys_max);
  EXPECT_EQ(config.engine.reorder_memory_bytes,
            defaults.engine.reorder_memory_bytes);
  EXPECT_EQ(config.engine.spill_dir, defaults.engine.spill_dir);
  EXPECT_EQ(config.cluster, defaults.cluster);
  EXPECT_TRUE(config.sinks.empty());
  EXPECT_EQ(config.line_bytes_max, defaults.line_bytes_max);
}

TEST(Config, AnEmptyFileGivesTheDefaults) {
  for (std::string_view text : {"", "# only a comment\n", "---\n", "{}"}) {
    Loaded loaded = Load(text);
    EXPECT_TRUE(loaded.ok) << text;
    ExpectDefaults(loaded.config);
  }
}

TEST(Config, TheReferenceIsAValidFileThatSaysTheDefaults) {
  Loaded loaded = Load(ConfigReference());
  EXPECT_THAT(loaded.errors, IsEmpty());
  EXPECT_THAT(loaded.warnings, IsEmpty());
  ExpectDefaults(loaded.config);
}

TEST(Config, TheReferenceHasEveryOptionOfEveryDetector) {
  std::string reference = ConfigReference();
  for (const DetectorInfo* info : AllDetectors()) {
    EXPECT_THAT(reference, HasSubstr("  " + std::string(info->name) + ":\n"));
    for (const OptionInfo& option : info->options) {
      EXPECT_THAT(reference,
                  HasSubstr("    " + std::string(option.name) + ":"));
    }
  }
}

TEST(Config, TheExampleOfEveryDetectorsPageIsValid) {
  for (const DetectorInfo* info : AllDetectors()) {
    std::string page = DetectorPage(info->name);
    size_t example = page.find("\nExample\n");
    ASSERT_NE(example, std::string::npos) << page;
    std::string yaml = page.substr(example + 9);
    // Files of the example need not be there.
    Loaded loaded = Load(yaml, {"detectors.old-certificate.inventory=[]"});
    EXPECT_THAT(loaded.errors, IsEmpty()) << yaml;
  }
}

TEST(Config, ReadsTheExampleOfTheInterface) {
  Loaded loaded = Load(R"(
cluster: prod-eu-1
networks: {internal: [10.0.0.0/8], trusted_proxies: [10.0.0.10/32], admin: [192.0.2.0/24]}
clusters:
  edge-7: {networks: {internal: [198.51.100.0/24]}, detectors: {unauthorized-burst: {threshold: 50}}}
sources:
  - file: {path: /var/log/kubernetes/audit.log, from: begin}
  - kafka: {name: eu, brokers: "k1:9092,k2:9092", topic: k8s-audit, group: klaxon, start: begin, config: {security.protocol: SSL}}
  - webhook: {listen: "127.0.0.1:9443", bearer_token: {env: PATH}}
detectors:
  unauthorized-burst: {threshold: 12, window: 90s}
  old-certificate: {warn: 60d}
  default-service-account: {enabled: false}
sinks:
  - stdout: {}
  - file: {path: alerts.ndjson}
    min_severity: medium
    detectors: [unauthorized-burst]
    clusters: [edge-7]
    required: true
    name: archive
state: {dir: /var/lib/klaxon, commit_interval: 50ms, snapshot_interval: 10m, snapshot_journal: 64MiB, snapshot_replay: 3s, keys_max: 5000, reorder: {file: 500ms, kafka: 5s, webhook: 2s}}
http: {listen: "127.0.0.1:9440"}
)");
  EXPECT_THAT(loaded.errors, IsEmpty());
  const EngineConfig& engine = loaded.config.engine;
  EXPECT_EQ(engine.default_cluster, "prod-eu-1");
  EXPECT_EQ(engine.keys_max, 5000u);
  EXPECT_EQ(engine.base.networks.internal.cidrs().size(), 1u);
  EXPECT_EQ(engine.base.networks.admin.cidrs()[0].ToString(), "192.0.2.0/24");
  const DetectorOptions& burst = OptionsOf(engine.base, "unauthorized-burst");
  EXPECT_EQ(burst.GetCount("threshold"), 12);
  EXPECT_EQ(burst.GetDuration("window"), 90 * kSecond);
  EXPECT_EQ(OptionsOf(engine.base, "old-certificate").GetDuration("warn"),
            60 * kDay);
  // The overlay is complete: what it does not say is the base's.
  const ClusterConfig& edge = engine.For("edge-7");
  EXPECT_EQ(edge.networks.internal.cidrs()[0].ToString(), "198.51.100.0/24");
  EXPECT_EQ(edge.networks.admin.cidrs()[0].ToString(), "192.0.2.0/24");
  EXPECT_EQ(OptionsOf(edge, "unauthorized-burst").GetCount("threshold"), 50);
  EXPECT_EQ(OptionsOf(edge, "unauthorized-burst").GetDuration("window"),
            90 * kSecond);
  ASSERT_EQ(loaded.config.sinks.size(), 2u);
  const SinkConfig& file = loaded.config.sinks[1];
  EXPECT_EQ(file.path, "alerts.ndjson");
  EXPECT_EQ(file.name, "archive");
  EXPECT_EQ(file.min_severity, Severity::kMedium);
  EXPECT_THAT(file.detectors, ElementsAre("unauthorized-burst"));
  EXPECT_THAT(file.clusters, ElementsAre("edge-7"));
  EXPECT_TRUE(file.required);
  EXPECT_THAT(loaded.notes, IsEmpty());
  ASSERT_EQ(loaded.config.sources.size(), 3u);
  EXPECT_THAT(loaded.config.sources[0].paths,
              ElementsAre("/var/log/kubernetes/audit.log"));
  EXPECT_EQ(loaded.config.sources[1].name, "eu");
  EXPECT_EQ(loaded.config.sources[1].brokers, "k1:9092,k2:9092");
  EXPECT_EQ(loaded.config.sources[2].listen, "127.0.0.1:9443");
  EXPECT_TRUE(loaded.config.sources[2].bearer_token.set());
  EXPECT_EQ(loaded.config.state.dir, "/var/lib/klaxon");
  EXPECT_EQ(loaded.config.state.commit_interval, kSecond / 20);
  EXPECT_EQ(loaded.config.http_listen, "127.0.0.1:9440");
  EXPECT_EQ(engine.reorder.kafka, 5 * kSecond);
  ASSERT_EQ(loaded.warnings.size(), 1u);
  EXPECT_THAT(loaded.warnings[0],
              HasSubstr("default-service-account is not in this version"));
}

TEST(Config, ListsAllErrorsInTheOrderOfTheFile) {
  Loaded loaded = Load(
      "netwroks: {internal: [10.0.0.0/8]}\n"
      "detectors:\n"
      "  unauthorized-burst: {treshold: 5, window: 10}\n"
      "networks: {admin: [300.0.0.0/8]}\n",
      {"state.keys_max=many"});
  EXPECT_FALSE(loaded.ok);
  ASSERT_EQ(loaded.errors.size(), 5u);
  EXPECT_EQ(loaded.errors[0],
            "k.yaml:1:1: unknown key \"netwroks\"; did you mean "
            "\"networks\"?");
  EXPECT_THAT(loaded.errors[1], HasSubstr("k.yaml:3:24: "));
  EXPECT_THAT(loaded.errors[1], HasSubstr("did you mean \"threshold\"?"));
  EXPECT_THAT(loaded.errors[2], HasSubstr("k.yaml:3:45: "));
  EXPECT_THAT(loaded.errors[2], HasSubstr("\"10\" without a unit; write e.g. "
                                          "10s"));
  EXPECT_THAT(loaded.errors[3], HasSubstr("k.yaml:4:20: "));
  EXPECT_THAT(loaded.errors[4], HasSubstr("--set state.keys_max: "));
}

struct BadCase {
  const char* name;
  const char* yaml;
  const char* want;  // Of the first error.
};
class BadConfig : public ::testing::TestWithParam<BadCase> {};

TEST_P(BadConfig, SaysWhereAndWhatWouldBeRight) {
  Loaded loaded = Load(GetParam().yaml);
  EXPECT_FALSE(loaded.ok);
  ASSERT_FALSE(loaded.errors.empty());
  EXPECT_THAT(loaded.errors[0], HasSubstr(GetParam().want));
}

const BadCase kBadCases[] = {
    {"Broken", "a: [1, 2\nb: 3\n", "this is not YAML"},
    {"Tabs", "networks:\n\tinternal: []\n", "k.yaml:2:"},
    {"List", "- a\n", "the configuration must be a mapping"},
    {"Scalar", "hello", "the configuration must be a mapping"},
    {"Duplicate", "cluster: a\ncluster: b\n",
     "k.yaml:2:1: duplicate key \"cluster\", first given at "
     "k.yaml:1:1"},
    {"TwoDocuments", "cluster: a\n---\ncluster: b\n", "a second YAML document"},
    {"MergeKey",
     "networks: &x {admin: []}\nclusters: {a: {networks: {<<: *x}}}\n",
     "k.yaml:2:27: merge keys (<<) are not supported"},
    {"ListAsKey", "networks: {[a]: b}\n", "a key must be a text"},
    {"SelfAlias", "networks: &x {admin: *x}\n", "contains it"},
    {"UnknownAlias", "cluster: *nobody\n", "this is not YAML"},
    {"CidrBits", "networks: {internal: [10.0.0.1/8]}\n",
     "k.yaml:1:23: networks.internal: \"10.0.0.1/8\" has bits set "
     "behind its prefix; write 10.0.0.0/8 for the network or "
     "10.0.0.1/32 for the address"},
    {"CidrLength", "networks: {internal: [10.0.0.0/33]}\n",
     "the prefix length must be 0 to 32"},
    {"CidrWord", "networks: {internal: [intranet]}\n",
     "\"intranet\" is no address"},
    {"CidrScalar", "networks: {internal: 10.0.0.0/8}\n",
     "must be a list of CIDRs"},
    {"UnknownDetector", "detectors: {unautorized-burst: {}}\n",
     "did you mean \"unauthorized-burst\"?"},
    {"DetectorScalar", "detectors: {unauthorized-burst: off}\n",
     "write e.g. {enabled: false}"},
    {"EnabledWord", "detectors: {unauthorized-burst: {enabled: yes}}\n",
     "must be true or false, not \"yes\""},
    {"CountWord", "detectors: {unauthorized-burst: {threshold: ten}}\n",
     "must be a whole number, not \"ten\""},
    {"CountQuoted", "detectors: {unauthorized-burst: {threshold: \"10\"}}\n",
     "write 10 without quotes"},
    {"CountNegative", "detectors: {unauthorized-burst: {threshold: -1}}\n",
     "out of range"},
    {"CountHuge",
     "detectors: {unauthorized-burst: {threshold: 99999999999999}}",
     "out of range"},
    {"WindowTooShort", "detectors: {unauthorized-burst: {window: 59s}}\n",
     "k.yaml:1:42: detectors.unauthorized-burst.window is 59s, "
     "which is too short; write at least 60s"},
    {"QuietTooShort", "detectors: {unauthorized-burst: {quiet: 1s}}\n",
     "write at least 60s"},
    {"SprayWindowTooShort",
     "detectors: {unauthorized-burst: {spray_window: 10s}}\n",
     "write at least 60s"},
    {"WrongUnit", "detectors: {unauthorized-burst: {window: 60sec}}\n",
     "must be a duration, not \"60sec\""},
    {"NamesContradict",
     "detectors: {unauthorized-burst: {password_names_high: 3}}\n",
     "password_names_high is less than password_names"},
    {"Contradiction",
     "detectors: {old-certificate: {warn: 90d, medium: 30d}}\n", "k.yaml:1:"},
    {"AllowWithoutEnd",
     "detectors: {service-account-external: {allow: [{account: "
     "a/b, cidr: 203.0.113.0/24}]}}\n",
     "an entry without \"until\""},
    {"AllowAccount",
     "detectors: {service-account-external: {allow: [{account: b, "
     "cidr: 203.0.113.0/24, until: 2026-12-31}]}}\n",
     "namespace/name"},
    {"AllowDate",
     "detectors: {service-account-external: {allow: [{account: "
     "a/b, cidr: 203.0.113.0/24, until: tomorrow}]}}\n",
     "a date or an RFC 3339 time"},
    {"Inventory",
     "detectors: {old-certificate: {inventory: [/does/not/exist]}}",
     "k.yaml:1:43: detectors.old-certificate.inventory: "},
    {"UnknownSink", "sinks: [{kafak: {}}]\n", "no type that is known"},
    {"LaterSink", "sinks: [{syslog: {}}]\n",
     "k.yaml:1:10: the sink \"syslog\" is not in this version yet"},
    {"KafkaSinkWithoutTopic", "sinks: [{kafka: {brokers: b}}]\n",
     "k.yaml:1:10: a kafka sink needs brokers and topic"},
    {"KafkaSourcesUnnamed",
     "sources: [{kafka: {brokers: a, topic: t}}, {file: {path: f}}, {kafka: "
     "{brokers: b, topic: t}}]\n",
     "k.yaml:1:63: several Kafka sources: give each a name"},
    {"OneLogTwice",
     "sources: [{file: {path: /a/x.log}}, {file: {path: [b, /a/./x.log]}}]\n",
     "k.yaml:1:37: /a/x.log is followed by another source already"},
    {"OneLogByItsGlob",
     "sources: [{file: {path: /a/b*.log}}, {file: {path: /a/bx.log}}]\n",
     "k.yaml:1:38: /a/bx.log is followed by another source already"},
    {"OneLogByItsRotatedFile",
     "sources: [{file: {path: /a/x.log}}, {file: {path: /a/x.log.3}}]\n",
     "k.yaml:1:37: /a/x.log is followed by another source already"},
    {"KafkaSourceName",
     "sources: [{kafka: {name: a/b, brokers: a, topic: t}}]\n",
     "\"a/b\" cannot be a name"},
    {"SinksUnnamed", "sinks: [{file: {path: a}}, {file: {path: b}}]\n",
     "k.yaml:1:28: two sinks are called file; give each a name"},
    {"SinkNamedAsAnother",
     "sinks: [{stdout: {}}, {file: {path: b}, name: stdout}]\n",
     "two sinks are called stdout; give each a name"},
    {"ReorderMemoryBeyondItsIndex", "limits: {reorder_memory: 4GiB}\n",
     "reorder_memory"},
    {"TwoTypes", "sinks: [{stdout: {}, file: {path: a}}]\n", "several types"},
    {"SinkScalar", "sinks: [stdout]\n", "write e.g. stdout: {}"},
    {"SinkSibling", "sinks: [{stdout: {}, min_severty: low}]\n",
     "did you mean \"min_severity\"?"},
    {"SinkSeverity", "sinks: [{stdout: {}, min_severity: hgih}]\n",
     "did you mean \"high\"?"},
    {"SinkDetector", "sinks: [{stdout: {}, detectors: [burst]}]\n",
     "unknown detector \"burst\""},
    {"SinkFormat", "sinks: [{stdout: {}, format: ocsf}]\n",
     "ocsf is not in this version yet"},
    {"FileWithoutPath", "sinks: [{file: {}}]\n", "a file sink without a path"},
    {"SameFile",
     "sinks: [{file: {path: a.ndjson}}, {file: {path: ./a.ndjson}}]",
     "k.yaml:1:35: two sinks write to a.ndjson"},
    {"UnknownSource", "sources: [{kafak: {}}]\n", "did you mean \"kafka\"?"},
    {"Size", "state: {snapshot_journal: 64MB}\n",
     "with an unknown unit; write e.g. 64MiB"},
    {"SizeWithoutUnit", "limits: {line_max: 4096}\n",
     "without a unit; write e.g. 4096MiB"},
    {"SizeTooLarge", "limits: {line_max: 99999999999TiB}\n",
     "out of range; write 4KiB to 1GiB"},
    {"KeysMax", "state: {keys_max: 1}\n", "write 1000 to 100000000"},
    {"Listen", "http: {listen: nowhere}\n", "address:port"},
    {"OverlayKey", "clusters: {a: {sinks: []}}\n",
     "clusters.a: unknown key \"sinks\""},
    {"RegexSyntax", "cluster: {path_regex: \"(\"}\n",
     "is no regular expression"},
    {"RegexGroup", "cluster: {path_regex: clusters}\n", "has no group"},
    {"TwoSelections", "cluster: {path_regex: \"(a)\", json_field: b}\n",
     "both path_regex and json_field"},
    {"EmptyCluster", "cluster: \"\"\n", "cluster is empty"},
    {"ClientsWithoutAuthority",
     "sources:\n- webhook: {listen: \"127.0.0.1:1\", clients: [{common_name: "
     "a}]}\n",
     "give tls: client_ca too"},
    {"ClientWithoutName",
     "sources:\n- webhook: {listen: \"127.0.0.1:1\", tls: {cert: a, key: b, "
     "client_ca: c}, clients: [{cluster: a}]}\n",
     "clients[0] has no common_name"},
    {"ResendWait",
     "sources:\n- webhook: {listen: \"127.0.0.1:1\", resend_wait: 10ms}\n",
     "resend_wait"},
    {"PublicPath", "public_paths: [healthz]\n", "write \"/healthz\""}};

INSTANTIATE_TEST_SUITE_P(Table, BadConfig, ::testing::ValuesIn(kBadCases),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

TEST(Config, SecretsAreNamedAndNotRead) {
  const Loaded loaded = Load(R"(
sources:
  - webhook: {listen: "127.0.0.1:1", bearer_token: {file: nowhere}}
  - kafka: {brokers: k, topic: t, config: {sasl.password: {env: NO_SUCH_NAME}}}
sinks:
  - webhook: {url: "http://a", headers: {A: {env: NO_SUCH_NAME}, B: plain}}
)",
                             {}, "/base");
  ASSERT_TRUE(loaded.ok) << loaded.errors[0];
  ASSERT_EQ(loaded.config.secrets.size(), 3u);
  const Secret& token = loaded.config.sources[0].bearer_token;
  EXPECT_EQ(token.name, "/base/nowhere");
  EXPECT_THAT(std::string(CheckSecret(token).message()),
              HasSubstr("bearer_token: /base/nowhere cannot be read"));
  EXPECT_FALSE(ReadSecret(token).ok());
  const auto& headers = loaded.config.sinks[0].headers;
  EXPECT_FALSE(TextOf(headers[0].second).ok());
  EXPECT_EQ(*TextOf(headers[1].second), "plain");
}

TEST(Config, AWebhookKnowsItsClients) {
  const Loaded loaded = Load(R"(
sources:
  - webhook:
      listen: "0.0.0.0:9443"
      tls: {cert: a.crt, key: a.key, client_ca: ca.crt}
      clients:
        - {common_name: apiserver-prod, cluster: prod}
        - {common_name: any}
      resend_wait: 3m
)");
  ASSERT_TRUE(loaded.ok) << loaded.errors[0];
  const SourceConfig& source = loaded.config.sources[0];
  ASSERT_EQ(source.clients.size(), 2u);
  EXPECT_EQ(source.clients[0].common_name, "apiserver-prod");
  EXPECT_EQ(source.clients[0].cluster, "prod");
  EXPECT_EQ(source.clients[1].cluster, "");
  EXPECT_EQ(source.resend_wait, 3 * kMinute);
}

TEST(Config, AnAliasBombIsRefusedQuickly) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 10; ++k) {
      bomb += (k > 0 ? ", *a" : "*a") + std::to_string(i - 1);
    }
    bomb += "]\n";
  }
  Loaded loaded = Load(bomb);
  EXPECT_FALSE(loaded.ok);
  EXPECT_THAT(loaded.errors, ::testing::Contains(HasSubstr("more than")));
}

// Whatever a file holds, loading it ends with problems or without.
TEST(Config, GarbledFilesDoNotCrash) {
  const uint64_t seed = RandomSeed();
  SCOPED_TRACE(::testing::Message() << "KLAXON_TEST_SEED=" << seed);
  std::mt19937_64 random(seed);
  const std::string reference = ConfigReference();
  constexpr std::string_view kPieces[] = {
      "{",   "}",  "[",     "]",   ": ",   "- ",          "\n", "  ",
      "&a ", "*a", "!",     "|\n", "\"",   "'",           "? ", "<<: ",
      "#",   "%",  "---\n", "\t",  "\xff", "\xef\xbb\xbf"};
  int refused = 0;
  for (int round = 0; round < 400; ++round) {
    size_t begin = random() % reference.size();
    std::string text = reference.substr(begin, random() % 1500);
    for (uint64_t edits = random() % 8; edits > 0 && !text.empty(); --edits) {
      text.insert(random() % text.size(),
                  kPieces[random() % std::size(kPieces)]);
    }
    Loaded loaded = Load(text);
    refused += loaded.ok ? 0 : 1;
    EXPECT_EQ(loaded.ok, loaded.errors.empty());
  }
  EXPECT_GT(refused, 100);
}

TEST(Config, DeepNestingIsAnErrorAndNoCrash) {
  for (std::string_view piece : {"[", "{a: ", "- ", "? "}) {
    std::string deep = "a: ";
    if (piece == "- " || piece == "? ") deep = "a:\n  ";
    for (int i = 0; i < 20'000; ++i) deep += piece;
    EXPECT_FALSE(Load(deep).ok) << piece;
  }
}

TEST(Config, SettingsReplaceAndAdd) {
  Loaded loaded = Load(
      "detectors: {unauthorized-burst: {threshold: 5}}\n"
      "clusters: {}\n",
      {"detectors.unauthorized-burst.threshold=20",
       "detectors.unauthorized-burst.window=2m",
       "networks.internal=[192.0.2.0/24]",
       "clusters.\"a.b\".detectors.unauthorized-burst.threshold=7",
       "sinks=[{file: {path: x}}]", "sinks.0.min_severity=high"});
  EXPECT_THAT(loaded.errors, IsEmpty());
  const EngineConfig& engine = loaded.config.engine;
  const DetectorOptions& burst = OptionsOf(engine.base, "unauthorized-burst");
  EXPECT_EQ(burst.GetCount("threshold"), 20);
  EXPECT_EQ(burst.GetDuration("window"), 2 * kMinute);
  EXPECT_EQ(engine.base.networks.internal.cidrs().size(), 1u);
  EXPECT_EQ(
      OptionsOf(engine.For("a.b"), "unauthorized-burst").GetCount("threshold"),
      7);
  ASSERT_EQ(loaded.config.sinks.size(), 1u);
  EXPECT_EQ(loaded.config.sinks[0].min_severity, Severity::kHigh);
}

TEST(Config, BadSettingsAreErrorsAtTheFlag) {
  for (const char* setting :
       {"threshold", "=5", "a..b=1", "a.=1", "\"a=1", "cluster.name.deeper=1",
        "sinks.3.name=x", "cluster=[", "clutser=x",
        "detectors.unauthorized-burst.threshold=ten"}) {
    Loaded loaded = Load("cluster: a\nsinks: []\n", {setting});
    EXPECT_FALSE(loaded.ok) << setting;
    ASSERT_FALSE(loaded.errors.empty()) << setting;
    EXPECT_THAT(loaded.errors[0], ::testing::StartsWith("--set ")) << setting;
  }
}

TEST(Config, TheClusterFlagWins) {
  ConfigRequest request;
  request.cluster = "123";
  Config config;
  ConfigProblems problems;
  EXPECT_TRUE(LoadConfigText("cluster: {json_field: c, default: d}", "k.yaml",
                             ".", request, &config, &problems));
  EXPECT_EQ(config.engine.default_cluster, "123");
  EXPECT_EQ(config.cluster, ClusterSelection());
}

TEST(Config, ReadsTheWaysToSelectACluster) {
  Loaded by_path = Load("cluster: {path_regex: \"c/([^/]+)/\", default: x}");
  EXPECT_THAT(by_path.errors, IsEmpty());
  EXPECT_EQ(by_path.config.cluster.path_regex, "c/([^/]+)/");
  EXPECT_EQ(by_path.config.engine.default_cluster, "x");
  Loaded by_field = Load("cluster: {json_field: cluster_id}");
  EXPECT_EQ(by_field.config.cluster.json_field, "cluster_id");
  EXPECT_EQ(by_field.config.engine.default_cluster, "default");
  Loaded by_header = Load("cluster: {kafka_header: cluster}");
  EXPECT_TRUE(by_header.ok);
  EXPECT_EQ(by_header.config.cluster.kafka_header, "cluster");
  EXPECT_THAT(by_header.warnings, IsEmpty());
  Loaded by_key = Load("cluster: {kafka_key: true, default: x}");
  EXPECT_TRUE(by_key.config.cluster.kafka_key);
  EXPECT_TRUE(by_key.config.cluster.kafka_header.empty());
  EXPECT_FALSE(Load("cluster: {kafka_key: maybe}").ok);
  EXPECT_FALSE(Load("cluster: {kafka_key: true, kafka_header: h}").ok);
}

TEST(Config, AnAllowListIsReadWithItsEnd) {
  Loaded loaded = Load(
      "detectors: {service-account-external: {allow: [{account: ci/*, cidr: "
      "203.0.113.0/24, until: 2026-12-31}, {account: \"*/b\", cidr: "
      "2001:db8::/32, until: \"2026-01-02T03:04:05Z\"}]}}");
  EXPECT_THAT(loaded.errors, IsEmpty());
  const std::vector<AllowEntry>& allow =
      OptionsOf(loaded.config.engine.base, "service-account-external")
          .GetAllowList("allow");
  ASSERT_EQ(allow.size(), 2u);
  EXPECT_EQ(allow[0].account, "ci/*");
  EXPECT_EQ(FormatTime(allow[0].until), "2027-01-01T00:00:00.000000Z");
  EXPECT_EQ(FormatTime(allow[1].until), "2026-01-02T03:04:05.000000Z");
}

TEST(Config, LaterDetectorsAreKnownAndNotPresent) {
  for (std::string_view name : LaterDetectors()) {
    EXPECT_EQ(FindDetector(name), nullptr);
    Loaded loaded =
        Load("detectors: {" + std::string(name) + ": {any: thing}}\n");
    EXPECT_TRUE(loaded.ok) << name;
    EXPECT_EQ(loaded.warnings.size(), 1u) << name;
  }
}

TEST(Config, FilesThatCannotBeReadAreErrors) {
  Config config;
  for (const char* path : {"/does/not/exist.yaml", "/"}) {
    ConfigRequest request;
    request.path = path;
    ConfigProblems problems;
    EXPECT_FALSE(LoadConfig(request, &config, &problems));
    ASSERT_EQ(problems.Sorted().size(), 1u);
    EXPECT_EQ(problems.Sorted()[0].place.ToString(), path);
  }
}

TEST(Config, InventoryIsRelativeToTheFile) {
  std::filesystem::path dir =
      std::filesystem::path(::testing::TempDir()) / "klaxon_config_test";
  std::filesystem::create_directories(dir);
  std::ofstream(dir / "empty.pem") << "nothing\n";
  std::ofstream(dir / "k.yaml")
      << "detectors:\n  old-certificate:\n    inventory:\n      - empty.pem\n";
  ConfigRequest request;
  request.path = (dir / "k.yaml").string();
  Config config;
  ConfigProblems problems;
  EXPECT_FALSE(LoadConfig(request, &config, &problems));
  ASSERT_EQ(problems.Sorted().size(), 1u);
  EXPECT_EQ(problems.Sorted()[0].place.line, 4);
  // Found, and said to hold no certificate.
  EXPECT_THAT(problems.Sorted()[0].message, HasSubstr("certificate"));
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace klaxon
