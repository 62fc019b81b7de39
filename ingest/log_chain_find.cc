// How a LogChain begins, and finds again where it stood.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "ingest/log_chain.h"

namespace klaxon {
namespace {

bool HasMark(std::string_view bytes, const ContentMark& mark) {
  return bytes.size() >= mark.bytes &&
         MarkOf(bytes.substr(0, mark.bytes)) == mark;
}

bool EndsWithMark(std::string_view bytes, const ContentMark& mark) {
  return bytes.size() >= mark.bytes &&
         MarkOf(bytes.substr(bytes.size() - mark.bytes)) == mark;
}

}  // namespace

LogPosition PositionOf(const MemberReader& reader, const LogMember& member,
                       uint64_t offset) {
  LogPosition at;
  const size_t slash = member.path.rfind('/');
  at.name = member.path.substr(slash == std::string::npos ? 0 : slash + 1);
  at.id = member.stat.id;
  at.offset = offset;
  at.head = MarkOf(reader.head().substr(0, offset));
  if (reader.position() == offset) at.window = MarkOf(reader.window());
  return at;
}

// Nothing: it cannot be read.
std::optional<FinishedLog> LogChain::ReadEnd(const LogMember& member) {
  const LogFile file(files_->Open(member.path));
  if (!file.open()) return std::nullopt;
  MemberReader reader(files_, file.fd(), member.compressed, interrupter_);
  uint64_t end = ~uint64_t{0};
  if (!reader.compressed()) {
    FileStat stat;
    if (files_->StatOpen(file.fd(), &stat) != 0) return std::nullopt;
    end = stat.bytes;
  }
  reader.SkipTo(end);
  if (reader.error() != 0) return std::nullopt;
  return FinishedLog{reader.position(), ShortHash(HashContent(reader.window())),
                     member.stat.id.inode};
}

// Where numbers change, only a file's end tells that it was finished; and,
// where several end alike, those before it.
class LogChain::FinishedSearch {
 public:
  FinishedSearch(LogChain* chain, const std::vector<LogMember>* members,
                 const std::vector<FinishedLog>* finished)
      : chain_(chain),
        members_(*members),
        finished_(*finished),
        ends_(members->size()) {}

  // Behind the youngest member that was finished; 0: none was.
  size_t Run() {
    // A rename keeps the inode; a move to another disk does not. Files may have
    // been deleted from between.
    for (const auto& [by_inode, aligned] :
         {std::pair(true, true), std::pair(false, true),
          std::pair(false, false)}) {
      by_inode_ = by_inode;
      aligned_ = aligned;
      if (const size_t first = Find()) return first;
    }
    return 0;
  }

 private:
  size_t Find() {
    for (size_t newest = finished_.size(); newest > 0; --newest) {
      for (size_t i = members_.size(); i > 0; --i) {
        if (Aligned(i, newest)) return i;
      }
    }
    return 0;
  }
  // Whether the last of the first `i` members is the last of the first `k`
  // that were finished, and so on down.
  bool Aligned(size_t i, size_t k) {
    if (!Matches(i - 1, finished_[k - 1])) return false;
    for (--i, --k; aligned_ && i > 0 && k > 0; --i) {
      if (End(i - 1).has_value() && End(i - 1)->bytes == 0) continue;
      if (!Matches(i - 1, finished_[k - 1])) return false;
      --k;
    }
    return true;
  }
  bool Matches(size_t index, const FinishedLog& log) {
    const LogMember& member = members_[index];
    if (member.live) return false;
    if (!member.compressed &&
        (member.stat.bytes != log.bytes ||
         (by_inode_ && member.stat.id.inode != log.inode))) {
      return false;
    }
    const std::optional<FinishedLog>& end = End(index);
    return end.has_value() && end->bytes == log.bytes &&
           end->window == log.window;
  }
  const std::optional<FinishedLog>& End(size_t index) {
    if (!ends_[index].has_value()) {
      ends_[index] = chain_->ReadEnd(members_[index]);
    }
    return *ends_[index];
  }

