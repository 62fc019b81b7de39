// A SQLite VFS that lets the disk fail: at the N-th operation that changes
// something (write, sync, truncate, a file made or deleted) it does what the
// test says. It also remembers what was synced, so that a power failure can be
// played: of what was not synced, any part may be lost, in any order, and
// torn at a sector.
//
//   FaultDisk disk;                       // Registers itself as "fault".
//   disk.FailAt(17, FaultDisk::kEio);
//   Journal::Open({.dir = dir, .vfs = "fault"});
//   disk.LoseUnsynced(random);            // After all handles are closed.
//
// Syncs are not handed on: tests do not need them, and they cost time. One
// disk at a time, one thread.
#pragma once

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace klaxon {

class FaultDisk {
 public:
  enum Kind {
    kNone,
    kEio,         // The operation fails and does nothing.
    kNoSpace,     // Writes fail for want of room (others: kEio).
    kFull,        // The same, counting writes alone: all else goes well.
    kShortWrite,  // Half of the write is done, then EIO.
    kSyncFails,   // The next sync from there on fails, and was none.
    kDead,        // This and every later operation fails: the power is off.
    kExit,        // The process ends: _exit(kExitCode).
  };
  static constexpr int kExitCode = 42;

  FaultDisk() {
    instance_ = this;
    base_ = sqlite3_vfs_find(nullptr);
    vfs_ = *base_;
    vfs_.zName = "fault";
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + base_->szOsFile;
    vfs_.xOpen = &Open;
    vfs_.xDelete = &Delete;
    sqlite3_vfs_register(&vfs_, 0);
  }
  ~FaultDisk() {
    sqlite3_vfs_unregister(&vfs_);
    instance_ = nullptr;
  }
  FaultDisk(const FaultDisk&) = delete;
  FaultDisk& operator=(const FaultDisk&) = delete;

  // The n-th operation from now (from 1), `times` in a row.
  void FailAt(int64_t n, Kind kind, int64_t times = 1) {
    count_ = 0;
    fail_at_ = n;
    times_ = times;
    kind_ = kind;
    fired_ = false;
  }
  void Heal() { kind_ = kNone; }
  bool fired() const { return fired_; }
  int64_t operations() const { return count_; }

  // What a power failure leaves. REQUIRES: all files are closed.
  void LoseUnsynced(std::mt19937_64& random) {
    for (auto& [path, image] : images_) {
      std::string content = image.durable;
      for (const Change& change : image.pending) {
        if (random() % 2 == 0) Apply(Torn(change, random), &content);
      }
      struct stat info{};
      if (stat(path.c_str(), &info) != 0) continue;  // Deleted or renamed.
      std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
    }
    images_.clear();
  }
  // Forgets what it knows of the files, for the next life.
  void Forget() { images_.clear(); }

 private:
  static constexpr size_t kSector = 512;
  struct Change {
    bool truncate = false;
    uint64_t offset = 0;  // New size, if `truncate`.
    std::string bytes;
  };
  struct Image {
    std::string durable;
    std::vector<Change> pending;
  };
  struct File {
    sqlite3_file base;
    Image* image;
    sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };
  static File* Of(sqlite3_file* file) { return reinterpret_cast<File*>(file); }
  static sqlite3_file* Real(sqlite3_file* file) { return Of(file)->real(); }

  static void Apply(const Change& change, std::string* content) {
    if (change.truncate) {
      content->resize(std::min<size_t>(content->size(), change.offset));
      return;
    }
    const size_t end = change.offset + change.bytes.size();
    if (content->size() < end) content->resize(end);
    content->replace(change.offset, change.bytes.size(), change.bytes);
  }

  // Whole, or only some sectors from its begin or up to its end.
  static Change Torn(Change change, std::mt19937_64& random) {
    if (change.truncate || random() % 2 == 0) return change;
    const size_t cut = random() % (change.bytes.size() / kSector + 1) * kSector;
    if (random() % 2 == 0) {
      change.bytes.resize(cut);
    } else {
      change.bytes.erase(0, cut);
      change.offset += cut;
    }
    return change;
  }

  // Counts one operation; what shall become of it?
  Kind Next(bool is_write = false) {
    if (kind_ == kFull && !is_write) return kNone;
    ++count_;
    const bool now = kind_ != kNone && count_ >= fail_at_ &&
                     (kind_ == kDead || count_ < fail_at_ + times_);
    if (!now) return kNone;
    fired_ = true;
    if (kind_ == kExit) _exit(kExitCode);
    return kind_;
  }

  static int Write(sqlite3_file* file, const void* data, int size,
                   sqlite3_int64 offset) {
    FaultDisk& disk = *instance_;
    std::string_view bytes(static_cast<const char*>(data),
                           static_cast<size_t>(size));
    const Kind kind = disk.Next(/*is_write=*/true);
    if (kind == kNoSpace || kind == kFull) return SQLITE_FULL;
    if (kind == kShortWrite) bytes = bytes.substr(0, bytes.size() / 2);
    if (kind == kEio || kind == kDead) return SQLITE_IOERR_WRITE;
    if (kind == kSyncFails) ++disk.times_;  // Not yet at a sync.
    const int result = Real(file)->pMethods->xWrite(
        Real(file), bytes.data(), static_cast<int>(bytes.size()), offset);
    if (result != SQLITE_OK) return result;
    Of(file)->image->pending.push_back(
        {false, static_cast<uint64_t>(offset), std::string(bytes)});
    return kind == kShortWrite ? SQLITE_IOERR_WRITE : SQLITE_OK;
  }

  static int Truncate(sqlite3_file* file, sqlite3_int64 size) {
    const Kind kind = instance_->Next();
    if (kind == kSyncFails) {
      ++instance_->times_;
    } else if (kind != kNone) {
      return SQLITE_IOERR_TRUNCATE;
    }
    Of(file)->image->pending.push_back(
        {true, static_cast<uint64_t>(size), std::string()});
    return Real(file)->pMethods->xTruncate(Real(file), size);
  }

  static int Sync(sqlite3_file* file, int) {
    Image& image = *Of(file)->image;
    if (instance_->Next() != kNone) {
      // As kernels do: what could not be written counts as clean, is still
      // read back from the cache, and will never be on the disk.
      image.pending.clear();
      return SQLITE_IOERR_FSYNC;
    }
    for (const Change& change : image.pending) Apply(change, &image.durable);
    image.pending.clear();
    return SQLITE_OK;
  }

  static int Delete(sqlite3_vfs*, const char* name, int) {
    if (instance_->Next() != kNone) return SQLITE_IOERR_DELETE;
    return instance_->base_->xDelete(instance_->base_, name, 0);
  }

  static int Open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags,
                  int* out_flags) {
    FaultDisk& disk = *instance_;
    file->pMethods = nullptr;
    struct stat info{};
    const bool there = name != nullptr && stat(name, &info) == 0;
    if (!there && disk.Next() != kNone) return SQLITE_CANTOPEN;
    const int result =
        disk.base_->xOpen(disk.base_, name, Real(file), flags, out_flags);
    if (result != SQLITE_OK) return result;
    const std::string path = name != nullptr ? name : "";
    auto [it, is_new] = disk.images_.try_emplace(path);
    if (is_new && there) {
      std::ifstream in(path, std::ios::binary);
      it->second.durable.assign(std::istreambuf_iterator<char>(in), {});
    }
    Of(file)->image = &it->second;
    file->pMethods = Methods();
    return SQLITE_OK;
  }

  static const sqlite3_io_methods* Methods() {
    static const sqlite3_io_methods* const methods = new sqlite3_io_methods{
        .iVersion = 1,
        .xClose =
            [](sqlite3_file* file) {
              return Real(file)->pMethods->xClose(Real(file));
            },
        .xRead =
            [](sqlite3_file* file, void* data, int size, sqlite3_int64 at) {
              return Real(file)->pMethods->xRead(Real(file), data, size, at);
            },
        .xWrite = &Write,
        .xTruncate = &Truncate,
        .xSync = &Sync,
        .xFileSize =
            [](sqlite3_file* file, sqlite3_int64* size) {
              return Real(file)->pMethods->xFileSize(Real(file), size);
            },
        .xLock =
            [](sqlite3_file* file, int lock) {
              return Real(file)->pMethods->xLock(Real(file), lock);
            },
        .xUnlock =
            [](sqlite3_file* file, int lock) {
              return Real(file)->pMethods->xUnlock(Real(file), lock);
            },
        .xCheckReservedLock =
            [](sqlite3_file* file, int* result) {
              return Real(file)->pMethods->xCheckReservedLock(Real(file),
                                                              result);
            },
        .xFileControl =
            [](sqlite3_file* file, int what, void* argument) {
              return Real(file)->pMethods->xFileControl(Real(file), what,
                                                        argument);
            },
        .xSectorSize =
            [](sqlite3_file* file) {
              return Real(file)->pMethods->xSectorSize(Real(file));
            },
        .xDeviceCharacteristics =
            [](sqlite3_file* file) {
              return Real(file)->pMethods->xDeviceCharacteristics(Real(file));
            },
    };
    return methods;
  }

  static inline FaultDisk* instance_ = nullptr;
  sqlite3_vfs* base_ = nullptr;
  sqlite3_vfs vfs_{};
  std::map<std::string, Image> images_;  // Open files keep pointers into it.
  int64_t count_ = 0;
  int64_t fail_at_ = 0;
  int64_t times_ = 1;
  Kind kind_ = kNone;
  bool fired_ = false;
};

}  // namespace klaxon
