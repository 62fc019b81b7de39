#include "ingest/webhook_inbox.h"

#include <fmt/format.h>
#include <openssl/sha.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <iterator>

namespace klaxon {
namespace {

constexpr size_t kFailedMax = 4096;
constexpr size_t kCertificateDigits = 16;
// An engine whose oldest batch became durable within this keeps up.
constexpr absl::Duration kKeepsUp = absl::Milliseconds(100);
// A lane of which no body comes whole holds event time for so many times
// resend_wait at most: five tries that take 30 s each are as long. Who begins
// one body after the other would else hold up the alerts of all for ever.
constexpr int kHoldWaits = 3;
constexpr std::string_view kLanePrefix = "webhook:";

std::string Sha256(std::string_view bytes) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

// A body is the same only for the same path: a path has one cluster.
std::string KeyOf(std::string_view path, std::string_view digest) {
  std::string key(digest);
  key += path;
  return key;
}

std::string LaneName(const HttpRequest& request, const WebhookTarget& target) {
  return fmt::format("{}{},{},{}", kLanePrefix, target.path,
                     std::string_view(request.peer.certificate.fingerprint)
                         .substr(0, kCertificateDigits),
                     request.peer.address);
}

std::string_view PathOfLane(std::string_view lane) {
  if (lane.substr(0, kLanePrefix.size()) != kLanePrefix) return {};
  lane.remove_prefix(kLanePrefix.size());
  return lane.substr(0, lane.find(','));
}

std::string TokenText(uint64_t token) {
  return token == 0 ? std::string() : fmt::format("{}", token);
}

uint64_t ParseToken(std::string_view text) {
  uint64_t token = 0;
  std::from_chars(text.data(), text.data() + text.size(), token);
  return token;
}

// One line that is a document decodes twice as fast as a document that may
// span lines. Go's encoder ends it with a newline.
BatchFraming FramingOf(std::string_view body) {
  const size_t newline = body.find('\n');
  return newline == std::string_view::npos || newline + 1 == body.size()
             ? BatchFraming::kLines
             : BatchFraming::kDocument;
}

HttpResponse Full(absl::Duration retry_after, std::string_view why) {
  HttpResponse response = HttpResponse::Text(429, why);
  response.retry_after = retry_after;
  return response;
}

// 200 to all of them; not under the mutex.
void AnswerOk(std::vector<HttpResponder>* responders) {
  for (HttpResponder& responder : *responders) responder.Respond({});
}

}  // namespace

WebhookInbox::WebhookInbox(WebhookOptions options)
    : options_(std::move(options)) {}

void WebhookInbox::Open(std::span<const LaneResume> resume_from) {
  std::lock_guard lock(mutex_);
  const absl::Time now = options_.clock();
  for (const LaneResume& resume : resume_from) {
    const std::string_view path = PathOfLane(resume.lane);
    for (const std::string& digest : resume.digests) {
      Remember(KeyOf(path, digest), now);
    }
    tokens_ = std::max(tokens_, ParseToken(resume.resume));
    if (path.empty() || lanes_.size() >= options_.lanes_max) continue;
    Lane& lane = lanes_[resume.lane];
    lane.newest_token = lane.startup_token = ParseToken(resume.resume);
    lane.startup_hold_until = now + options_.startup_hold;
    lane.last_used = lane.held_since = now;
  }
}

std::optional<HttpResponse> WebhookInbox::Begin(const HttpRequest& request,
                                                const WebhookTarget& target) {
  std::lock_guard lock(mutex_);
  if (interrupted_ || closed_) {
    HttpResponse response = HttpResponse::Text(503, "stopping");
    response.retry_after = options_.retry_after;
    return response;
  }
  const std::string name = LaneName(request, target);
  Lane* const lane = FindOrMakeLane(name, target);
  if (lane == nullptr) {
    return Full(options_.retry_after,
                "too many different paths, certificates and addresses");
  }
  receiving_[request.id] = {
      .lane = name, .path = target.path, .hold_after = lane->newest_token};
  return std::nullopt;
}

WebhookInbox::Lane* WebhookInbox::FindOrMakeLane(const std::string& name,
                                                 const WebhookTarget& target) {
  const absl::Time now = options_.clock();
  auto it = lanes_.find(name);
  if (it == lanes_.end()) {
    if (lanes_.size() >= options_.lanes_max && !MakeRoomForLane(now)) {
      return nullptr;
    }
    it = lanes_.try_emplace(name).first;
    it->second.held_since = now;
  }
  it->second.cluster = target.cluster;
  it->second.last_used = now;
  return &it->second;
}

// The lane that was silent for longest goes, if nothing can come of it any
// more.
bool WebhookInbox::MakeRoomForLane(absl::Time now) {
  auto oldest = lanes_.end();
  for (auto it = lanes_.begin(); it != lanes_.end(); ++it) {
    if (now - it->second.last_used < options_.repeat_memory) continue;
    if (oldest != lanes_.end() &&
        oldest->second.last_used <= it->second.last_used) {
      continue;
    }
    if (!IsOutstanding(it->first)) oldest = it;
  }
  if (oldest == lanes_.end()) return false;
  lanes_.erase(oldest);
  return true;
}

bool WebhookInbox::IsOutstanding(const std::string& name) const {
  const Lane& lane = lanes_.find(name)->second;
  return lane.waiting_bodies > 0 || !lane.handed_on.empty() ||
         std::any_of(
             receiving_.begin(), receiving_.end(),
             [&](const auto& entry) { return entry.second.lane == name; }) ||
         std::any_of(failed_.begin(), failed_.end(),
                     [&](const Failed& failed) { return failed.lane == name; });
}

WebhookInbox::Receiving WebhookInbox::EndReceiving(uint64_t request) {
  const auto it = receiving_.find(request);
  if (it == receiving_.end()) return {};
  Receiving receiving = std::move(it->second);
  receiving_.erase(it);
  if (const auto lane = lanes_.find(receiving.lane); lane != lanes_.end()) {
    lane->second.last_used = options_.clock();
  }
  return receiving;
}

void WebhookInbox::Receive(HttpRequest&& request, HttpResponder responder) {
  const std::string wrong = CheckAuditBody(request.body);
  const std::string digest = Sha256(request.body);
  HttpResponse answer;
  {
    std::lock_guard lock(mutex_);
    const Receiving receiving = EndReceiving(request.id);
    if (!wrong.empty()) {
      ++counters_.refused_content;
      answer = HttpResponse::Text(400, wrong);
    } else {
      const absl::Time now = options_.clock();
      ForgetOldDigests(now);
      std::string key = KeyOf(receiving.path, digest);
      if (const auto first = in_flight_.find(key); first != in_flight_.end()) {
        first->second->responders.push_back(std::move(responder));
        return;
      }
      const uint64_t bytes = request.body.size();
      const bool repeated = accepted_.contains(key);
      const bool full = IsFull(bytes, now);
      if (!repeated && !full && !closed_) {
        const uint64_t hold_after = TakeEarlierTries(
            receiving.path, request.body, bytes, receiving.hold_after);
        Enqueue(receiving, hold_after, std::move(key), digest,
                std::move(request.body), std::move(responder));
        return;
      }
      if (repeated) {
        TakeEarlierTries(receiving.path, request.body, bytes, 0);
        ++counters_.repeated_bodies;
        counters_.repeated_bytes += bytes;
        counters_.received_bytes += bytes;
      } else {
        ++counters_.refused_full;
        AddFailed(receiving, request.body, digest, bytes, 429);
        answer = Full(options_.retry_after, "the queue is full");
      }
    }
  }
  responder.Respond(std::move(answer));
}

bool WebhookInbox::IsFull(uint64_t bytes, absl::Time now) const {
  if (counters_.in_flight_bytes == 0) return false;
  if (counters_.in_flight_bytes + bytes > options_.queue_bytes_max) return true;
  // A burst on an engine that keeps up is no overload.
  return now - in_flight_since_.begin()->second >= kKeepsUp &&
         pace_.TimeFor(waiting_cost_) > options_.wait_max;
}

void WebhookInbox::Enqueue(const Receiving& receiving, uint64_t hold_after,
                           std::string key, std::string digest,
                           std::string body, HttpResponder responder) {
  auto item = std::make_unique<Item>();
  item->token = ++tokens_;
  item->lane = receiving.lane;
  item->key = key;
  item->digest = std::move(digest);
  item->bytes = body.size();
  item->body = std::move(body);
  item->responders.push_back(std::move(responder));
  Lane& lane = lanes_.find(receiving.lane)->second;
  if (hold_after < lane.newest_token) item->hold_after = hold_after;
  lane.newest_token = item->token;
  lane.held_since = options_.clock();
  ++lane.waiting_bodies;
  lane.waiting_bytes += item->bytes;
  counters_.received_bytes += item->bytes;
  ++counters_.in_flight_bodies;
  counters_.in_flight_bytes += item->bytes;
  in_flight_[std::move(key)] = item.get();
  in_flight_since_[item->token] = options_.clock();
  waiting_cost_ += WebhookPace::CostOf(item->bytes);
  queue_.push_back(std::move(item));
  readable_.notify_one();
}

void WebhookInbox::Abort(HttpRequest&& request, int status) {
  std::lock_guard lock(mutex_);
  const Receiving receiving = EndReceiving(request.id);
  if (receiving.lane.empty()) return;
  ++counters_.aborted;
  AddFailed(receiving, request.body, Sha256(request.body),
            request.content_length, status);
}

void WebhookInbox::CountRefusedHead() {
  std::lock_guard lock(mutex_);
  ++counters_.refused_head;
}

void WebhookInbox::AddFailed(const Receiving& receiving, std::string_view body,
                             std::string digest, std::optional<uint64_t> length,
                             int status) {
  Failed failed{.lane = receiving.lane,
                .path = receiving.path,
                .length = length,
                .prefix_bytes = body.size(),
                .prefix_digest = std::move(digest),
                .status = status,
                .expires = options_.clock() + options_.resend_wait};
  failed.hold_after =
      TakeEarlierTries(receiving.path, body, length, receiving.hold_after);
  if (failed_.size() >= kFailedMax) {
    ReportNotResent(failed_.front());
    failed_.pop_front();
  }
  failed_.push_back(std::move(failed));
}

uint64_t WebhookInbox::TakeEarlierTries(std::string_view path,
                                        std::string_view body,
                                        std::optional<uint64_t> length,
                                        uint64_t hold_after) {
  for (auto it = failed_.begin(); it != failed_.end();) {
    const bool may_be =
        it->path == path && (!it->length || !length || it->length == length);
    // Where less was read now than then nobody can tell, and both wait. Nothing
    // read tells nothing, unless the length was announced.
    const bool is_same =
        may_be && body.size() >= it->prefix_bytes &&
        (it->length || it->prefix_bytes > 0) &&
        Sha256(body.substr(0, it->prefix_bytes)) == it->prefix_digest;
    if (!is_same) {
      ++it;
      continue;
    }
    hold_after = std::min(hold_after, it->hold_after);
    it = failed_.erase(it);
  }
  return hold_after;
}

void WebhookInbox::ExpireFailed(absl::Time now) {
  while (!failed_.empty() && failed_.front().expires <= now) {
    ReportNotResent(failed_.front());
    failed_.pop_front();
  }
}

void WebhookInbox::ReportNotResent(const Failed& failed) {
  ++counters_.not_resent;
  const auto lane = lanes_.find(failed.lane);
  if (lane == lanes_.end()) return;
  Gap gap;
  gap.input = failed.lane;
  gap.reason = failed.status == 413 ? "too_large" : "not_resent";
  if (failed.length) gap.end = *failed.length;
  gap.message = fmt::format(
      "a batch of {} bytes {}, and it was not sent again within {}: "
      "kube-apiserver has dropped its events; {}",
      failed.length ? fmt::format("{}", *failed.length) : "unknown",
      failed.status == 0 ? std::string("broke off")
                         : fmt::format("was answered {}", failed.status),
      absl::FormatDuration(options_.resend_wait),
      failed.status == 413
          ? "lower --audit-webhook-batch-max-size, or raise the limit"
          : "its log, if it keeps one, still has them");
  auto item = std::make_unique<Item>();
  item->token = lane->second.newest_token = ++tokens_;
  item->lane = failed.lane;
  item->gaps.push_back(std::move(gap));
  queue_.push_back(std::move(item));
  ++lane->second.waiting_bodies;
}

void WebhookInbox::Remember(std::string key, absl::Time now) {
  const auto [it, is_new] = accepted_.insert_or_assign(std::move(key), now);
  accepted_order_.emplace_back(now, it->first);
  ForgetOldDigests(now);
}

void WebhookInbox::ForgetOldDigests(absl::Time now) {
  while (!accepted_order_.empty() &&
         (accepted_order_.size() > options_.digests_max ||
          now - accepted_order_.front().first > options_.repeat_memory)) {
    const auto& [time, key] = accepted_order_.front();
    // It may have been accepted anew since.
    const auto it = accepted_.find(key);
    if (it != accepted_.end() && it->second == time) accepted_.erase(it);
    accepted_order_.pop_front();
  }
}

std::unique_ptr<WebhookInbox::Item> WebhookInbox::TakeFirst(
    std::span<const std::string> held) {
  for (auto it = queue_.begin(); it != queue_.end(); ++it) {
    if (std::find(held.begin(), held.end(), (*it)->lane) != held.end()) {
      continue;
    }
    std::unique_ptr<Item> item = std::move(*it);
    queue_.erase(it);
    return item;
  }
  return nullptr;
}

bool WebhookInbox::HasReadable(std::span<const std::string> held) const {
  return std::any_of(queue_.begin(), queue_.end(), [&](const auto& item) {
    return std::find(held.begin(), held.end(), item->lane) == held.end();
  });
}

absl::Status WebhookInbox::Read(absl::Duration timeout,
                                std::span<const std::string> held,
                                LiveBatch& batch) {
  std::unique_lock lock(mutex_);
  std::unique_ptr<Item> item;
  readable_.wait_for(lock, absl::ToChronoNanoseconds(timeout), [&] {
    ExpireFailed(options_.clock());
    if (!interrupted_) item = TakeFirst(held);
    return item != nullptr || interrupted_;
  });
  if (interrupted_) return absl::CancelledError("interrupted");
  if (item == nullptr) return absl::UnavailableError("");
  if (!item->key.empty()) {
    waiting_cost_ -= WebhookPace::CostOf(item->bytes);
    pace_.OnRead(WebhookPace::CostOf(item->bytes), HasReadable(held),
                 options_.clock());
  }
  HandOn(std::move(item), batch);
  return absl::OkStatus();
}

void WebhookInbox::HandOn(std::unique_ptr<Item> item, LiveBatch& batch) {
  Lane& lane = lanes_.find(item->lane)->second;
  --lane.waiting_bodies;
  lane.waiting_bytes -= item->bytes;
  Batch& bytes = batch.batch;
  bytes.bytes.set_size(0);
  bytes.bytes.Reserve(item->body.size());
  std::memcpy(bytes.bytes.data(), item->body.data(), item->body.size());
  bytes.bytes.set_size(item->body.size());
  bytes.framing = FramingOf(item->body);
  bytes.begin = {};
  bytes.first_of_input = bytes.last_of_input = true;
  bytes.oversize_head_bytes = 0;
  bytes.oversize_line_bytes = 0;
  bytes.input_bytes = item->body.size();
  batch.lane = item->lane;
  batch.input = item->lane;
  batch.cluster = lane.cluster;
  batch.gaps = std::move(item->gaps);
  batch.resume = TokenText(item->token);
  batch.digest = item->digest;
  item->body = {};
  lane.handed_on.push_back(std::move(item));
}

absl::Status WebhookInbox::Commit(std::string_view lane_name,
                                  std::string_view resume) {
  std::vector<HttpResponder> durable;
  {
    std::lock_guard lock(mutex_);
    const auto lane = lanes_.find(lane_name);
    if (lane == lanes_.end()) return absl::OkStatus();
    const uint64_t token = ParseToken(resume);
    auto& handed_on = lane->second.handed_on;
    while (!handed_on.empty() && handed_on.front()->token <= token) {
      Item& item = *handed_on.front();
      if (!item.key.empty()) {
        ++counters_.delivered_bodies;
        counters_.delivered_bytes += item.bytes;
        --counters_.in_flight_bodies;
        counters_.in_flight_bytes -= item.bytes;
        const uint64_t repeats = item.responders.size() - 1;
        counters_.repeated_bodies += repeats;
        counters_.repeated_bytes += repeats * item.bytes;
        counters_.received_bytes += repeats * item.bytes;
        std::move(item.responders.begin(), item.responders.end(),
                  std::back_inserter(durable));
        in_flight_.erase(item.key);
        in_flight_since_.erase(item.token);
        Remember(item.key, options_.clock());
      }
      handed_on.pop_front();
    }
  }
  AnswerOk(&durable);
  return absl::OkStatus();
}

std::vector<LaneState> WebhookInbox::Lanes() const {
  std::lock_guard lock(mutex_);
  const absl::Time now = options_.clock();
  std::map<std::string_view, uint64_t> holds;
  const auto hold = [&](std::string_view lane, uint64_t after) {
    const auto [it, is_new] = holds.emplace(lane, after);
    if (!is_new) it->second = std::min(it->second, after);
  };
  for (const auto& [id, request] : receiving_) {
    hold(request.lane, request.hold_after);
  }
  for (const Failed& failed : failed_) {
    if (now < failed.expires) hold(failed.lane, failed.hold_after);
  }
  for (const auto& item : queue_) {
    if (item->hold_after) hold(item->lane, *item->hold_after);
  }
  std::vector<LaneState> states;
  states.reserve(lanes_.size());
  for (const auto& [name, lane] : lanes_) {
    if (now < lane.startup_hold_until) hold(name, lane.startup_token);
    LaneState& state = states.emplace_back();
    state.name = name;
    state.lag_records = lane.waiting_bodies;
    state.lag_bytes = lane.waiting_bytes;
    state.caught_up = lane.waiting_bodies == 0;
    const auto held = holds.find(name);
    if (held == holds.end()) {
      lane.held_since = now;
    } else if (now - lane.held_since < kHoldWaits * options_.resend_wait) {
      state.hold = true;
      state.hold_after = TokenText(held->second);
    }
  }
  return states;
}

void WebhookInbox::Interrupt() {
  std::lock_guard lock(mutex_);
  interrupted_ = true;
  readable_.notify_all();
}

void WebhookInbox::Close() {
  std::deque<std::unique_ptr<Item>> undone;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    undone.swap(queue_);
    for (auto& [name, lane] : lanes_) {
      std::move(lane.handed_on.begin(), lane.handed_on.end(),
                std::back_inserter(undone));
      lane.handed_on.clear();
    }
    in_flight_.clear();
    in_flight_since_.clear();
  }
}

WebhookCounters WebhookInbox::counters() const {
  std::lock_guard lock(mutex_);
  WebhookCounters counters = counters_;
  counters.lanes = lanes_.size();
  return counters;
}

}  // namespace klaxon
