// The bytes of one file, FIFO or of stdin as they are stored.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "ingest/byte_stream.h"
#include "ingest/file_access.h"

namespace klaxon {

// A descriptor that is closed when nobody needs it any more.
class OpenFile {
 public:
  // `files` outlives it. `owned`: to be closed.
  OpenFile(int fd, bool owned, FileAccess* files)
      : fd_(fd), owned_(owned), files_(files) {}
  ~OpenFile() {
    if (owned_) files_->Close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  int fd() const { return fd_; }
  FileAccess& access() const { return *files_; }

 private:
  const int fd_;
  const bool owned_;
  FileAccess* const files_;
};

class FileStream : public ByteStream {
 public:
  // `files` and `context` outlive the stream. Returns nothing where the file
  // cannot be opened and says in `error` why (a sentence without the path).
  static std::unique_ptr<FileStream> Open(const std::string& path,
                                          FileAccess* files,
                                          StreamContext* context,
                                          std::string* error);
  static std::unique_ptr<FileStream> Stdin(FileAccess* files,
                                           StreamContext* context);

  StreamRead Read(char* out, size_t capacity) override;
  // The file, if any part of it can be read in any order; else null.
  std::shared_ptr<const OpenFile> seekable() const {
    return regular_ && !stdin_ ? file_ : nullptr;
  }

 private:
  FileStream(std::shared_ptr<const OpenFile> file, StreamContext* context);
  StreamState Wait();

  const std::shared_ptr<const OpenFile> file_;
  StreamContext* const context_;
  bool stdin_ = false;
  bool regular_ = true;      // Else it may keep us waiting.
  bool poll_first_ = false;  // Wait before the next read.
  bool nonblocking_ = true;  // read(2) says EAGAIN rather than wait.
  bool ended_ = false;
};

// "permission denied: …": what `error_number` means and what to do about it.
std::string ExplainFileError(int error_number);

}  // namespace klaxon
