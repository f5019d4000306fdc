// metrics.jsonl and TensorBoard's files, read back by hand.
#include "train/metrics.h"

#include <cstring>

#include "train/fixture.h"

namespace longspan {
namespace {

class MetricsTest : public TrainTest {};

TEST_F(MetricsTest, Crc32cOfTheStandardsExample) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);  // RFC 3720
  EXPECT_EQ(masked_crc32c("123456789"), (0xe3069283u >> 15 | 0xe3069283u << 17) + 0xa282ead8u);
}

/// The payloads of TFRecords, after checking both sums of each.
std::vector<std::string> records(const std::string& bytes) {
  std::vector<std::string> out;
  for (size_t at = 0; at < bytes.size();) {
    uint64_t length = 0;
    uint32_t sum = 0, data_sum = 0;
    std::memcpy(&length, bytes.data() + at, 8);
    std::memcpy(&sum, bytes.data() + at + 8, 4);
    EXPECT_EQ(sum, masked_crc32c(bytes.substr(at, 8)));
    out.push_back(bytes.substr(at + 12, length));
    std::memcpy(&data_sum, bytes.data() + at + 12 + length, 4);
    EXPECT_EQ(data_sum, masked_crc32c(out.back()));
    at += 16 + length;
  }
  return out;
}

TEST_F(MetricsTest, AnEventIsTheProtobufThatTensorBoardReads) {
  std::vector<std::string> all = records(tensorboard_event(1.5, 300, {{"loss", 2.0}, {"lr", -1.0}}));
  ASSERT_EQ(all.size(), 1u);
  // wall_time (1, fixed64) 1.5, step (2, varint) 300, summary (5) of two values (1): tag (1), simple_value
  // (2).
  std::string expected("\x09\x00\x00\x00\x00\x00\x00\xf8\x3f\x10\xac\x02\x2a\x18", 14);
  expected += std::string("\x0a\x0b\x0a\x04loss\x15\x00\x00\x00\x40", 13);
  expected += std::string("\x0a\x09\x0a\x02lr\x15\x00\x00\x80\xbf", 11);
  EXPECT_EQ(all[0], expected);
}

TEST_F(MetricsTest, LinesOfStepsThatAreDoneAgainAreDropped) {
  StepReport report;
  ValidationReport validation{2, {{48, 3.25}}};
  {
    Metrics metrics(dir_, 0);
    for (report.step = 1; report.step <= 3; ++report.step) {
      metrics.add(report);
      if (report.step == 2) metrics.add(validation);
    }
  }
  std::ofstream(dir_ / "metrics.jsonl", std::ios::app) << "{\"step\": 4, \"lo";  // cut off by a kill
  {
    Metrics metrics(dir_, 2);
    report.step = 3, report.loss = 9;
    metrics.add(report);
  }
  std::ifstream lines(dir_ / "metrics.jsonl");
  std::vector<Json> read;
  for (std::string line; std::getline(lines, line);) read.push_back(Json::parse(line));
  ASSERT_EQ(read.size(), 4u);
  EXPECT_EQ(read[2]["validation"]["48"], 3.25);
  EXPECT_EQ(read[3]["step"], 3);
  EXPECT_EQ(read[3]["loss"], 9);
  EXPECT_FALSE(read[3].contains("divergence"));
  MetricsHistory history = read_metrics(dir_ / "metrics.jsonl");
  ASSERT_EQ(history.steps.size(), 3u);
  EXPECT_EQ(history.steps[2].step, 3);
  EXPECT_EQ(history.steps[2].loss, 9);
  EXPECT_TRUE(std::isnan(history.steps[2].divergence));
  ASSERT_EQ(history.validation.size(), 1u);
  EXPECT_EQ(history.validation[0].step, 2);
  EXPECT_EQ(history.validation[0].loss, validation.loss);
  for (const auto& entry : fs::directory_iterator(dir_ / "tensorboard")) {
    std::vector<std::string> all = records(read_file(entry.path()));
    ASSERT_GE(all.size(), 2u);
    EXPECT_NE(all[0].find("brain.Event:2"), std::string::npos);
  }
}

}  // namespace
}  // namespace longspan
