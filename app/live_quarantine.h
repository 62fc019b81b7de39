// What a daemon could not read: kept as NDJSON, durable before the batch that
// held it is acknowledged, in two files of bounded size (the older is PATH.1).
//
// Thread-safe.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include "absl/status/status.h"
#include "app/console.h"
#include "pipeline/intake.h"

namespace klaxon {

class LiveQuarantine {
 public:
  static constexpr uint64_t kFileBytesMax = 64 << 20;
  // Messages shown; then one every so many.
  static constexpr uint64_t kShownMax = 10;
  static constexpr uint64_t kShownEvery = 1000;

  // `path` empty: nothing is kept, only said.
  LiveQuarantine(std::string path, Console* console);
  ~LiveQuarantine();
  LiveQuarantine(const LiveQuarantine&) = delete;
  LiveQuarantine& operator=(const LiveQuarantine&) = delete;

  absl::Status Open();
  void Add(const LiveUnreadable& unreadable);

 private:
  void Say(const LiveUnreadable& unreadable);

  const std::string path_;
  Console* const console_;
  std::mutex mutex_;  // Guards all below.
  int fd_ = -1;
  uint64_t bytes_ = 0;
  uint64_t count_ = 0;
  bool failed_ = false;
};

}  // namespace klaxon
