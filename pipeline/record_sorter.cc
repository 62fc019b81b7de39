#include "pipeline/record_sorter.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "event/wire.h"

namespace klaxon {
namespace {

constexpr size_t kReadBytesMin = 4 << 10;
constexpr size_t kReadBytesMax = 32 << 10;
constexpr size_t kGiveBackBytes = 256 << 10;
constexpr size_t kWriteBytes = 256 << 10;

// Eight bytes of `key` from `at` on, as a number; behind its end are zeros.
uint64_t ChunkOf(std::string_view key, size_t at) {
  uint64_t chunk = 0;
  if (at >= key.size()) return chunk;
  std::memcpy(&chunk, key.data() + at, std::min<size_t>(8, key.size() - at));
  return __builtin_bswap64(LittleEndian(chunk));
}

// An unlinked file: nothing is left behind, however the process ends.
int OpenUnlinked(const std::string& wanted, std::string* dir) {
  const char* tmp = std::getenv("TMPDIR");
  *dir = !wanted.empty() ? wanted : tmp != nullptr && *tmp ? tmp : "/tmp";
  std::string path = *dir + "/klaxon-sort-XXXXXX";
  const int fd = mkostemp(path.data(), O_CLOEXEC);
  if (fd >= 0) unlink(path.c_str());
  return fd;
}

}  // namespace

// Reads one sorted sequence: a run of the file, or what is still in memory.
class RecordSorter::Cursor {
 public:
  Cursor(RecordSorter* sorter, Run run)
      : sorter_(sorter),
        read_bytes_(std::clamp(sorter->options_.memory_bytes / kFanIn,
                               kReadBytesMin, kReadBytesMax)),
        begin_(run.begin),
        next_(run.begin),
        given_back_(run.begin),
        end_(run.end) {}
  explicit Cursor(RecordSorter* sorter) : sorter_(sorter), in_memory_(true) {}

  std::string_view key() const { return key_; }
  std::string_view payload() const { return payload_; }

  // False: at the end (or the sorter's status says why not).
  bool Advance() {
    if (in_memory_) {
      if (index_ == sorter_->entries_.size()) return false;
      const Entry& entry = sorter_->entries_[index_++];
      key_ = sorter_->KeyOf(entry);
      payload_ = sorter_->PayloadOf(entry);
      return true;
    }
    uint64_t key_bytes = 0;
    uint64_t payload_bytes = 0;
    if (next_ == end_ && pos_ == buffer_.size()) return false;
    if (!Need(8)) return false;
    std::memcpy(&key_bytes, buffer_.data() + pos_, 4);
    std::memcpy(&payload_bytes, buffer_.data() + pos_ + 4, 4);
    if (!Need(8 + key_bytes + payload_bytes)) return false;
    const std::string_view view(buffer_);
    key_ = view.substr(pos_ + 8, key_bytes);
    payload_ = view.substr(pos_ + 8 + key_bytes, payload_bytes);
    pos_ += 8 + key_bytes + payload_bytes;
    return true;
  }

 private:
  // Makes `bytes` bytes at pos_ available.
  bool Need(size_t bytes) {
    while (buffer_.size() - pos_ < bytes) {
      buffer_.erase(0, pos_);
      pos_ = 0;
      const size_t have = buffer_.size();
      const size_t want =
          std::min<uint64_t>(std::max(read_bytes_, bytes - have), end_ - next_);
      if (want == 0) {
        return sorter_->Fail(absl::DataLossError("spill file ends early"));
      }
      buffer_.resize(have + want);
      const ssize_t got = pread(sorter_->fd_, buffer_.data() + have, want,
                                static_cast<off_t>(next_));
      if (got <= 0 && !(got < 0 && errno == EINTR)) {
        return sorter_->Fail(absl::DataLossError(
            fmt::format("cannot read the spill file: {}",
                        got < 0 ? std::strerror(errno) : "it was cut")));
      }
      const size_t read = got > 0 ? static_cast<size_t>(got) : 0;
      buffer_.resize(have + read);
      next_ += read;
      GiveBack();
    }
    return true;
  }
  // The disk need not hold what was read. Only whole blocks go, so the last one
  // of before is asked for once more. A file system that cannot do that holds
  // them until the end.
  void GiveBack() {
    constexpr uint64_t kBlock = 4096;
    if (next_ - given_back_ < kGiveBackBytes && next_ != end_) return;
    const uint64_t from = std::max(begin_, given_back_ / kBlock * kBlock);
    fallocate(sorter_->fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
              static_cast<off_t>(from), static_cast<off_t>(next_ - from));
    given_back_ = next_;
  }

