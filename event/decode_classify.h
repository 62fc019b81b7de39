// Says of text that could not be decoded what it probably is, and what would
// be right. Pure functions, any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "event/decode.h"

namespace klaxon {

struct Diagnosis {
  QuarantineReason reason = QuarantineReason::kText;
  size_t offset = 0;  // Where reading failed.
  std::string message;
};

// REQUIRES: `text` is not empty and holds no event.
Diagnosis Diagnose(std::string_view text);

// Whether `text` begins by a shape: '#' stands for a digit, '~' for any byte.
bool HasShape(std::string_view text, std::string_view shape);

// "klog": kube-apiserver's own log line.
bool IsKlog(std::string_view text);

// The JSON value (an object or array) that the last byte of `text` closes
// begins here, counted backwards by brackets outside of strings; npos: nowhere.
//
// If any suffix of `text` is one whole JSON object, this is where it begins:
// strings and brackets can be counted from its end as well as from its start.
// One pass, so a hostile text costs no more than an honest one.
size_t FindLastValue(std::string_view text);

}  // namespace klaxon
