#include "ingest/tail_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <tuple>

#include "event/wire.h"

namespace klaxon {
namespace {

// "KT", then the version.
constexpr std::string_view kMagic = "KT";
constexpr uint64_t kVersion = 1;

void PutMark(const ContentMark& mark, WireWriter* w) {
  w->Uint(mark.bytes);
  w->Text({reinterpret_cast<const char*>(mark.hash.data()), mark.hash.size()});
}

// False: malformed.
bool GetMark(WireReader* r, ContentMark* mark) {
  mark->bytes = r->Uint();
  const std::string_view hash = r->Text();
  if (hash.size() != mark->hash.size() || mark->bytes > kMarkBytes) {
    return false;
  }
  std::memcpy(mark->hash.data(), hash.data(), hash.size());
  return true;
}

void PutPosition(const LogPosition& at, WireWriter* w) {
  w->Text(at.name);
  w->Uint(at.id.device);
  w->Uint(at.id.inode);
  w->Int(at.id.birth_ns);
  w->Uint(at.offset);
  PutMark(at.head, w);
  PutMark(at.window, w);
}

bool GetPosition(WireReader* r, LogPosition* at) {
  at->name = r->Text();
  at->id.device = r->Uint();
  at->id.inode = r->Uint();
  at->id.birth_ns = r->Int();
  at->offset = r->Uint();
  return GetMark(r, &at->head) && GetMark(r, &at->window) &&
         at->head.bytes <= at->offset && at->window.bytes <= at->offset;
}

bool GetState(WireReader* r, TailState* state) {
  if (r->Bool()) {
    state->at.emplace();
    if (!GetPosition(r, &*state->at)) return false;
  }
  const uint64_t kind = r->Uint();
  if (kind > static_cast<uint64_t>(LogName::Kind::kCurrent)) return false;
  state->floor_kind = static_cast<LogName::Kind>(kind);
  state->floor_order = r->Text();
  const uint64_t count = r->Count();
  if (count > TailState::kFinishedMax) return false;
  for (uint64_t i = 0; i < count; ++i) {
    FinishedLog log;
    log.bytes = r->Uint();
    log.window = r->Fixed64();
    log.inode = r->Uint();
    state->finished.push_back(log);
  }
  state->copied = r->Bool();
  return r->done();
}

}  // namespace

ContentMark MarkOf(std::string_view bytes) {
  return {bytes.size(), HashContent(bytes)};
}

uint64_t ShortHash(const ContentHash& hash) {
  uint64_t value;
  std::memcpy(&value, hash.data(), sizeof(value));
  return value;
}

void TailState::Finish(const LogName& name, const FinishedLog& log) {
  if ((name.kind == LogName::Kind::kTimed ||
       name.kind == LogName::Kind::kDated) &&
      !BelowFloor(name)) {
    floor_kind = name.kind;
    floor_order = name.order;
  }
  // A live file was not renamed but deleted or overwritten.
  if (log.bytes == 0 || name.kind == LogName::Kind::kCurrent) return;
  if (finished.size() == kFinishedMax) finished.erase(finished.begin());
  finished.push_back(log);
}

bool TailState::BelowFloor(const LogName& name) const {
  if (floor_order.empty()) return false;
  return std::tie(name.kind, name.order) <= std::tie(floor_kind, floor_order);
}

std::string EncodeTailState(const TailState& state) {
  std::string token(kMagic);
  WireWriter w(&token);
  w.Uint(kVersion);
  w.Bool(state.at.has_value());
  if (state.at.has_value()) PutPosition(*state.at, &w);
  w.Uint(static_cast<uint64_t>(state.floor_kind));
  w.Text(state.floor_order);
  w.Uint(state.finished.size());
  for (const FinishedLog& log : state.finished) {
    w.Uint(log.bytes);
    w.Fixed64(log.window);
    w.Uint(log.inode);
  }
  w.Bool(state.copied);
  return token;
}

absl::StatusOr<TailState> DecodeTailState(std::string_view token) {
  if (!token.starts_with(kMagic)) {
    return absl::DataLossError(fmt::format(
        "the saved position ({} bytes) is not one of a followed file: the "
        "state is damaged, or of another source. Restore it, or start with an "
        "empty state directory (then `from` decides where reading begins)",
        token.size()));
  }
  WireReader r(token.substr(kMagic.size()));
  const uint64_t version = r.Uint();
  if (r.ok() && version != kVersion) {
    return absl::FailedPreconditionError(fmt::format(
        "the saved position has format {}, this klaxon knows {}: it was "
        "written by a newer one. Run that, or start with an empty state "
        "directory (then `from` decides where reading begins)",
        version, kVersion));
  }
  TailState state;
  if (!r.ok() || !GetState(&r, &state)) {
    return absl::DataLossError(
        "the saved position of a followed file is damaged. Restore the state "
        "directory, or start with an empty one (then `from` decides where "
        "reading begins)");
  }
  return state;
}

}  // namespace klaxon
