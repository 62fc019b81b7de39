#include "ingest/libarchive_reader.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace klaxon {
namespace {

constexpr size_t kInputBytes = 256 << 10;
// pax headers allow names of any length.
constexpr size_t kNameBytesMax = 4096;

// Lifts the deadline of a context while libarchive reads.
class WithoutDeadline {
 public:
  explicit WithoutDeadline(StreamContext* context)
      : context_(context), deadline_(context->deadline) {
    context_->deadline = StreamContext::Clock::time_point::max();
  }
  ~WithoutDeadline() { context_->deadline = deadline_; }

 private:
  StreamContext* const context_;
  const StreamContext::Clock::time_point deadline_;
};

}  // namespace

LibarchiveHandle::LibarchiveHandle(Format format, ByteStream* in,
                                   StreamContext* context)
    : format_(format),
      in_(in),
      context_(context),
      handle_(archive_read_new()),
      buffer_(kInputBytes),
      lost_before_(context->lost_count) {
  if (format == Format::kTar) {
    archive_read_support_format_tar(handle_);
    // `cat a.tar b.tar` and `tar -A` leave an end mark in the middle.
    archive_read_set_options(handle_, "tar:read_concatenated_archives");
    return;
  }
  archive_read_support_filter_bzip2(handle_);
  archive_read_support_filter_xz(handle_);
  archive_read_support_filter_lzip(handle_);
  archive_read_support_filter_lz4(handle_);
  archive_read_support_filter_compress(handle_);
  archive_read_support_format_raw(handle_);
  archive_read_support_format_empty(handle_);
}

LibarchiveHandle::~LibarchiveHandle() { archive_read_free(handle_); }

ptrdiff_t LibarchiveHandle::ReadCallback(archive* handle, void* self,
                                         const void** block) {
  auto* reader = static_cast<LibarchiveHandle*>(self);
  const WithoutDeadline lifted(reader->context_);
  const StreamRead read =
      reader->in_->Read(reader->buffer_.data(), reader->buffer_.size());
  *block = reader->buffer_.data();
  if (read.state == StreamState::kInterrupted ||
      read.state == StreamState::kBlocked) {
    reader->interrupted_ = true;
    archive_set_error(handle, EINTR, "interrupted");
    return -1;
  }
  reader->fed_bytes_ += read.bytes;
  return static_cast<ptrdiff_t>(read.bytes);
}

LibarchiveHandle::Header LibarchiveHandle::NextHeader() {
  if (interrupted_) return Header::kInterrupted;
  if (failed_) return Header::kEnd;
  int result = ARCHIVE_OK;
  if (!opened_) {
    opened_ = true;
    result = archive_read_open(handle_, this, nullptr, ReadCallback, nullptr);
  }
  if (result == ARCHIVE_OK) {
    do {
      result = archive_read_next_header(handle_, &entry_);
    } while (result == ARCHIVE_RETRY);
  }
  block_bytes_ = 0;
  gap_ = 0;
  entry_offset_ = 0;
  if (interrupted_) return Header::kInterrupted;
  // It began like something compressed, and is no such thing.
  if (format_ == Format::kFilters && !filtered()) result = ARCHIVE_FATAL;
  if (result == ARCHIVE_OK || result == ARCHIVE_WARN) return Header::kEntry;
  if (result != ARCHIVE_EOF) Fail();
  return Header::kEnd;
}

StreamRead LibarchiveHandle::ReadData(char* out, size_t capacity) {
  for (;;) {
    if (interrupted_) return {0, StreamState::kInterrupted};
    if (failed_) return {0, StreamState::kEnd};
    if (gap_ > 0 || block_bytes_ > 0) return CopyBlock(out, capacity);
    const void* block = nullptr;
    size_t bytes = 0;
    int64_t offset = 0;
    int result;
    do {
      result = archive_read_data_block(handle_, &block, &bytes, &offset);
    } while (result == ARCHIVE_RETRY && !interrupted_);
    if (interrupted_) return {0, StreamState::kInterrupted};
    if (result < ARCHIVE_WARN) {
      Fail();
      return {0, StreamState::kEnd};
    }
    block_ = static_cast<const char*>(block);
    block_bytes_ = bytes;
    // Also at the end: a sparse file may end with a hole.
    if (offset > entry_offset_) {
      gap_ = static_cast<uint64_t>(offset - entry_offset_);
    }
    entry_offset_ = offset + static_cast<int64_t>(bytes);
    if (result == ARCHIVE_EOF && gap_ == 0) return {0, StreamState::kEnd};
  }
}

