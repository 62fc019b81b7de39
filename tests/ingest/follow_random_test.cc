// Random deeds of writers and rotators, and a reader that dies at random: each
// byte comes out once and in order, or there is a gap where it is missing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/ingest/follow_fixture.h"
#include "tests/random_seed.h"

namespace klaxon {
namespace {

enum class Scheme : uint8_t {
  kLumberjack,
  kLumberjackGzip,
  kNumbered,      // logrotate, with `create`.
  kNumberedGzip,  // The same, with `compress`.
  kDated,
};

// A writer and a rotator that lose nothing, and what they wrote.
class Rotation {
 public:
  Rotation(Scheme scheme, const std::string& path, std::minstd_rand* random)
      : scheme_(scheme), path_(path), random_(*random) {
    LogRotator::Options options;
    options.path = path;
    options.gzip = Gzip;
    rotator_ = std::make_unique<LogRotator>(options);
    // Every file begins alike, further than where it is looked at. (Numbered
    // and compressed, only content is left to tell files apart.)
    if (scheme != Scheme::kNumberedGzip && random_() % 2 == 0) {
      for (int i = 0; i < 100; ++i)
        head_ += fmt::format("{{\"same\":{}}}\n", i);
      head_ += std::string(random_() % 6000, 'h') + "\n";
    }
    Put(head_);
  }

  const std::string& written() const { return written_; }
  bool alike() const { return !head_.empty(); }

  void Act() {
    switch (random_() % 6) {
      case 0:
        Rotate();
        break;
      case 1:
        Compress();
        break;
      case 2:
        if (scheme_ <= Scheme::kLumberjackGzip) rotator_->Reopen();
        break;
      default:
        WriteSome();
        break;
    }
  }
  void FinishLine() {
    if (!written_.empty() && written_.back() != '\n') Put("\"}\n");
  }