  RecordSorter* sorter_;
  bool in_memory_ = false;
  size_t index_ = 0;
  size_t read_bytes_ = 0;
  uint64_t begin_ = 0;
  uint64_t next_ = 0;
  uint64_t given_back_ = 0;
  uint64_t end_ = 0;
  std::string buffer_;
  size_t pos_ = 0;
  std::string_view key_;
  std::string_view payload_;
};

RecordSorter::RecordSorter(Options options, Merge merge)
    : options_(std::move(options)), merge_(std::move(merge)) {
  options_.memory_bytes = std::min(options_.memory_bytes, kMemoryBytesMax);
}

RecordSorter::~RecordSorter() {
  if (fd_ >= 0) close(fd_);
}

bool RecordSorter::Fail(absl::Status status) {
  if (status_.ok()) status_ = std::move(status);
  return false;
}

absl::Status RecordSorter::Add(std::string_view key, std::string_view payload) {
  if (!status_.ok()) return status_;
  if (arena_.capacity() < options_.memory_bytes) {
    arena_.reserve(options_.memory_bytes);
  }
  if (!entries_.empty() && arena_.size() + key.size() + payload.size() +
                                   entries_.size() * sizeof(Entry) >
                               options_.memory_bytes) {
    if (absl::Status s = WriteRun(); !s.ok()) return status_ = s;
  }
  entries_.push_back({0, static_cast<uint32_t>(arena_.size()),
                      static_cast<uint32_t>(key.size()),
                      static_cast<uint32_t>(payload.size())});
  arena_.append(key);
  arena_.append(payload);
  return absl::OkStatus();
}

// Keys of a minute begin alike for long, so they are sorted by eight bytes
// after the other, and what has equal ones by the next eight.
void RecordSorter::SortFrom(size_t at, Entry* begin, Entry* end) {
  constexpr ptrdiff_t kFew = 4;
  const auto by_key = [this](const Entry& a, const Entry& b) {
    return KeyOf(a) < KeyOf(b);
  };
  if (end - begin <= kFew) return std::sort(begin, end, by_key);
  bool alike = true;
  for (; alike; at += 8) {
    bool over = true;
    for (Entry* e = begin; e != end; ++e) {
      e->chunk = ChunkOf(KeyOf(*e), at);
      alike &= e->chunk == begin->chunk;
      over &= e->key_bytes <= at;
    }
    // But for zeros at their ends, which the shorter one lacks.
    if (over) return std::sort(begin, end, by_key);
  }
  std::sort(begin, end,
            [](const Entry& a, const Entry& b) { return a.chunk < b.chunk; });
  for (Entry* next = begin; begin != end; begin = next) {
    while (next != end && next->chunk == begin->chunk) ++next;
    if (next - begin > 1) SortFrom(at, begin, next);
  }
}

void RecordSorter::SortEntries() {
  SortFrom(0, entries_.data(), entries_.data() + entries_.size());
}

absl::Status RecordSorter::OpenFile() {
  if (fd_ >= 0) return absl::OkStatus();
  std::string dir;
  fd_ = OpenUnlinked(options_.dir, &dir);
  if (fd_ >= 0) return absl::OkStatus();
  const bool many = errno == EMFILE || errno == ENFILE;
  return absl::ResourceExhaustedError(fmt::format(
      "cannot create a spill file in {}: {}; {}", dir, std::strerror(errno),
      many ? "allow more open files (ulimit -n)"
           : "set TMPDIR to a writable folder"));
}

// Writes records at the end of the file, in order, and makes a run of them.
class RecordSorter::RunWriter {
 public:
  explicit RunWriter(RecordSorter* sorter)
      : sorter_(sorter), begin_(sorter->written_) {}