StreamRead LibarchiveHandle::CopyBlock(char* out, size_t capacity) {
  if (gap_ > 0) {
    const size_t zeros =
        static_cast<size_t>(std::min<uint64_t>(gap_, capacity));
    std::memset(out, 0, zeros);
    gap_ -= zeros;
    return {zeros, StreamState::kData};
  }
  const size_t bytes = std::min(block_bytes_, capacity);
  std::memcpy(out, block_, bytes);
  block_ += bytes;
  block_bytes_ -= bytes;
  return {bytes, StreamState::kData};
}

void LibarchiveHandle::Fail() {
  failed_ = true;
  // Where a layer below lost bytes already, this is only what comes of it.
  if (context_->lost_count > lost_before_) return;
  const char* text = archive_error_string(handle_);
  const char* what =
      format_ == Format::kTar ? "tar archive" : archive_filter_name(handle_, 0);
  context_->Report(
      ProblemCause::kDamaged, true,
      fmt::format("truncated or corrupt {} ({}): what comes behind is missing. "
                  "Fetch it again from where it came from",
                  what != nullptr ? what : "compressed data",
                  text != nullptr ? text : "no reason given"));
}

const char* LibarchiveHandle::FilterName() const {
  return filtered() ? archive_filter_name(handle_, 0) : "compressed data";
}

bool LibarchiveHandle::filtered() const {
  return archive_filter_count(handle_) > 1;  // The last is the input.
}

uint64_t LibarchiveHandle::unused_bytes() const {
  const int64_t used = archive_filter_bytes(handle_, -1);
  return used >= 0 && static_cast<uint64_t>(used) < fed_bytes_
             ? fed_bytes_ - static_cast<uint64_t>(used)
             : 0;
}

FilterStream::FilterStream(ByteStream* in, StreamContext* context)
    : in_(in),
      context_(context),
      handle_(LibarchiveHandle::Format::kFilters, in, context) {}

StreamRead FilterStream::Read(char* out, size_t capacity) {
  if (ended_) return {0, StreamState::kEnd};
  if (!opened_) {
    const auto header = handle_.NextHeader();
    if (header == LibarchiveHandle::Header::kInterrupted) {
      return {0, StreamState::kInterrupted};
    }
    opened_ = true;
    ended_ = header == LibarchiveHandle::Header::kEnd;
    if (ended_) return {0, StreamState::kEnd};
  }
  if (!inflated_) {
    const StreamRead read = handle_.ReadData(out, capacity);
    if (read.state != StreamState::kEnd) return read;
    inflated_ = true;
    ended_ = handle_.failed();
    left_over_bytes_ = handle_.unused_bytes();
  }
  return {0, ended_ ? StreamState::kEnd : CountLeftOver()};
}

StreamState FilterStream::CountLeftOver() {
  char buffer[4096];
  StreamRead read;
  do {
    read = in_->Read(buffer, sizeof(buffer));
    left_over_bytes_ += read.bytes;
  } while (read.state == StreamState::kData);
  if (read.state != StreamState::kEnd) return read.state;
  ended_ = true;
  if (left_over_bytes_ > 0) {
    context_->Report(ProblemCause::kLeftOver, false,
                     fmt::format("{} bytes stand behind the compressed data; "
                                 "ignored",
                                 left_over_bytes_));
  }
  return StreamState::kEnd;
}

TarReader::TarReader(ByteStream* in, StreamContext* context)
    : context_(context), handle_(LibarchiveHandle::Format::kTar, in, context) {}

StreamState TarReader::NextMember(std::string* name) {
  while (!ended_) {
    switch (handle_.NextHeader()) {
      case LibarchiveHandle::Header::kInterrupted:
        return StreamState::kInterrupted;
      case LibarchiveHandle::Header::kEnd:
        ended_ = true;
        if (members_ == 0 && !handle_.failed()) {
          context_->Report(ProblemCause::kDamaged, true,
                           "a tar archive without any file in it: name one "
                           "that holds logs");
        }
        return StreamState::kEnd;
      case LibarchiveHandle::Header::kEntry:
        break;
    }
    archive_entry* entry = handle_.entry();
    // A hard link repeats a member that was read already.
    if (archive_entry_filetype(entry) != AE_IFREG ||
        archive_entry_hardlink(entry) != nullptr) {
      continue;
    }
    // No name in this locale's encoding: the raw one.
    const char* path = archive_entry_pathname(entry);
    if (path == nullptr) path = archive_entry_pathname_utf8(entry);
    *name = path != nullptr ? path : "?";
    if (name->size() > kNameBytesMax) name->resize(kNameBytesMax);
    ++members_;
    return StreamState::kData;
  }
  return StreamState::kEnd;
}

StreamRead TarReader::Read(char* out, size_t capacity) {
  return handle_.ReadData(out, capacity);
}

}  // namespace klaxon
