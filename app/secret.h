// A secret of the configuration: where it stands, and how it is read.
//
// Reading the configuration reads no secret: whoever opens what needs it does,
// so that a scan needs no right to the secrets of a daemon, and `klaxon check`
// keeps none. Any thread.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "app/config_tree.h"

namespace klaxon {

// {file: PATH} or {env: NAME}; or none.
struct Secret {
  enum class From { kNone, kFile, kEnvironment };
  From from = From::kNone;
  std::string name;   // The path, or the variable's.
  std::string key;    // "sinks[0].webhook.hmac", for messages.
  ConfigPlace place;  // Of `name`.

  bool set() const { return from != From::kNone; }
};

// Of a file: without newlines at its end. "" where there is none.
// InvalidArgument: it cannot be read, or is empty, and where it is named.
absl::StatusOr<std::string> ReadSecret(const Secret& secret);

// A value that may be a secret: then `text` is empty.
struct ConfigText {
  std::string text;
  Secret secret;
};
absl::StatusOr<std::string> TextOf(const ConfigText& value);

// Whether it could be read, of a file without its contents.
absl::Status CheckSecret(const Secret& secret);

}  // namespace klaxon
