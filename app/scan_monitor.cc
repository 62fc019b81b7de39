#include "app/scan_monitor.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "app/quantity.h"
#include "fmt/format.h"

namespace klaxon {
namespace {

constexpr int kTickMs = 100;
// A run that is over before this needs no progress display.
constexpr double kShowAfterSeconds = 0.5;
constexpr double kLineEverySeconds = 0.2;   // On a terminal.
constexpr double kPlainEverySeconds = 2.0;  // Elsewhere: a line each.
constexpr double kEtaAfterSeconds = 2.0;

sigset_t EndingSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

bool Shows(ProgressMode mode, const Console& console) {
  if (mode == ProgressMode::kAuto) return console.is_terminal();
  return mode == ProgressMode::kAlways;
}

}  // namespace

ScanMonitor::ScanMonitor(ProgressMode mode, ArchiveSource* source,
                         const ScanProgress* progress, Console* console)
    : shows_progress_(Shows(mode, *console)),
      as_line_(console->is_terminal()),
      source_(source),
      progress_(progress),
      console_(console),
      start_(std::chrono::steady_clock::now()) {
  sigset_t signals = EndingSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal_fd_ = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  stop_fd_ = eventfd(0, EFD_CLOEXEC);
  thread_ = std::thread([this] { Run(); });
}

ScanMonitor::~ScanMonitor() {
  Stop();
  close(signal_fd_);
  close(stop_fd_);
}

void ScanMonitor::Stop() {
  if (!thread_.joinable()) return;
  uint64_t one = 1;
  // An eventfd takes 8 bytes whenever its counter is not about to overflow.
  while (write(stop_fd_, &one, sizeof(one)) < 0 && errno == EINTR) {
  }
  thread_.join();
  console_->ShowStatus("");
  sigset_t signals = EndingSignals();
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

double ScanMonitor::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                       start_)
      .count();
}

void ScanMonitor::Run() {
  pollfd fds[] = {{stop_fd_, POLLIN, 0}, {signal_fd_, POLLIN, 0}};
  while (true) {
    int ready = poll(fds, std::size(fds), shows_progress_ ? kTickMs : -1);
    if (ready < 0 && errno != EINTR) return;
    if (ready > 0 && fds[0].revents != 0) break;
    if (ready > 0 && fds[1].revents != 0) HandleSignal();
    if (shows_progress_) ShowProgress();
  }
  if (shows_progress_ && !as_line_) console_->Print(ProgressLine() + "\n");
}

void ScanMonitor::HandleSignal() {
  signalfd_siginfo info{};
  if (read(signal_fd_, &info, sizeof(info)) != sizeof(info)) return;
  int number = static_cast<int>(info.ssi_signo);
  if (interrupted_.exchange(true)) {
    console_->ShowStatus("");
    signal(number, SIG_DFL);
    sigset_t signals = EndingSignals();
    pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
    raise(number);
    return;
  }
  console_->Log(LogLevel::kWarning,
                "interrupted: judging what was read so far; once more to stop "
                "at once");
  source_->Interrupt();
}

void ScanMonitor::ShowProgress() {
  double now = seconds();
  if (now < kShowAfterSeconds) return;
  double every = as_line_ ? kLineEverySeconds : kPlainEverySeconds;
  if (shown_at_ > 0 && now - shown_at_ < every) return;
  shown_at_ = now;
  if (as_line_) {
    console_->ShowStatus(ProgressLine());
  } else {
    console_->Print(ProgressLine() + "\n");
  }
}

std::string ScanMonitor::ProgressLine() const {
  return FormatProgress(source_->raw_bytes_read(), source_->raw_bytes_total(),
                        progress_->bytes, progress_->events, seconds());
}

std::string FormatProgress(uint64_t raw_read, uint64_t raw_total,
                           uint64_t bytes, uint64_t events, double seconds) {
  std::string line = "klaxon: ";
  double done = raw_total == 0 ? 0
                               : static_cast<double>(raw_read) /
                                     static_cast<double>(raw_total);
  // More may be read than the files held at the start.
  done = std::min(done, 1.0);
  if (raw_total != 0) {
    line += fmt::format("{:.0f} %  ", std::min(done * 100, 99.0));
  }
  line += FormatBytes(static_cast<double>(bytes));
  if (seconds <= 0) return line;
  line += fmt::format("  {} events/s  {}/s",
                      FormatRate(static_cast<double>(events) / seconds),
                      FormatBytes(static_cast<double>(bytes) / seconds));
  if (done > 0 && seconds >= kEtaAfterSeconds) {
    line += fmt::format("  ETA {}", FormatClock(seconds / done - seconds));
  }
  return line;
}

}  // namespace klaxon
