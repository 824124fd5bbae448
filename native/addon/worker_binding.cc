#include "worker_binding.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "addon.h"
#include "args.h"

namespace penstock::addon {
namespace {

// A turn that keeps a thread from JavaScript for longer would look like a stall.
constexpr int64_t kMostBudgetUs = 100'000;

void pin(Napi::Env env, int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) == 0) return;
  const int error = errno;
  throw_coded(env, "attachPlane.cpu: cannot pin to CPU " + std::to_string(cpu) + ": " + strerror(error),
              error == EINVAL ? "EINVAL" : "EPERM");
}

}  // namespace

Napi::Function WorkerBinding::define(Napi::Env env) {
  return DefineClass(env, "NativeWorker",
                     {
                         InstanceMethod<&WorkerBinding::poll>("poll"),
                         InstanceMethod<&WorkerBinding::detach>("detach"),
                     });
}

WorkerBinding::WorkerBinding(const Napi::CallbackInfo& info) : Napi::ObjectWrap<WorkerBinding>(info) {}

WorkerBinding::~WorkerBinding() {
  let_go(true);
}

void WorkerBinding::let_go(bool lost) {
  if (plane_ == nullptr) return;
  for (const uint32_t worker : claimed_) {
    plane_->flush(worker);
    plane_->release(worker, lost && !plane_->stopped());
  }
  claimed_.clear();
  plane_.reset();
}

Napi::Value WorkerBinding::poll(const Napi::CallbackInfo& info) {
  if (plane_ == nullptr) throw Napi::Error::New(info.Env(), "poll: this thread has let go of the plane");
  const auto worker = Arg(info, 0, "poll.worker").integer<uint32_t>(0, plane_->workers() - 1);
  const auto budget = Arg(info, 1, "poll.budgetMicroseconds").integer<uint64_t>(1, kMostBudgetUs);
  if (std::find(claimed_.begin(), claimed_.end(), worker) == claimed_.end()) {
    if (!plane_->claim(worker)) {
      throw Napi::Error::New(info.Env(),
                             "poll.worker: another thread drives worker " + std::to_string(worker));
    }
    claimed_.push_back(worker);
  }
  return Napi::Boolean::New(info.Env(), plane_->poll_worker(worker, budget * 1000));
}

void WorkerBinding::detach(const Napi::CallbackInfo&) {
  let_go(false);
}

Napi::Value attach_plane(const Napi::CallbackInfo& info) {
  const Arg id(info, 0, "attachPlane.id");
  auto plane = find_held_plane(id.integer<uint32_t>(0, 0xffffffff));
  if (plane == nullptr) id.range_error("no such plane, or it was closed");
  const int cpu = Arg(info, 1, "attachPlane.cpu").integer<int>(-1, CPU_SETSIZE - 1);
  if (cpu >= 0) pin(info.Env(), cpu);
  const Napi::Object object = info.Env().GetInstanceData<AddonData>()->worker_class.New({});
  WorkerBinding::Unwrap(object)->hold(std::move(plane));
  return object;
}

}  // namespace penstock::addon
