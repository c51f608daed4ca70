// Work handed out piece by piece, for loops whose steps take very different times.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace lexiseg::ops {

class Pieces {
 public:
  Pieces(int64_t count, int64_t size) : count_(count), size_(size) {}

  struct Piece {
    int64_t begin, end;
    bool is_some() const { return begin < end; }
  };

  // An empty one when nothing is left.
  Piece take() {
    const int64_t begin = std::min(next_.fetch_add(size_, std::memory_order_relaxed), count_);
    return {begin, std::min(begin + size_, count_)};
  }

  // Runs work() on as many threads as there are pieces to take.
  template <typename Work>
  void on_all_threads(const Work& work) {
    const int64_t pieces = (count_ + size_ - 1) / size_;
    at::parallel_for(0, std::min<int64_t>(pieces, at::get_num_threads()), 1,
                     [&](int64_t, int64_t) { work(); });
  }

 private:
  int64_t count_, size_;
  std::atomic<int64_t> next_{0};
};

}  // namespace lexiseg::ops
