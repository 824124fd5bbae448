// In C, as core/port/steer_load.c is.
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "traffic.h"
#include "traffic.lskel.h"

int traffic_load(struct traffic_files* files) {
  struct traffic* skeleton = traffic__open();
  if (!skeleton) return -ENOMEM;
  const int error = traffic__load(skeleton);
  if (error == 0) {
    files->program = fcntl(skeleton->progs.traffic.prog_fd, F_DUPFD_CLOEXEC, 3);
    files->state = fcntl(skeleton->maps.state.map_fd, F_DUPFD_CLOEXEC, 3);
  }
  traffic__destroy(skeleton);
  return error;
}
