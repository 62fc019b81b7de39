// kafka_tool: what the tests do at a Kafka cluster, beside Klaxon.
//
//   kafka_tool BROKERS create TOPIC PARTITIONS [PROPERTY=VALUE…]
//   kafka_tool BROKERS grow TOPIC PARTITIONS               to so many
//   kafka_tool BROKERS delete TOPIC
//   kafka_tool BROKERS delete-records TOPIC PARTITION OFFSET
//                                          as retention does
//   kafka_tool BROKERS produce TOPIC PARTITION|all CODEC
//                                          lines of stdin
//   kafka_tool BROKERS committed GROUP TOPIC PARTITION
//   kafka_tool BROKERS ends TOPIC           a line a partition: low, high
//   kafka_tool BROKERS dump TOPIC           a JSON line a record, to the ends
//   kafka_tool BROKERS count TOPIC          records and bytes, to the ends
//
// All is done and acknowledged when it returns. Exit: 0 done, 1 failed, 2
// usage.
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "event/json_writer.h"

namespace klaxon {
namespace {

using Arguments = std::vector<std::string>;
using Properties = std::map<std::string, std::string>;

constexpr int kTimeoutMs = 60'000;

[[noreturn]] void Fail(std::string_view what, std::string_view why) {
  std::fprintf(stderr, "kafka_tool: %.*s: %.*s\n",
               static_cast<int>(what.size()), what.data(),
               static_cast<int>(why.size()), why.data());
  std::exit(1);
}

void Check(rd_kafka_resp_err_t code, std::string_view what) {
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) Fail(what, rd_kafka_err2str(code));
}

template <typename Int>
Int Number(const std::string& text) {
  Int number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop != end) Fail(text, "not a number");
  return number;
}

void OnDelivery(rd_kafka_t*, const rd_kafka_message_t* message, void*) {
  Check(message->err, "a record was not taken");
}

// Lives until the process ends.
rd_kafka_t* MakeClient(rd_kafka_type_t type, const Properties& properties) {
  rd_kafka_conf_t* const conf = rd_kafka_conf_new();
  char error[512];
  for (const auto& [name, value] : properties) {
    if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), error,
                          sizeof(error)) != RD_KAFKA_CONF_OK) {
      Fail(name, error);
    }
  }
  if (type == RD_KAFKA_PRODUCER) {
    rd_kafka_conf_set_dr_msg_cb(conf, OnDelivery);
  }
  rd_kafka_t* const client = rd_kafka_new(type, conf, error, sizeof(error));
  if (client == nullptr) Fail("no client", error);
  return client;
}

// ------------------------------------------------------------------- topics

// What became of it, for each of its topics.
rd_kafka_resp_err_t ResultOf(rd_kafka_event_t* event) {
  size_t count = 0;
  const rd_kafka_topic_result_t** topics = nullptr;
  if (const auto* created = rd_kafka_event_CreateTopics_result(event)) {
    topics = rd_kafka_CreateTopics_result_topics(created, &count);
  } else if (const auto* deleted = rd_kafka_event_DeleteTopics_result(event)) {
    topics = rd_kafka_DeleteTopics_result_topics(deleted, &count);
  }
  if (const auto* grown = rd_kafka_event_CreatePartitions_result(event)) {
    topics = rd_kafka_CreatePartitions_result_topics(grown, &count);
  }
  for (size_t i = 0; i < count; ++i) {
    const rd_kafka_resp_err_t code = rd_kafka_topic_result_error(topics[i]);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return code;
  }
  return rd_kafka_event_error(event);
}

rd_kafka_resp_err_t Administer(
    rd_kafka_t* client, const std::function<void(rd_kafka_queue_t*)>& ask) {
  rd_kafka_queue_t* const queue = rd_kafka_queue_new(client);
  ask(queue);
  rd_kafka_event_t* const event = rd_kafka_queue_poll(queue, kTimeoutMs);
  if (event == nullptr) Fail("administration", "no answer");
  const rd_kafka_resp_err_t code = ResultOf(event);
  rd_kafka_event_destroy(event);
  rd_kafka_queue_destroy(queue);
  return code;
}

