#include "sass_time.h"

#include <algorithm>
#include <array>
#include <bit>
#include <deque>
#include <list>
#include <map>
#include <numeric>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "sass_cache.h"
#include "sass_values.h"

namespace lathe::tune::sass {

namespace {

constexpr int kSchedulers = 4, kBarriers = 6;
constexpr int kPipeLanes = 16;      // threads that a pipe takes in a cycle
constexpr int kSpecialLanes = 4;    // ... that of reciprocals and conversions
constexpr int kAddressCycles = 4;   // a scheduler's accesses to memory are that far apart
constexpr int kAccessCycles = 2;    // and all schedulers' together at least that far
constexpr size_t kAccessQueue = 5;  // of accesses that wait
constexpr int kSpecialLatency = 20, kConstantLatency = 30, kReadLatency = 10, kBarrierCycles = 8;
constexpr double kPortBytes = 64;  // from the second-level cache in a cycle
constexpr int kWidest = 16;        // bytes of a thread's access
constexpr int kRounds = 4;  // of as many blocks as run at once: the first fills the multiprocessor, the last empties it

struct BlockTrace {
  std::vector<Trace> warps;
};

struct Resident;
struct Running {
  const Trace* trace = nullptr;
  Resident* block = nullptr;
  size_t at = 0;
  int64_t ready = 0;
  std::array<std::vector<int64_t>, kBarriers> clears{};  // when what was begun under each barrier is there
  bool waits = false;                                    // at the block's own barrier
};
struct Resident {
  int64_t number = 0;
  int left = 0, waiting = 0;
};

// One multiprocessor.
class Multiprocessor {
 public:
  Multiprocessor(const Program& program, const std::vector<BlockTrace>& traces, const Gpu& gpu, int resident,
                 int64_t shared)
      : program_(program),
        traces_(traces),
        gpu_(gpu),
        resident_(resident),
        cache_(int64_t{gpu.cache_kib} * 1024 - shared) {}

  // Runs so many blocks; the cycles at which they ended, in order.
  std::vector<int64_t> run(int64_t blocks) {
    left_ = blocks;
    for (int n = 0; n < resident_; n++) begin(0);
    while (!blocks_.empty()) {
      int64_t next = kNever;
      for (Scheduler& s : schedulers_) next = std::min(next, schedule(s));
      now_ = std::max(now_ + 1, next);
    }
    return ended_;
  }
  int64_t moved() const { return moved_; }

 private:
  static constexpr int64_t kNever = INT64_MAX;

  struct Scheduler {
    std::list<Running> warps;  // the oldest first
    std::list<Running>::iterator last = warps.end();
    std::array<int64_t, 2> fma{};  // when each pipe is free
    int64_t alu = 0, special = 0, uniform = 0, address = 0;
    std::deque<int64_t> accesses;  // when those that wait go on
  };

  void begin(int64_t at) {
    if (begun_ == left_) return;
    const BlockTrace& traces = traces_[static_cast<size_t>(begun_) % traces_.size()];
    blocks_.push_back({begun_++, static_cast<int>(traces.warps.size()), 0});
    for (const Trace& trace : traces.warps) {
      Running warp;
      warp.trace = &trace;
      warp.block = &blocks_.back();
      warp.ready = at;
      schedulers_[turn_++ % kSchedulers].warps.push_back(warp);
    }
  }

  const Instruction& instruction(const Running& w) const {
    return program_.code()[static_cast<size_t>(w.trace->steps[w.at].at)];
  }

  // Issues from the scheduler if it can now; when it next might. The warp that issued last goes first, then the oldest.
  int64_t schedule(Scheduler& s) {
    int64_t soonest = kNever;
    auto chosen = s.warps.end();
    const auto consider = [&](std::list<Running>::iterator at) {
      if (chosen != s.warps.end() || at->waits) return;
      const int64_t when = could_issue(s, *at);
      if (when > now_)
        soonest = std::min(soonest, when);
      else
        chosen = at;
    };
    if (s.last != s.warps.end()) consider(s.last);
    for (auto at = s.warps.begin(); at != s.warps.end() && chosen == s.warps.end(); ++at)
      if (at != s.last) consider(at);
    if (chosen == s.warps.end()) return soonest;
    issue(s, *chosen);
    s.last = chosen;
    if (chosen->at == chosen->trace->steps.size()) {
      end(*chosen->block);
      s.warps.erase(chosen);
      s.last = s.warps.end();
    }
    return now_ + 1;
  }

