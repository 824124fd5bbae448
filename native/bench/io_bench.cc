// Forwarding between real ports, against DPDK's testpmd on the same interfaces:
//
//   io_bench [--rounds N] [--only TEXT] [--seconds S] [--loss SHARE]
//
//   generator's namespace          contestants' namespace
//   g0 ── veth ── p0 ─┐
//                     ├─ node, or testpmd: one worker
//   s0 ── veth ── p1 ─┘
//
//   io.PORT.64, .imix      Mpps that pass when more come than can; from port to port with new MAC addresses,
//   which
//                          is what testpmd does (--forward-mode=mac). Peer "testpmd"
//   io.PORT.router.64      the same through a node: parsed, routed, counted
//   io.PORT.echo.64        in and out by one port
//     ….lossless           Mpps that pass with no more loss than --loss, found by halving below that
//     ….p50, ….p99         us through the contestant at half of the first rate
//                          all three null in a round in which no rate passed so
//   io.PORT.esp.imix       Gbit/s of inner packets that are sealed on their way, AES-256-GCM, 100 tunnels,
//   sessions
//                          on. Peer "plain": the same packets in the same round, routed only
//
// Contestants take turns within each round, each in a process of its own that is started for its turn.
// Namespaces have no name and end with this process. One JSON object a line.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <functional>
#include <limits>

#include "io_generator.h"
#include "io_node.h"

namespace penstock::bench {
namespace {

constexpr int kGeneratorCpu = 0;
constexpr int kContestantCpu = 1;
constexpr unsigned kFullLoads = 3;
constexpr unsigned kHalvings = 5;
constexpr double kMeanBytes = 0.08 * 64 + 0.36 * 127 + 0.11 * 255 + 0.04 * 511 + 0.02 * 1024 + 0.39 * 1518;

struct Arguments {
  unsigned rounds = 7;
  double seconds = 0.25;
  double loss = 0.001;
  std::string only;
} arguments;

void shell(const std::string& command) {
  if (std::system(command.c_str()) != 0) io_fails("failed: " + command);
}

void pin(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  sched_setaffinity(0, sizeof set, &set);
}

// A namespace that a child process holds.
class Namespace {
 public:
  Namespace() {
    int ready[2];
    if (pipe(ready) != 0) io_fails("pipe");
    holder_ = fork();
    if (holder_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      // What libxdp and DPDK look up in /sys has to be of this namespace; what libxdp pins goes with it.
      const bool made = unshare(CLONE_NEWNET | CLONE_NEWNS) == 0 &&
                        mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                        mount("sysfs", "/sys", "sysfs", 0, nullptr) == 0 &&
                        mount("bpf", "/sys/fs/bpf", "bpf", 0, nullptr) == 0;
      if (write(ready[1], made ? "y" : "n", 1) != 1) _exit(1);
      for (;;) pause();
    }
    char made = 'n';
    if (read(ready[0], &made, 1) != 1 || made != 'y') io_fails("a network namespace wants root");
    close(ready[0]);
    close(ready[1]);
  }
  ~Namespace() {
    kill(holder_, SIGKILL);
    waitpid(holder_, nullptr, 0);
  }
  Namespace(const Namespace&) = delete;
  Namespace& operator=(const Namespace&) = delete;

  pid_t holder() const { return holder_; }
  void enter() const {
    for (const char* kind : {"net", "mnt"}) {
      const std::string path = "/proc/" + std::to_string(holder_) + "/ns/" + kind;
      const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
      if (file < 0 || setns(file, 0) != 0) io_fails("setns");
      close(file);
    }
  }

