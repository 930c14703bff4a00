// The demo's memory of a text: what it counts, what it predicts, and which texts it refuses.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <numeric>
#include <random>
#include <string>

#include "../cli/prediction.h"
#include "../cli/reading.h"
#include "../cli/text.h"

namespace {

using namespace lathe::cli;

Text of(std::vector<uint8_t> bytes) { return {"a test", bytes, bytes.size()}; }

// As long as asked, with contexts that come again and those that share a slot.
Text sentence(size_t length) {
  const std::string words = "the memory that reads the text reads what the text remembers; ";
  std::vector<uint8_t> bytes(length);
  for (size_t i = 0; i < length; i++) bytes[i] = static_cast<uint8_t>(words[i * (1 + i / 97) % words.size()]);
  return of(bytes);
}

Text random_bytes(size_t length) {
  std::mt19937 random(7);
  std::vector<uint8_t> bytes(length);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random() >> 24);
  return of(bytes);
}

Reading read(const Text& text, int continue_for = 8) {
  return read_and_write(text, continue_for, 2, [](size_t) {});
}

std::vector<Counts> counts_of(const Text& text, size_t segment) {
  ByteMemory memory(1);
  std::vector<Counts> all;
  memory.read(
      text.bytes, [&](size_t, const Counts& counts) { all.push_back(counts); }, segment);
  return all;
}

TEST(Demo, RandomBytesCostEightBitsOrMore) {
  const Reading reading = read(random_bytes(6000));
  for (double bits : reading.heads) EXPECT_GE(bits, 8.0);
  EXPECT_GE(reading.mixture, 8.0);
}

TEST(Demo, ATextCostsLessThanItsBytesAlone) {
  const Reading reading = read(sentence(3000));
  EXPECT_LT(reading.mixture, reading.order0);
  EXPECT_LT(reading.mixture, reading.heads[0]);
}

TEST(Demo, TheOneByteHeadEqualsDirectCounts) {
  for (const Text& text : {sentence(700), random_bytes(700)}) {
    const auto counts = counts_of(text, kSegment);
    std::vector<std::array<float, kBytes>> followed(kBytes);
    uint8_t last = 0;
    for (size_t i = 0; i < text.bytes.size(); i++) {
      followed[last][text.bytes[i]]++;
      last = text.bytes[i];
      ASSERT_EQ(counts[i][0], followed[last]) << "after byte " << i;
    }
    EXPECT_EQ(read(text).wrong_counts, 0);
  }
}

// Of the hashed ones: the same by a table of slots.
TEST(Demo, EveryHeadCountsWhatFollowedTheSlotOfItsContext) {
  const Text text = sentence(400);
  const auto counts = counts_of(text, kSegment);
  for (int head = 2; head <= kHeads; head++) {
    std::vector<std::array<float, kBytes>> followed(kHashedSlots);
    uint64_t last = 0;
    for (size_t i = 0; i < text.bytes.size(); i++) {
      followed[static_cast<size_t>(slot_of(last, head, kHashedSlots))][text.bytes[i]]++;
      last = last << 8 | text.bytes[i];
      ASSERT_EQ(counts[i][static_cast<size_t>(head - 1)],
                followed[static_cast<size_t>(slot_of(last, head, kHashedSlots))])
          << "head " << head << " after byte " << i;
    }
  }
}

TEST(Demo, NothingIsReadBack) {
  Text text = sentence(300);
  const auto before = counts_of(text, kSegment);
  text.bytes[200] ^= 1;
  const auto after = counts_of(text, kSegment);
  for (size_t i = 0; i < 200; i++) ASSERT_EQ(before[i], after[i]) << i;
}

TEST(Demo, SegmentsEqualTheWhole) {
  const Text text = sentence(kSegment);
  const auto whole = counts_of(text, kSegment);
  for (size_t segment : {1u, 7u, 64u, 255u}) EXPECT_EQ(counts_of(text, segment), whole) << segment;
}

TEST(Demo, DecodeEqualsParallel) {
  EXPECT_EQ(read(sentence(500), 64).decode_difference, 0);
  const Text text = sentence(150);
  const auto parallel = counts_of(text, kSegment);
  ByteMemory memory(1);
  for (size_t i = 0; i < text.bytes.size(); i++) ASSERT_EQ(memory.read_one(text.bytes[i]), parallel[i]) << i;
}

TEST(Demo, ProbabilitiesSumToOne) {
  Predictor predictor;
  for (const Counts& counts : counts_of(sentence(100), kSegment)) {
    predictor.score(counts, 't');
    const Probabilities p = predictor.mixture(counts);
    EXPECT_NEAR(std::accumulate(p.begin(), p.end(), 0.0), 1, 1e-12);
  }
}

TEST(Demo, TheEntropyOfOrderZero) {
  EXPECT_EQ(order0_entropy(std::vector<uint8_t>(9, 'a')), 0);
  EXPECT_DOUBLE_EQ(order0_entropy(std::vector<uint8_t>{'a', 'b', 'c', 'd'}), 2);
}

std::string refusal(const std::string& file) {
  try {
    read_text(file);
  } catch (const Failure& failure) {
    return failure.what();
  }
  return "not refused";
}

// A file of the test's own, gone at its end.
class File {
 public:
  explicit File(size_t bytes) : name_(testing::TempDir() + "lathe_demo_text_" + std::to_string(::getpid())) {
    std::ofstream(name_, std::ios::binary) << std::string(bytes, 'x');
  }
  ~File() { std::remove(name_.c_str()); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  const std::string& name() const { return name_; }

 private:
  std::string name_;
};

TEST(Demo, RefusesWhatCannotBeRead) {
  EXPECT_NE(refusal("/no/such/file").find("/no/such/file cannot be read"), std::string::npos);
  EXPECT_NE(refusal("/").find("is a folder"), std::string::npos);
  const File empty(0);
  EXPECT_NE(refusal(empty.name()).find("is empty"), std::string::npos);
}

TEST(Demo, UsesTheBeginningOfALongText) {
  const File file(kMostText + 5);
  const Text text = read_text(file.name());
  EXPECT_EQ(text.bytes.size(), kMostText);
  EXPECT_EQ(text.whole, kMostText + 5);
}

TEST(Demo, ATextOfOneByteIsRead) {
  const Reading reading = read(of({'a'}));
  EXPECT_DOUBLE_EQ(reading.mixture, 8);
  EXPECT_EQ(reading.continuation.size(), 8u);
}

}  // namespace
