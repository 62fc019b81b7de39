// The daemon takes over another configuration while it runs; Daemon::Reloading
// (daemon_running.h) says in which order.
#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "pipeline/daemon.h"
#include "pipeline/daemon_running.h"

namespace klaxon {
namespace {

// A sink that is gone may finish what it was given.
constexpr absl::Duration kSinkGrace = absl::Seconds(1);

bool HasKey(const std::vector<DaemonSource>& sources, const std::string& key) {
  return std::any_of(
      sources.begin(), sources.end(),
      [&](const DaemonSource& source) { return source.key == key; });
}

DaemonSink* Find(const std::string& name, std::vector<DaemonSink>* sinks) {
  for (DaemonSink& sink : *sinks) {
    if (sink.options.name == name) return &sink;
  }
  return nullptr;
}

}  // namespace

bool Daemon::Reload(DaemonReload reload) {
  {
    std::lock_guard lock(mutex_);
    if (reload_under_way_) return false;
    reload_under_way_ = true;
    next_reload_ = std::make_unique<DaemonReload>(std::move(reload));
  }
  queue_.Wake();
  return true;
}

void Daemon::Leave(Running* running) {
  running->leaving = true;
  running->intake->Stop();
}

void Daemon::BeginReload() {
  std::unique_ptr<DaemonReload> next;
  {
    std::lock_guard lock(mutex_);
    next = std::move(next_reload_);
  }
  if (next == nullptr) return;
  reloading_ = std::make_unique<Reloading>();
  reloading_->next = std::move(*next);
  for (auto& [id, running] : running_) {
    if (HasKey(reloading_->next.sources, running->config.key)) continue;
    reloading_->left.push_back(running->config);
    Leave(running.get());
  }
}

// What those that leave pushed waits in the queue, all of it.
bool Daemon::AllLeft() const {
  return std::all_of(running_.begin(), running_.end(), [](const auto& entry) {
    return !entry.second->leaving || entry.second->done.load();
  });
}

// REQUIRES: what they pushed was written.
void Daemon::JoinLeft() {
  for (auto it = running_.begin(); it != running_.end();) {
    if (!it->second->leaving) {
      ++it;
      continue;
    }
    it->second->thread.join();
    it = running_.erase(it);
  }
}

// REQUIRES: AllLeft was true before the queue was taken and written.
absl::Status Daemon::GoOnReload() {
  JoinLeft();
  switch (reloading_->phase) {
    case Reloading::Phase::kLeaving:
      StartOpening();
      return absl::OkStatus();
    case Reloading::Phase::kOpening:
      return LookAtOpening();
    case Reloading::Phase::kGoingBack:
      for (DaemonSource& source : reloading_->left) {
        StartSource(std::move(source), /*trial=*/false);
      }
      EndReload(reloading_->failure);
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

void Daemon::StartOpening() {
  reloading_->phase = Reloading::Phase::kOpening;
  for (const DaemonSource& source : reloading_->next.sources) {
    const bool runs =
        std::any_of(running_.begin(), running_.end(), [&](const auto& entry) {
          return entry.second->config.key == source.key;
        });
    if (!runs) StartSource(source, /*trial=*/true);
  }
}

absl::Status Daemon::LookAtOpening() {
  bool all_opened = true;
  for (const auto& [id, running] : running_) {
    if (running->done.load() && !running->failure.ok()) {
      GoBack(
          absl::Status(running->failure.code(),
                       fmt::format("{}: {}", running->config.name,
                                   std::string(running->failure.message()))));
      return absl::OkStatus();
    }
    all_opened = all_opened && running->intake->opened();
  }
  return all_opened ? TakeOver() : absl::OkStatus();
}

void Daemon::GoBack(const absl::Status& why) {
  reloading_->phase = Reloading::Phase::kGoingBack;
  reloading_->failure = why;
  for (auto& [id, running] : running_) {
    if (running->trial) Leave(running.get());
  }
}

// Every source is as it is to be: so become configuration and sinks.
absl::Status Daemon::TakeOver() {
  for (auto& [id, running] : running_) {
    running->trial = false;
    // What its key does not hold, a token, is that of the new one, should it
    // ever be made again.
    for (const DaemonSource& next : reloading_->next.sources) {
      if (next.key == running->config.key) running->config.make = next.make;
    }
  }
  RemoveSinks();
  std::vector<PendingRecord> records;
  AddAcks(&records);  // Of the sinks that went, before all that comes.
  config_ =
      std::make_shared<const EngineConfig>(std::move(reloading_->next.engine));
  sinks_ = std::move(reloading_->next.sinks);
  ReloadRecord reload = MakeReload();
  if (AppliedBytes(reload) != applied_) {
    PendingRecord& record = records.emplace_back();
    record.record = std::move(reload);
    EncodeTo(record.record, &record.encoded);
  }
  if (absl::Status s = Write(std::move(records)); !s.ok()) return s;
  state_->UseHere(*config_);
  alerts_.Configure(ledger_);
  for (DaemonSink& sink : sinks_) {
    if (sink.sink == nullptr) continue;  // It goes on.
    dispatcher_->Add(sink.options.name, std::move(sink.sink), sink.delivery);
  }
  for (const auto& [id, running] : running_) {
    running->intake->SetConfig(config_);
    // Not before: the new judge must not get what was observed by the old
    // configuration.
    running->intake->Begin();
  }
  EndReload(absl::OkStatus());
  return absl::OkStatus();
}

// Those that are gone or changed end; of those that go on the new one is not
// needed.
void Daemon::RemoveSinks() {
  for (const DaemonSink& sink : sinks_) {
    DaemonSink* next = Find(sink.options.name, &reloading_->next.sinks);
    if (next != nullptr && next->key == sink.key) {
      next->sink.reset();
    } else {
      // What a changed one is owed, its successor gets.
      dispatcher_->Remove(sink.options.name,
                          next == nullptr ? kSinkGrace : absl::ZeroDuration());
    }
  }
}

void Daemon::EndReload(const absl::Status& status) {
  // `status` may be a part of it.
  const std::unique_ptr<Reloading> ended = std::move(reloading_);
  strangers_idle_ = false;  // Lanes may have come and gone.
  if (status.ok()) {
    ++reloads_ok_;
  } else {
    ++reloads_failed_;
  }
  {
    std::lock_guard lock(mutex_);
    reload_under_way_ = false;
  }
  if (ended->next.done) ended->next.done(status);
}

}  // namespace klaxon
