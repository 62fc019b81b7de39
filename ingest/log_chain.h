// The files of one log that are still to be read, in their order: the one that
// is being read, those rotated behind it, the live one. Finds them again after
// a restart, and what rotation adds to them.
//
// Files that are waiting are held open, so that the writer's clean-up (a limit
// of backups) cannot take them from us; an open file's inode is not used anew,
// so that at run time files are known by it exactly.
//
// Not thread-safe: belongs to one lane.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "event/time.h"
#include "ingest/live_source.h"
#include "ingest/log_family.h"
#include "ingest/log_files.h"
#include "ingest/member_reader.h"
#include "ingest/tail_state.h"

namespace klaxon {

struct ChainLink {
  LogMember member;
  LogFile file;           // May be closed: compressed, or too many.
  std::vector<Gap> gaps;  // Before its first byte that is to be read.
  // Stands where reading goes on; nothing: at the beginning.
  std::unique_ptr<MemberReader> reader;
};

// What is to be read.
struct FoundLinks {
  std::deque<ChainLink> links;
  std::vector<Gap> gaps;  // Before the first of them.
};

enum class LogStart : uint8_t { kBegin, kEnd, kTime };

// Before `offset` of what `reader` has read, which stands there or behind it
// (then the window is not known).
LogPosition PositionOf(const MemberReader& reader, const LogMember& member,
                       uint64_t offset);

class LogChain {
 public:
  enum class Found : uint8_t {
    kYes,    // `links` are what is to be read.
    kLater,  // The files change too fast, or are not there: call again.
    kInterrupted,
  };

  // `files` and `interrupter` outlive this.
  LogChain(LogFiles* files, Interrupter* interrupter, std::string path)
      : files_(files),
        interrupter_(interrupter),
        family_(files, std::move(path)) {}

  LogFamily& family() { return family_; }
  const LogFamily& family() const { return family_; }
  std::deque<ChainLink>& links() { return links_; }
  const std::deque<ChainLink>& links() const { return links_; }

  // A first start. kTime: what was rotated by then is skipped; lines of the
  // rest may be older. kLater: call again.
  Found Start(LogStart from, EventTime from_time, TailState* state,
              FoundLinks* found);
  // What is to be read from `state` on: `at` and all that is younger; where
  // `at` is not found, all that was not finished, behind a gap. Sets
  // state->copied where a copy holds what was truncated. `missing_is_lost`:
  // nothing will appear any more. `resume_offset`: where to go on in the file
  // that holds `at`; at most at->offset.
  Found Find(TailState* state, uint64_t resume_offset, bool missing_is_lost,
             FoundLinks* found);
  void SetLinks(std::deque<ChainLink> links) {
    links_ = std::move(links);
    last_look_ = Look();
  }
  // Adds what rotation brought since. `state`: as of the last link that was
  // popped. True: looked, and the links are complete.
  bool Extend(const TailState& state);
  // The front has a successor: nobody will write to it any more.
  bool superseded();
  // Finds the front's file again where it is not open. 0 or -errno.
  int OpenFront();
  // errno of the last look at the live file; 0.
  int live_error() const { return live_error_; }
  // Why Find said kLater, where a file cannot be read.
  struct Problem {
    std::string path;
    int error = 0;  // errno; 0: none.
  };
  const Problem& problem() const { return problem_; }
  // Drops the front.
  void Pop() { links_.pop_front(); }

 private:
  enum class Match : uint8_t {
    kYes,
    kNo,
    kShort,  // As far as it goes, but it ends before, and is damaged.
    kUnreadable,
    kRaced,  // Overtaken by a rotation.
    kInterrupted,
  };
  class FinishedSearch;
  struct Candidate {
    size_t index = 0;
    std::unique_ptr<MemberReader> reader;
    LogFile file;
    bool found = false;
    bool short_of = false;    // kShort.
    bool ambiguous = false;   // Others look the same.
    bool changed = false;     // The very file is there, with other content,
    bool certain = false;     // and not one that got its inode number.
    bool unreadable = false;  // The very file is there, and cannot be read.
    bool raced = false;       // Call again.
  };

  size_t FirstUnread(const std::vector<LogMember>& members,
                     const TailState& state);
  Match Verify(const LogMember& member, const LogPosition& at,
               uint64_t resume_offset, Candidate* candidate);
  bool SearchById(const std::vector<LogMember>& members, const LogPosition& at,
                  uint64_t resume_offset, Candidate* candidate);
  void SearchByContent(const std::vector<LogMember>& members, size_t first,
                       const LogPosition& at, uint64_t resume_offset,
                       Candidate* candidate);
  Found FindUnbegun(const std::vector<LogMember>& members, size_t first,
                    const LogPosition& at, FoundLinks* found);
  void TakeFound(const std::vector<LogMember>& members, size_t first,
                 const LogPosition& at, Candidate candidate, TailState* state,
                 FoundLinks* found);
  std::optional<FinishedLog> ReadEnd(const LogMember& member);
  void MarkFinished(const LogMember& member, TailState* state);
  Found StartAtEnd(const LogMember& member, TailState* state, ChainLink* link);
  bool Take(const std::vector<LogMember>& members, size_t first,
            std::deque<ChainLink>* links);
  Gap LostGap(const LogPosition& at, const Candidate& candidate,
              const std::vector<LogMember>& members) const;

  void FollowFront(const std::vector<LogMember>& members);
  int OpenFrontByName();
  size_t BehindKnown(const std::vector<LogMember>& members, size_t first) const;
  void RefreshNames(const std::vector<LogMember>& members);
  bool IsAlias(const LogMember& member, const ChainLink& link);
  bool IsEmpty(const ChainLink& link);
  size_t PlaceOfTail(const std::vector<LogMember>& members,
                     const TailState& state, bool* lost);
  bool IsGone(const LogMember& member);
  Gap TailLostGap();

  LogFiles* const files_;
  Interrupter* const interrupter_;
  LogFamily family_;
  std::deque<ChainLink> links_;
  int live_error_ = 0;
  Problem problem_;

  // What the last listing was made for; nothing new is expected while it is so.
  struct Look {
    int error = -1;
    FileId live;
    int64_t directory_ns = 0;
    bool operator==(const Look&) const = default;
  };
  Look last_look_;
};

}  // namespace klaxon