 private:
  bool lumberjack() const { return scheme_ <= Scheme::kLumberjackGzip; }
  void Put(std::string_view bytes) {
    if (lumberjack()) {
      rotator_->WriteOnly(bytes);
    } else {
      std::ofstream(path_, std::ios::binary | std::ios::app) << bytes;
    }
    written_ += bytes;
  }
  void WriteSome() {
    std::string lines;
    for (int i = random_() % 20; i >= 0; --i) {
      lines += fmt::format("{{\"n\":{},\"p\":\"{}\"}}\n", ++count_,
                           std::string(random_() % 300, 'p'));
    }
    if (random_() % 40 == 0) lines += std::string(300'000, 'l') + "\n";
    // In pieces that know nothing of lines.
    const size_t cut = random_() % (lines.size() + 1);
    Put(lines.substr(0, cut));
    if (random_() % 2 == 0) Put(lines.substr(cut));
  }
  void Rotate() {
    if (lumberjack()) {
      rotator_->Rotate();
    } else {
      const std::string to =
          scheme_ == Scheme::kDated
              ? fmt::format("{}-20260102-{:06}", path_, ++rotations_)
              : path_ + ".1";
      if (scheme_ != Scheme::kDated) Shift();
      std::filesystem::rename(path_, to);
      std::ofstream(path_, std::ios::app) << "";
    }
    Put(head_);
  }
  // .1 to .2, .2 to .3, and so on.
  void Shift() {
    for (int i = 60; i > 0; --i) {
      for (const std::string suffix : {"", ".gz"}) {
        const std::string from = fmt::format("{}.{}{}", path_, i, suffix);
        if (std::filesystem::exists(from)) {
          std::filesystem::rename(from,
                                  fmt::format("{}.{}{}", path_, i + 1, suffix));
        }
      }
    }
  }
  void Compress() {
    if (scheme_ == Scheme::kLumberjackGzip) {
      const std::vector<std::string> backups = rotator_->Uncompressed();
      if (backups.empty()) return;
      const std::string& backup = backups[random_() % backups.size()];
      rotator_->Compress(backup, random_() % 11, 10, true);
    } else if (scheme_ == Scheme::kNumberedGzip) {
      const std::string from = fmt::format("{}.{}", path_, 1 + random_() % 3);
      if (!std::filesystem::exists(from)) return;
      std::ifstream in(from, std::ios::binary);
      const std::string content((std::istreambuf_iterator<char>(in)),
                                std::istreambuf_iterator<char>());
      std::ofstream(from + ".gz", std::ios::binary) << Gzip(content);
      std::filesystem::remove(from);
    }
  }

  const Scheme scheme_;
  const std::string path_;
  std::minstd_rand& random_;
  std::unique_ptr<LogRotator> rotator_;
  std::string head_;
  std::string written_;
  int count_ = 0;
  int rotations_ = 0;
};

class FollowRandom : public ::testing::TestWithParam<Scheme> {};

TEST_P(FollowRandom, NothingIsLostOrComesTwice) {
  for (uint32_t round = 0; round < 60; ++round) {
    const uint64_t seed = RandomSeed() * 1000 + round;
    SCOPED_TRACE(seed);
    std::minstd_rand random(static_cast<uint32_t>(seed));
    for (int i = 0; i < 5; ++i) random();
    TempDirectory directory;
    const std::string path = directory.Path("audit.log");
    TestFiles files;
    files.births = random() % 2 == 0;
    FollowOptions options = Follow(path);
    options.batch_bytes = 1 + random() % 5000;
    Rotation rotation(GetParam(), path, &random);
    Tailer tailer(options, &files);
    const uint32_t patience = 1 + random() % 20;
    for (int step = 0; step < 250; ++step) {
      if (random() % patience != 0) {
        rotation.Act();
        continue;
      }
      for (uint32_t i = random() % 20; i > 0; --i) {
        tailer.Step();
        if (random() % 4 == 0) tailer.Commit();
      }
      if (random() % 4 == 0) tailer.Drain();
      if (random() % 4 == 0) tailer.Restart();
    }
    rotation.FinishLine();
    tailer.Drain();
    ASSERT_EQ(tailer.bytes().size(), rotation.written().size());
    ASSERT_TRUE(tailer.bytes() == rotation.written());
    // Where only content can tell, and it is the same: said, though all is
    // well.
    for (const std::string& reason : tailer.reasons()) {
      ASSERT_TRUE(rotation.alike()) << reason;
      ASSERT_EQ(reason, "ambiguous");
    }
    tailer.Restart();
    tailer.Drain();
    ASSERT_TRUE(tailer.bytes() == rotation.written());
  }
}

INSTANTIATE_TEST_SUITE_P(All, FollowRandom,
                         ::testing::Values(Scheme::kLumberjack,
                                           Scheme::kLumberjackGzip,
                                           Scheme::kNumbered,
                                           Scheme::kNumberedGzip,
                                           Scheme::kDated));

// ------------------------------------------------- where bytes may be lost

// Line numbers of `bytes`; a line that is none of ours (half a one) is 0.
std::vector<std::pair<size_t, int>> Numbers(const std::string& bytes) {
  std::vector<std::pair<size_t, int>> numbers;
  for (size_t at = 0; at < bytes.size();) {
    size_t end = bytes.find('\n', at);
    if (end == bytes.npos) end = bytes.size();
    int number = 0;
    const bool whole =
        std::sscanf(bytes.c_str() + at, "{\"n\":%d,", &number) == 1 &&
        bytes[end - 1] == '}';
    numbers.emplace_back(at, whole ? number : 0);
    at = end + 1;
  }
  return numbers;
}

// Each jump in the numbers has a gap at its place.
void CheckGaps(Tailer& tailer, int last) {
  int before = 0;
  size_t before_at = 0;
  auto numbers = Numbers(tailer.bytes());
  numbers.emplace_back(tailer.bytes().size(), last + 1);
  for (const auto& [at, number] : numbers) {
    if (number == 0) continue;
    ASSERT_GT(number, before) << "twice, or out of order, at " << at;
    if (number != before + 1) {
      const auto& gaps = tailer.only().gaps;
      const bool told = std::any_of(
          gaps.begin(), gaps.end(), [&, from = before_at, to = at](auto& gap) {
            return gap.first >= from && gap.first <= to;
          });
      std::string where;
      for (const auto& [gap_at, gap] : gaps) {
        where += fmt::format("{} at {}, ", gap.reason, gap_at);
      }
      ASSERT_TRUE(told) << "lines " << before + 1 << " to " << number - 1
                        << " are missing without a word between " << before_at
                        << " and " << at << "; gaps: " << where;
    }
    before = number;
    before_at = at;
  }
}

// Cuts off, deletes and copies what may be unread. What is written and gone
// again before anybody could look leaves no trace at all: before it destroys a
// file it calls `look`, which reads and commits what there is.
class LossyWriter {
 public:
  LossyWriter(std::string path, std::minstd_rand* random,
              std::function<void()> look)
      : path_(std::move(path)), random_(*random), look_(std::move(look)) {}

