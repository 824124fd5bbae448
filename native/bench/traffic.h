// What the generator's program and the bench share: plain C.
#ifndef PENSTOCK_TRAFFIC_H
#define PENSTOCK_TRAFFIC_H

#include <linux/types.h>

#define TRAFFIC_TUNNELS 100
#define TRAFFIC_HOSTS 10
#define TRAFFIC_LARGEST 1518 /* IP packet of the mix */
#define TRAFFIC_TIMED_EVERY 1021
#define TRAFFIC_TIMED_PORT 7777

struct traffic_state {
  __u64 start;        // ns, monotonic
  __u64 end;          // nothing is sent from then on
  __u64 interval_ps;  // between packets; 0: as fast as it goes
  __u64 sent;
  __u32 interface;
  __u32 mix;  // 0: the packet as it is given
};

struct traffic_files {
  int program;
  int state;  // array of one traffic_state
};

#ifdef __cplusplus
extern "C" {
#endif
// Loads the program; 0, or a negative errno. -ENOSYS: built without it.
int traffic_load(struct traffic_files* files);
#ifdef __cplusplus
}
#endif
#endif