  LogChain* const chain_;
  const std::vector<LogMember>& members_;
  const std::vector<FinishedLog>& finished_;
  bool by_inode_ = true;
  bool aligned_ = true;
  std::vector<std::optional<std::optional<FinishedLog>>> ends_;
};

// Behind the youngest that was finished.
size_t LogChain::FirstUnread(const std::vector<LogMember>& members,
                             const TailState& state) {
  for (size_t i = members.size(); i > 0; --i) {
    const LogMember& member = members[i - 1];
    if (!member.live && state.BelowFloor(member.name)) return i;
  }
  const bool numbered =
      !members.empty() && members[0].name.kind == LogName::Kind::kNumbered;
  if (!numbered || state.finished.empty()) return 0;
  return FinishedSearch(this, &members, &state.finished).Run();
}

LogChain::Match LogChain::Verify(const LogMember& member, const LogPosition& at,
                                 uint64_t resume_offset, Candidate* candidate) {
  const int fd = files_->Open(member.path);
  if (fd < 0) {
    if (fd == -ENOENT) return Match::kRaced;
    problem_ = {member.path, -fd};
    return Match::kUnreadable;
  }
  LogFile file(fd);
  FileStat stat;
  if (files_->StatOpen(fd, &stat) != 0 || stat.id != member.stat.id) {
    return Match::kRaced;
  }
  auto reader = std::make_unique<MemberReader>(files_, fd, member.compressed,
                                               interrupter_);
  StreamState skipped = reader->SkipTo(at.head.bytes);
  if (skipped == StreamState::kData) {
    if (!HasMark(reader->head(), at.head)) return Match::kNo;
    skipped = reader->SkipTo(at.offset);
  }
  if (skipped == StreamState::kInterrupted) return Match::kInterrupted;
  if (skipped != StreamState::kData) {
    if (reader->error() != 0) {
      problem_ = {member.path, reader->error()};
      return Match::kUnreadable;
    }
    // Half of a .gz: what is there was read before.
    return reader->compressed() && !reader->damage().empty() ? Match::kShort
                                                             : Match::kNo;
  }
  if (!EndsWithMark(reader->window(), at.window)) return Match::kNo;
  if (resume_offset < at.offset) {
    reader = std::make_unique<MemberReader>(files_, fd, member.compressed,
                                            interrupter_);
    if (reader->SkipTo(resume_offset) != StreamState::kData) {
      return interrupter_->interrupted() ? Match::kInterrupted : Match::kNo;
    }
  }
  candidate->reader = std::move(reader);
  candidate->file = std::move(file);
  return Match::kYes;
}

// Looks at those that have its inode. True: decided.
bool LogChain::SearchById(const std::vector<LogMember>& members,
                          const LogPosition& at, uint64_t resume_offset,
                          Candidate* candidate) {
  for (size_t i = 0; i < members.size(); ++i) {
    const Sameness same = CompareIds(at.id, members[i].stat.id);
    if (same == Sameness::kDifferent ||
        at.id.inode != members[i].stat.id.inode) {
      continue;
    }
    const Match match = Verify(members[i], at, resume_offset, candidate);
    if (match == Match::kYes && same == Sameness::kSame) {
      candidate->index = i;
      candidate->found = true;
      return true;
    }
    if (match == Match::kUnreadable) candidate->unreadable = true;
    if (match == Match::kRaced) candidate->raced = true;
    if (match == Match::kNo) {
      candidate->changed = true;
      candidate->certain = same == Sameness::kSame;
    }
  }
  return false;
}

// Of those that were not finished, the oldest that holds what was read.
void LogChain::SearchByContent(const std::vector<LogMember>& members,
                               size_t first, const LogPosition& at,
                               uint64_t resume_offset, Candidate* candidate) {
  std::optional<size_t> cut_short;
  for (size_t i = first; i < members.size(); ++i) {
    const LogMember& member = members[i];
    const Sameness same = CompareIds(at.id, member.stat.id);
    // A plain file of another inode is another file, or a copy that was made
    // before its original was truncated.
    if (same == Sameness::kDifferent && !member.compressed &&
        (member.live || !candidate->changed)) {
      continue;
    }
    Candidate checked;
    const Match match = Verify(member, at, resume_offset, &checked);
    if (match == Match::kRaced) candidate->raced = true;
    if (candidate->raced || match == Match::kInterrupted) return;
    if (match == Match::kShort && !cut_short.has_value()) cut_short = i;
    if (match != Match::kYes) continue;
    if (candidate->found) {
      candidate->ambiguous = true;
      return;
    }
    candidate->index = i;
    candidate->found = true;
    candidate->reader = std::move(checked.reader);
    candidate->file = std::move(checked.file);
    // The one before it is there: none between was deleted, for the oldest
    // goes first.
    if (first > 0 && i == first) return;
    if (same != Sameness::kDifferent && member.stat.id.inode == at.id.inode) {
      return;
    }
  }
  if (!candidate->found && cut_short.has_value()) {
    candidate->index = *cut_short;
    candidate->short_of = true;
  }
}

// Nothing was read of `at` yet: all that is not finished is to be read.
LogChain::Found LogChain::FindUnbegun(const std::vector<LogMember>& members,
                                      size_t first, const LogPosition& at,
                                      FoundLinks* found) {
  if (!Take(members, first, &found->links)) return Found::kLater;
  const bool there = std::any_of(
      members.begin() + first, members.end(), [&](const LogMember& member) {
        return member.compressed ||
               CompareIds(at.id, member.stat.id) != Sameness::kDifferent;
      });
  if (!there) found->gaps.push_back(LostGap(at, Candidate(), members));
  return Found::kYes;
}

void LogChain::TakeFound(const std::vector<LogMember>& members, size_t first,
                         const LogPosition& at, Candidate candidate,
                         TailState* state, FoundLinks* found) {
  if (candidate.ambiguous || candidate.short_of) {
    found->gaps.push_back(LostGap(at, candidate, members));
  }
  const size_t rest = std::max(first, candidate.index + 1);
  if (candidate.found) {
    // Where a clock was turned back it may stand before what was finished.
    ChainLink front;
    front.member = members[candidate.index];
    front.reader = std::move(candidate.reader);
    front.file = std::move(candidate.file);
    found->links.push_back(std::move(front));
    // Without times of birth, an inode number that is used again looks like a
    // file that was truncated; then a compressed file need not be a copy.
    const LogMember& member = found->links.front().member;
    if (member.stat.id.inode != at.id.inode && candidate.changed &&
        (candidate.certain || !member.compressed)) {
      state->copied = true;
    }
  }
  Take(members, rest, &found->links);
}

LogChain::Found LogChain::Find(TailState* state, uint64_t resume_offset,
                               bool missing_is_lost, FoundLinks* found) {
  *found = FoundLinks();
  std::vector<LogMember> members;
  problem_ = {};
  if (!family_.List(&members)) return Found::kLater;
  const size_t first = FirstUnread(members, *state);
  const bool nothing = first == members.size() && !missing_is_lost;
  if (interrupter_->interrupted()) return Found::kInterrupted;
  if (!state->at.has_value()) {
    return Take(members, first, &found->links) ? Found::kYes : Found::kLater;
  }
  const LogPosition at = *state->at;
  if (at.offset == 0) {
    return nothing ? Found::kLater : FindUnbegun(members, first, at, found);
  }
  Candidate candidate;
  if (!SearchById(members, at, resume_offset, &candidate)) {
    SearchByContent(members, first, at, resume_offset, &candidate);
  }
  if (interrupter_->interrupted()) return Found::kInterrupted;
  if (candidate.raced || (candidate.unreadable && !missing_is_lost)) {
    return Found::kLater;
  }
  if (candidate.found || candidate.short_of) {
    TakeFound(members, first, at, std::move(candidate), state, found);
    return Found::kYes;
  }
  if (nothing) return Found::kLater;
  if (!Take(members, first, &found->links)) return Found::kLater;
  found->gaps.push_back(LostGap(at, candidate, members));
  return Found::kYes;
}

// ------------------------------------------------------------ a first start

void LogChain::MarkFinished(const LogMember& member, TailState* state) {
  FinishedLog log;
  if (member.name.kind == LogName::Kind::kNumbered) {
    // If it cannot be read now: rather it is read later than lost.
    log = ReadEnd(member).value_or(FinishedLog());
  }
  state->Finish(member.name, log);
}

// Behind the last newline of the live file.
LogChain::Found LogChain::StartAtEnd(const LogMember& member, TailState* state,
                                     ChainLink* link) {
  constexpr uint64_t kPiece = 64 << 10;
  if (!link->file.open()) {
    // It may be read one day: from its beginning, rather than not at all.
    state->at = LogPosition();
    state->at->id = member.stat.id;
    return Found::kYes;
  }
  auto reader = std::make_unique<MemberReader>(files_, link->file.fd(),
                                               member.compressed, interrupter_);
  uint64_t offset = member.stat.bytes;
  std::string piece;
  while (!reader->compressed() && offset > 0) {
    const uint64_t begin = offset > kPiece ? offset - kPiece : 0;
    piece.resize(offset - begin);
    const iovec vec = {piece.data(), piece.size()};
    if (files_->Read(link->file.fd(), &vec, 1, begin) !=
        static_cast<ssize_t>(piece.size())) {
      return Found::kLater;
    }
    const size_t newline = piece.rfind('\n');
    offset = newline == piece.npos ? begin : begin + newline + 1;
    if (newline != piece.npos) break;
  }
  if (reader->SkipTo(offset) != StreamState::kData) return Found::kLater;
  state->at = PositionOf(*reader, member, offset);
  if (offset > 0) link->reader = std::move(reader);
  return Found::kYes;
}

LogChain::Found LogChain::Start(LogStart from, EventTime from_time,
                                TailState* state, FoundLinks* found) {
  *found = FoundLinks();
  *state = TailState();
  std::vector<LogMember> members;
  if (!family_.List(&members)) return Found::kLater;
  size_t first = 0;
  if (from == LogStart::kEnd) {
    first = members.size();
    if (first > 0 && members.back().live) --first;
  } else if (from == LogStart::kTime) {
    while (first < members.size() && !members[first].live &&
           RotationTime(members[first]) <= from_time) {
      ++first;
    }
  }
  if (first > 0) MarkFinished(members[first - 1], state);
  if (interrupter_->interrupted()) return Found::kInterrupted;
  if (!Take(members, first, &found->links)) return Found::kLater;
  if (from == LogStart::kEnd && !found->links.empty()) {
    return StartAtEnd(members[first], state, &found->links.front());
  }
  return Found::kYes;
}

Gap LogChain::LostGap(const LogPosition& at, const Candidate& candidate,
                      const std::vector<LogMember>& members) const {
  Gap gap;
  gap.input = family_.directory() + "/" + at.name;
  gap.begin = at.offset;
  if (candidate.short_of) {
    gap.reason = "damaged";
    gap.message = fmt::format(
        "only half of it is left, compressed ({}), and that half was read: "
        "what stood behind byte {} is lost. Fetch it from a backup if there "
        "is one, and `klaxon scan` it",
        members[candidate.index].path, at.offset);
  } else if (candidate.ambiguous) {
    gap.reason = "ambiguous";
    gap.message = fmt::format(
        "several files look like it and it may be gone: reading goes on in "
        "the oldest, {}; what it held behind byte {} may be lost. `klaxon "
        "scan` the directory to be sure",
        members[candidate.index].path, at.offset);
  } else if (candidate.changed) {
    const auto same = std::find_if(
        members.begin(), members.end(),
        [&](const LogMember& m) { return m.stat.id.inode == at.id.inode; });
    const bool shorter = same != members.end() && same->stat.bytes < at.offset;
    gap.reason = shorter ? "truncated" : "replaced";
    gap.message = fmt::format(
        "its content was {} after byte {} had been read, and no copy of it is "
        "left: what was written behind there until then is lost. Let the "
        "apiserver rotate its log itself (--audit-log-maxsize)",
        shorter ? "truncated" : "replaced", at.offset);
  } else {
    gap.reason = "vanished";
    gap.message = fmt::format(
        "gone before it was read beyond byte {}: what it held behind there, "
        "and files that came and went since, are lost. Keep more backups "
        "(--audit-log-maxbackup)",
        at.offset);
  }
  return gap;
}

}  // namespace klaxon
