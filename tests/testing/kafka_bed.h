// What Kafka's tests stand on: librdkafka's mock cluster, a producer, a
// reader of a topic.
#pragma once

#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
// It wants to be second.
#include <librdkafka/rdkafka_mock.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace klaxon {

struct KafkaTestRecord {
  int32_t partition = 0;
  std::string value;
  std::string key;
  std::vector<std::pair<std::string, std::string>> headers;
  int64_t timestamp_ms = 0;  // 0: now.
  bool null = false;
};

// Produces. Everything is done when a call returns.
class KafkaTestClient {
 public:
  using Config = std::map<std::string, std::string>;

  explicit KafkaTestClient(const Config& config) {
    rd_kafka_conf_t* const conf = rd_kafka_conf_new();
    char error[256];
    for (const auto& [name, value] : config) {
      EXPECT_EQ(rd_kafka_conf_set(conf, name.c_str(), value.c_str(), error,
                                  sizeof(error)),
                RD_KAFKA_CONF_OK)
          << error;
    }
    rd_kafka_conf_set_dr_msg_cb(
        conf, [](rd_kafka_t*, const rd_kafka_message_t* message, void*) {
          EXPECT_EQ(message->err, RD_KAFKA_RESP_ERR_NO_ERROR)
              << rd_kafka_err2str(message->err);
        });
    rd_kafka_conf_set_log_cb(
        conf, [](const rd_kafka_t*, int, const char*, const char*) {});
    handle_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
    EXPECT_NE(handle_, nullptr) << error;
  }
  ~KafkaTestClient() {
    for (auto& [name, topic] : known_) rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(handle_);
  }
  KafkaTestClient(const KafkaTestClient&) = delete;
  KafkaTestClient& operator=(const KafkaTestClient&) = delete;

  rd_kafka_t* handle() { return handle_; }

  void Produce(const std::string& topic,
               const std::vector<KafkaTestRecord>& records) {
    LearnLeaders(topic);
    for (const KafkaTestRecord& record : records) Send(topic, record);
    Flush();
  }
  void ProduceLines(const std::string& topic, int32_t partition, int from,
                    int to, const std::string& tag = "n") {
    LearnLeaders(topic);
    for (int i = from; i < to; ++i) {
      Send(topic, {.partition = partition, .value = Line(i, tag)});
    }
    Flush();
  }
  // As SomeLines of the other ingest tests, without the newline.
  static std::string Line(int number, const std::string& tag = "n") {
    return "{\"" + tag + "\":" + std::to_string(number) + "}";
  }

