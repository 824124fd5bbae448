#include "memory.h"

#include <utility>

namespace penstock {

class MemoryPort final : public Port {
 public:
  MemoryPort(std::shared_ptr<MemoryWire> wire, uint32_t side, uint32_t worker)
      : wire_(std::move(wire)),
        side_(side),
        in_(wire_->towards(side, worker)),
        out_(wire_->towards(side ^ 1, worker)) {}

  uint32_t receive(FrameCache& cache, uint64_t now, FrameIndex* frames, uint32_t count) override {
    if (!wire_->open()) return 0;
    const uint32_t taken = in_.pop(frames, count);
    for (uint32_t i = 0; i < taken; ++i) cache.pool().frame(frames[i]).received = now;
    return taken;
  }

  uint32_t transmit(FrameCache&, const FrameIndex* frames, uint32_t count) override {
    return wire_->open() ? out_.push(frames, count) : 0;
  }

  uint32_t drain(FrameIndex* frames, uint32_t count) override { return in_.pop(frames, count); }

  uint64_t next_arrival() const override { return in_.size() > 0 ? 0 : ~0ull; }
  std::unique_ptr<Port> further(uint32_t worker, std::string& error) override {
    if (worker < wire_->workers()) return std::make_unique<MemoryPort>(wire_, side_, worker);
    error = "a wire for " + std::to_string(wire_->workers()) + " workers";
    return nullptr;
  }

  bool open() const override { return wire_->open(); }
  std::string fault() const override { return wire_->open() ? std::string() : "the wire is shut"; }

 private:
  const std::shared_ptr<MemoryWire> wire_;
  const uint32_t side_;
  Ring& in_;
  Ring& out_;
};

MemoryWire::MemoryWire(uint32_t capacity, uint32_t workers) : workers_(workers) {
  for (uint32_t i = 0; i < workers * 2; ++i) rings_.push_back(std::make_unique<Ring>(capacity));
}

std::unique_ptr<Port> MemoryWire::end(std::shared_ptr<MemoryWire> wire, uint32_t side, uint32_t worker) {
  return std::make_unique<MemoryPort>(std::move(wire), side, worker);
}

uint32_t MemoryWire::held(uint32_t side) const {
  uint32_t frames = 0;
  for (uint32_t worker = 0; worker < workers_; ++worker) frames += towards(side, worker).size();
  return frames;
}

}  // namespace penstock
