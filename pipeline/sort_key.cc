#include "pipeline/sort_key.h"

#include "event/wire.h"

namespace klaxon {
namespace {

constexpr uint64_t kSign = uint64_t{1} << 63;

void AppendHead(EventTime minute, ObservationKind kind, std::string* key) {
  AppendTime(minute, key);
  key->push_back(static_cast<char>(kind));
}

}  // namespace

void AppendBigEndian(uint64_t value, int bytes, std::string* out) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    out->push_back(static_cast<char>(value >> shift));
  }
}

uint64_t ReadBigEndian(std::string_view bytes) {
  uint64_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<uint8_t>(c);
  return value;
}

void AppendTime(EventTime time, std::string* out) {
  AppendBigEndian(static_cast<uint64_t>(time) ^ kSign, kTimeBytes, out);
}

EventTime ReadTime(std::string_view bytes) {
  return static_cast<EventTime>(ReadBigEndian(bytes) ^ kSign);
}

void AppendKey(const Fact& value, std::string* key) {
  AppendHead(value.minute, ObservationKind::kFact, key);
  WireWriter(key).Text(value.cluster);
}

void AppendKey(const Sighting& value, std::string* key) {
  AppendHead(value.minute, ObservationKind::kSighting, key);
  WireWriter w(key);
  w.Text(value.cluster);
  w.Text(value.user);
  w.Text(value.credential);
  w.Text(value.client);
  w.Uint(static_cast<uint64_t>(value.family));
  w.Text(value.pod);
  w.Text(value.node);
  w.Uint(value.shape());
}

void AppendKey(const RefusalGroup& value, std::string* key) {
  AppendHead(value.minute, ObservationKind::kRefusals, key);
  WireWriter w(key);
  w.Text(value.cluster);
  w.Text(value.user);
  w.Text(value.client);
  w.Uint(static_cast<uint64_t>(value.cls));
}

void AppendKey(const Deed& value, std::string* key) {
  AppendHead(MinuteOf(value.time), ObservationKind::kDeed, key);
  WireWriter w(key);
  w.Text(value.cluster);
  w.Text(value.topic);
  w.Int(value.time);
  w.Text({reinterpret_cast<const char*>(value.request.data()),
          value.request.size()});
  for (const auto& [name, text] : value.fields) w.Text(text);
}

}  // namespace klaxon
