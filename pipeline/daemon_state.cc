// What a daemon keeps over a restart: opened, replayed, and saved now and then.
#include <time.h>

#include <string>
#include <utility>

#include "pipeline/daemon.h"
#include "pipeline/daemon_running.h"
#include "pipeline/read_ahead.h"

namespace klaxon {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view kAppliedPart = "applied";
constexpr std::string_view kOutboxPart = "outbox";
constexpr size_t kPartBytes = 1 << 18;

// CPU time of this thread.
std::chrono::nanoseconds ThreadTime() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) +
         std::chrono::nanoseconds(time.tv_nsec);
}

}  // namespace

absl::Status Daemon::OpenState() {
  state_ = std::make_unique<LiveState>([this](const Alert& alert) {
    ledger_.Emit(alert);
    if (live_) alerts_.Raise(alert);
  });
  if (options_.state_dir.empty()) {
    return on_state_open_ ? on_state_open_() : absl::OkStatus();
  }
  Journal::Options journal;
  journal.dir = options_.state_dir;
  journal.disk_bytes_max = options_.disk_bytes_max;
  absl::StatusOr<std::unique_ptr<Journal>> opened = Journal::Open(journal);
  if (!opened.ok()) return opened.status();
  journal_ = std::move(*opened);
  if (on_state_open_) {
    if (absl::Status s = on_state_open_(); !s.ok()) return s;
  }
  return Replay();
}

absl::Status Daemon::Replay() {
  const uint64_t first_live =
      journal_->has_snapshot() ? journal_->snapshot_seq() + 1 : 1;
  if (journal_->has_snapshot()) {
    std::string outbox;
    absl::Status read = journal_->ReadSnapshot(
        [&](std::string_view name, std::string_view bytes) {
          if (name == kAppliedPart) {
            applied_ = bytes;
          } else if (name == kOutboxPart) {
            outbox += bytes;
          } else {
            return state_->Load(name, bytes);
          }
          return absl::OkStatus();
        });
    if (!read.ok()) return read;
    WireReader r(outbox);
    if (!ledger_.Load(&r) || !r.done()) {
      return absl::DataLossError("the snapshot's outbox cannot be read");
    }
    state_->BeginRefeed();
  }
  bool refed = first_live == 1;
  absl::Status read =
      ReadAhead(journal_.get(), journal_->first_seq(),
                [&](uint64_t seq, JournalRecord&& record) {
                  if (seq < first_live) {
                    state_->Refeed(seq, std::move(record));
                    return absl::OkStatus();
                  }
                  if (!refed) {
                    refed = true;
                    if (absl::Status s = state_->EndRefeed(); !s.ok()) return s;
                  }
                  return ApplyStored(seq, std::move(record));
                });
  if (!read.ok()) return read;
  seq_ = journal_->last_seq();
  return refed ? absl::OkStatus() : state_->EndRefeed();
}

absl::Status Daemon::ApplyStored(uint64_t seq, JournalRecord&& record) {
  const std::chrono::nanoseconds begin = ThreadTime();
  absl::Status status = ApplyToState(seq, std::move(record));
  schedule_.Judged(ThreadTime() - begin);
  return status;
}

absl::Status Daemon::ApplyToState(uint64_t seq, JournalRecord&& record) {
  if (const auto* acks = std::get_if<AcknowledgementRecord>(&record)) {
    for (const OutboxAck& ack : acks->acks) {
      if (absl::Status s = ledger_.Apply(ack); !s.ok()) return s;
    }
    return absl::OkStatus();
  }
  if (const auto* reload = std::get_if<ReloadRecord>(&record)) {
    ledger_.Configure(reload->sinks);
    applied_ = AppliedBytes(*reload);
  }
  return state_->Apply(seq, std::move(record));
}

// A step of the snapshot, and how long it kept us: the commit before it carried
// a part.
absl::Status Daemon::StepSnapshot() {
  const bool busy = snapshot_.busy();
  const Clock::time_point begin = Clock::now();
  absl::Status status = Snapshot(/*now=*/false);
  if (busy || snapshot_.busy()) {
    journal_metrics_.snapshot_pause.Observe(
        absl::FromChrono(Clock::now() - begin) +
        (busy ? last_commit_ : absl::ZeroDuration()));
  }
  return status;
}

absl::Status Daemon::Snapshot(bool now) {
  if (journal_ == nullptr || state_->config() == nullptr) {
    return absl::OkStatus();
  }
  const SnapshotWriter::Save save = [this](const SnapshotWriter::PutPart& put) {
    state_->Save(put);
    put(kAppliedPart, applied_);
    std::string outbox;
    WireWriter w(&outbox);
    ledger_.Save(&w);
    for (size_t at = 0; at < outbox.size(); at += kPartBytes) {
      put(kOutboxPart, std::string_view(outbox).substr(at, kPartBytes));
    }
  };
  absl::Status status;
  if (now) {
    status = snapshot_.TakeNow(seq_, state_->KeepFrom(seq_ + 1), journal_.get(),
                               save);
  } else if (snapshot_.busy()) {
    const uint64_t taken = snapshot_.taken();
    status = snapshot_.Step(journal_.get());
    if (snapshot_.taken() != taken) schedule_.Taken(snapshot_.took());
  } else if (schedule_.Due(Clock::now(), journal_->bytes_since_snapshot())) {
    schedule_.Begun(Clock::now());
    status =
        snapshot_.Begin(seq_, state_->KeepFrom(seq_ + 1), journal_.get(), save);
  } else {
    snapshot_.Mend();
  }
  if (status.ok()) return status;
  if (!journal_->status().ok()) return journal_->status();
  schedule_.GivenUp();
  Say(true,
      std::string(
          status.message()));  // The journal alone serves as well, if slower.
  return absl::OkStatus();
}

}  // namespace klaxon