  int last() const { return count_; }
  int losses() const { return losses_; }

  void Act() {
    switch (random_() % 12) {
      case 0:
        CopyAndTruncate();
        break;
      case 1:
        ShowAndGoOn();
        std::filesystem::remove(path_);
        Append("");
        break;
      case 2:
        ShowAndGoOn();
        std::ofstream(path_, std::ios::trunc) << "";
        break;
      case 3:
        Shift();
        std::filesystem::rename(path_, path_ + ".1");
        Append("");
        break;
      case 4:
        for (int i = 1 + random_() % 4; i < 40; ++i) {
          std::filesystem::remove(fmt::format("{}.{}", path_, i));
        }
        ++losses_;
        break;
      default:
        WriteSome();
        break;
    }
  }
  void WriteSome() {
    for (int i = random_() % 10; i >= 0; --i) {
      Append(fmt::format("{{\"n\":{},\"p\":\"{}\"}}\n", ++count_,
                         std::string(random_() % 100, 'p')));
    }
  }

 private:
  void Append(const std::string& bytes) {
    std::ofstream(path_, std::ios::binary | std::ios::app) << bytes;
  }
  void ShowAndGoOn() {
    WriteSome();
    look_();
    if (random_() % 2 == 0) WriteSome();
    ++losses_;
  }
  void Shift() {
    for (int i = 30; i > 0; --i) {
      const std::string from = fmt::format("{}.{}", path_, i);
      if (std::filesystem::exists(from)) {
        std::filesystem::rename(from, fmt::format("{}.{}", path_, i + 1));
      }
    }
  }
  void CopyAndTruncate() {
    ShowAndGoOn();
    Shift();
    std::filesystem::copy_file(path_, path_ + ".1");
    if (random_() % 2 == 0) WriteSome();
    std::filesystem::resize_file(path_, 0);
    if (random_() % 2 == 0) WriteSome();
  }

  const std::string path_;
  std::minstd_rand& random_;
  const std::function<void()> look_;
  int count_ = 0;
  int losses_ = 0;
};

TEST(FollowLossy, WhatIsMissingIsInAGap) {
  for (uint32_t round = 0; round < 150; ++round) {
    const uint64_t seed = RandomSeed() * 1000 + round;
    SCOPED_TRACE(seed);
    std::minstd_rand random(static_cast<uint32_t>(seed));
    for (int i = 0; i < 5; ++i) random();
    TempDirectory directory;
    const std::string path = directory.Path("audit.log");
    std::ofstream(path) << "";
    TestFiles files;
    files.births = random() % 4 != 0;
    FollowOptions options = Follow(path);
    options.batch_bytes = 1 + random() % 2000;
    Tailer tailer(options, &files);
    LossyWriter writer(path, &random, [&] {
      tailer.Drain();
      tailer.Commit();
    });
    writer.WriteSome();
    tailer.Drain();
    tailer.Commit();
    const uint32_t patience = 1 + random() % 6;
    for (int step = 0; step < 200; ++step) {
      if (random() % patience != 0) {
        writer.Act();
        continue;
      }
      for (uint32_t i = random() % 20; i > 0; --i) tailer.Step();
      if (random() % 2 == 0) tailer.Drain();
      if (random() % 2 == 0) tailer.Commit();
      if (random() % 4 == 0) tailer.Restart();
    }
    writer.WriteSome();
    tailer.Drain();
    CheckGaps(tailer, writer.last());
    ASSERT_LE(tailer.reasons().size(), 2u * writer.losses() + 1);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace klaxon
