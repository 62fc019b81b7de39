#include "pipeline/merged_records.h"

#include <algorithm>
#include <utility>

namespace klaxon {

MergedRecords::MergedRecords(const std::vector<RecordSorter*>& sorters,
                             RecordSorter::Merge merge)
    : merge_(std::move(merge)) {
  for (RecordSorter* sorter : sorters) {
    Push(std::make_unique<Head>(Head{sorter, {}, {}}));
  }
}

// std heap functions make a max-heap: the greatest by "comes later" is first.
bool MergedRecords::ComesLater(const std::unique_ptr<Head>& a,
                               const std::unique_ptr<Head>& b) {
  return a->key > b->key;
}

void MergedRecords::Push(std::unique_ptr<Head> head) {
  if (!head->sorter->Next(&head->key, &head->payload)) {
    status_.Update(head->sorter->status());
    return;
  }
  heap_.push_back(std::move(head));
  std::push_heap(heap_.begin(), heap_.end(), ComesLater);
}

bool MergedRecords::Next(std::string* key, std::string* payload) {
  bool first = true;
  while (status_.ok() && !heap_.empty() &&
         (first || heap_.front()->key == *key)) {
    std::pop_heap(heap_.begin(), heap_.end(), ComesLater);
    std::unique_ptr<Head> head = std::move(heap_.back());
    heap_.pop_back();
    if (first) {
      std::swap(*key, head->key);
      std::swap(*payload, head->payload);
    } else {
      merge_(*key, payload, head->payload);
    }
    first = false;
    Push(std::move(head));
  }
  return status_.ok() && !first;
}

}  // namespace klaxon
