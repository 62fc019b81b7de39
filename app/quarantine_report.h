// What could not be read: messages for people, and the quarantine file.
//
// One thread at a time. Memory does not grow with the number of records.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "app/console.h"
#include "pipeline/scan.h"

namespace klaxon {

class QuarantineReport {
 public:
  // Messages shown for each input and reason; of the rest only the number.
  static constexpr uint64_t kShownMax = 10;
  // Bytes of a record kept in the file.
  static constexpr size_t kBytesMax = 64 << 10;

  // `console` must outlive it; `path` empty: no file.
  QuarantineReport(std::string path, Console* console);
  ~QuarantineReport();
  QuarantineReport(const QuarantineReport&) = delete;
  QuarantineReport& operator=(const QuarantineReport&) = delete;

  // Makes the file, readable by its owner alone: what is in it may hold
  // credentials. An earlier quarantine file is replaced, no other file is.
  absl::Status Open();
  // REQUIRES: records come input by input.
  void Add(const QuarantineRecord& record);
  void Finish();

  // The file could not be written: exit code 1.
  bool failed() const { return failed_; }
  const std::string& path() const { return path_; }

 private:
  void Write(const QuarantineRecord& record);
  void Flush();
  void EndInput();

  const std::string path_;
  Console* const console_;
  int fd_ = -1;
  bool failed_ = false;
  std::string buffer_;
  std::string input_;
  std::map<QuarantineReason, uint64_t> counts_;  // Of input_.
};

// One line of the quarantine file, without its newline.
void AppendJson(const QuarantineRecord& record, std::string* out);

}  // namespace klaxon
