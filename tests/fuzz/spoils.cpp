// What is wrong with a call that was drawn as a valid one.
#include <array>
#include <cmath>
#include <limits>

#include "drawn_call.h"
#include "listed.h"

namespace fuzz {

void DrawnCall::spoil_description() {
  switch (bytes_.below(10)) {
    case 0:
      desc.size = static_cast<uint32_t>(bytes_.below(sizeof desc + 1));
      break;
    case 1:
      op_ = bytes_.either() ? "" : bytes_.one_of(operators());
      desc.op = bytes_.either() ? nullptr : op_.c_str();
      break;
    case 2:
      variant_ = bytes_.either() ? bytes_.one_of(variants()).name : "delta";
      desc.variant = variant_.c_str();
      break;
    case 3:
      map_ = bytes_.either() ? "softmax" : bytes_.one_of(maps()).name;
      desc.map = map_.c_str();
      break;
    case 4:
      desc.flags = bytes_.any();
      break;
    case 5:
      desc.scale = bytes_.either() ? INFINITY : NAN;
      break;
    case 6:
      desc.eps = bytes_.either() ? -1.f : NAN;
      break;
    case 7:
      desc.n_attrs = bytes_.either() ? 0 : desc.n_attrs;
      desc.attrs = nullptr;
      break;
    case 8:
      attributes_.push_back({bytes_.either() ? nullptr : bytes_.one_of(maps()).attribute.c_str(),
                             static_cast<double>(bytes_.below(5000))});
      desc.attrs = attributes_.data();
      desc.n_attrs = attributes_.size();
      break;
    default:
      if (!attributes_.empty()) attributes_[0].value = static_cast<double>(static_cast<int64_t>(bytes_.any()));
  }
}

void DrawnCall::spoil_tensor(Argument& a) {
  const auto dimension = [&] { return static_cast<size_t>(bytes_.below(static_cast<int64_t>(a.shape.size()))); };
  const auto number = [&]() -> int64_t {
    static constexpr std::array<int64_t, 8> kOdd = {-1,
                                                    0,
                                                    1,
                                                    7,
                                                    int64_t{1} << 31,
                                                    int64_t{1} << 62,
                                                    std::numeric_limits<int64_t>::min(),
                                                    std::numeric_limits<int64_t>::max()};
    return bytes_.either() ? bytes_.one_of(kOdd) : static_cast<int64_t>(bytes_.any());
  };
  switch (bytes_.below(12)) {
    case 0:
    case 1:
      if (!a.shape.empty()) a.shape[dimension()] = number();
      break;
    case 2:
    case 3:
      if (a.strides.empty()) a.strides.assign(a.shape.size(), 1);
      if (!a.strides.empty()) a.strides[dimension()] = number();
      break;
    case 4:
      if (a.strides.empty() && !a.shape.empty()) a.shape.pop_back();
      break;
    case 5:
      if (a.strides.empty()) a.shape.push_back(bytes_.below(4));
      break;
    case 6:
      a.view.code = static_cast<uint8_t>(bytes_.any());
      break;
    case 7:
      a.view.bits = static_cast<uint8_t>(bytes_.any());
      break;
    case 8:
      a.view.device_type = static_cast<int32_t>(bytes_.any());
      break;
    case 9:
      a.role = bytes_.either() ? static_cast<uint32_t>(bytes_.below(34)) : static_cast<uint32_t>(bytes_.any());
      a.use = Argument::kUpdated;  // whatever it is now
      break;
    case 10: {
      std::array<std::vector<int64_t>*, 4> lists = {&lengths_, &cu_seqlens_, &slots_, &positions_};
      std::vector<int64_t>& list = *bytes_.one_of(lists);
      if (!list.empty()) list[static_cast<size_t>(bytes_.below(static_cast<int64_t>(list.size())))] = number();
      break;
    }
    default:
      a.view.lanes = static_cast<uint16_t>(bytes_.any());
  }
}

}  // namespace fuzz