// The number of partitions; 0: no such topic.
int PartitionsOf(rd_kafka_t* client, const std::string& topic) {
  const rd_kafka_metadata_t* metadata = nullptr;
  rd_kafka_topic_t* const handle =
      rd_kafka_topic_new(client, topic.c_str(), nullptr);
  Check(rd_kafka_metadata(client, 0, handle, &metadata, kTimeoutMs),
        "metadata");
  int partitions = 0;
  for (int i = 0; i < metadata->topic_cnt; ++i) {
    const rd_kafka_metadata_topic_t& found = metadata->topics[i];
    if (found.err != RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    const bool led = std::all_of(
        found.partitions, found.partitions + found.partition_cnt,
        [](const auto& partition) { return partition.leader >= 0; });
    if (led) partitions = found.partition_cnt;
  }
  rd_kafka_metadata_destroy(metadata);
  rd_kafka_topic_destroy(handle);
  return partitions;
}

// Asks the broker, which tells nobody when something is so, until `done()`.
// False: it never was.
template <typename Done>
bool Await(Done done) {
  const auto end =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(kTimeoutMs);
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

void AwaitPartitions(rd_kafka_t* client, const std::string& topic,
                     int partitions) {
  if (!Await([&] { return PartitionsOf(client, topic) == partitions; })) {
    Fail(topic, "it is not there");
  }
}

void Create(const std::string& brokers, const Arguments& arguments) {
  rd_kafka_t* const client =
      MakeClient(RD_KAFKA_PRODUCER, {{"bootstrap.servers", brokers}});
  const std::string& name = arguments[0];
  const int partitions = Number<int32_t>(arguments[1]);
  char error[256];
  rd_kafka_NewTopic_t* topic =
      rd_kafka_NewTopic_new(name.c_str(), partitions, 1, error, sizeof(error));
  for (size_t i = 2; i < arguments.size(); ++i) {
    const size_t equals = arguments[i].find('=');
    if (equals == std::string::npos) Fail(arguments[i], "no PROPERTY=VALUE");
    rd_kafka_NewTopic_set_config(topic, arguments[i].substr(0, equals).c_str(),
                                 arguments[i].substr(equals + 1).c_str());
  }
  const auto ask = [&](rd_kafka_queue_t* queue) {
    rd_kafka_CreateTopics(client, &topic, 1, nullptr, queue);
  };
  rd_kafka_resp_err_t code;
  // One that is being deleted is there for a moment yet.
  const auto gone = [&] {
    code = Administer(client, ask);
    return code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS;
  };
  if (!Await(gone)) Fail(name, "it is there");
  Check(code, "create");
  AwaitPartitions(client, name, partitions);
}

void Grow(const std::string& brokers, const Arguments& arguments) {
  rd_kafka_t* const client =
      MakeClient(RD_KAFKA_PRODUCER, {{"bootstrap.servers", brokers}});
  const int partitions = Number<int32_t>(arguments[1]);
  char error[256];
  rd_kafka_NewPartitions_t* more = rd_kafka_NewPartitions_new(
      arguments[0].c_str(), static_cast<size_t>(partitions), error,
      sizeof(error));
  if (more == nullptr) Fail(arguments[0], error);
  Check(Administer(client,
                   [&](rd_kafka_queue_t* queue) {
                     rd_kafka_CreatePartitions(client, &more, 1, nullptr,
                                               queue);
                   }),
        "grow");
  AwaitPartitions(client, arguments[0], partitions);
}

void Delete(const std::string& brokers, const Arguments& arguments) {
  rd_kafka_t* const client =
      MakeClient(RD_KAFKA_PRODUCER, {{"bootstrap.servers", brokers}});
  rd_kafka_DeleteTopic_t* topic =
      rd_kafka_DeleteTopic_new(arguments[0].c_str());
  Check(Administer(client,
                   [&](rd_kafka_queue_t* queue) {
                     rd_kafka_DeleteTopics(client, &topic, 1, nullptr, queue);
                   }),
        "delete");
  AwaitPartitions(client, arguments[0], 0);
}

void DeleteRecords(const std::string& brokers, const Arguments& arguments) {
  rd_kafka_t* const client =
      MakeClient(RD_KAFKA_PRODUCER, {{"bootstrap.servers", brokers}});
  rd_kafka_topic_partition_list_t* const list =
      rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, arguments[0].c_str(),
                                    Number<int32_t>(arguments[1]))
      ->offset = Number<int64_t>(arguments[2]);
  rd_kafka_DeleteRecords_t* records = rd_kafka_DeleteRecords_new(list);
  Check(Administer(client,
                   [&](rd_kafka_queue_t* queue) {
                     rd_kafka_DeleteRecords(client, &records, 1, nullptr,
                                            queue);
                   }),
        "delete-records");
}

// ------------------------------------------------------------------ records

void Produce(const std::string& brokers, const Arguments& arguments) {
  rd_kafka_t* const client =
      MakeClient(RD_KAFKA_PRODUCER, {{"bootstrap.servers", brokers},
                                     {"enable.idempotence", "true"},
                                     {"linger.ms", "20"},
                                     // After an outage Klaxon waits 2 s for
                                     // what producers still hold.
                                     {"reconnect.backoff.max.ms", "200"},
                                     {"retry.backoff.ms", "50"},
                                     {"message.max.bytes", "10485760"},
                                     {"compression.codec", arguments[2]}});
  const std::string& topic = arguments[0];
  const int partitions = PartitionsOf(client, topic);
  if (partitions == 0) Fail(topic, "no such topic");
  int64_t count = 0;
  std::string line;
  while (std::getline(std::cin, line)) {
    const int32_t partition = arguments[1] == "all"
                                  ? static_cast<int32_t>(count % partitions)
                                  : Number<int32_t>(arguments[1]);
    rd_kafka_resp_err_t code;
    while ((code = rd_kafka_producev(client, RD_KAFKA_V_TOPIC(topic.c_str()),
                                     RD_KAFKA_V_PARTITION(partition),
                                     RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                     RD_KAFKA_V_VALUE(line.data(), line.size()),
                                     RD_KAFKA_V_END)) ==
           RD_KAFKA_RESP_ERR__QUEUE_FULL) {
      rd_kafka_poll(client, 100);
    }
    Check(code, "produce");
    rd_kafka_poll(client, 0);
    ++count;
  }
  Check(rd_kafka_flush(client, 2 * kTimeoutMs), "flush");
}

bool IsLookedFor(rd_kafka_resp_err_t coordinator) {
  return coordinator == RD_KAFKA_RESP_ERR_NOT_COORDINATOR ||
         coordinator == RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE ||
         coordinator == RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS;
}

void Committed(const std::string& brokers, const Arguments& arguments) {
  rd_kafka_t* const client =
      MakeClient(RD_KAFKA_CONSUMER,
                 {{"bootstrap.servers", brokers}, {"group.id", arguments[0]}});
  rd_kafka_topic_partition_list_t* const list =
      rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, arguments[1].c_str(),
                                    Number<int32_t>(arguments[2]));
  rd_kafka_resp_err_t code;
  // A broker that has just begun looks for the group's coordinator.
  Await([&] {
    code = rd_kafka_committed(client, list, kTimeoutMs);
    return !IsLookedFor(code);
  });
  Check(code, "committed");
  const int64_t offset = std::max<int64_t>(list->elems[0].offset, -1);
  std::printf("%lld\n", static_cast<long long>(offset));
}