  absl::Status Add(std::string_view key, std::string_view payload) {
    const uint32_t sizes[2] = {static_cast<uint32_t>(key.size()),
                               static_cast<uint32_t>(payload.size())};
    out_.append(reinterpret_cast<const char*>(sizes), sizeof(sizes));
    out_.append(key);
    out_.append(payload);
    return out_.size() < kWriteBytes ? absl::OkStatus() : Flush();
  }
  absl::Status Finish() {
    if (absl::Status s = Flush(); !s.ok()) return s;
    sorter_->runs_.push_back({begin_, sorter_->written_});
    return absl::OkStatus();
  }

 private:
  absl::Status Flush() {
    std::string_view bytes = out_;
    while (!bytes.empty()) {
      const ssize_t n = write(sorter_->fd_, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) {
        return absl::ResourceExhaustedError(fmt::format(
            "cannot write the spill file: {}; set TMPDIR to a folder with room",
            std::strerror(errno)));
      }
      sorter_->written_ += static_cast<uint64_t>(n);
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    out_.clear();
    return absl::OkStatus();
  }

  RecordSorter* sorter_;
  const uint64_t begin_;
  std::string out_;
};

absl::Status RecordSorter::WriteRun() {
  if (absl::Status s = OpenFile(); !s.ok()) return s;
  SortEntries();
  RunWriter writer(this);
  std::string merged;
  for (size_t i = 0; i < entries_.size();) {
    const std::string_view key = KeyOf(entries_[i]);
    merged = PayloadOf(entries_[i]);
    for (++i; i < entries_.size() && KeyOf(entries_[i]) == key; ++i) {
      merge_(key, &merged, PayloadOf(entries_[i]));
    }
    if (absl::Status s = writer.Add(key, merged); !s.ok()) return s;
  }
  arena_.clear();
  entries_.clear();
  ++runs_written_;
  return writer.Finish();
}

namespace {
// std heap functions make a max-heap: the greatest by "comes later" is first.
struct ComesLater {
  template <typename Cursor>
  bool operator()(const Cursor& a, const Cursor& b) const {
    return a->key() > b->key();
  }
};
}  // namespace

void RecordSorter::Open(size_t count) {
  for (size_t i = 0; i < count; ++i) {
    heap_.push_back(std::make_unique<Cursor>(this, runs_.front()));
    runs_.pop_front();
  }
  std::erase_if(heap_, [](const auto& cursor) { return !cursor->Advance(); });
  std::make_heap(heap_.begin(), heap_.end(), ComesLater());
}

void RecordSorter::OpenMemory() {
  SortEntries();
  heap_.push_back(std::make_unique<Cursor>(this));
  if (heap_.back()->Advance()) {
    std::push_heap(heap_.begin(), heap_.end(), ComesLater());
  } else {
    heap_.pop_back();
  }
}

absl::Status RecordSorter::MergeRuns(size_t count) {
  Open(count);
  RunWriter writer(this);
  std::string key;
  std::string payload;
  while (Next(&key, &payload)) {
    if (absl::Status s = writer.Add(key, payload); !s.ok()) return s;
  }
  return status_.ok() ? writer.Finish() : status_;
}

absl::Status RecordSorter::Finish() {
  if (!status_.ok()) return status_;
  while (runs_.size() > kFanIn) {
    // So many that all later merges are full ones.
    const size_t count = std::min(kFanIn, runs_.size() - kFanIn + 1);
    if (absl::Status s = MergeRuns(count); !s.ok()) return status_ = s;
  }
  Open(runs_.size());
  OpenMemory();
  return status_;
}

bool RecordSorter::Next(std::string* key, std::string* payload) {
  if (heap_.empty() || !status_.ok()) return false;
  bool first = true;
  while (!heap_.empty() && (first || heap_.front()->key() == *key)) {
    std::pop_heap(heap_.begin(), heap_.end(), ComesLater());
    Cursor& cursor = *heap_.back();
    if (first) {
      *key = cursor.key();
      *payload = cursor.payload();
    } else {
      merge_(*key, payload, cursor.payload());
    }
    first = false;
    if (cursor.Advance()) {
      std::push_heap(heap_.begin(), heap_.end(), ComesLater());
    } else {
      heap_.pop_back();
      if (!status_.ok()) return false;
    }
  }
  return true;
}

}  // namespace klaxon
