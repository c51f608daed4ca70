// The threads of one block as fibers of one thread of the host.
#pragma once

#include <ucontext.h>

#include <array>
#include <cstdint>
#include <exception>
#include <functional>
#include <numeric>
#include <random>
#include <stdexcept>
#include <vector>

namespace emulator {

inline constexpr int kLanes = 32;
using Lanes = std::array<uint64_t, kLanes>;

// A meeting of a fixed number of fibers. The values of a round outlive it until the next but one,
// which no fiber can begin before all have left this one.
struct Meeting {
  int expected = 0, arrived = 0;
  uint64_t round = 0;
  Lanes values[2] = {};
};

struct Block {
  ucontext_t host;
  std::vector<ucontext_t> fibers;
  std::vector<std::vector<char>> stacks;
  std::vector<bool> done;
  std::vector<Meeting> warps;
  Meeting all;
  unsigned current = 0;
  bool moved = false;  // whether any fiber got past a meeting, or ended, in this pass
  std::function<void()> body;
  std::exception_ptr error;
};

inline Block block;

inline void hand_over() { swapcontext(&block.fibers[block.current], &block.host); }

// Returns the parity of the round that everyone met in.
inline int meet(Meeting& meeting, unsigned slot, uint64_t value) {
  const uint64_t round = meeting.round;
  const int parity = static_cast<int>(round % 2);
  if (slot < kLanes) meeting.values[parity][slot] = value;
  if (++meeting.arrived == meeting.expected) {
    meeting.arrived = 0;
    ++meeting.round;
  }
  while (meeting.round == round) hand_over();
  block.moved = true;
  return parity;
}

inline Lanes exchange(uint64_t value) {
  Meeting& warp = block.warps[block.current / kLanes];
  return warp.values[meet(warp, block.current % kLanes, value)];
}

inline void block_barrier() { meet(block.all, kLanes, 0); }

inline void run_fiber() {
  try {
    block.body();
  } catch (...) {
    block.error = std::current_exception();
  }
  block.done[block.current] = true;
  block.moved = true;
  hand_over();
}

inline void start_block(unsigned threads) {
  constexpr size_t kStackBytes = 64 << 10;
  block.fibers.resize(threads);
  block.stacks.resize(threads, std::vector<char>(kStackBytes));
  block.done.assign(threads, false);
  block.warps.assign((threads + kLanes - 1) / kLanes, Meeting{});
  for (unsigned i = 0; i < threads; ++i) ++block.warps[i / kLanes].expected;
  block.all = Meeting{};
  block.all.expected = static_cast<int>(threads);
  for (unsigned i = 0; i < threads; ++i) {
    getcontext(&block.fibers[i]);
    block.fibers[i].uc_stack.ss_sp = block.stacks[i].data();
    block.fibers[i].uc_stack.ss_size = kStackBytes;
    block.fibers[i].uc_link = nullptr;
    makecontext(&block.fibers[i], run_fiber, 0);
  }
}

// select(thread) is called before a fiber runs; body is what each of them runs.
template <typename Select>
void run_block(unsigned threads, Select select, std::function<void()> body) {
  static std::mt19937 shuffler(7);
  start_block(threads);
  block.body = std::move(body);
  block.error = nullptr;
  std::vector<unsigned> order(threads);
  std::iota(order.begin(), order.end(), 0u);
  for (size_t running = threads; running > 0;) {
    std::shuffle(order.begin(), order.end(), shuffler);
    block.moved = false;
    for (const unsigned thread : order) {
      if (block.done[thread]) continue;
      block.current = thread;
      select(thread);
      swapcontext(&block.host, &block.fibers[thread]);
      running -= block.done[thread] ? 1 : 0;
      if (block.error) std::rethrow_exception(block.error);
    }
    if (!block.moved) throw std::logic_error("some threads never reach a barrier of the kernel");
  }
}

}  // namespace emulator
