// Where one partition of a topic stands: what its resume token says.
//
// Values. A token is less than 100 bytes. docs/KAFKA.md, "Position".
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace klaxon {

// A record, by which the topic is known again: a topic that was deleted and
// created anew has another one at this offset.
struct KafkaMark {
  int64_t offset = 0;
  int64_t timestamp_ms = 0;
  std::array<uint8_t, 16> hash = {};
  bool operator==(const KafkaMark&) const = default;
};

// The hash is SHA-256, cut, of the record's key, size, first and last bytes.
KafkaMark MarkOfRecord(int64_t offset, int64_t timestamp_ms,
                       std::string_view key, std::string_view value);

struct KafkaPosition {
  int64_t next = 0;     // Offset of the record to go on with,
  uint64_t within = 0;  // and the bytes of it that were handed on already.
  // The last record before it. Nothing: there was none.
  std::optional<KafkaMark> last;
  bool operator==(const KafkaPosition&) const = default;
};

std::string EncodeKafkaPosition(const KafkaPosition& position);
absl::StatusOr<KafkaPosition> DecodeKafkaPosition(std::string_view token);

// "kafka:TOPIC/PARTITION"; "kafka:SOURCE/TOPIC/PARTITION" where the source has
// a name, so that equal topics of two clusters are two lanes.
std::string KafkaLane(std::string_view source, std::string_view topic,
                      int32_t partition);
// False: not a lane of a source of this name.
bool ParseKafkaLane(std::string_view lane, std::string_view source,
                    std::string* topic, int32_t* partition);

}  // namespace klaxon
