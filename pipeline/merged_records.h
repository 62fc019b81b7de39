// What several sorters hold, as if one had been given all of it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "pipeline/record_sorter.h"

namespace klaxon {

// One thread. Errors as RecordSorter's.
class MergedRecords {
 public:
  // Each is finished; none may be used by others any more.
  // REQUIRES: `sorters` outlive this; `merge` is theirs.
  MergedRecords(const std::vector<RecordSorter*>& sorters,
                RecordSorter::Merge merge);

  // The next record, equal keys merged. False: no more, or status() tells.
  bool Next(std::string* key, std::string* payload);
  const absl::Status& status() const { return status_; }

 private:
  struct Head {
    RecordSorter* sorter;
    std::string key;
    std::string payload;
  };
  static bool ComesLater(const std::unique_ptr<Head>& a,
                         const std::unique_ptr<Head>& b);
  // Reads the next record of that one; drops it at its end.
  void Push(std::unique_ptr<Head> head);

  const RecordSorter::Merge merge_;
  std::vector<std::unique_ptr<Head>> heap_;
  absl::Status status_;
};

}  // namespace klaxon
