#include <stdio.h>

#include "steer.h"
int main() {
  struct steer_files f = {-1, -1, -1, -1, -1};
  int e = steer_load(&f);
  printf("%d prog %d\n", e, f.program);
}
