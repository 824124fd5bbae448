// What the XDP program and the port that loads it share: plain C, read by both compilers.
#ifndef PENSTOCK_STEER_H
#define PENSTOCK_STEER_H

#include <linux/types.h>

#define STEER_MOST_SOCKETS 4096 /* queues times workers */
#define STEER_MOST_ADDRESSES 4096
#define STEER_MOST_SPIS 262144
#define STEER_BUCKETS 1024 /* FlowOwners::kBuckets */

// An address as packet/address.h has it: IPv4 mapped into IPv6.
struct steer_address {
  __u64 high;
  __u64 low;
};

enum steer_owner { STEER_OURS = 1, STEER_KERNEL = 2 };

struct steer_config {
  __u32 workers;  // 0: nothing is ours yet; sockets of a queue have as many places
  __u8 mac[6];    // that packets to us have
  __u8 shared;    // the kernel has addresses on this interface, too
  __u8 reserved;
  __u8 owners[STEER_BUCKETS];  // the worker of each bucket of flows
};

// File descriptors of the loaded program and its maps.
struct steer_files {
  int program;
  int config;     // array of one steer_config
  int sockets;    // XSKMAP: queue * workers + worker
  int addresses;  // steer_address → steer_owner
  int spis;       // SPI in network order → worker
};

#ifdef __cplusplus
extern "C" {
#endif
// Loads the program; 0, or a negative errno. -ENOSYS: built without it. close() each file to let go.
int steer_load(struct steer_files* files);
#ifdef __cplusplus
}
#endif
#endif