  int64_t could_issue(Scheduler& s, const Running& w) const {
    int64_t when = w.ready;
    const Instruction& i = instruction(w);
    for (int b = 0; b < kBarriers; b++)
      if (i.control.waits >> b & 1)
        for (const int64_t clear : w.clears[static_cast<size_t>(b)]) when = std::max(when, clear);
    if (i.code == "DEPBAR") when = std::max(when, counted(w, i));
    switch (program_.pipe(w.trace->steps[w.at].at)) {
      case Pipe::fma:
        when = std::max(when, gpu_.floats > 64 ? std::min(s.fma[0], s.fma[1]) : s.fma[0]);
        break;
      case Pipe::multiply:
        when = std::max(when, s.fma[0]);
        break;
      case Pipe::alu:
        when = std::max(when, s.alu);
        break;
      case Pipe::special:
        when = std::max(when, s.special);
        break;
      case Pipe::uniform:
        when = std::max(when, s.uniform);
        break;
      case Pipe::shared:
      case Pipe::global:
        while (!s.accesses.empty() && s.accesses.front() <= now_) s.accesses.pop_front();
        if (s.accesses.size() >= kAccessQueue) when = std::max(when, s.accesses.front());
        break;
      case Pipe::constant:
      case Pipe::control:
        break;
    }
    return when;
  }

  // DEPBAR.LE SB0, n: all but the last n under a barrier.
  static int64_t counted(const Running& w, const Instruction& i) {
    const size_t sb = i.text.find("SB"), comma = i.text.find("0x");
    if (sb == std::string::npos || comma == std::string::npos) return 0;
    const auto& clears = w.clears.at(static_cast<size_t>(i.text[sb + 2] - '0'));
    const size_t but = std::stoul(i.text.substr(comma), nullptr, 16);
    if (clears.size() <= but) return 0;
    return *std::max_element(clears.begin(), clears.end() - static_cast<int64_t>(but));
  }

  void issue(Scheduler& s, Running& w) {
    const Step& step = w.trace->steps[w.at];
    const Instruction& i = instruction(w);
    int64_t done = now_, read = now_ + kReadLatency;
    switch (program_.pipe(step.at)) {
      case Pipe::fma:
        s.fma[gpu_.floats > 64 && s.fma[1] <= now_ ? 1 : 0] = now_ + 32 / kPipeLanes;
        break;
      case Pipe::multiply:
        s.fma[0] = now_ + 32 / kPipeLanes;
        break;
      case Pipe::alu:
        s.alu = now_ + 32 / kPipeLanes;
        break;
      case Pipe::uniform:
        s.uniform = now_ + 2;
        break;
      case Pipe::special:
        s.special = now_ + 32 / kSpecialLanes;
        done = now_ + kSpecialLatency;
        break;
      case Pipe::constant:
        done = now_ + kConstantLatency;
        break;
      case Pipe::shared:
      case Pipe::global:
        std::tie(done, read) = access(s, w, step);
        break;
      case Pipe::control:
        break;
    }
    // a mask of barriers that were waited for says that nothing is under them now
    for (int b = 0; b < kBarriers; b++)
      if (i.control.waits >> b & 1) w.clears[static_cast<size_t>(b)].clear();
    for (const auto& [b, when] : {std::pair{i.control.sets, done}, std::pair{i.control.read_sets, read}}) {
      if (b >= kBarriers) continue;
      auto& clears = w.clears[static_cast<size_t>(b)];
      std::erase_if(clears, [&](int64_t clear) { return clear <= now_; });
      clears.push_back(when);
    }
    w.ready = now_ + std::max(1, i.control.stall);
    w.at++;
    if (i.code == "BAR") meet(w);
  }

  // When its value is there, and when its operands have been read.
  std::pair<int64_t, int64_t> access(Scheduler& s, const Running& w, const Step& step) {
    const int64_t from = std::max(now_, s.address);
    s.address = from + kAddressCycles;
    const int64_t begins = std::max(from + kAddressCycles, pipe_);
    pipe_ = begins + std::max(step.wavefronts, kAccessCycles);
    s.accesses.push_back(begins);
    if (program_.pipe(step.at) == Pipe::shared) return {pipe_ + gpu_.shared, begins + kReadLatency};
    int missing = 0;
    const bool stores = instruction(w).code == "STG";
    const uint64_t apart = static_cast<uint64_t>(w.block->number) / traces_.size() << 40;  // a later block's own data
    for (uint32_t n = step.first; n < step.first + step.lines; n++) {
      const Touched& t = w.trace->touched[n];
      missing += stores ? std::popcount(t.sectors) : cache_.take(t.line + apart, t.sectors);
    }
    moved_ += missing * kSector;
    if (missing == 0) return {pipe_ + gpu_.first_level, begins + kReadLatency};
    port_ = std::max(port_, static_cast<double>(pipe_)) + missing * kSector / kPortBytes;
    return {static_cast<int64_t>(port_) + gpu_.memory, begins + kReadLatency};
  }