  void Send(const std::string& topic, const KafkaTestRecord& record) {
    rd_kafka_headers_t* headers = nullptr;
    if (!record.headers.empty()) {
      headers = rd_kafka_headers_new(record.headers.size());
      for (const auto& [name, value] : record.headers) {
        rd_kafka_header_add(headers, name.c_str(), -1, value.data(),
                            static_cast<ssize_t>(value.size()));
      }
    }
    for (;;) {
      // What a produce that failed was given is still ours.
      rd_kafka_headers_t* const copy =
          headers == nullptr ? nullptr : rd_kafka_headers_copy(headers);
      const rd_kafka_resp_err_t code = rd_kafka_producev(
          handle_, RD_KAFKA_V_TOPIC(topic.c_str()),
          RD_KAFKA_V_PARTITION(record.partition),
          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
          RD_KAFKA_V_VALUE(
              record.null ? nullptr : const_cast<char*>(record.value.data()),
              record.null ? 0 : record.value.size()),
          RD_KAFKA_V_KEY(record.key.empty() ? nullptr : record.key.data(),
                         record.key.size()),
          RD_KAFKA_V_TIMESTAMP(record.timestamp_ms), RD_KAFKA_V_HEADERS(copy),
          RD_KAFKA_V_END);
      if (code == RD_KAFKA_RESP_ERR_NO_ERROR) break;
      if (copy != nullptr) rd_kafka_headers_destroy(copy);
      ASSERT_EQ(code, RD_KAFKA_RESP_ERR__QUEUE_FULL) << rd_kafka_err2str(code);
      rd_kafka_poll(handle_, 10);
    }
    if (headers != nullptr) rd_kafka_headers_destroy(headers);
    rd_kafka_poll(handle_, 0);
  }
  // Records of a topic whose leaders are unknown wait outside its partitions'
  // queues, and go there one by one: a flush that runs meanwhile sends the
  // first alone, and what is produced together is not one batch.
  void LearnLeaders(const std::string& topic) {
    rd_kafka_topic_t*& known = known_[topic];
    if (known != nullptr) return;
    known = rd_kafka_topic_new(handle_, topic.c_str(), nullptr);
    const rd_kafka_metadata_t* metadata = nullptr;
    ASSERT_EQ(rd_kafka_metadata(handle_, 0, known, &metadata, 60'000),
              RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_metadata_destroy(metadata);
  }
  void Flush() {
    EXPECT_EQ(rd_kafka_flush(handle_, 60'000), RD_KAFKA_RESP_ERR_NO_ERROR);
  }

 private:
  rd_kafka_t* handle_;
  std::map<std::string, rd_kafka_topic_t*> known_;  // Their leaders, that is.
};

// Of the mock cluster, which lives in a client of its own.
class KafkaMock {
 public:
  explicit KafkaMock(int brokers = 1) : owner_(KafkaTestClient::Config{}) {
    cluster_ = rd_kafka_mock_cluster_new(owner_.handle(), brokers);
  }
  ~KafkaMock() { rd_kafka_mock_cluster_destroy(cluster_); }

  rd_kafka_mock_cluster_t* cluster() { return cluster_; }
  std::string brokers() const {
    return rd_kafka_mock_cluster_bootstraps(cluster_);
  }
  void Create(const std::string& topic, int partitions) {
    EXPECT_EQ(
        rd_kafka_mock_topic_create(cluster_, topic.c_str(), partitions, 1),
        RD_KAFKA_RESP_ERR_NO_ERROR);
  }

 private:
  KafkaTestClient owner_;
  rd_kafka_mock_cluster_t* cluster_;
};

// The first `count` records of partitions 0 to `partitions` - 1, each
// partition's in order. Fails after a minute.
inline std::vector<KafkaTestRecord> ReadTopic(const std::string& brokers,
                                              const std::string& topic,
                                              int32_t partitions,
                                              size_t count) {
  char error[256];
  rd_kafka_conf_t* const conf = rd_kafka_conf_new();
  rd_kafka_conf_set(conf, "bootstrap.servers", brokers.c_str(), error, 256);
  rd_kafka_conf_set(conf, "group.id", "tests", error, 256);
  rd_kafka_t* const handle = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, 256);
  rd_kafka_topic_partition_list_t* const list =
      rd_kafka_topic_partition_list_new(partitions);
  for (int32_t p = 0; p < partitions; ++p) {
    rd_kafka_topic_partition_list_add(list, topic.c_str(), p)->offset = 0;
  }
  rd_kafka_assign(handle, list);
  rd_kafka_topic_partition_list_destroy(list);
  std::vector<KafkaTestRecord> records;
  while (records.size() < count) {
    rd_kafka_message_t* const message = rd_kafka_consumer_poll(handle, 60'000);
    EXPECT_NE(message, nullptr) << records.size() << " of " << count;
    if (message == nullptr) break;
    EXPECT_EQ(message->err, RD_KAFKA_RESP_ERR_NO_ERROR);
    KafkaTestRecord& record = records.emplace_back();
    record.partition = message->partition;
    record.value.assign(static_cast<const char*>(message->payload),
                        message->len);
    record.key.assign(static_cast<const char*>(message->key), message->key_len);
    rd_kafka_headers_t* headers = nullptr;
    rd_kafka_message_headers(message, &headers);
    const char* name = nullptr;
    const void* value = nullptr;
    size_t size = 0;
    for (size_t i = 0;
         headers != nullptr &&
         rd_kafka_header_get_all(headers, i, &name, &value, &size) ==
             RD_KAFKA_RESP_ERR_NO_ERROR;
         ++i) {
      record.headers.emplace_back(
          name, std::string(static_cast<const char*>(value), size));
    }
    rd_kafka_message_destroy(message);
  }
  rd_kafka_consumer_close(handle);
  rd_kafka_destroy(handle);
  return records;
}

}  // namespace klaxon
