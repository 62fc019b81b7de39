#include "pipeline/verdict.h"

#include <algorithm>
#include <array>
#include <utility>

#include "detectors/alert_wire.h"
#include "pipeline/judge.h"
#include "pipeline/minute_feed.h"
#include "pipeline/sort_key.h"

namespace klaxon {
namespace {

// RecordSorter::Merge. What it decodes is written over the last.
class Merger {
 public:
  void operator()(std::string_view key, std::string* into,
                  std::string_view payload) {
    switch (KindOf(key)) {
      case ObservationKind::kFact:
        return Merge(&facts_, into, payload);
      case ObservationKind::kSighting:
        return Merge(&sightings_, into, payload);
      case ObservationKind::kRefusals:
        return Merge(&groups_, into, payload);
      case ObservationKind::kDeed:
        return;  // The same deed twice is one.
    }
  }

 private:
  template <typename T>
  static void Merge(std::array<T, 2>* two, std::string* into,
                    std::string_view payload) {
    auto& [a, b] = *two;
    if (!Decode(*into, &a) || !Decode(payload, &b)) return;  // Ours: never.
    a.Merge(b);
    into->clear();
    EncodeTo(a, into);
  }

  std::array<Fact, 2> facts_;
  std::array<Sighting, 2> sightings_;
  std::array<RefusalGroup, 2> groups_;
};

// The printing order of interface.md as bytes (alert.h, PrintsBefore).
std::string PrintKey(const Alert& alert) {
  std::string key;
  const bool open = alert.closed == kNoTime;
  key.push_back(open ? 1 : 0);
  AppendTime(open ? alert.first_seen : alert.closed, &key);
  key += alert.id;
  // Two clusters' or evicted episodes never share an id, but none may vanish.
  key += alert.cluster;
  return key;
}

// Final alerts in printing order, each id once: an episode that was evicted and
// then went on is emitted twice, and the later one counts.
class FinalAlerts {
 public:
  explicit FinalAlerts(const std::string& dir)
      : dir_(dir), by_id_({kMemoryBytes, dir}, KeepLater) {}

  void Add(const Alert& alert) {
    std::string bytes;
    AppendBigEndian(emitted_++, kEmissionBytes, &bytes);
    const std::string print_key = PrintKey(alert);
    AppendBigEndian(print_key.size(), kSizeBytes, &bytes);
    bytes += print_key;
    EncodeTo(alert, &bytes);
    status_.Update(by_id_.Add(alert.id + alert.cluster, bytes));
  }

  absl::Status Print(const std::function<void(Alert&&)>& on_alert) {
    if (!status_.ok()) return status_;
    if (absl::Status s = by_id_.Finish(); !s.ok()) return s;
    RecordSorter printed({kMemoryBytes, dir_}, KeepLater);
    std::string key;
    std::string bytes;
    Alert alert;
    while (by_id_.Next(&key, &bytes)) {
      std::string_view rest = std::string_view(bytes).substr(kEmissionBytes);
      const size_t size = ReadBigEndian(rest.substr(0, kSizeBytes));
      rest.remove_prefix(kSizeBytes);
      const std::string_view print_key = rest.substr(0, size);
      rest.remove_prefix(size);
      if (absl::Status s = printed.Add(print_key, rest); !s.ok()) return s;
    }
    if (!by_id_.status().ok()) return by_id_.status();
    if (absl::Status s = printed.Finish(); !s.ok()) return s;
    while (printed.Next(&key, &bytes)) {
      if (Decode(bytes, &alert)) on_alert(std::move(alert));
    }
    return printed.status();
  }

 private:
  static constexpr size_t kMemoryBytes = 4 << 20;
  // Payloads begin with the number of their emission; the size of their
  // PrintKey and itself follow.
  static constexpr size_t kEmissionBytes = 8;
  static constexpr size_t kSizeBytes = 4;
  static void KeepLater(std::string_view, std::string* into,
                        std::string_view payload) {
    if (payload.substr(0, kEmissionBytes) >
        std::string_view(*into).substr(0, kEmissionBytes)) {
      *into = payload;
    }
  }

  const std::string dir_;
  RecordSorter by_id_;
  uint64_t emitted_ = 0;
  absl::Status status_;
};

}  // namespace

Verdict::Verdict(const EngineConfig& config)
    : config_(config),
      sorter_({config.reorder_memory_bytes, config.spill_dir}, Merger()) {}

template <typename T>
absl::Status Verdict::AddOne(const T& value) {
  key_.clear();
  payload_.clear();
  AppendKey(value, &key_);
  EncodeTo(value, &payload_);
  ++observations_;
  return sorter_.Add(key_, payload_);
}

absl::Status Verdict::Add(const Observations& observations) {
  absl::Status status;
  for (const Fact& fact : observations.facts) {
    newest_ = std::max(newest_, fact.last_event);
    status.Update(AddOne(fact));
  }
  for (const Sighting& s : observations.sightings) {
    newest_ = std::max(newest_, s.seen.last);
    status.Update(AddOne(s));
  }
  for (const RefusalGroup& g : observations.refusals) {
    if (!g.kept.empty()) newest_ = std::max(newest_, g.kept.back().time);
    status.Update(AddOne(g));
  }
  for (const Deed& d : observations.deeds) {
    newest_ = std::max(newest_, d.time);
    status.Update(AddOne(d));
  }
  return status;
}

absl::Status Verdict::Conclude(const std::function<void(Alert&&)>& on_alert) {
  if (absl::Status s = sorter_.Finish(); !s.ok()) return s;
  FinalAlerts alerts(config_.spill_dir);
  Judge judge(config_, {.revisions = false, .emit = [&](const Alert& alert) {
                          alerts.Add(alert);
                        }});
  MinuteFeed feed({config_.reorder_memory_bytes, config_.spill_dir},
                  [&judge](const std::string& cluster, const Judged& judged) {
                    judge.Feed(cluster, judged);
                  });
  while (sorter_.Next(&key_, &payload_)) {
    if (absl::Status s = feed.Add(key_, payload_); !s.ok()) return s;
  }
  if (!sorter_.status().ok()) return sorter_.status();
  if (newest_ != kNoTime) {
    if (absl::Status s = feed.Finish(newest_); !s.ok()) return s;
    judge.Finish(newest_);
  }
  evicted_ = judge.evicted();
  return alerts.Print(on_alert);
}

}  // namespace klaxon
