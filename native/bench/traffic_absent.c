// In place of traffic_load.c where the program cannot be built.
#include <errno.h>

#include "traffic.h"

int traffic_load(struct traffic_files* files) {
  (void)files;
  return -ENOSYS;
}
