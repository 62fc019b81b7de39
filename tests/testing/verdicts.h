// From audit lines to final alerts, as a scan does it, in one call.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "event/decode.h"
#include "pipeline/observer.h"
#include "tests/testing/audit_line.h"
#include "tests/testing/judgement.h"

namespace klaxon {

class Lines {
 public:
  explicit Lines(EngineConfig config = EngineConfig())
      : config_(std::move(config)) {}

  Lines& Add(const AuditLine& line) {
    lines_.push_back(line.Json());
    return *this;
  }
  // `count` copies of `line`, `step` apart, the first at `begin`.
  Lines& Repeat(int count, Nanos begin, Nanos step, AuditLine line) {
    for (int i = 0; i < count; ++i) Add(line.At(begin + i * step));
    return *this;
  }

  // Changes what was observed, as whoever hands on observations may.
  Lines& Forge(std::function<void(Observations*)> forge) {
    forge_ = std::move(forge);
    return *this;
  }

  std::vector<Alert> Alerts() const {
    Decoder decoder;
    Observer observer(config_);
    for (const std::string& line : lines_) {
      std::string padded = line;
      padded.append(kDecodePadding, '\0');
      decoder.DecodeLine(
          std::string_view(padded).substr(0, line.size()),
          [&](const EventView& event) { observer.Observe(event, ""); });
    }
    EXPECT_EQ(decoder.counters().quarantined, 0u);
    Judgement judgement(config_, 1);
    Observations observations = observer.Take();
    if (forge_) forge_(&observations);
    judgement.Add(0, observations);
    return judgement.Alerts();
  }

  // One word a alert, sorted: "rule:severity:count", of one detector.
  std::vector<std::string> Verdicts(std::string_view detector) const {
    std::vector<std::string> words;
    for (const Alert& a : Alerts()) {
      if (a.detector != detector) continue;
      words.push_back(
          fmt::format("{}:{}:{}", a.rule, SeverityName(a.severity), a.count));
    }
    std::sort(words.begin(), words.end());
    return words;
  }

 private:
  EngineConfig config_;
  std::vector<std::string> lines_;
  std::function<void(Observations*)> forge_;
};

using Words = std::vector<std::string>;

}  // namespace klaxon
