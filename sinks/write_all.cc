#include "sinks/write_all.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace klaxon {
namespace {

absl::Status ErrorOf(int error, std::string_view name) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(fmt::format(
          "{}: no space left to write to ({})", name, std::strerror(error)));
    case EFBIG:
      return absl::ResourceExhaustedError(fmt::format(
          "{}: the file may not grow further (file size limit)", name));
    case EPIPE:
      return absl::CancelledError(
          fmt::format("{}: nobody reads it any more (broken pipe)", name));
    default:
      return absl::UnavailableError(
          fmt::format("{}: cannot be written: {}", name, std::strerror(error)));
  }
}

}  // namespace

absl::Status WriteAll(int fd, std::string_view bytes, std::string_view name) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written > 0) {
      bytes.remove_prefix(static_cast<size_t>(written));
    } else if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      pollfd waiting{fd, POLLOUT, 0};
      if (poll(&waiting, 1, -1) < 0 && errno != EINTR) {
        return ErrorOf(errno, name);
      }
    } else if (written < 0 && errno != EINTR) {
      return ErrorOf(errno, name);
    } else if (written == 0) {
      // No device of ours does that; without this the loop would not end.
      return ErrorOf(EIO, name);
    }
  }
  return absl::OkStatus();
}

}  // namespace klaxon