  // A block's warps wait for each other.
  void meet(Running& w) {
    w.waits = true;
    if (++w.block->waiting < w.block->left) return;
    release(*w.block);
  }
  void release(Resident& block) {
    block.waiting = 0;
    for (Scheduler& s : schedulers_)
      for (Running& other : s.warps)
        if (other.block == &block && other.waits) {
          other.waits = false;
          other.ready = std::max(other.ready, now_ + kBarrierCycles);
        }
  }

  void end(Resident& block) {
    block.left--;
    if (block.left > 0) {
      if (block.waiting == block.left) release(block);
      return;
    }
    ended_.push_back(now_);
    blocks_.remove_if([&](const Resident& other) { return &other == &block; });
    begin(now_ + 1);
  }

  const Program& program_;
  const std::vector<BlockTrace>& traces_;
  const Gpu& gpu_;
  int resident_;
  Cache cache_;
  std::array<Scheduler, kSchedulers> schedulers_;
  std::list<Resident> blocks_;
  std::vector<int64_t> ended_;
  int64_t now_ = 0, left_ = 0, begun_ = 0, pipe_ = 0, moved_ = 0;
  double port_ = 0;
  size_t turn_ = 0;
};

// What the pipes have to do for a block, whatever the order.
void count(const Program& program, const BlockTrace& block, const Gpu& gpu, Modelled& made) {
  const double fma_cycles = 32.0 / gpu.floats, pipe_cycles = 32.0 / (kSchedulers * kPipeLanes);
  for (const Trace& trace : block.warps)
    for (const Step& step : trace.steps) {
      const Instruction& i = program.code()[static_cast<size_t>(step.at)];
      made.instructions++;
      made.parts.issue += 1.0 / kSchedulers;
      if (i.code == "FFMA") made.fmas++;
      if (i.code == "FFMA" || i.code == "FADD" || i.code == "FMUL")
        made.flops += (i.code == "FFMA" ? 2 : 1) * step.threads;
      switch (program.pipe(step.at)) {
        case Pipe::fma:
          made.parts.fma += fma_cycles;
          break;
        case Pipe::multiply:
          made.parts.fma += pipe_cycles;
          break;
        case Pipe::alu:
          made.parts.alu += pipe_cycles;
          break;
        case Pipe::special:
          made.parts.special += 32.0 / (kSchedulers * kSpecialLanes);
          break;
        case Pipe::shared:
        case Pipe::global:
          made.parts.memory += std::max(step.wavefronts, kAccessCycles);
          break;
        default:
          break;
      }
    }
}

int64_t sectors_of(const Trace& trace, const Step& step) {
  int64_t sectors = 0;
  for (uint32_t n = step.first; n < step.first + step.lines; n++) sectors += std::popcount(trace.touched[n].sectors);
  return sectors;
}

double wide(const Program& program, const std::vector<BlockTrace>& traces) {
  double all = 0, those = 0;
  for (const BlockTrace& block : traces)
    for (const Trace& trace : block.warps)
      for (const Step& step : trace.steps) {
        if (program.pipe(step.at) != Pipe::global) continue;
        const auto bytes = static_cast<double>(kSector * sectors_of(trace, step));
        all += bytes;
        const bool vectors = program.code()[static_cast<size_t>(step.at)].has("128");
        if (vectors && bytes <= kWidest * step.threads) those += bytes;
      }
  return all > 0 ? those / all : 0;
}

double in_flight(const Program& program, const BlockTrace& block) {
  double sum = 0;
  for (const Trace& trace : block.warps) {
    std::array<int64_t, kBarriers> under{};
    int64_t most = 0;
    for (const Step& step : trace.steps) {
      const Instruction& i = program.code()[static_cast<size_t>(step.at)];
      for (int b = 0; b < kBarriers; b++)
        if (i.control.waits >> b & 1 || i.code == "DEPBAR") under[static_cast<size_t>(b)] = 0;
      if (i.code != "LDG" || i.control.sets >= kBarriers) continue;
      under[static_cast<size_t>(i.control.sets)] += kSector * sectors_of(trace, step);
      most = std::max(most, std::accumulate(under.begin(), under.end(), int64_t{0}));
    }
    sum += static_cast<double>(most);
  }
  return sum;
}

// All of each buffer once, or what the grid's blocks touch of it if that is less.
double compulsory(const std::vector<BlockTrace>& traces, const Grid& grid) {
  std::map<size_t, double> touched;  // by the argument
  for (const BlockTrace& block : traces) {
    std::map<uint64_t, uint8_t> lines;
    for (const Trace& trace : block.warps)
      for (const Touched& t : trace.touched) lines[t.line] |= t.sectors;
    for (const auto& [line, sectors] : lines) touched[line / (kApart / 128)] += kSector * std::popcount(sectors);
  }
  const double of_grid = static_cast<double>(grid.count()) / static_cast<double>(traces.size());
  double bytes = 0;
  for (size_t n = 0; n < grid.arguments.size(); n++)
    bytes += std::min(static_cast<double>(grid.arguments[n].extent), of_grid * touched[n + 1]);
  return bytes;
}

}  // namespace

const char* Parts::binds() const {
  const std::pair<double, const char*> all[] = {{issue, "issue"},     {fma, "fma"},       {alu, "alu"},
                                                {special, "special"}, {memory, "memory"}, {latency, "latency"},
                                                {device, "device"}};
  return std::max_element(std::begin(all), std::end(all))->second;
}

Modelled model_time(const Program& program, const Grid& grid, const Gpu& gpu, int resident, int64_t shared) {
  const int64_t blocks = grid.count();
  if (blocks < 1) throw std::invalid_argument("it launches nothing for this problem");
  if (resident < 1) throw std::invalid_argument("a block is more than a multiprocessor holds");
  const int64_t of_one = (blocks + gpu.multiprocessors - 1) / gpu.multiprocessors;  // of those that have most
  resident = static_cast<int>(std::min<int64_t>(resident, of_one));
  // blocks from all over the grid, since those at its edges may have less to do
  std::vector<BlockTrace> traces;
  for (int n = 0; n < resident; n++) {
    BlockTrace block;
    const int64_t number = (int64_t{2} * n + 1) * blocks / (int64_t{2} * resident);
    for (int warp = 0; warp < grid.warps(); warp++) block.warps.push_back(follow(program, grid, number, warp));
    traces.push_back(std::move(block));
  }
  Modelled made;
  made.blocks = resident;
  made.warps = resident * grid.warps();
  for (const BlockTrace& block : traces) count(program, block, gpu, made);
  for (double* sum : {&made.parts.issue, &made.parts.fma, &made.parts.alu, &made.parts.special, &made.parts.memory,
                      &made.flops, &made.instructions, &made.fmas})
    *sum /= resident;
  made.bytes = compulsory(traces, grid) / static_cast<double>(blocks);
  made.parts.device = made.bytes / gpu.bytes_each_cycle();

  made.wide = wide(program, traces);
  for (const BlockTrace& block : traces) made.in_flight += in_flight(program, block);

  const auto multiprocessor = [&](int at_once) {
    return Multiprocessor(program, traces, gpu, at_once, at_once * shared);
  };
  made.parts.latency = static_cast<double>(multiprocessor(1).run(1).back()) / resident;
  const double of_average = static_cast<double>(blocks) / gpu.multiprocessors;
  const bool few = of_one < int64_t{kRounds} * resident;
  Multiprocessor full = multiprocessor(resident);
  const auto all = full.run(few ? of_one : int64_t{kRounds} * resident);
  made.moved = static_cast<double>(full.moved()) / static_cast<double>(all.size());
  // of whole rounds in the middle; of a grid that has none, of what it has
  const auto after = [&](int rounds) { return static_cast<double>(all[static_cast<size_t>(rounds * resident) - 1]); };
  made.cycles =
      few ? static_cast<double>(all.back()) / of_average : (after(kRounds - 1) - after(1)) / ((kRounds - 2) * resident);
  const Parts& p = made.parts;
  made.cycles = std::max({made.cycles, p.issue, p.fma, p.alu, p.special, p.memory, p.device});
  const double each = of_average / gpu.gigahertz / 1e9;
  made.seconds = made.cycles * each;
  made.limit_seconds = std::max(made.flops / (2 * gpu.floats), made.parts.device) * each;
  return made;
}

}  // namespace lathe::tune::sass
