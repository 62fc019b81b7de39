#include "pipeline/journal_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "event/wire.h"
#include "tests/random_seed.h"

namespace klaxon {
namespace {

using ::testing::HasSubstr;
using Random = std::mt19937_64;

std::string Bytes(const JournalRecord& record) {
  std::string bytes;
  EncodeTo(record, &bytes);
  return bytes;
}

std::string Word(Random& random) {
  std::string word(random() % 12, '\0');
  for (char& c : word) c = static_cast<char>(random());
  return word;
}

EventTime Time(Random& random) {
  return static_cast<EventTime>(random() >> (1 + random() % 40));
}

uint64_t Number(Random& random) { return random() >> (random() % 64); }

SmallTextSet Texts(Random& random) {
  SmallTextSet set;
  for (uint64_t n = random() % 10; n > 0; --n) set.Add(Word(random));
  return set;
}

EventSample Sample(Random& random) {
  EventSample sample;
  if (random() % 4 == 0) return sample;
  sample.time = Time(random);
  sample.order = random();
  sample.code = static_cast<int32_t>(random() % 600);
  sample.audit_id = Word(random);
  sample.verb = Word(random);
  sample.uri = Word(random);
  sample.user = Word(random);
  sample.user_agent = Word(random);
  for (uint64_t n = random() % 3; n > 0; --n) {
    sample.source_ips.push_back(Word(random));
  }
  return sample;
}

Span RandomSpan(Random& random) {
  Span span;
  span.Add(Time(random));
  span.Add(Time(random));
  return span;
}

Sighting RandomSighting(Random& random) {
  Sighting sighting;
  sighting.cluster = Word(random);
  sighting.user = Word(random);
  sighting.credential = Word(random);
  sighting.client = Word(random);
  sighting.family = static_cast<AgentFamily>(
      random() % (static_cast<uint64_t>(AgentFamily::kMax) + 1));
  sighting.pod = Word(random);
  sighting.node = Word(random);
  sighting.minute = Time(random);
  sighting.requests = Number(random);
  sighting.seen = RandomSpan(random);
  for (Span& flag : sighting.flags) {
    if (random() % 3 == 0) flag = RandomSpan(random);
  }
  sighting.client_internal = random() % 2 == 0;
  sighting.client_external = random() % 2 == 0;
  sighting.trusted_proxy = random() % 2 == 0;
  sighting.client_loopback = random() % 2 == 0;
  sighting.stale_seconds = Time(random);
  sighting.claimed_ips = Texts(random);
  for (uint64_t n = random() % 4; n > 0; --n) {
    sighting.AddAgent(Time(random), random());
  }
  sighting.sample = Sample(random);
  return sighting;
}

RefusalGroup RandomRefusals(Random& random) {
  RefusalGroup group;
  group.cluster = Word(random);
  group.user = Word(random);
  group.client = Word(random);
  group.cls = static_cast<RefusalClass>(
      random() % (static_cast<uint64_t>(RefusalClass::kMax) + 1));
  group.minute = Time(random);
  for (uint64_t n = random() % 4; n > 0; --n) {
    group.Add({Time(random), random(), random(), random()});
  }
  for (uint64_t n = random() % 3; n > 0 && !group.kept.empty(); --n) {
    group.Add(group.kept[random() % group.kept.size()]);  // Delivered again.
  }
  group.client_internal = random() % 2 == 0;
  group.trusted_proxy = random() % 2 == 0;
  group.claimed_ips = Texts(random);
  group.sample.Encode(Sample(random));
  return group;
}

Deed RandomDeed(Random& random) {
  Deed deed;
  deed.cluster = Word(random);
  deed.topic = Word(random);
  deed.time = Time(random);
  for (uint8_t& byte : deed.request) byte = static_cast<uint8_t>(random());
  deed.user = Word(random);
  deed.client = Word(random);
  deed.credential = Word(random);
  deed.claimed_ips = Texts(random);
  for (uint64_t n = random() % 3; n > 0; --n) {
    deed.fields.emplace_back(Word(random), Word(random));
  }
  deed.sample = Sample(random);
  return deed;
}

Fact RandomFact(Random& random) {
  Fact fact;
  fact.cluster = Word(random);
  fact.minute = Time(random);
  fact.first_event = Time(random);
  fact.last_event = Time(random);
  fact.events = Number(random);
  for (uint64_t& stage : fact.stages) stage = Number(random);
  fact.requests = Number(random);
  fact.unauthenticated = Number(random);
  fact.unauthorized_named = Number(random);
  fact.odd_events = Number(random);
  fact.with_credential_id = Number(random);
  return fact;
}

BatchRecord RandomBatch(Random& random) {
  BatchRecord batch;
  batch.lane = Word(random);
  batch.resume = Word(random);
  if (random() % 2 == 0) batch.digest = std::string(kDigestBytes, 'd');
  if (random() % 4 != 0) batch.newest = Time(random);
  batch.ingested_ns = Time(random);
  batch.counts = {.bytes = Number(random),
                  .lines = Number(random),
                  .events = Number(random),
                  .requests = Number(random),
                  .quarantined = Number(random),
                  .quarantined_bytes = Number(random),
                  .skipped = Number(random),
                  .odd = Number(random),
                  .future = Number(random),
                  .repeated_bytes = Number(random)};
  for (uint64_t n = random() % 3; n > 0; --n) {
    batch.gaps.push_back({Word(random), Word(random), Word(random),
                          Number(random),
                          random() % 2 == 0 ? Gap::kUnknown : Number(random)});
  }
  Observations& all = batch.observations;
  for (uint64_t n = random() % 3; n > 0; --n) {
    all.facts.push_back(RandomFact(random));
    all.sightings.push_back(RandomSighting(random));
    all.refusals.push_back(RandomRefusals(random));
    all.deeds.push_back(RandomDeed(random));
  }
  return batch;
}

ReloadRecord RandomReload(Random& random) {
  ReloadRecord reload;
  reload.configuration = Word(random);
  for (uint64_t n = random() % 3; n > 0; --n) {
    OutboxSinkOptions& sink = reload.sinks.emplace_back();
    sink.name = Word(random);
    sink.min_severity = static_cast<Severity>(random() % 5);
    sink.detectors = {Word(random)};
    sink.required = random() % 2 == 0;
  }
  for (const char* name : {"a", "b", "c"}) {
    if (random() % 2 == 0) {
      reload.detectors.push_back({name, std::string(kDigestBytes, 'h')});
    }
  }
  return reload;
}

AcknowledgementRecord RandomAcknowledgement(Random& random) {
  AcknowledgementRecord record;
  for (uint64_t n = random() % 20; n > 0; --n) {
    OutboxAck& ack = record.acks.emplace_back();
    ack.sink = Word(random);
    ack.sequence = Number(random);
    ack.id = Word(random);
    ack.revision = Number(random);
    if (random() % 3 == 0) {
      ack.outcome = OutboxAck::Outcome::kRefused;
      ack.reason = Word(random);
    }
  }
  return record;
}

JournalRecord RandomRecord(Random& random) {
  switch (random() % 8) {
    case 0:
      return LaneIdleRecord{Word(random), random() % 2 == 0};
    case 1:
      return LaneHoldRecord{Word(random), random() % 2 == 0, Time(random),
                            Time(random)};
    case 2:
      return RandomReload(random);
    case 3:
      return RandomAcknowledgement(random);
    case 4:
      return EndOfInputRecord{};
    case 5:
      return RunStartedRecord{Word(random), Word(random), Time(random)};
    default:
      return RandomBatch(random);
  }
}

TEST(JournalRecord, ComesBackAsItWas) {
  Random random(RandomSeed());
  SCOPED_TRACE(RandomSeed());
  for (int i = 0; i < 3000; ++i) {
    const JournalRecord record = RandomRecord(random);
    const std::string bytes = Bytes(record);
    absl::StatusOr<JournalRecord> back = DecodeJournalRecord(bytes);
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(back->index(), record.index());
    ASSERT_EQ(Bytes(*back), bytes) << JournalRecordName(record);
  }
}

// Whatever was there before, and of whatever kind.
TEST(JournalRecord, IsDecodedOverAnother) {
  Random random(RandomSeed());
  SCOPED_TRACE(RandomSeed());
  JournalRecord record;
  for (int i = 0; i < 3000; ++i) {
    std::string bytes = Bytes(RandomRecord(random));
    if (random() % 10 == 0) bytes.resize(random() % bytes.size());
    const absl::Status status = DecodeOver(bytes, &record);
    ASSERT_EQ(status, DecodeJournalRecord(bytes).status());
    if (status.ok()) ASSERT_EQ(Bytes(record), bytes);
  }
}

// Bytes alone could hide a field that neither side knows of.
TEST(JournalRecord, ABatchKeepsEveryField) {
  BatchRecord batch;
  batch.lane = "file:/a";
  batch.resume = std::string("t\0k", 3);
  batch.digest = std::string(kDigestBytes, 7);
  batch.newest = 123;
  batch.ingested_ns = 456;
  batch.counts = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  batch.gaps = {{"input", "truncated", "why", 3, Gap::kUnknown}};
  Random random(RandomSeed());
  batch.observations.deeds.push_back(RandomDeed(random));
  absl::StatusOr<JournalRecord> record = DecodeJournalRecord(Bytes(batch));
  ASSERT_TRUE(record.ok()) << record.status();
  const auto& back = std::get<BatchRecord>(*record);
  EXPECT_EQ(back.lane, batch.lane);
  EXPECT_EQ(back.resume, batch.resume);
  EXPECT_EQ(back.digest, batch.digest);
  EXPECT_EQ(back.newest, batch.newest);
  EXPECT_EQ(back.ingested_ns, batch.ingested_ns);
  EXPECT_EQ(back.counts, batch.counts);
  ASSERT_EQ(back.gaps.size(), 1u);
  EXPECT_EQ(back.gaps[0].input, "input");
  EXPECT_EQ(back.gaps[0].reason, "truncated");
  EXPECT_EQ(back.gaps[0].message, "why");
  EXPECT_EQ(back.gaps[0].begin, 3u);
  EXPECT_EQ(back.gaps[0].end, Gap::kUnknown);
  ASSERT_EQ(back.observations.size(), 1u);
  EXPECT_EQ(back.observations.deeds[0].topic,
            batch.observations.deeds[0].topic);
}

TEST(JournalRecord, ControlRecordsKeepEveryField) {
  auto back = [](const JournalRecord& record) {
    return DecodeJournalRecord(Bytes(record)).value();
  };
  const auto idle = std::get<LaneIdleRecord>(back(LaneIdleRecord{"l", true}));
  EXPECT_EQ(idle.lane, "l");
  EXPECT_TRUE(idle.idle);
  const auto hold =
      std::get<LaneHoldRecord>(back(LaneHoldRecord{"l", true, -5, 6}));
  EXPECT_EQ(hold.lane, "l");
  EXPECT_TRUE(hold.hold);
  EXPECT_EQ(hold.at, -5);
  EXPECT_EQ(hold.wall_ns, 6);
  const auto reload = std::get<ReloadRecord>(
      back(ReloadRecord{"yaml", {{"d", std::string(kDigestBytes, 'x')}}, {}}));
  EXPECT_EQ(reload.configuration, "yaml");
  ASSERT_EQ(reload.detectors.size(), 1u);
  EXPECT_EQ(reload.detectors[0].detector, "d");
  EXPECT_EQ(reload.detectors[0].hash, std::string(kDigestBytes, 'x'));
  AcknowledgementRecord record;
  record.acks.push_back({.sink = "s",
                         .sequence = 4,
                         .id = "i",
                         .revision = 2,
                         .outcome = OutboxAck::Outcome::kRefused,
                         .reason = "410"});
  EXPECT_EQ(std::get<AcknowledgementRecord>(back(record)).acks, record.acks);
  const auto started =
      std::get<RunStartedRecord>(back(RunStartedRecord{"1.0", "id", 8}));
  EXPECT_EQ(started.version, "1.0");
  EXPECT_EQ(started.instance, "id");
  EXPECT_EQ(started.wall_ns, 8);
}

TEST(JournalRecord, WhatNoWriterWritesIsRefused) {
  const std::string hash(kDigestBytes, 'h');
  const JournalRecord bad[] = {
      BatchRecord{.digest = "short"},
      ReloadRecord{"", {{"b", hash}, {"a", hash}}, {}},
      ReloadRecord{"", {{"a", hash}, {"a", hash}}, {}},
      ReloadRecord{"", {{"a", "short"}}, {}},
  };
  for (const JournalRecord& record : bad) {
    absl::Status status = DecodeJournalRecord(Bytes(record)).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr(std::string(JournalRecordName(record))));
  }
}

TEST(JournalRecord, AnotherVersionOrKindIsNotGuessedAt) {
  for (const char* bytes : {"\x02\x01", "\x01\x08", "\x01\x7f"}) {
    EXPECT_TRUE(
        absl::IsFailedPrecondition(DecodeJournalRecord(bytes).status()));
  }
  for (const std::string& bytes :
       {std::string(), std::string("\x01"), std::string("\0\x01", 2),
        std::string("\x01\0", 2), std::string("\x81\0\x06", 3)}) {
    EXPECT_TRUE(absl::IsDataLoss(DecodeJournalRecord(bytes).status()));
  }
}

std::string Mutated(std::string bytes, Random& random) {
  for (uint64_t n = 1 + random() % 4; n > 0; --n) {
    const size_t at = bytes.empty() ? 0 : random() % bytes.size();
    switch (random() % 5) {
      case 0:
        bytes.resize(at);
        break;
      case 1:
        bytes.insert(at, 1, static_cast<char>(random()));
        break;
      case 2:
        bytes.erase(at, random() % 9);
        break;
      case 3:
        if (!bytes.empty()) bytes[at] = static_cast<char>(random());
        break;
      default:
        if (!bytes.empty()) {
          bytes[at] = static_cast<char>(static_cast<uint8_t>(bytes[at]) ^
                                        (1u << random() % 8));
        }
        break;
    }
  }
  return bytes;
}

// Nothing crashes, and what is accepted says exactly what its bytes say: two
// byte strings are never one record.
TEST(JournalRecord, MutatedBytesAreRefusedOrAnotherRecord) {
  Random random(RandomSeed());
  SCOPED_TRACE(RandomSeed());
  int refused = 0;
  for (int i = 0; i < 60'000; ++i) {
    const std::string bytes = Mutated(Bytes(RandomRecord(random)), random);
    absl::StatusOr<JournalRecord> record = DecodeJournalRecord(bytes);
    if (!record.ok()) {
      ++refused;
      continue;
    }
    ASSERT_EQ(Bytes(*record), bytes) << JournalRecordName(*record);
  }
  EXPECT_GT(refused, 20'000);
}

TEST(JournalRecord, EveryTruncationIsRefused) {
  Random random(RandomSeed());
  for (int i = 0; i < 30; ++i) {
    const std::string bytes = Bytes(RandomRecord(random));
    for (size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(DecodeJournalRecord(bytes.substr(0, size)).ok()) << size;
    }
    EXPECT_FALSE(DecodeJournalRecord(bytes + '\0').ok());
  }
}

}  // namespace
}  // namespace klaxon
