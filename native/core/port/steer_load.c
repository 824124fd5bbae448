// The one C file: what bpftool generates is not C++.
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "steer.h"
#include "steer.lskel.h"

// Copies outlive the skeleton. Below 0: the number of the first error.
static int copy(int file, int* to) {
  *to = fcntl(file, F_DUPFD_CLOEXEC, 3);
  return *to < 0 ? -errno : 0;
}

int steer_load(struct steer_files* files) {
  struct steer* skeleton = steer__open();
  if (!skeleton) return errno != 0 ? -errno : -ENOMEM;
  int error = steer__load(skeleton);
  if (error == 0) error = copy(skeleton->progs.steer.prog_fd, &files->program);
  if (error == 0) error = copy(skeleton->maps.config.map_fd, &files->config);
  if (error == 0) error = copy(skeleton->maps.sockets.map_fd, &files->sockets);
  if (error == 0) error = copy(skeleton->maps.addresses.map_fd, &files->addresses);
  if (error == 0) error = copy(skeleton->maps.spis.map_fd, &files->spis);
  steer__destroy(skeleton);
  return error;
}