 private:
  pid_t holder_ = -1;
};

// A process in the contestants' namespace, killed at the end of its turn.
class Contestant {
 public:
  Contestant(const Namespace& where, const std::function<void()>& run) {
    if (pipe(input_) != 0) io_fails("pipe");
    process_ = fork();
    if (process_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(input_[1]);
    dup2(input_[0], 0);
    where.enter();
    run();
    _exit(1);
  }
  ~Contestant() {
    // testpmd takes its program off the interface when it is told to end
    kill(process_, SIGTERM);
    for (unsigned i = 0; i < 300 && waitpid(process_, nullptr, WNOHANG) == 0; ++i) usleep(10'000);
    kill(process_, SIGKILL);
    waitpid(process_, nullptr, 0);
    close(input_[0]);
    close(input_[1]);
  }
  Contestant(const Contestant&) = delete;
  Contestant& operator=(const Contestant&) = delete;

 private:
  pid_t process_ = -1;
  int input_[2] = {};
};

void exec_testpmd(const std::string& port, bool echo) {
  std::vector<std::string> words = {
      "dpdk-testpmd", "-l",  "0,1",      "--main-lcore",  "0",           "--no-huge",
      "-m",           "512", "--no-pci", "--file-prefix", "penstock-io", "--no-telemetry"};
  for (int i = 0; i < (echo ? 1 : 2); ++i) {
    words.push_back("--vdev");
    words.push_back("net_" + port + std::to_string(i) + ",iface=p" + std::to_string(i));
  }
  for (const char* word : {"--", "--forward-mode=mac", "--nb-cores=1", "--total-num-mbufs=32768",
                           "--eth-peer=0,02:00:00:00:09:09"}) {
    words.emplace_back(word);
  }
  words.emplace_back(echo ? "--port-topology=loop" : "--eth-peer=1,02:00:00:00:09:09");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  if (std::getenv("IO_BENCH_VERBOSE") == nullptr) {
    const int nowhere = open("/dev/null", O_WRONLY);
    dup2(nowhere, 1);
    dup2(nowhere, 2);
  }
  execvp(argv[0], argv.data());
}

// A frame of 64 bytes, or the largest of the mix.
Packet packet(bool mix) {
  Packet made(mix ? TRAFFIC_LARGEST + 14 : 64);
  const uint8_t to[6] = {2, 0, 0, 0, 0, 1}, from[6] = {2, 0, 0, 0, 9, 1};
  const uint32_t l3 = ethernet::write(made.data(), to, from, ethernet::kTypeIpv4);
  const auto length = static_cast<uint32_t>(made.size()) - l3;
  ipv4::write(made.data() + l3, {.total_length = length, .protocol = protocol::kUdp},
              ip4(192, 0, 2, 1).v4_bytes(), io_client(0, 0).v4_bytes());
  udp::write(made.data() + l3 + 20, 1000, 53, length - 20);
  return made;
}

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

struct Figures {
  double full = 0;          // packets a second that pass when more come than can
  double lossless = kNone;  // the highest rate found that passes with no more loss than allowed
  double p50 = kNone, p99 = kNone;
  bool generator_bound = false;
};

double percentile(std::vector<double>& values, double share) {
  if (values.empty()) return kNone;
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
}

Figures measure(Generator& generator, const char* who) {
  generator.run(0, arguments.seconds / 2);
  Figures figures;
  std::vector<double> full;
  double offered = 0;
  for (unsigned i = 0; i < kFullLoads; ++i) {
    const Trial trial = generator.run(0, arguments.seconds);
    full.push_back(trial.rate());
    offered = std::max(offered, trial.offered());
    figures.generator_bound |= trial.loss() <= arguments.loss;
  }
  figures.full = median(full);
  double low = 0, high = figures.full;
  double next = high * 0.9;
  for (unsigned i = 0; i < kHalvings; ++i) {
    const Trial trial = generator.run(next, arguments.seconds);
    if (trial.loss() <= arguments.loss) {
      low = std::max(low, trial.rate());
    } else {
      high = std::min(high, next);
    }
    next = (low + high) / 2;
  }
  // Without one, half of the full load is overload, too, and its times are those of full queues.
  if (low == 0) {
    if (std::getenv("IO_BENCH_VERBOSE") != nullptr) {
      std::fprintf(stderr, "%s: full load %.3f of %.3f Mpps passed, no loss-free rate found\n", who,
                   figures.full * 1e-6, offered * 1e-6);
    }
    return figures;
  }
  figures.lossless = low;
  Trial half = generator.run(figures.full / 2, arguments.seconds);
  figures.p50 = percentile(half.microseconds, 0.5);
  figures.p99 = percentile(half.microseconds, 0.99);
  if (std::getenv("IO_BENCH_VERBOSE") != nullptr) {
    std::fprintf(stderr,
                 "%s: full load %.3f of %.3f Mpps passed, loss-free %.3f, p50 %.1f p99 %.1f us (%zu)\n", who,
                 figures.full * 1e-6, offered * 1e-6, figures.lossless * 1e-6, figures.p50, figures.p99,
                 half.microseconds.size());
  }
  return figures;
}

// Starts a contestant and measures it once it passes packets. One that does not start is started again:
// libxdp sometimes finds the interface still taken.
Figures turn_of(const Namespace& where, const std::function<void()>& run, Generator& generator,
                const char* who) {
  for (unsigned attempt = 0; attempt < 3; ++attempt) {
    const Contestant contestant(where, run);
    Trial warm;
    for (unsigned i = 0; i < 50 && warm.arrived < 100; ++i) warm = generator.run(20'000, 0.05);
    if (warm.arrived >= 100) return measure(generator, who);
  }
  io_fails(std::string(who) + " passes nothing");
}

bool wanted(const std::string& id) {
  return id.find(arguments.only) != std::string::npos ||
         (arguments.only.find(id) == 0 && !arguments.only.empty());
}

struct Lines {
  Line full, lossless, p50, p99;
  explicit Lines(const std::string& id)
      : full{id, "Mpps", {}, {}, {{"generatorBound", {}}}},
        lossless{id + ".lossless", "Mpps", {}, {}, {}},
        p50{id + ".p50", "us", {}, {}, {}},
        p99{id + ".p99", "us", {}, {}, {}} {}
  // peer: null for our own
  void add(const Figures& figures, const char* peer) {
    const std::pair<Line*, double> values[] = {{&full, figures.full * 1e-6},
                                               {&lossless, figures.lossless * 1e-6},
                                               {&p50, figures.p50},
                                               {&p99, figures.p99}};
    for (const auto& [line, value] : values) {
      if (peer != nullptr && line->peers.empty()) line->peers.push_back({peer, {}});
      (peer == nullptr ? line->ours : line->peers[0].second).push_back(value);
    }
    if (peer == nullptr) full.more[0].second.push_back(figures.generator_bound);
  }
  void print() const {
    for (const Line* line : {&full, &lossless, &p50, &p99}) line->print();
  }
};

bool has_testpmd(const std::string& port) {
  static const bool there = std::system("command -v dpdk-testpmd > /dev/null") == 0;
  if (!there) {
    std::fprintf(stderr, "io_bench: no testpmd to compare with (Debian: dpdk-dev, librte-net-af-xdp23)\n");
    return false;
  }
  const std::string library = "ls /usr/lib/*/dpdk/pmds-*/librte_net_" + port + ".so* > /dev/null 2>&1";
  if (std::system(library.c_str()) == 0) return true;
  std::fprintf(stderr, "io_bench: no testpmd over %s to compare with (Debian: librte-net-af-xdp23)\n",
               port.c_str());
  return false;
}

void forwarding(const traffic_files& files, const Namespace& where, const std::string& port,
                const std::string& what, IoWork work) {
  const bool imix = what.find("imix") != std::string::npos;
  const bool echo = what.find("echo") != std::string::npos;
  const std::string id = "io." + port + "." + what;
  if (!wanted(id)) return;
  Generator generator(files, "g0", echo ? "g0" : "s0", packet(imix), imix);
  const bool peer = has_testpmd(port);
  Lines lines(id);
  for (unsigned round = 0; round < arguments.rounds; ++round) {
    const auto node = [&] {
      pin(kContestantCpu);
      run_io_node({port, "p0", echo ? "p0" : "p1", work});
    };
    lines.add(turn_of(where, node, generator, "penstock"), nullptr);
    if (!peer) continue;
    lines.add(turn_of(
                  where, [&] { exec_testpmd(port, echo); }, generator, "testpmd"),
              "testpmd");
  }
  lines.print();
}

void sealing(const traffic_files& files, const Namespace& where, const std::string& port) {
  const std::string id = "io." + port + ".esp.imix";
  if (!wanted(id)) return;
  Generator generator(files, "g0", "s0", packet(true), true);
  Line line{id, "Gbit/s", {}, {{"plain", {}}}, {{"generatorBound", {}}}};
  const double bits = kMeanBytes * 8e-9;
  for (unsigned round = 0; round < arguments.rounds; ++round) {
    for (const bool seals : {true, false}) {
      const auto node = [&] {
        pin(kContestantCpu);
        run_io_node({port, "p0", "p1", seals ? IoWork::kSeal : IoWork::kRoute});
      };
      const Figures figures = turn_of(where, node, generator, seals ? "gateway" : "plain");
      (seals ? line.ours : line.peers[0].second).push_back(figures.full * bits);
      if (seals) line.more[0].second.push_back(figures.generator_bound);
    }
  }
  line.print();
}

int run() {
  if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0) io_fails("wants root, to make network namespaces");
  traffic_files files{};
  if (const int error = traffic_load(&files); error != 0) {
    std::fprintf(stderr, "io_bench: nothing to compare with: %s\n",
                 error == -ENOSYS ? "install clang, bpftool and libbpf-dev" : std::strerror(-error));
    return 0;
  }
  shell("ip link set lo up; sysctl -qw net.ipv6.conf.default.disable_ipv6=1");
  const Namespace where;
  const std::string there = std::to_string(where.holder());
  shell("nsenter -t " + there + " -n sysctl -qw net.ipv6.conf.default.disable_ipv6=1");
  const std::string inside = "nsenter -t " + there + " -n ";
  for (const auto& [own, other, last] : {std::tuple{"g0", "p0", "1"}, std::tuple{"s0", "p1", "2"}}) {
    shell(std::string("ip link add ") + own + " mtu 2000 type veth peer name " + other +
          " mtu 2000 address 02:00:00:00:00:0" + last + " netns " + there);
    shell(std::string("ip link set ") + own + " up");
    shell(inside + "ip link set " + other + " up");
    // receives frames as a card's driver does, also without an XDP program
    shell(inside + "ethtool -K " + other + " gro on");
  }
  pin(kGeneratorCpu);
  for (const std::string port : {"af_xdp", "af_packet"}) {
    forwarding(files, where, port, "64", IoWork::kPass);
    forwarding(files, where, port, "imix", IoWork::kPass);
    forwarding(files, where, port, "router.64", IoWork::kRoute);
    forwarding(files, where, port, "echo.64", IoWork::kPass);
    sealing(files, where, port);
  }
  return 0;
}

}  // namespace
}  // namespace penstock::bench

int main(int count, char** words) {
  using penstock::bench::arguments;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string word = words[i];
    if (word == "--rounds") arguments.rounds = static_cast<unsigned>(std::atoi(words[i + 1]));
    if (word == "--only") arguments.only = words[i + 1];
    if (word == "--seconds") arguments.seconds = std::atof(words[i + 1]);
    if (word == "--loss") arguments.loss = std::atof(words[i + 1]);
  }
  std::signal(SIGPIPE, SIG_IGN);
  return penstock::bench::run();
}
