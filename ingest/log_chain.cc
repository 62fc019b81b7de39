#include "ingest/log_chain.h"

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>
#include <string_view>
#include <utility>

namespace klaxon {
namespace {

// Rotated files that are held open while they wait.
constexpr size_t kHeldMax = 64;

}  // namespace

// False: overtaken by a rotation; those before are taken, and the next look
// finds the others.
bool LogChain::Take(const std::vector<LogMember>& members, size_t first,
                    std::deque<ChainLink>* links) {
  for (size_t i = first; i < members.size(); ++i) {
    ChainLink link;
    link.member = members[i];
    const bool hold =
        members[i].live || (!members[i].compressed && links->size() < kHeldMax);
    if (hold) {
      const int fd = files_->Open(members[i].path);
      if (fd == -ENOENT) return false;
      LogFile file(fd);
      if (fd >= 0) {
        FileStat stat;
        if (files_->StatOpen(fd, &stat) != 0 || stat.id != members[i].stat.id) {
          return false;
        }
        link.file = std::move(file);
      }
    }
    links->push_back(std::move(link));
  }
  return true;
}

// Names, sizes and what was compressed meanwhile.
void LogChain::RefreshNames(const std::vector<LogMember>& members) {
  std::multimap<uint64_t, const LogMember*> by_inode;
  for (const LogMember& member : members) {
    by_inode.emplace(member.stat.id.inode, &member);
  }
  for (ChainLink& link : links_) {
    const auto [begin, end] = by_inode.equal_range(link.member.stat.id.inode);
    const auto same = std::find_if(begin, end, [&](const auto& entry) {
      return entry.second->stat.id == link.member.stat.id;
    });
    if (same != end) link.member = *same->second;
  }
}

// Whether a compressed file was made of `link`.
bool LogChain::IsAlias(const LogMember& member, const ChainLink& link) {
  if (!member.compressed || link.member.compressed) return false;
  if (!link.member.live && link.member.name.kind != LogName::Kind::kNumbered) {
    return member.name.content == link.member.name.content;
  }
  FileStat stat;
  if (!link.file.open() || files_->StatOpen(link.file.fd(), &stat) != 0) {
    return false;
  }
  MemberReader original(files_, link.file.fd(), false, interrupter_);
  if (original.SkipTo(stat.bytes) != StreamState::kData) return false;
  const LogFile file(files_->Open(member.path));
  if (!file.open()) return false;
  MemberReader reader(files_, file.fd(), true, interrupter_);
  if (reader.SkipTo(original.head().size()) != StreamState::kData ||
      reader.head() != original.head()) {
    return false;
  }
  char behind;
  return reader.SkipTo(stat.bytes) == StreamState::kData &&
         reader.window() == original.window() &&
         reader.Read(&behind, 1).bytes == 0;
}

bool LogChain::IsEmpty(const ChainLink& link) {
  FileStat stat = link.member.stat;
  if (link.file.open()) files_->StatOpen(link.file.fd(), &stat);
  return stat.bytes == 0;
}

// Behind the youngest member from `first` on that is in a link; `first`: none.
size_t LogChain::BehindKnown(const std::vector<LogMember>& members,
                             size_t first) const {
  std::set<uint64_t> inodes;
  std::set<std::string_view> names;
  for (const ChainLink& link : links_) {
    inodes.insert(link.member.stat.id.inode);
    if (!link.member.live &&
        link.member.name.kind != LogName::Kind::kNumbered) {
      names.insert(link.member.name.content);
    }
  }
  const auto is_known = [&](const LogMember& member) {
    return names.contains(member.name.content) ||
           (inodes.contains(member.stat.id.inode) &&
            std::any_of(links_.begin(), links_.end(), [&](const auto& link) {
              return link.member.stat.id == member.stat.id;
            }));
  };
  size_t behind = members.size();
  while (behind > first && !is_known(members[behind - 1])) --behind;
  return behind;
}

// Where the members begin that are younger than the last link. `lost`: it is
// not among them, and nobody knows what was between.
size_t LogChain::PlaceOfTail(const std::vector<LogMember>& members,
                             const TailState& state, bool* lost) {
  *lost = false;
  for (size_t i = members.size(); i > 0; --i) {
    if (members[i - 1].stat.id == links_.back().member.stat.id) return i;
  }
  // Behind all that is known.
  size_t first = BehindKnown(members, FirstUnread(members, state));
  // Those before the last one first: an empty one looks like any other, older
  // ones too. None but empty ones stand between the last that is not and it.
  for (ChainLink& link : links_) {
    const bool last = &link == &links_.back();
    if (!last && IsEmpty(link)) continue;
    for (size_t i = first; i < members.size(); ++i) {
      if (!IsAlias(members[i], link)) continue;
      first = i + 1;
      if (!last) break;
      link.member.name = members[i].name;
      link.member.live = false;
      return first;
    }
  }
  const bool known_name =
      first > 0 && !links_.back().member.live &&
      members[first - 1].name.content == links_.back().member.name.content;
  if (!known_name) *lost = IsGone(links_.back().member);
  return first;
}

// Not renamed within its directory, nor left behind by a link that leads
// elsewhere now.
bool LogChain::IsGone(const LogMember& member) {
  FileStat stat;
  if (files_->Stat(member.path, &stat) == 0 && stat.id == member.stat.id) {
    return false;
  }
  return family_.FindAnywhere(member.stat.id).empty();
}

Gap LogChain::TailLostGap() {
  const ChainLink& tail = links_.back();
  Gap gap;
  gap.input = tail.member.path;
  gap.reason = "vanished";
  FileStat stat = tail.member.stat;
  if (tail.file.open()) files_->StatOpen(tail.file.fd(), &stat);
  gap.begin = stat.bytes;
  gap.message =
      "deleted or moved away while it was followed. It was held open, and is "
      "read to its end; files that came and went behind it before they were "
      "seen are lost. Whoever may delete audit logs should be few";
  return gap;
}

bool LogChain::Extend(const TailState& state) {
  FileStat live;
  live_error_ = -family_.StatLive(&live);
  if (!links_.empty() && live_error_ == 0 &&
      links_.back().member.stat.id == live.id) {
    links_.back().member.stat = live;
    return true;
  }
  Look look;
  look.error = live_error_;
  look.live = live.id;
  FileStat directory;
  if (files_->Stat(family_.directory(), &directory) == 0) {
    look.directory_ns = directory.modified_ns;
  }
  if (look == last_look_) return true;
  std::vector<LogMember> members;
  if (!family_.List(&members)) return false;
  if (live_error_ == 0) live_error_ = family_.list_error();
  size_t first = 0;
  bool lost = false;
  if (links_.empty()) {
    first = FirstUnread(members, state);
  } else {
    RefreshNames(members);
    first = PlaceOfTail(members, state, &lost);
  }
  if (interrupter_->interrupted()) return false;
  const size_t before = links_.size();
  std::vector<Gap> gaps;
  if (lost && first < members.size()) gaps.push_back(TailLostGap());
  const bool complete = Take(members, first, &links_);
  if (links_.size() > before) links_[before].gaps = std::move(gaps);
  // A right to list that is given does not show in what was looked at.
  if (complete && family_.list_error() == 0) last_look_ = look;
  return complete;
}

bool LogChain::superseded() {
  if (links_.size() != 2) return links_.size() > 2;
  // Whoever rotates by hand makes the new file first, and the writer goes on in
  // the old one until it is told.
  ChainLink& next = links_[1];
  if (!next.member.live) return true;
  if (next.file.open()) files_->StatOpen(next.file.fd(), &next.member.stat);
  return next.member.stat.bytes > 0;
}

int LogChain::OpenFront() {
  constexpr int kTries = 4;
  if (links_.front().file.open()) return 0;
  // Most often it still has the name that it was listed by; to list thousands
  // for each of them would take far longer than to read them.
  if (OpenFrontByName() == 0) return 0;
  int error = -ENOENT;
  for (int i = 0; i < kTries && error == -ENOENT; ++i) {
    std::vector<LogMember> members;
    if (!family_.List(&members)) return -EAGAIN;
    FollowFront(members);
    error = OpenFrontByName();
  }
  return error;
}

// 0 or -errno; -ENOENT: overtaken by a rotation, or gone.
int LogChain::OpenFrontByName() {
  ChainLink& front = links_.front();
  const int fd = files_->Open(front.member.path);
  if (fd < 0) return fd;
  LogFile file(fd);
  FileStat stat;
  if (files_->StatOpen(fd, &stat) != 0 || stat.id != front.member.stat.id) {
    return -ENOENT;
  }
  front.member.stat = stat;
  front.file = std::move(file);
  return 0;
}

// What the front is called now, perhaps after it was compressed.
void LogChain::FollowFront(const std::vector<LogMember>& members) {
  LogMember& front = links_.front().member;
  for (const LogMember& member : members) {
    if (member.stat.id == front.stat.id) {
      front = member;
      return;
    }
  }
  if (front.live || front.name.kind == LogName::Kind::kNumbered) return;
  for (const LogMember& member : members) {
    if (member.name.content == front.name.content) {
      front = member;
      return;
    }
  }
}

}  // namespace klaxon
