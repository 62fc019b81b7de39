// Sorts the members of a JSON object into an EventView, as Go's decoder would
// sort them into an audit.k8s.io/v1 Event:
//
//  - keys match whatever their case (exactly, where that decides);
//  - of a key that comes twice the last value counts. A second object ("user",
//    "objectRef", "responseStatus") overrides field by field what it names and
//    leaves the rest; a second map (annotations) entry by entry; a second list
//    takes the place of the first. A second body or impersonatedUser, which
//    are kept raw, takes the place of the first;
//  - null empties a list, map, pointer or body, and leaves all else as it was.
//
// Unlike Go's decoder it goes on at a value of the wrong type: the field stays
// as it was, the event counts. code may be a string ("403"), sourceIPs, groups
// and the values of extra one string instead of a list: exporters do that.
//
// Not thread-safe: one builder belongs to one Decoder.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "event/decode_json.h"
#include "event/event.h"

namespace klaxon {

enum class Likeness : uint8_t {
  kOther,
  kAuditEvent,
  kCoreEvent,  // "kind":"Event" of another API group: kubectl get events.
};
// What an object is, by its keys. kind and apiVersion may be missing.
Likeness RecogniseEvent(const std::vector<JsonMember>& members);

// The last member of that name, else the last whose name differs in case only;
// null if there is none.
const JsonMember* FindMember(const std::vector<JsonMember>& members,
                             std::string_view name);

struct EventRules {
  std::string_view cluster_field;  // DecoderOptions.
  // Elasticsearch allows no dots in keys: "authorization_k8s_io/decision".
  bool dots_are_underscores = false;
};

class EventBuilder {
 public:
  // Both must outlive the builder; views of an event point into the arena.
  EventBuilder(Arena* arena, JsonSplitter* splitter)
      : arena_(arena), splitter_(splitter) {}

  void Clear();
  // Adds the members of an event. False: a value that had to be read is not
  // JSON.
  bool Read(const std::vector<JsonMember>& members, const EventRules& rules);

  // For converters, which know the fields but not by these names.
  EventView& view() { return view_; }
  void AddSourceIp(std::string_view address) { source_ips_.push_back(address); }
  void AddAnnotation(std::string_view key, std::string_view value) {
    annotations_.push_back({{key, value}, ++occurrence_});
  }
  // The text of a JSON string; nothing for any other value.
  std::optional<std::string_view> Text(std::string_view value) {
    return UnescapeString(value, arena_);
  }

  // The event, with its lists. Valid until the arena is reset.
  EventView& Finish();

 private:
  enum class Field : uint8_t;
  struct KnownKey;
  // Of a map that is still being read.
  struct Entry {
    KeyValue pair;
    uint32_t occurrence = 0;  // Equal for the values of one key.
    bool empty = false;       // The key came with no value at all.
    bool dropped = false;     // The key came again.
  };

  void ReadText(std::string_view value, std::string_view* field);
  void ReadTime(std::string_view value, EventTime* field);
  bool ReadTexts(std::string_view value, std::vector<std::string_view>* list);
  bool ReadField(Field field, std::string_view value, const EventRules& rules);
  bool ReadObject(std::string_view value, const EventRules& rules,
                  std::pair<const KnownKey*, size_t> keys);
  bool ReadPlainField(Field field, std::string_view value,
                      const EventRules& rules);
  bool ReadExtra(std::string_view value, const EventRules& rules);
  bool ReadAnnotations(std::string_view value, const EventRules& rules);
  void ReadRaw(std::string_view value, std::string_view* field);
  void ReadMembers(const std::vector<JsonMember>& members,
                   std::pair<const KnownKey*, size_t> keys,
                   const EventRules& rules, bool* ok);
  std::vector<KeyValue>& LastOfEachKey(std::vector<Entry>* map);
  std::string_view RestoreDots(std::string_view key, const EventRules& rules);

  Arena* const arena_;
  JsonSplitter* const splitter_;

  EventView view_;
  EventTime old_time_ = kNoTime;  // "timestamp" of v1alpha1.
  uint64_t seen_ = 0;             // Bit: Field.
  std::vector<std::string_view> groups_;
  std::vector<std::string_view> source_ips_;
  std::vector<Entry> extra_;
  std::vector<Entry> annotations_;
  uint32_t occurrence_ = 0;

  // Scratch of one level each.
  std::vector<JsonMember> object_members_;
  std::vector<JsonMember> map_members_;
  std::vector<std::string_view> elements_;
  std::vector<std::string_view> values_;
  std::vector<uint32_t> by_key_;
  std::vector<KeyValue> last_of_key_;
};

}  // namespace klaxon
