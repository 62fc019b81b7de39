#include "ingest/file_lane.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <utility>

#include "ingest/file_stream.h"

namespace klaxon {
namespace {

// The bytes of the input that a batch ends with, as far as it has them as they
// stand there.
std::string_view InputEnd(const Batch& batch, std::string* scratch) {
  std::string_view bytes = batch.bytes.view();
  switch (batch.framing) {
    case BatchFraming::kLines:
      return bytes;
    case BatchFraming::kDocument:
      // See batch_framer.h: a bracket may be added, and the first byte be one.
      if (bytes.size() > batch.input_bytes) bytes.remove_suffix(1);
      if (!bytes.empty()) bytes.remove_prefix(1);
      return bytes;
    case BatchFraming::kOversize:
      bytes.remove_prefix(batch.oversize_head_bytes);
      if (batch.input_bytes == batch.oversize_line_bytes) return bytes;
      *scratch = std::string(bytes) + "\n";
      return *scratch;
  }
  return {};
}

// A file that nobody will make readable soon.
bool IsFinal(int error) { return error == EACCES || error == EPERM; }

}  // namespace

FileLane::FileLane(const FollowOptions* options, LogFiles* files,
                   Interrupter* interrupter, std::string path)
    : options_(options),
      files_(files),
      name_("file:" + path),
      chain_(files, interrupter, std::move(path)),
      context_(interrupter),
      framer_({.batch_bytes = options->batch_bytes,
               .line_bytes_max = options->line_bytes_max,
               .oversize_keep_bytes = options->oversize_keep_bytes},
              &context_) {}

absl::Status FileLane::Resume(std::string_view token) {
  absl::StatusOr<TailState> state = DecodeTailState(token);
  if (!state.ok()) {
    return absl::Status(
        state.status().code(),
        fmt::format("{}: {}", name_, std::string(state.status().message())));
  }
  state_ = *std::move(state);
  working_ = state_;
  phase_ = Phase::kFind;
  return absl::OkStatus();
}

bool FileLane::Owns(const FileId& id) {
  const auto& links = chain_.links();
  std::vector<LogMember> members;
  chain_.family().List(&members);
  return std::any_of(links.begin(), links.end(),
                     [&](const ChainLink& link) {
                       return link.member.stat.id == id;
                     }) ||
         std::any_of(
             members.begin(), members.end(),
             [&](const LogMember& member) { return member.stat.id == id; });
}

std::string FileLane::TakeStatus() {
  if (status_ == last_status_) return "";
  last_status_ = status_;
  return status_;
}

void FileLane::Say(const std::string& path, int error) {
  blocked_ = error;
  if (error == 0) {
    status_.clear();
  } else if (error == ENOENT) {
    status_ = path + (options_->until_end
                          ? ": not there"
                          : ": not there yet; it is read when it appears");
  } else {
    status_ = fmt::format(
        "{}: {}{}", path, ExplainFileError(error),
        options_->until_end && IsFinal(error) ? "" : "; tried again and again");
  }
}

FileLane::Result FileLane::Step(bool look, LiveBatch& batch) {
  const absl::Time now = options_->clock ? options_->clock() : absl::Now();
  look = look || now - looked_ >= options_->poll;
  if (look) looked_ = now;
  if (shadow_.has_value()) {
    FileStat live;
    if (chain_.family().StatLive(&live) == 0 && live.id == *shadow_) {
      return Wait(batch);
    }
    shadow_.reset();
    from_ = LogStart::kBegin;  // What stands there now is new.
  }
  if (phase_ != Phase::kReading) {
    const Advance advance = Prepare();
    if (advance == Advance::kInterrupted) return Result::kInterrupted;
    if (advance == Advance::kWait) return Wait(batch);
  } else if (look) {
    chain_.Extend(working_);
  }
  for (;;) {
    if (!gaps_.empty()) return EmitGaps(batch);
    if (std::exchange(announce_, false)) {
      FillTokenOnly(batch);
      return Result::kBatch;
    }
    if (chain_.links().empty()) {
      if (!look && !options_->until_end) return Wait(batch);
      chain_.Extend(working_);
      Say(path(), chain_.live_error());
      if (chain_.links().empty()) return Wait(batch);
    }
    if (finished_) {
      if (chain_.links().size() == 1) return Wait(batch);
      PopFront();
      continue;
    }
    if (reader_ == nullptr) {
      const Advance advance = OpenFront();
      if (advance == Advance::kInterrupted) return Result::kInterrupted;
      if (advance == Advance::kWait) return Wait(batch);
      continue;
    }
    const Result result = NextBatch(batch);
    if (result != Result::kIdle) return result;
    if (finished_) continue;
    const Advance advance = AtEnd();
    if (advance == Advance::kInterrupted) return Result::kInterrupted;
    if (advance == Advance::kWait) return Wait(batch);
  }
}

// kReady: the chain is known.
FileLane::Advance FileLane::Prepare() {
  FoundLinks found;
  const uint64_t offset = state_.at.has_value() ? state_.at->offset : 0;
  const LogChain::Found result =
      phase_ == Phase::kStart
          ? chain_.Start(from_, options_->from_time, &working_, &found)
          : chain_.Find(&working_, offset, options_->until_end, &found);
  if (result == LogChain::Found::kInterrupted) return Advance::kInterrupted;
  if (result == LogChain::Found::kLater) {
    const LogChain::Problem& problem = chain_.problem();
    FileStat live;
    const int error = -chain_.family().StatLive(&live);
    Say(problem.error != 0 ? problem.path : path(),
        problem.error != 0 ? problem.error : error);
    return Advance::kWait;
  }
  announce_ = phase_ == Phase::kStart;
  state_ = working_;
  phase_ = Phase::kReading;
  Adopt(std::move(found));
  return Advance::kReady;
}

void FileLane::Adopt(FoundLinks found) {
  reader_.reset();
  finished_ = false;
  gaps_.insert(gaps_.end(), std::make_move_iterator(found.gaps.begin()),
               std::make_move_iterator(found.gaps.end()));
  offset_ = 0;
  window_.clear();
  chain_.SetLinks(std::move(found.links));
  if (chain_.links().empty()) return;
  const MemberReader* reader = chain_.links().front().reader.get();
  if (reader == nullptr) return;
  offset_ = reader->position();
  window_ = reader->window();
}

// Files change faster than they can be looked at: not caught up.
FileLane::Advance FileLane::Again() {
  blocked_ = EAGAIN;
  return Advance::kWait;
}

// kReady: it is open, or given up.
FileLane::Advance FileLane::OpenFront() {
  ChainLink& front = chain_.links().front();
  if (front.reader == nullptr) {
    int error = -chain_.OpenFront();
    if (error == 0 && !front.member.stat.regular) error = EINVAL;
    if (error == ENOENT) {
      end_gaps_.push_back(EndGap(
          "vanished",
          front.member.compressed ? Gap::kUnknown : front.member.stat.bytes,
          "deleted before it was read. Keep more backups "
          "(--audit-log-maxbackup)"));
      finished_ = true;
      return Advance::kReady;
    }
    if (error == EAGAIN) return Again();
    // What is not read before another takes its place never will be.
    const bool give_up =
        options_->until_end || !front.member.live || chain_.links().size() > 1;
    if (error != 0 && (!give_up || !(IsFinal(error) || error == EINVAL))) {
      Say(front.member.path, error);
      return Advance::kWait;
    }
    if (error != 0) {
      end_gaps_.push_back(EndGap(
          "unreadable",
          front.member.compressed ? Gap::kUnknown : front.member.stat.bytes,
          ExplainFileError(error)));
      finished_ = true;
      return Advance::kReady;
    }
    front.reader = std::make_unique<MemberReader>(
        files_, front.file.fd(), front.member.compressed, context_.interrupter);
    front.reader->SkipHole();
  }
  Say("", 0);
  reader_ = std::move(front.reader);
  was_live_ = front.member.live;
  head_ = ContentMark();
  offset_ = reader_->position();
  window_ = reader_->window();
  framer_base_ = offset_;
  framer_.Begin(reader_.get());
  return Advance::kReady;
}

// Reading on gave nothing. kReady: it may give something now.
FileLane::Advance FileLane::AtEnd() {
  if (reader_->changed()) return FrontChanged();
  Say(chain_.links().front().member.path, reader_->error());
  if (!chain_.superseded()) {
    if (!chain_.Extend(working_)) return Again();
    if (context_.interrupter->interrupted()) return Advance::kInterrupted;
    if (chain_.live_error() != 0 && chain_.links().size() == 1) {
      Say(path(), chain_.live_error());
    }
  }
  // Once more to its end, for what was written before the successor was made.
  if (!chain_.superseded() && !options_->until_end) return Advance::kWait;
  reader_->Finish();
  return Advance::kReady;
}

// The front holds other bytes than were read of it.
FileLane::Advance FileLane::FrontChanged() {
  if (chain_.links().size() > 1) {
    reader_->Abandon();
    return Advance::kReady;
  }
  const ChainLink& front = chain_.links().front();
  const uint64_t read = reader_->position();
  TailState probe = working_;
  probe.at = PositionOf(*reader_, front.member, read);
  FoundLinks found;
  LogChain::Found result =
      chain_.Find(&probe, offset_, options_->until_end, &found);
  const bool half = offset_ > 0 && offset_ < read && state_.at.has_value() &&
                    state_.at->offset == offset_;
  if (result == LogChain::Found::kYes && half &&
      (found.links.empty() || found.links.front().reader == nullptr)) {
    // Copied before the half line was written that we have.
    const std::vector<Gap> gaps = std::move(found.gaps);
    probe = working_;
    probe.at = state_.at;
    result = chain_.Find(&probe, offset_, options_->until_end, &found);
    if (result == LogChain::Found::kYes &&
        (found.links.empty() || found.links.front().reader == nullptr)) {
      found.gaps = gaps;
    }
  }
  if (result == LogChain::Found::kInterrupted) return Advance::kInterrupted;
  if (result == LogChain::Found::kLater) return Again();
  working_.copied = probe.copied;
  if (!found.links.empty() && found.links.front().reader != nullptr) {
    Adopt(std::move(found));
    return Advance::kReady;
  }
  // What we have of its last line is handed on; then what stands there now.
  end_gaps_ = std::move(found.gaps);
  std::deque<ChainLink> links;
  links.push_back(std::move(chain_.links().front()));
  std::move(found.links.begin(), found.links.end(), std::back_inserter(links));
  chain_.SetLinks(std::move(links));
  reader_->Abandon();
  return Advance::kReady;
}

Gap FileLane::EndGap(std::string reason, uint64_t end,
                     std::string message) const {
  const LogMember& member = chain_.links().front().member;
  return {member.path, std::move(reason), std::move(message), offset_, end};
}

// All of the front was handed on.
void FileLane::FinishFront() {
  const LogMember& member = chain_.links().front().member;
  finished_ = true;
  if (!reader_->damage().empty()) {
    end_gaps_.push_back(EndGap("damaged", Gap::kUnknown, reader_->damage()));
  } else if (reader_->error() != 0) {
    end_gaps_.push_back(EndGap(
        "unreadable", reader_->compressed() ? Gap::kUnknown : member.stat.bytes,
        fmt::format("the rest of it could not be read: {}",
                    ExplainFileError(reader_->error()))));
  } else if (reader_->changed() && end_gaps_.empty()) {
    end_gaps_.push_back(EndGap(
        "truncated", Gap::kUnknown,
        "truncated or overwritten after it was rotated and before it was read "
        "to its end: the rest is lost"));
  } else if (working_.copied && !member.live &&
             member.name.kind != LogName::Kind::kTimed) {
    end_gaps_.push_back(EndGap(
        "copied", Gap::kUnknown,
        "the log is rotated by copying it and cutting it off: what was written "
        "between the two is lost. Let the apiserver rotate it itself "
        "(--audit-log-maxsize)"));
  }
  reader_.reset();
}

void FileLane::PopFront() {
  const LogMember& member = chain_.links().front().member;
  if (was_live_ && !member.live) working_.copied = false;  // Renamed.
  working_.Finish(member.name, {offset_, ShortHash(HashContent(window_)),
                                member.stat.id.inode});
  gaps_ = std::move(end_gaps_);
  end_gaps_.clear();
  chain_.Pop();
  finished_ = false;
  offset_ = 0;
  window_.clear();
  if (chain_.links().empty()) return;
  std::vector<Gap>& more = chain_.links().front().gaps;
  std::move(more.begin(), more.end(), std::back_inserter(gaps_));
  more.clear();
}

FileLane::Result FileLane::Wait(LiveBatch& batch) {
  const bool reading = phase_ == Phase::kReading;
  // Where nothing is, nothing is unread.
  caught_up_ =
      shadow_.has_value() || blocked_ == ENOENT || (reading && blocked_ == 0);
  if (!options_->until_end) return Result::kIdle;
  const bool end = shadow_.has_value() ||
                   (reading && (chain_.links().empty() ||
                                (finished_ && chain_.links().size() == 1)));
  if (!end) return Result::kIdle;
  if (!end_gaps_.empty()) {
    gaps_ = std::exchange(end_gaps_, {});
    return EmitGaps(batch);
  }
  return Result::kEnd;
}

void FileLane::FillTokenOnly(LiveBatch& batch) {
  Batch& bytes = batch.batch;
  bytes.bytes.set_size(0);
  bytes.bytes.Reserve(1);
  std::memset(bytes.bytes.data(), 0, BatchBuffer::kPadding);
  bytes.framing = BatchFraming::kLines;
  bytes.begin.offset = offset_;
  bytes.first_of_input = bytes.last_of_input = false;
  bytes.oversize_head_bytes = 0;
  bytes.oversize_line_bytes = 0;
  bytes.input_bytes = 0;
  batch.lane = name_;
  batch.input =
      chain_.links().empty() ? path() : chain_.links().front().member.path;
  batch.gaps.clear();
  batch.resume = EncodeTailState(state_);
}

// They are told once: the token says that reading goes on behind them.
FileLane::Result FileLane::EmitGaps(LiveBatch& batch) {
  const std::optional<LogPosition> at = state_.at;
  state_ = working_;
  state_.at = at;
  announce_ = false;
  caught_up_ = false;
  if (!chain_.links().empty() && offset_ == 0 && !finished_) {
    const ChainLink& front = chain_.links().front();
    state_.at = LogPosition();
    state_.at->name =
        front.member.path.substr(front.member.path.rfind('/') + 1);
    state_.at->id = front.member.stat.id;
    state_.at->head = state_.at->window = MarkOf("");
  }
  FillTokenOnly(batch);
  batch.gaps = std::exchange(gaps_, {});
  return Result::kBatch;
}

// kIdle: nothing, or the front is finished_.
FileLane::Result FileLane::NextBatch(LiveBatch& batch) {
  Batch& bytes = batch.batch;
  if (chain_.links().size() > 1 && !reader_->final() && chain_.superseded()) {
    reader_->Finish();
  }
  const StreamState state = framer_.Next(bytes);
  if (state == StreamState::kInterrupted) return Result::kInterrupted;
  if (state != StreamState::kData) return Result::kIdle;
  const bool finished = framer_.finished();
  const bool empty = bytes.input_bytes == 0;
  bytes.begin.offset += framer_base_;
  if (!empty) {
    MoveBehind(bytes);
    batch.lane = name_;
    batch.input = chain_.links().front().member.path;
    batch.gaps.clear();
    batch.resume = EncodeTailState(state_);
    caught_up_ = false;
  }
  if (finished) FinishFront();
  return empty ? Result::kIdle : Result::kBatch;
}

void FileLane::MoveBehind(const Batch& batch) {
  offset_ = batch.begin.offset + batch.input_bytes;
  std::string scratch;
  const std::string_view end = InputEnd(batch, &scratch);
  if (batch.framing != BatchFraming::kLines) window_.clear();
  if (end.size() >= kMarkBytes) {
    window_.assign(end.substr(end.size() - kMarkBytes));
  } else {
    const size_t keep = std::min(window_.size(), kMarkBytes - end.size());
    window_.erase(0, window_.size() - keep);
    window_.append(end);
  }
  const LogMember& member = chain_.links().front().member;
  state_ = working_;
  state_.at.emplace();
  LogPosition& at = *state_.at;
  at.name = member.path.substr(member.path.rfind('/') + 1);
  at.id = member.stat.id;
  at.offset = offset_;
  if (head_.bytes < kMarkBytes) {
    head_ = MarkOf(reader_->head().substr(0, offset_));
  }
  at.head = head_;
  at.window = MarkOf(window_);
}

LaneState FileLane::State() const {
  LaneState state;
  state.name = name_;
  state.caught_up = caught_up_;
  state.failing = blocked_ != 0 && blocked_ != ENOENT && blocked_ != EAGAIN;
  if (shadow_.has_value()) return state;
  bool front = true;
  for (const ChainLink& link : chain_.links()) {
    FileStat stat = link.member.stat;
    if (link.file.open()) files_->StatOpen(link.file.fd(), &stat);
    uint64_t read = 0;
    if (front && finished_) read = stat.bytes;
    if (front && reader_ != nullptr) read = reader_->raw_position();
    state.lag_bytes += stat.bytes - std::min(stat.bytes, read);
    front = false;
  }
  return state;
}

}  // namespace klaxon
