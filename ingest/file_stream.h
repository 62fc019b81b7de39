// The bytes of one file, FIFO or of stdin as they are stored.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "ingest/byte_stream.h"
#include "ingest/file_access.h"

namespace klaxon {

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
  ~FileStream() override;

  StreamRead Read(char* out, size_t capacity) override;

 private:
  FileStream(int fd, FileAccess* files, StreamContext* context);
  StreamState Wait();

  FileAccess* const files_;
  StreamContext* const context_;
  const int fd_;
  bool owned_ = false;
  bool regular_ = true;      // Else it may keep us waiting.
  bool poll_first_ = false;  // Wait before the next read.
  bool nonblocking_ = true;  // read(2) says EAGAIN rather than wait.
  bool ended_ = false;
};

// "permission denied: …": what `error_number` means and what to do about it.
std::string ExplainFileError(int error_number);

}  // namespace klaxon
