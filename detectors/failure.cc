#include "detectors/failure.h"

namespace klaxon {

Contribution Opening(const Failure& failure, const FailingMinutes::Sum& sum,
                     Severity severity, std::string_view rule) {
  Contribution c;
  c.start = c.last = failure.refusal.time;
  c.first = sum.first;
  c.count = sum.count;
  c.severity = severity;
  c.rule = rule;
  return c;
}

}  // namespace klaxon
