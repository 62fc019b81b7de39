#include "pipeline/event_sample.h"

#include <xxhash.h>

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>

namespace klaxon {
namespace {

constexpr size_t kSampleAuditIdMax = 128;
constexpr size_t kSampleVerbMax = 32;
constexpr size_t kSampleUriMax = 512;
constexpr size_t kSampleTextMax = 256;
constexpr size_t kSampleIpsMax = 8;

// Parameters of the Kubernetes API whose values say what was asked for and are
// never a credential. Everything else in a query is masked.
bool ShowsValue(std::string_view name) {
  static constexpr std::string_view kNames[] = {"allowWatchBookmarks",
                                                "command",
                                                "container",
                                                "dryRun",
                                                "exclude",
                                                "fieldManager",
                                                "fieldSelector",
                                                "fieldValidation",
                                                "follow",
                                                "force",
                                                "labelSelector",
                                                "limit",
                                                "orphanDependents",
                                                "ports",
                                                "pretty",
                                                "previous",
                                                "propagationPolicy",
                                                "resourceVersion",
                                                "resourceVersionMatch",
                                                "sendInitialEvents",
                                                "sinceSeconds",
                                                "stderr",
                                                "stdin",
                                                "stdout",
                                                "tailLines",
                                                "timeout",
                                                "timeoutSeconds",
                                                "timestamps",
                                                "tty",
                                                "verbose",
                                                "watch"};
  return std::find(std::begin(kNames), std::end(kNames), name) !=
         std::end(kNames);
}

// JSON Web Tokens wherever they stand: their head is base64 of '{"'.
std::string WithoutTokens(std::string_view text) {
  constexpr size_t kTokenMin = 16;
  if (text.find("eyJ") == std::string_view::npos) return std::string(text);
  std::string out;
  while (true) {
    const size_t at = std::min(text.find("eyJ"), text.size());
    out += text.substr(0, at);
    text.remove_prefix(at);
    if (text.empty()) return out;
    size_t end = 0;
    while (end < text.size() &&
           (std::isalnum(static_cast<unsigned char>(text[end])) != 0 ||
            text[end] == '-' || text[end] == '_' || text[end] == '.' ||
            text[end] == '=')) {
      ++end;
    }
    if (end >= kTokenMin) {
      out += "REDACTED";
    } else {
      out += text.substr(0, end);
    }
    text.remove_prefix(end);
  }
}

// A URI to show: no fragment, values of known parameters only, no tokens.
std::string MaskedUri(std::string_view uri) {
  uri = uri.substr(0, 4 * kSampleUriMax);  // More would be cut off anyway.
  uri = uri.substr(0, uri.find('#'));
  const size_t query = uri.find('?');
  std::string_view path = uri.substr(0, query);
  // "/proxy/token=…": a value in a path is nobody's resource name.
  const size_t value = path.find('=');
  std::string out;
  out.reserve(uri.size() + 32);
  out = path.substr(0, value);
  if (value != std::string_view::npos) out += "=REDACTED";
  std::string_view rest =
      query == std::string_view::npos ? "" : uri.substr(query + 1);
  for (char separator = '?'; !rest.empty(); separator = '&') {
    const size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view part = rest.substr(0, end);
    const size_t equals = std::min(part.find('='), part.size());
    out += separator;
    if (ShowsValue(part.substr(0, equals))) {
      out += part;
    } else {
      out += part.substr(
          0, std::min<size_t>(part.substr(0, equals).find_first_of(";?%"),
                              std::min<size_t>(equals, 64)));
      out += "=REDACTED";
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (out.find("eyJ") != std::string::npos) out = WithoutTokens(out);
  if (out.size() > kSampleUriMax) out.resize(kSampleUriMax);
  return out;
}

uint64_t SampleOrder(const EventView& event) {
  XXH64_hash_t seed = XXH3_64bits(event.audit_id.data(), event.audit_id.size());
  for (std::string_view text :
       {event.request_uri, event.verb, event.user_agent, event.user.username}) {
    seed = XXH3_64bits_withSeed(text.data(), text.size(), seed);
  }
  return seed;
}

// Written over what `*sample` holds, in its memory.
void FillSample(const EventView& event, EventSample* sample) {
  sample->time = event.time();
  sample->order = SampleOrder(event);
  sample->code = event.code;
  sample->audit_id = event.audit_id.substr(0, kSampleAuditIdMax);
  sample->verb = event.verb.substr(0, kSampleVerbMax);
  sample->uri = MaskedUri(event.request_uri);
  sample->user = event.user.username.substr(0, kSampleTextMax);
  sample->user_agent =
      WithoutTokens(event.user_agent.substr(0, kSampleTextMax));
  // The last ones: the first may be anything the client wrote.
  const size_t skip = event.source_ips.size() > kSampleIpsMax
                          ? event.source_ips.size() - kSampleIpsMax
                          : 0;
  const auto ips = event.source_ips.subspan(skip);
  sample->source_ips.resize(ips.size());
  for (size_t i = 0; i < ips.size(); ++i) {
    sample->source_ips[i] = ips[i].substr(0, 64);
  }
}

bool IsEarlier(const EventView& event, const SamplePlace& held) {
  const EventTime time = event.time();
  if (!held.has_value() || time != held.time) {
    return !held.has_value() || time < held.time;
  }
  return SampleOrder(event) < held.order;
}

}  // namespace

EventSample MakeSample(const EventView& event) {
  EventSample sample;
  FillSample(event, &sample);
  return sample;
}

void OfferSample(const EventView& event, EventSample* sample) {
  if (IsEarlier(event, *sample)) FillSample(event, sample);
}

void OfferSample(const EventView& event, EncodedSample* sample,
                 EventSample* scratch) {
  if (!IsEarlier(event, *sample)) return;
  FillSample(event, scratch);
  sample->Encode(*scratch);
}

}  // namespace klaxon
