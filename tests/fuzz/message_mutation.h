// Mutation of a serialized protobuf message by its fields, so that what comes out still parses.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/stubs/common.h>
#if GOOGLE_PROTOBUF_VERSION < 4022000
#include <google/protobuf/stubs/logging.h>
#endif

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

// libFuzzer's own mutation of bytes.
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace cloze::fuzz {

class MessageMutation {
 public:
  explicit MessageMutation(unsigned int seed) : random_(seed) {}

  // One change of one field of the message or of a message inside.
  void apply(google::protobuf::Message& message) {
    std::vector<google::protobuf::Message*> all;
    collect(message, all);
    change_a_field(*all[below(all.size())]);
  }

  std::size_t below(std::size_t bound) { return random_() % bound; }

 private:
  using Field = google::protobuf::FieldDescriptor;

  static void collect(google::protobuf::Message& message,
                      std::vector<google::protobuf::Message*>& all) {
    all.push_back(&message);
    const auto& reflection = *message.GetReflection();
    std::vector<const Field*> fields;
    reflection.ListFields(message, &fields);
    for (const Field* field : fields) {
      if (field->cpp_type() != Field::CPPTYPE_MESSAGE) continue;
      if (!field->is_repeated()) collect(*reflection.MutableMessage(&message, field), all);
      for (int i = 0; field->is_repeated() && i < reflection.FieldSize(message, field); ++i) {
        collect(*reflection.MutableRepeatedMessage(&message, field, i), all);
      }
    }
  }

  void change_a_field(google::protobuf::Message& message) {
    const auto& type = *message.GetDescriptor();
    const Field& field =
        *type.field(static_cast<int>(below(static_cast<std::size_t>(type.field_count()))));
    const auto& reflection = *message.GetReflection();
    if (!field.is_repeated()) {
      if (below(8) == 0) {
        reflection.ClearField(&message, &field);
      } else {
        set(message, field);
      }
      return;
    }
    const int count = reflection.FieldSize(message, &field);
    switch (count == 0 ? 0 : below(4)) {
      case 0:
        add(message, field, count);
        break;
      case 1:
        reflection.RemoveLast(&message, &field);
        break;
      case 2:
        reflection.SwapElements(
            &message, &field, static_cast<int>(below(static_cast<std::size_t>(count))), count - 1);
        break;
      default:
        if (field.cpp_type() == Field::CPPTYPE_INT64) {
          const int place = static_cast<int>(below(static_cast<std::size_t>(count)));
          reflection.SetRepeatedInt64(
              &message, &field, place,
              number_near(reflection.GetRepeatedInt64(message, &field, place)));
        } else {
          add(message, field, count);
        }
    }
  }

  void add(google::protobuf::Message& message, const Field& field, int count) {
    const auto& reflection = *message.GetReflection();
    if (field.cpp_type() == Field::CPPTYPE_INT64) {
      reflection.AddInt64(&message, &field, number_near(0));
    } else if (field.cpp_type() == Field::CPPTYPE_MESSAGE) {
      auto& added = *reflection.AddMessage(&message, &field);
      // A copy of an old one is closer to valid than an empty one.
      if (count > 0) added.CopyFrom(reflection.GetRepeatedMessage(message, &field, count - 1));
    }
  }

  void set(google::protobuf::Message& message, const Field& field) {
    const auto& reflection = *message.GetReflection();
    switch (field.cpp_type()) {
      case Field::CPPTYPE_INT32:
        reflection.SetInt32(
            &message, &field,
            static_cast<std::int32_t>(number_near(reflection.GetInt32(message, &field))));
        break;
      case Field::CPPTYPE_INT64:
        reflection.SetInt64(&message, &field, number_near(reflection.GetInt64(message, &field)));
        break;
      case Field::CPPTYPE_UINT32:
        reflection.SetUInt32(
            &message, &field,
            static_cast<std::uint32_t>(number_near(reflection.GetUInt32(message, &field))));
        break;
      case Field::CPPTYPE_UINT64:
        reflection.SetUInt64(&message, &field, static_cast<std::uint64_t>(number_near(0)));
        break;
      case Field::CPPTYPE_DOUBLE:
        reflection.SetDouble(&message, &field, static_cast<double>(number_near(0)));
        break;
      case Field::CPPTYPE_STRING:
        reflection.SetString(&message, &field, mutated(reflection.GetString(message, &field)));
        break;
      case Field::CPPTYPE_MESSAGE:
        reflection.MutableMessage(&message, &field);
        break;
      default:
        break;
    }
  }

  std::int64_t number_near(std::int64_t number) {
    constexpr std::array<std::int64_t, 9> kLimits = {0,
                                                     1,
                                                     -1,
                                                     std::numeric_limits<std::int32_t>::max(),
                                                     std::numeric_limits<std::int32_t>::min(),
                                                     std::int64_t{1} << 32,
                                                     std::int64_t{1} << 62,
                                                     std::numeric_limits<std::int64_t>::max(),
                                                     std::numeric_limits<std::int64_t>::min()};
    const auto bits = static_cast<std::uint64_t>(number);
    const std::uint64_t step = std::uint64_t{1} << below(8);
    switch (below(4)) {
      case 0:
        return kLimits[below(kLimits.size())];
      case 1:
        return static_cast<std::int64_t>(bits + step);
      case 2:
        return static_cast<std::int64_t>(bits - step);
      default:
        return static_cast<std::int64_t>(below(64));
    }
  }

  std::string mutated(std::string text) {
    const std::size_t size = text.size();
    text.resize(size + 32);
    text.resize(LLVMFuzzerMutate(reinterpret_cast<std::uint8_t*>(text.data()), size, text.size()));
    return text;
  }

  std::minstd_rand random_;
};

// For LLVMFuzzerCustomMutator: by fields every other time, when the bytes are a message.
template <typename Message>
std::size_t mutate_message(std::uint8_t* data, std::size_t size, std::size_t max_size,
                           unsigned int seed) {
#if GOOGLE_PROTOBUF_VERSION < 4022000
  const google::protobuf::LogSilencer silencer;  // Of texts that are no UTF-8.
#endif
  MessageMutation mutation(seed);
  Message message;
  if (mutation.below(2) == 0 || !message.ParsePartialFromArray(data, static_cast<int>(size))) {
    return LLVMFuzzerMutate(data, size, max_size);
  }
  mutation.apply(message);
  const std::string bytes = message.SerializePartialAsString();
  if (bytes.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
  std::ranges::copy(bytes, data);
  return bytes.size();
}

}  // namespace cloze::fuzz