using OnRecord = std::function<void(const rd_kafka_message_t&)>;

// All there is at the moment, by the fastest plain way: one queue, in batches.
void ReadAll(const std::string& brokers, const std::string& topic,
             const OnRecord& on_record) {
  rd_kafka_t* const client =
      MakeClient(RD_KAFKA_CONSUMER, {{"bootstrap.servers", brokers},
                                     {"group.id", "kafka_tool"},
                                     {"enable.auto.commit", "false"},
                                     {"enable.partition.eof", "true"},
                                     {"queued.min.messages", "10000000"},
                                     {"queued.max.messages.kbytes", "65536"}});
  int left = PartitionsOf(client, topic);
  rd_kafka_topic_partition_list_t* const list =
      rd_kafka_topic_partition_list_new(left);
  for (int p = 0; p < left; ++p) {
    rd_kafka_topic_partition_list_add(list, topic.c_str(), p)->offset =
        RD_KAFKA_OFFSET_BEGINNING;
  }
  rd_kafka_poll_set_consumer(client);
  Check(rd_kafka_assign(client, list), "assign");
  rd_kafka_queue_t* const queue = rd_kafka_queue_get_consumer(client);
  std::vector<rd_kafka_message_t*> messages(1000);
  while (left > 0) {
    const ssize_t got = rd_kafka_consume_batch_queue(
        queue, 100, messages.data(), messages.size());
    for (ssize_t i = 0; i < got; ++i) {
      if (messages[i]->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        --left;
      } else {
        Check(messages[i]->err, "reading");
        on_record(*messages[i]);
      }
      rd_kafka_message_destroy(messages[i]);
    }
  }
}

