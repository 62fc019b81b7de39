#include "pipeline/verdict.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "detectors/alert_wire.h"
#include "pipeline/judge.h"
#include "pipeline/merged_records.h"
#include "pipeline/minute_feed.h"
#include "pipeline/record_sorter.h"
#include "pipeline/sort_key.h"

namespace klaxon {
namespace {

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

absl::Status Conclude(const EngineConfig& config,
                      std::span<const std::unique_ptr<ObservationSorter>> parts,
                      const std::function<void(Alert&&)>& on_alert,
                      uint64_t* evicted) {
  EventTime newest = kNoTime;
  std::vector<RecordSorter*> sorters;
  for (const std::unique_ptr<ObservationSorter>& part : parts) {
    newest = std::max(newest, part->newest());
    sorters.push_back(&part->records());
  }
  MergedRecords records(sorters, ObservationSorter::MakeMerge());
  FinalAlerts alerts(config.spill_dir);
  Judge judge(config, {.revisions = false,
                       .emit = [&](const Alert& alert) { alerts.Add(alert); }});
  MinuteFeed feed({config.reorder_memory_bytes, config.spill_dir},
                  [&judge](const std::string& cluster, const Judged& judged) {
                    judge.Feed(cluster, judged);
                  });
  std::string key;
  std::string payload;
  while (records.Next(&key, &payload)) {
    if (absl::Status s = feed.Add(key, payload); !s.ok()) return s;
  }
  if (!records.status().ok()) return records.status();
  if (newest != kNoTime) {
    if (absl::Status s = feed.Finish(newest); !s.ok()) return s;
    judge.Finish(newest);
  }
  *evicted = judge.evicted();
  return alerts.Print(on_alert);
}

}  // namespace klaxon
