// What a log's file name says of its place in a rotation. Pure functions.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace klaxon {

struct LogName {
  // By age: within a family, an earlier kind is older.
  enum class Kind : uint8_t {
    kNumbered,  // logrotate: audit.log.3
    kDated,     // logrotate dateext, kubelet: audit.log-20260102,
                // audit-20260102.log, 0.log.20260102-030405
    kTimed,     // lumberjack: audit-2026-01-02T03-04-05.000.log
    kCurrent,   // audit.log
  };
  // The name without what rotation and compression added: "audit.log".
  std::string family;
  Kind kind = Kind::kCurrent;
  // Grows with time among the same kind.
  std::string order;
  // The name without what compression added: equal for X.log and X.log.gz.
  std::string content;

  auto operator<=>(const LogName&) const = default;
};

// `name`: of the file, without its directory.
LogName ParseLogName(std::string_view name);

}  // namespace klaxon