std::string_view Value(const rd_kafka_message_t& message) {
  return {static_cast<const char*>(message.payload), message.len};
}

void Dump(const std::string& brokers, const Arguments& arguments) {
  ReadAll(brokers, arguments[0], [](const rd_kafka_message_t& message) {
    std::string line;
    JsonWriter w(&line);
    w.BeginObject();
    w.Key("partition");
    w.Int(message.partition);
    w.Key("offset");
    w.Int(message.offset);
    w.Key("key");
    w.String({static_cast<const char*>(message.key), message.key_len});
    w.Key("headers");
    w.BeginObject();
    rd_kafka_headers_t* headers = nullptr;
    const char* name = nullptr;
    const void* value = nullptr;
    size_t size = 0;
    if (rd_kafka_message_headers(&message, &headers) ==
        RD_KAFKA_RESP_ERR_NO_ERROR) {
      for (size_t i = 0;
           rd_kafka_header_get_all(headers, i, &name, &value, &size) ==
           RD_KAFKA_RESP_ERR_NO_ERROR;
           ++i) {
        w.Key(name);
        w.String({static_cast<const char*>(value), size});
      }
    }
    w.EndObject();
    w.Key("value");
    w.String(Value(message));
    w.EndObject();
    std::puts(line.c_str());
  });
}

void Count(const std::string& brokers, const Arguments& arguments) {
  long long records = 0;
  long long bytes = 0;
  ReadAll(brokers, arguments[0], [&](const rd_kafka_message_t& message) {
    ++records;
    bytes += static_cast<long long>(message.len);
  });
  std::printf("%lld %lld\n", records, bytes);
}

void Ends(const std::string& brokers, const Arguments& arguments) {
  rd_kafka_t* const client =
      MakeClient(RD_KAFKA_CONSUMER,
                 {{"bootstrap.servers", brokers}, {"group.id", "kafka_tool"}});
  const int partitions = PartitionsOf(client, arguments[0]);
  for (int p = 0; p < partitions; ++p) {
    int64_t low = 0;
    int64_t high = 0;
    Check(rd_kafka_query_watermark_offsets(client, arguments[0].c_str(), p,
                                           &low, &high, kTimeoutMs),
          "watermarks");
    std::printf("%lld %lld\n", static_cast<long long>(low),
                static_cast<long long>(high));
  }
}

struct Command {
  std::string_view name;
  size_t arguments;  // At least.
  void (*run)(const std::string& brokers, const Arguments& arguments);
};
constexpr Command kCommands[] = {
    {"create", 2, Create},
    {"delete", 1, Delete},
    {"grow", 2, Grow},
    {"produce", 3, Produce},
    {"delete-records", 3, DeleteRecords},
    {"committed", 3, Committed},
    {"ends", 1, Ends},
    {"dump", 1, Dump},
    {"count", 1, Count},
};

int Main(int argc, char** argv) {
  const Arguments arguments(argv + std::min(argc, 3), argv + argc);
  for (const Command& command : kCommands) {
    if (argc < 3 || command.name != argv[2]) continue;
    if (arguments.size() < command.arguments) break;
    command.run(argv[1], arguments);
    std::fflush(stdout);
    // Clients are left: their destruction would wait for their threads.
    std::_Exit(0);
  }
  std::fputs("usage: see the head of tests/kafka/kafka_tool.cc\n", stderr);
  return 2;
}

}  // namespace
}  // namespace klaxon

int main(int argc, char** argv) { return klaxon::Main(argc, argv); }
